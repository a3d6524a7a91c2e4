"""Binding of scalar expressions: sqlglot's tree in, `sql.expressions` out.

Row values are lowered here: comparisons of rows become comparisons of their elements.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from sqlglot import exp

from sql.bind.scope import Scope, ScopeColumn, nearest, no_such_column
from sql.bind.typing import (
    affinity_of,
    collation_of,
    common_affinity,
    compare,
    comparison_collation,
    explicit_collation,
    implicit_collation,
    kinds_of,
    needed_affinity,
)
from sql.errors import SqlError, SqlNameError
from sql.expressions import (
    Affinity,
    And,
    Arithmetic,
    Call,
    Case,
    Cast,
    Collate,
    ColumnRef,
    Compare,
    Exists,
    Expression,
    InList,
    InSubquery,
    Literal,
    Match,
    Not,
    Or,
    Parameter,
    Raise,
    ScalarSubquery,
    SlotRef,
    Truth,
    Unary,
)
from sql.functions import Aggregate, Function, WindowFunction
from sql.plan import AggregateCall, Block, Frame, SortKey, WindowCall, width
from sql.plan.walk import references, walk_flat
from sql.run.arithmetic import OPERATORS, negate
from sql.values import affinity_of_type

if TYPE_CHECKING:
    from sql.bind.queries import Binder

COLLATIONS = frozenset({"BINARY", "NOCASE", "RTRIM"})
MINIMUM_INTEGER = -(2**63)
MAXIMUM_INTEGER = 2**63 - 1

_COMPARISONS: dict[Any, str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.Is: "IS",
    exp.NullSafeEQ: "IS",
    exp.NullSafeNEQ: "IS NOT",
}
_ARITHMETIC: dict[Any, str] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.Mod: "%",
    exp.BitwiseAnd: "&",
    exp.BitwiseOr: "|",
    exp.BitwiseLeftShift: "<<",
    exp.BitwiseRightShift: ">>",
    exp.DPipe: "||",
}
_FLIPPED_IS = {"IS": "IS NOT", "IS NOT": "IS"}


def offset_of(node: exp.Expression) -> int | None:
    """Where the node stands in the statement's text, if the parser noted it."""
    for part in (node, node.this if isinstance(node.this, exp.Expression) else None):
        if part is not None:
            start = part.meta.get("start")
            if isinstance(start, int):
                return start
    return None


class ExpressionBinder:
    """Binds the expressions of one SELECT; `scope` is where its names are looked up."""

    __slots__ = ("binder", "scope")

    def __init__(self, binder: Binder, scope: Scope) -> None:
        self.binder = binder
        self.scope = scope

    def bind(self, node: exp.Expression) -> Expression:
        handler = _HANDLERS.get(type(node))
        if handler is None:
            return self._fallback(node)
        return handler(self, node)

    def bind_all(self, nodes: list[exp.Expression]) -> tuple[Expression, ...]:
        return tuple(self.bind(node) for node in nodes)

    def _fallback(self, node: exp.Expression) -> Expression:
        if isinstance(node, exp.Func):
            return self._typed_function(node)
        raise SqlError(f'near "{node.sql(dialect="sqlite")}": syntax error', offset=offset_of(node))

    # Names

    def column(self, node: exp.Column) -> Expression:
        if isinstance(node.this, exp.Star):
            raise SqlError('near "*": syntax error', offset=offset_of(node))
        found = self.resolve(node)
        if isinstance(found, ScopeColumn):
            return found.expression
        return found

    def resolve(self, node: exp.Column) -> ScopeColumn | Expression:
        """What the name means, from the innermost scope outwards."""
        identifier = node.this
        name = identifier.this if isinstance(identifier, exp.Identifier) else str(identifier)
        table = node.args.get("table")
        table_name = table.this if table is not None else None
        database = node.args.get("db")
        where = None if database is None else database.name
        scope: Scope | None = self.scope
        while scope is not None:
            try:
                found = self._tree_key(node, scope) or scope.find(name, table_name, where)
            except SqlError as error:
                error.offset = offset_of(node)
                raise
            if found is not None:
                return found
            if table_name is None and name.lower() in scope.aliases:
                return self._alias(name, scope, node)
            scope = scope.parent
        extra = self.binder.extra_column(name, table_name)
        if extra is not None:
            return extra
        quoted = isinstance(identifier, exp.Identifier) and identifier.args.get("quoted")
        if table_name is None:
            if quoted and identifier.meta.get("quote", '"') == '"':
                return Literal(name)
            if not quoted and name.lower() in ("true", "false"):
                return Literal(int(name.lower() == "true"))
        if where is not None:
            table_name = f"{where}.{table_name}"
        raise no_such_column(name, table_name, self.scope, offset_of(node))

    def _tree_key(self, node: exp.Column, scope: Scope) -> ScopeColumn | None:
        if not node.meta.get("tree_key"):
            return None
        table = node.args.get("table")
        for item in scope.items:
            if item.key is not None and (table is None or item.alias.lower() == table.name.lower()):
                return ScopeColumn("_key_", item.key)
        return None

    def _alias(self, name: str, scope: Scope, node: exp.Expression) -> Expression:
        bound = scope.aliases[name.lower()]
        if not (self.scope.aggregates_allowed and self.scope is scope):
            for part in walk_flat(bound):
                if isinstance(part, SlotRef) and part.source == scope.aggregate_source:
                    call = scope.aggregates[part.slot - scope.key_count]
                    raise SqlError(
                        f"misuse of aliased aggregate {name}"
                        if call
                        else f"misuse of aggregate: {name}",
                        offset=offset_of(node),
                    )
                if isinstance(part, SlotRef) and part.source == scope.window_source:
                    raise SqlError(f"misuse of aliased window function {name}")
        return bound

    # Constants

    def literal(self, node: exp.Literal) -> Expression:
        if node.is_string:
            return Literal(node.this)
        return Literal(number(node.this))

    def hex_string(self, node: exp.HexString) -> Expression:
        return Literal(bytes.fromhex(node.this))

    def null(self, node: exp.Null) -> Expression:
        return Literal(None)

    def boolean(self, node: exp.Boolean) -> Expression:
        return Literal(int(bool(node.this)))

    def parameter(self, node: exp.Expression) -> Expression:
        index = node.meta.get("index")
        if index is None:
            index = self.binder.next_parameter(node)
        return Parameter(index)

    # Operators

    def paren(self, node: exp.Paren) -> Expression:
        return self.bind(node.this)

    def negate(self, node: exp.Neg) -> Expression:
        operand = node.this
        if isinstance(operand, exp.Literal) and not operand.is_string:
            if operand.this == "9223372036854775808":
                return Literal(MINIMUM_INTEGER)
            value = number(operand.this)
            return Literal(-value if value else value)
        bound = self.bind(operand)
        return Literal(negate(bound.value)) if isinstance(bound, Literal) else Unary("-", bound)

    def unary_not_bits(self, node: exp.BitwiseNot) -> Expression:
        return Unary("~", self.bind(node.this))

    def plus(self, node: exp.Expression) -> Expression:
        return Unary("+", self.bind(node.this))

    def arithmetic(self, node: exp.Binary) -> Expression:
        op = _ARITHMETIC[type(node)]
        left, right = self.scalar(node.this), self.scalar(node.expression)
        if isinstance(left, Literal) and isinstance(right, Literal):
            return Literal(OPERATORS[op](left.value, right.value))
        return Arithmetic(op, left, right)

    def scalar(self, node: exp.Expression) -> Expression:
        """Bind where one value is needed."""
        if isinstance(node, exp.Tuple):
            raise SqlError("row value misused", offset=offset_of(node))
        return self.bind(node)

    def conjunction(self, node: exp.And) -> Expression:
        return And(self._chain(node, exp.And))

    def disjunction(self, node: exp.Or) -> Expression:
        return Or(self._chain(node, exp.Or))

    def _chain(self, node: exp.Expression, kind: type[exp.Expression]) -> tuple[Expression, ...]:
        """Operands of a left-deep chain, without recursion along it."""
        operands: list[exp.Expression] = []
        while isinstance(node, kind):
            operands.append(node.expression)
            node = node.this
        operands.append(node)
        return tuple(self.bind(operand) for operand in reversed(operands))

    def negation(self, node: exp.Not) -> Expression:
        inner = node.this
        while isinstance(inner, exp.Paren):
            inner = inner.this
        bound = self.bind(node.this)
        if isinstance(inner, (exp.Is, exp.NullSafeEQ)):
            if isinstance(bound, Compare) and bound.op in _FLIPPED_IS:
                return Compare(
                    _FLIPPED_IS[bound.op],
                    bound.left,
                    bound.right,
                    bound.left_affinity,
                    bound.right_affinity,
                    bound.collation,
                )
            if isinstance(bound, Truth):
                return Truth(bound.operand, bound.value, not bound.negated)
        if isinstance(inner, exp.In) and isinstance(bound, InList) and not bound.negated:
            return InList(bound.operand, bound.items, True, bound.affinity, bound.collation)
        if isinstance(inner, exp.In) and isinstance(bound, InSubquery) and not bound.negated:
            return InSubquery(
                bound.operands,
                bound.plan,
                True,
                bound.left_affinities,
                bound.right_affinities,
                bound.collations,
            )
        if isinstance(inner, exp.Exists) and isinstance(bound, Exists) and not bound.negated:
            return Exists(bound.plan, True)
        return Not(bound)

    def comparison(self, node: Any) -> Expression:
        op = _COMPARISONS[type(node)]
        left, right = node.this, node.expression
        if isinstance(node, exp.Is) and isinstance(right, exp.Boolean):
            return Truth(self.bind(left), bool(right.this), op == "IS NOT")
        left_row, right_row = self._row(left), self._row(right)
        if left_row is None and right_row is None:
            return compare(op, self.bind(left), self.bind(right))
        if left_row is None or right_row is None or len(left_row) != len(right_row):
            raise SqlError("row value misused", offset=offset_of(node))
        return compare_rows(op, left_row, right_row)

    def _row(self, node: exp.Expression) -> tuple[Expression, ...] | None:
        """The elements of a row value (also a subquery of several columns), None for a scalar."""
        while isinstance(node, exp.Paren):
            node = node.this
        if isinstance(node, exp.Tuple):
            return tuple(self.scalar(item) for item in node.expressions)
        if isinstance(node, exp.Subquery) and is_query(node.this):
            block = self._subquery_block(node)
            if width(block) > 1:
                return tuple(self._scalar_subquery(block, slot) for slot in range(width(block)))
        return None

    def between(self, node: exp.Between) -> Expression:
        low, high = node.args["low"], node.args["high"]
        row = self._row(node.this)
        if row is not None:
            low_row, high_row = self._row(low), self._row(high)
            if low_row is None or high_row is None:
                raise SqlError("row value misused", offset=offset_of(node))
            return And((compare_rows(">=", row, low_row), compare_rows("<=", row, high_row)))
        operand = self.bind(node.this)
        return And(
            (compare(">=", operand, self.bind(low)), compare("<=", operand, self.bind(high)))
        )

    def case(self, node: exp.Case) -> Expression:
        base = self.bind(node.this) if node.this is not None else None
        whens = []
        for branch in node.args["ifs"]:
            when = self.bind(branch.this)
            if base is not None:
                when = compare("=", base, when)
            whens.append((when, self.bind(branch.args["true"])))
        default = node.args.get("default")
        return Case(tuple(whens), None if default is None else self.bind(default))

    def cast(self, node: exp.Cast) -> Expression:
        text = node.meta.get("type")
        if text is None:
            text = node.to.sql(dialect="sqlite")
        affinity = affinity_of_type(text) if text else Affinity.NUMERIC
        return Cast(self.scalar(node.this), affinity, text)

    def collate(self, node: exp.Collate) -> Expression:
        name = node.expression.name
        self.binder.check_collation(name)
        return Collate(self.bind(node.this), name.upper() if name.upper() in COLLATIONS else name)

    def match(self, node: exp.Expression, escape: exp.Expression | None = None) -> Expression:
        op = _MATCHES[type(node)]
        bound = Match(
            op,
            self.scalar(node.this),
            self.scalar(node.expression),
            None if escape is None else self.scalar(escape),
        )
        return Not(bound) if node.args.get("negate") else bound

    def escape(self, node: exp.Escape) -> Expression:
        return self.match(node.this, node.expression)

    def json_arrow(self, node: exp.Expression) -> Expression:
        name = "->" if isinstance(node, exp.JSONExtract) else "->>"
        return self._scalar_call(name, (self.bind(node.this), self.bind(node.expression)), node)

    # Subqueries

    def subquery(self, node: exp.Expression) -> Expression:
        block = self._subquery_block(node)
        if width(block) != 1:
            raise SqlError(
                f"sub-select returns {width(block)} columns - expected 1", offset=offset_of(node)
            )
        return self._scalar_subquery(block, 0)

    def _subquery_block(self, node: exp.Expression) -> Block:
        return self.binder.subquery(node, self.scope)

    def _scalar_subquery(self, block: Block, slot: int) -> ScalarSubquery:
        output = self.binder.output_of(block, slot)
        affinity = affinity_of(output) if output is not None else None
        return ScalarSubquery(
            block,
            slot,
            affinity if affinity is not None else NO_AFFINITY,
            (implicit_collation(output) or "BINARY") if output is not None else "BINARY",
            (kinds_of(output) | 1) if output is not None else 31,
        )

    def exists(self, node: exp.Exists) -> Expression:
        return Exists(self._subquery_block(node.this))

    def membership(self, node: exp.In) -> Expression:
        query = node.args.get("query")
        field = node.args.get("field")
        if query is None and field is not None:
            query = self.binder.table_query(field)
        row = self._row(node.this)
        operands = (self.bind(node.this),) if row is None else row
        if query is None:
            items = node.expressions
            if row is not None:
                alternatives = []
                for item in items:
                    other = self._row(item)
                    if other is None or len(other) != len(row):
                        raise SqlError("row value misused", offset=offset_of(node))
                    alternatives.append(compare_rows("=", row, other))
                return Or(tuple(alternatives)) if alternatives else Literal(0)
            return self._in_list(operands[0], items)
        return self._in_block(operands, self._subquery_block(query), node)

    def _in_list(self, operand: Expression, items: list[exp.Expression]) -> Expression:
        wanted = affinity_of(operand)
        if wanted == NO_AFFINITY:
            wanted = None
        if wanted is not None:
            wanted = (
                Affinity.NUMERIC
                if wanted >= Affinity.NUMERIC
                else (Affinity.TEXT if wanted == Affinity.TEXT else None)
            )
        bound = []
        left_affinity = False
        for item in items:
            element = self.scalar(item)
            affinity = None
            if wanted is not None:
                element, affinity = needed_affinity(element, wanted)
            left_affinity |= affinity is not None
            bound.append(element)
        collation = explicit_collation(operand) or implicit_collation(operand) or "BINARY"
        return InList(operand, tuple(bound), False, wanted if left_affinity else None, collation)

    def _in_block(
        self, operands: tuple[Expression, ...], block: Block, node: exp.Expression
    ) -> Expression:
        if width(block) != len(operands):
            raise SqlError(
                f"sub-select returns {width(block)} columns - expected {len(operands)}",
                offset=offset_of(node),
            )
        left: list[Affinity | None] = []
        right: list[Affinity | None] = []
        collations = []
        lowered = []
        for slot, operand in enumerate(operands):
            output = self.binder.output_of(block, slot)
            inner = affinity_of(output) if output is not None else None
            wanted = common_affinity(affinity_of(operand), inner)
            left_affinity = right_affinity = None
            if wanted is not None:
                operand, left_affinity = needed_affinity(operand, wanted)
                if output is not None:
                    right_affinity = needed_affinity(output, wanted)[1]
                    if isinstance(output, Literal):
                        right_affinity = wanted
                else:
                    right_affinity = wanted
            lowered.append(operand)
            left.append(left_affinity)
            right.append(right_affinity)
            collations.append(
                comparison_collation(operand, output)
                if output is not None
                else collation_of(operand)
            )
        return InSubquery(
            tuple(lowered), block, False, tuple(left), tuple(right), tuple(collations)
        )

    # Functions

    def anonymous(self, node: exp.Anonymous) -> Expression:
        return self.call(str(node.this), node.expressions, node)

    def _typed_function(self, node: Any) -> Expression:
        """A function sqlglot has a class for: its SQLite spelling says name and arguments."""
        text = node.sql(dialect="sqlite")
        name = text.split("(", 1)[0]
        arguments = [item for item in node.args.values() if isinstance(item, exp.Expression)]
        for item in node.args.values():
            if isinstance(item, list):
                arguments += [part for part in item if isinstance(part, exp.Expression)]
        return self.call(name, arguments, node)

    def call(
        self,
        name: str,
        arguments: list[exp.Expression],
        node: exp.Expression,
        where: exp.Expression | None = None,
        window: exp.Window | None = None,
    ) -> Expression:
        distinct = False
        order: exp.Order | None = None
        if len(arguments) == 1 and isinstance(arguments[0], exp.Distinct):
            distinct = True
            arguments = arguments[0].expressions
        if arguments and isinstance(arguments[-1], exp.Order):
            order = arguments[-1]
            first = [order.this] if order.this is not None else []
            arguments = [*arguments[:-1], *first]
        if len(arguments) == 1 and isinstance(arguments[0], exp.Star):
            arguments = []
        function = self.binder.env.functions.lookup(name.lower(), len(arguments))
        if function is None:
            self._unknown_function(name, len(arguments), node)
        if window is not None:
            return self._window_call(name, function, arguments, where, window, node)
        if isinstance(function, Aggregate):
            return self._aggregate_call(name, function, arguments, distinct, where, order, node)
        if isinstance(function, WindowFunction):
            raise SqlError(f"misuse of window function {name}()", offset=offset_of(node))
        if distinct:
            raise SqlError(
                "DISTINCT is not supported for window functions"
                if window
                else f"DISTINCT qualifier is not allowed for {name}()",
                offset=offset_of(node),
            )
        if where is not None:
            raise SqlError(
                f"FILTER may not be used with non-aggregate {name}()", offset=offset_of(node)
            )
        return self._scalar_call(name, self.bind_all(arguments), node)

    def _unknown_function(self, name: str, count: int, node: exp.Expression) -> NoReturn:
        functions = self.binder.env.functions
        if any(functions.lookup(name.lower(), other) is not None for other in range(9)):
            raise SqlError(
                f"wrong number of arguments to function {name}()", offset=offset_of(node)
            )
        error = SqlNameError(f"no such function: {name}", offset=offset_of(node), token=name)
        error.suggestions = nearest(name, list(functions.names()))
        raise error

    def _scalar_call(
        self, name: str, arguments: tuple[Expression, ...], node: exp.Expression
    ) -> Expression:
        function = self.binder.env.functions.lookup(name.lower(), len(arguments))
        if not isinstance(function, Function):
            self._unknown_function(name, len(arguments), node)
        lowered = name.lower()
        if lowered in ("likely", "unlikely", "likelihood"):
            return Unary("+", arguments[0])
        collation = "BINARY"
        for argument in arguments:
            found = explicit_collation(argument) or implicit_collation(argument)
            if found is not None:
                collation = found
                break
        return Call(lowered, arguments, function, collation)

    def _aggregate_call(
        self,
        name: str,
        function: Aggregate,
        arguments: list[exp.Expression],
        distinct: bool,
        where: exp.Expression | None,
        order: exp.Order | None,
        node: exp.Expression,
    ) -> Expression:
        scope = self.scope
        if distinct and len(arguments) != 1:
            raise SqlError(
                "DISTINCT aggregates must have exactly one argument", offset=offset_of(node)
            )
        allowed = scope.aggregates_allowed
        windows = scope.windows_allowed
        scope.aggregates_allowed = scope.windows_allowed = False
        context, scope.aggregate_context = scope.aggregate_context, name
        try:
            bound = self.bind_all(arguments)
            condition = None if where is None else self.bind(where)
            keys = () if order is None else self.sort_keys(order)
        finally:
            scope.aggregates_allowed = allowed
            scope.windows_allowed = windows
            scope.aggregate_context = context
        owner = self._owner(bound, condition)
        if not owner.aggregates_allowed:
            raise SqlError(
                f"misuse of aggregate function {name}()"
                if owner.aggregate_context
                else f"misuse of aggregate: {name}()",
                offset=offset_of(node),
            )
        collation = collation_of(bound[0]) if bound else "BINARY"
        call = AggregateCall(name.lower(), function, bound, distinct, condition, keys, collation)
        spelled = repr(call)
        for slot, known in enumerate(owner.aggregates):  # noqa: B007
            if repr(known) == spelled:
                break
        else:
            slot = len(owner.aggregates)
            owner.aggregates.append(call)
        kinds = getattr(function, "kinds", 31) or 31
        if call.name in ("min", "max"):
            kinds = kinds_of(bound[0]) | 1
        return SlotRef(owner.aggregate_source, owner.key_count + slot, NO_AFFINITY, "BINARY", kinds)

    def _owner(self, arguments: tuple[Expression, ...], where: Expression | None) -> Scope:
        """The SELECT an aggregate belongs to: the innermost that its arguments refer to."""
        used: set[int] = set()
        for argument in arguments:
            used |= references(argument)
        if where is not None:
            used |= references(where)
        scope: Scope | None = self.scope
        while scope is not None and used:
            if used & self.binder.scope_sources(scope):
                return scope
            scope = scope.parent
        return self.scope

    def filtered(self, node: exp.Filter) -> Expression:
        name, arguments = self._name_and_arguments(node.this)
        return self.call(name, arguments, node, where=node.expression.this)

    def _name_and_arguments(self, node: exp.Expression) -> tuple[str, list[exp.Expression]]:
        if isinstance(node, exp.Anonymous):
            return str(node.this), node.expressions
        arguments = [item for item in node.args.values() if isinstance(item, exp.Expression)]
        for item in node.args.values():
            if isinstance(item, list):
                arguments += [part for part in item if isinstance(part, exp.Expression)]
        return node.sql(dialect="sqlite").split("(", 1)[0], arguments

    def windowed(self, node: exp.Window) -> Expression:
        inner = node.this
        where = None
        if isinstance(inner, exp.Filter):
            where = inner.expression.this
            inner = inner.this
        name, arguments = self._name_and_arguments(inner)
        return self.call(name, arguments, node, where=where, window=node)

    def _window_call(
        self,
        name: str,
        function: Any,
        arguments: list[exp.Expression],
        where: exp.Expression | None,
        window: exp.Window,
        node: exp.Expression,
    ) -> Expression:
        scope = self.scope
        if isinstance(function, Function):
            raise SqlError(f"{name}() may not be used as a window function", offset=offset_of(node))
        if not scope.windows_allowed:
            raise SqlError(f"misuse of window function {name}()", offset=offset_of(node))
        if where is not None and not isinstance(function, Aggregate):
            raise SqlError(
                "FILTER clause may only be used with aggregate window functions",
                offset=offset_of(node),
            )
        scope.windows_allowed = False
        try:
            bound = self.bind_all(arguments)
            condition = None if where is None else self.bind(where)
            partition, order, frame = self._window_definition(window)
        finally:
            scope.windows_allowed = True
        call = WindowCall(
            name.lower(),
            function,
            bound,
            condition,
            partition,
            order,
            frame,
            collation_of(bound[0]) if bound else "BINARY",
        )
        spelled = repr(call)
        for slot, known in enumerate(scope.windows):  # noqa: B007
            if repr(known) == spelled:
                break
        else:
            slot = len(scope.windows)
            scope.windows.append(call)
        return SlotRef(scope.window_source, slot, NO_AFFINITY, "BINARY", 31)

    def _window_definition(
        self, window: exp.Expression
    ) -> tuple[tuple[SortKey, ...], tuple[SortKey, ...], Frame]:
        partition = tuple(
            SortKey(bound, False, True, collation_of(bound))
            for bound in self.bind_all(window.args.get("partition_by") or [])
        )
        order_node = window.args.get("order")
        order = () if order_node is None else self.sort_keys(order_node)
        spec = window.args.get("spec")
        alias = window.args.get("alias")
        base_frame = None
        if alias is not None:
            base = self.scope.named_windows.get(alias.name.lower())
            if base is None:
                raise SqlError(f"no such window: {alias.name}", offset=offset_of(alias))
            assert isinstance(base, exp.Expression)
            base_partition, base_order, base_frame = self._window_definition(base)
            partition = partition or base_partition
            order = order or base_order
            if base.args.get("spec") is None:
                base_frame = None
        if spec is None:
            return partition, order, base_frame or Frame()
        return partition, order, self._frame(spec, order)

    def _frame(self, spec: exp.Expression, order: tuple[SortKey, ...]) -> Frame:
        unit = str(spec.args.get("kind") or "RANGE").upper()

        def bound(
            which: str, default: tuple[str, Expression | None]
        ) -> tuple[str, Expression | None]:
            value = spec.args.get(which)
            side = str(spec.args.get(f"{which}_side") or "").upper()
            if value is None:
                return default
            if isinstance(value, str):
                if value.upper().startswith("CURRENT"):
                    return "CURRENT", None
                if side == ("FOLLOWING" if which == "start" else "PRECEDING"):
                    raise SqlError("unsupported frame specification")
                return "UNBOUNDED", None
            return side, self.bind(value)

        start, start_offset = bound("start", ("UNBOUNDED", None))
        end, end_offset = bound("end", ("CURRENT", None))
        ranks = {"PRECEDING": 1, "CURRENT": 2, "FOLLOWING": 3}
        low = 0 if start == "UNBOUNDED" else ranks[start]
        high = 4 if end == "UNBOUNDED" else ranks[end]
        if low > high:
            raise SqlError("unsupported frame specification")
        if unit == "RANGE" and (start_offset or end_offset) and len(order) != 1:
            raise SqlError("RANGE with offset PRECEDING/FOLLOWING requires one ORDER BY expression")
        exclude = str(spec.args.get("exclude") or "NO OTHERS").upper()
        return Frame(unit, start, start_offset, end, end_offset, exclude)

    def sort_keys(self, order: exp.Expression) -> tuple[SortKey, ...]:
        return tuple(self.sort_key(item, self.bind(_ordered(item))) for item in order.expressions)

    def sort_key(self, item: exp.Expression, bound: Expression) -> SortKey:
        descending = bool(item.args.get("desc")) if isinstance(item, exp.Ordered) else False
        nulls_first = not descending
        if isinstance(item, exp.Ordered) and item.args.get("nulls_first") is not None:
            nulls_first = bool(item.args["nulls_first"])
        return SortKey(bound, descending, nulls_first, collation_of(bound))

    def raise_(self, node: exp.Expression) -> Expression:
        action = str(node.args.get("action") or node.this).upper()
        message = node.args.get("message") or node.args.get("expression")
        return Raise(action, None if message is None else self.bind(message))

    def tuple_(self, node: exp.Tuple) -> Expression:
        if len(node.expressions) == 1:
            return self.bind(node.expressions[0])
        raise SqlError("row value misused", offset=offset_of(node))

    def alias(self, node: exp.Alias) -> Expression:
        return self.bind(node.this)


NO_AFFINITY: Affinity = Affinity.BLOB


def _ordered(item: exp.Expression) -> exp.Expression:
    inner: exp.Expression = item.this if isinstance(item, exp.Ordered) else item
    return inner


def is_query(node: exp.Expression | None) -> bool:
    return isinstance(node, (exp.Select, exp.SetOperation, exp.Values, exp.Subquery))


def number(text: str) -> int | float:
    """The value of a numeric literal: an integer if it fits 64 bits, else a real."""
    digits = text.replace("_", "")
    if digits[:2].lower() == "0x":
        value = int(digits, 16)
        if value >= 1 << 64:
            raise SqlError(f"hex literal too big: {text}")
        return value - (1 << 64) if value >= 1 << 63 else value
    if digits.isdigit():
        value = int(digits)
        return value if value <= MAXIMUM_INTEGER else float(value)
    return float(digits)


def compare_rows(
    op: str, left: tuple[Expression, ...], right: tuple[Expression, ...]
) -> Expression:
    """The comparison of two row values of one length, element by element."""
    if op in ("=", "IS"):
        return And(tuple(compare(op, a, b) for a, b in zip(left, right, strict=True)))
    if op in ("<>", "IS NOT"):
        return Or(tuple(compare(op, a, b) for a, b in zip(left, right, strict=True)))
    strict = op[0]
    result: Expression = compare(op, left[-1], right[-1])
    for a, b in zip(reversed(left[:-1]), reversed(right[:-1]), strict=True):
        result = Or((compare(strict, a, b), And((compare("=", a, b), result))))
    if len(left) > 1:
        # Implied by the rest, and a range of an index on the first element.
        result = And((compare(strict + "=", left[0], right[0]), result))
    return result


_MATCHES: dict[Any, str] = {
    exp.Like: "LIKE",
    exp.Glob: "GLOB",
    exp.RegexpLike: "REGEXP",
}
if hasattr(exp, "Match"):
    _MATCHES[exp.Match] = "MATCH"

_Handler = Callable[[ExpressionBinder, Any], Expression]
_HANDLERS: dict[type[exp.Expression], _Handler] = {
    exp.Column: ExpressionBinder.column,
    exp.Literal: ExpressionBinder.literal,
    exp.HexString: ExpressionBinder.hex_string,
    exp.Null: ExpressionBinder.null,
    exp.Boolean: ExpressionBinder.boolean,
    exp.Placeholder: ExpressionBinder.parameter,
    exp.Parameter: ExpressionBinder.parameter,
    exp.Paren: ExpressionBinder.paren,
    exp.Neg: ExpressionBinder.negate,
    exp.Unary: ExpressionBinder.plus,
    exp.Command: ExpressionBinder.raise_,
    exp.BitwiseNot: ExpressionBinder.unary_not_bits,
    exp.And: ExpressionBinder.conjunction,
    exp.Or: ExpressionBinder.disjunction,
    exp.Not: ExpressionBinder.negation,
    exp.Between: ExpressionBinder.between,
    exp.Case: ExpressionBinder.case,
    exp.Cast: ExpressionBinder.cast,
    exp.Collate: ExpressionBinder.collate,
    exp.Escape: ExpressionBinder.escape,
    exp.JSONExtract: ExpressionBinder.json_arrow,
    exp.JSONExtractScalar: ExpressionBinder.json_arrow,
    exp.Select: ExpressionBinder.subquery,
    exp.Subquery: ExpressionBinder.subquery,
    exp.Union: ExpressionBinder.subquery,
    exp.Intersect: ExpressionBinder.subquery,
    exp.Except: ExpressionBinder.subquery,
    exp.Values: ExpressionBinder.subquery,
    exp.Exists: ExpressionBinder.exists,
    exp.In: ExpressionBinder.membership,
    exp.Anonymous: ExpressionBinder.anonymous,
    exp.Filter: ExpressionBinder.filtered,
    exp.Window: ExpressionBinder.windowed,
    exp.Tuple: ExpressionBinder.tuple_,
    exp.Alias: ExpressionBinder.alias,
}
_HANDLERS.update(dict.fromkeys(_COMPARISONS, ExpressionBinder.comparison))
_HANDLERS.update(dict.fromkeys(_ARITHMETIC, ExpressionBinder.arithmetic))
_HANDLERS.update(dict.fromkeys(_MATCHES, ExpressionBinder.match))

__all__ = ["NO_AFFINITY", "ColumnRef", "ExpressionBinder", "is_query", "number", "offset_of"]
