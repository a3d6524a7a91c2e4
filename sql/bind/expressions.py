"""Binding of scalar expressions: sqlglot's tree in, `sql.expressions` out.

Names, constants, operators and subqueries are bound here; comparisons in `sql.bind.comparisons`, calls in
`sql.bind.calls`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import sqlglot.expressions as exp
from msgspec.structs import replace

from sql.bind import calls, comparisons
from sql.bind.nodes import MINIMUM_INTEGER, number, offset_of
from sql.bind.scope import Scope, ScopeColumn, no_such_column
from sql.bind.typing import (
    carried_affinity,
    collation_of,
    implicit_collation,
    kinds_of,
)
from sql.errors import SqlError
from sql.expressions import (
    Affinity,
    And,
    Arithmetic,
    Cast,
    Collate,
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
from sql.plan import Block, Select, SortKey, width
from sql.plan.walk import walk_flat
from sql.run.arithmetic import OPERATORS, negate
from sql.values import affinity_of_type

if TYPE_CHECKING:
    from sql.bind.queries import Binder

COLLATIONS = frozenset({"BINARY", "NOCASE", "RTRIM"})

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


class ExpressionBinder:
    """Binds the expressions of one SELECT; `scope` is where its names are looked up."""

    __slots__ = ("scope", "statement")

    def __init__(self, statement: Binder, scope: Scope) -> None:
        self.statement = statement
        self.scope = scope

    def bind(self, node: exp.Expression) -> Expression:
        return _HANDLERS[node.__class__](self, node)

    def bind_all(self, nodes: list[exp.Expression]) -> tuple[Expression, ...]:
        return tuple(self.bind(node) for node in nodes)

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
                found = self._tree_key(node, scope) if name == "_key_" else None
                found = found or scope.find(name, table_name, where)
            except SqlError as error:
                error.offset = offset_of(node)
                raise
            if found is not None:
                if self.statement.asks is not None:
                    self.statement.asks.column(found)
                return found
            if table_name is None and name.lower() in scope.aliases:
                return self._alias(name, scope, node)
            scope = scope.parent
        extra = self.statement.extra_column(name, table_name)
        if extra is not None:
            return extra
        quoted = isinstance(identifier, exp.Identifier) and identifier.args.get("quoted")
        if table_name is None:
            if quoted and identifier.meta.get("quote", '"') == '"':
                self._tell_of_text(name, node)
                return Literal(name)
            if not quoted and name.lower() in ("true", "false"):
                return Literal(int(name.lower() == "true"))
        if where is not None:
            table_name = f"{where}.{table_name}"
        raise no_such_column(name, table_name, self.scope, offset_of(node))

    def _tell_of_text(self, name: str, node: exp.Column) -> None:
        """Who listens hears of a name in double quotes that is a text since no column has it."""
        tell, scope = self.statement.env.on_text, self.scope
        while tell is not None and scope is not None:
            if scope.items or self.statement.env.texts_anywhere:
                tell(no_such_column(name, None, self.scope, offset_of(node)))
                return
            scope = scope.parent  # type: ignore[assignment]

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
        aggregates, windows = scope.aggregates_allowed, scope.windows_allowed
        if not (aggregates and windows):
            for part in walk_flat(bound):
                if (
                    isinstance(part, SlotRef)
                    and part.source == scope.aggregate_source
                    and not aggregates
                ):
                    call = scope.aggregates[part.slot - scope.key_count]
                    raise SqlError(
                        f"misuse of aliased aggregate {name}"
                        if call
                        else f"misuse of aggregate: {name}",
                        offset=offset_of(node),
                    )
                if isinstance(part, SlotRef) and part.source == scope.window_source and not windows:
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
        return Parameter(node.meta["index"])

    # Operators

    def negate(self, node: exp.Neg) -> Expression:
        operand = node.this
        if isinstance(operand, exp.Literal) and not operand.is_string:
            if operand.this.lstrip("0") == "9223372036854775808":
                return Literal(MINIMUM_INTEGER)
            value = number(operand.this)
            if value == MINIMUM_INTEGER:  # in hexadecimal
                raise SqlError(f"hex literal too big: -{operand.this}", offset=offset_of(operand))
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

    def cast(self, node: exp.Cast) -> Expression:
        text = node.meta["type"]
        affinity = affinity_of_type(text) if text else Affinity.NUMERIC
        return Cast(self.scalar(node.this), affinity, text)

    def collate(self, node: exp.Collate) -> Expression:
        name = self.statement.collation(node.expression.name)
        return Collate(self.bind(node.this), name)

    def match(self, node: exp.Expression, escape: exp.Expression | None = None) -> Expression:
        op = _MATCHES[type(node)]
        if self.statement.asks is not None:
            self.statement.asks.function(op)
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
        if self.statement.asks is not None:
            self.statement.asks.function(name)
        return calls.scalar_call(
            self, name, (self.bind(node.this), self.bind(node.expression)), node
        )

    # Subqueries

    def subquery(self, node: exp.Expression) -> Expression:
        if "place" in node.meta:
            return self._assigned(node)
        block = self.subquery_block(node)
        if width(block) != 1:
            raise SqlError(
                f"sub-select returns {width(block)} columns - expected 1", offset=offset_of(node)
            )
        return self.scalar_subquery(block, 0)

    def _assigned(self, node: exp.Expression) -> Expression:
        """One of the columns that `SET (a, b) = (SELECT ...)` takes from one query, which is computed once where
        it depends on nothing."""
        rows, start = self.scope.assigned_rows, offset_of(node)
        block = rows.get(start)
        if block is None:
            block = rows[start] = self.subquery_block(node)
        count = node.meta["width"]
        if width(block) != count:
            raise SqlError(f"{count} columns assigned {width(block)} values")
        return self.scalar_subquery(block, node.meta["place"])

    def subquery_block(self, node: exp.Expression) -> Block:
        return self.statement.subquery(node, self.scope)

    def scalar_subquery(self, block: Block, slot: int) -> ScalarSubquery:
        output = self.statement.output_of(block, slot)
        return ScalarSubquery(
            block,
            slot,
            carried_affinity(output) if output is not None else Affinity.NONE,
            (implicit_collation(output) or "BINARY") if output is not None else "BINARY",
            (kinds_of(output) | 1) if output is not None else 31,
        )

    def exists(self, node: exp.Exists) -> Expression:
        block = self.subquery_block(node.this)
        if isinstance(block, Select) and block.limit is None and block.offset is None:
            block = replace(block, order=(), limit=Literal(1))  # whether there is one row
        return Exists(block)

    # Sorting

    def sort_keys(self, order: exp.Expression) -> tuple[SortKey, ...]:
        return tuple(self.sort_key(item, self.bind(_ordered(item))) for item in order.expressions)

    def sort_key(self, item: exp.Expression, bound: Expression) -> SortKey:
        descending = bool(item.args.get("desc")) if isinstance(item, exp.Ordered) else False
        nulls_first = not descending
        if isinstance(item, exp.Ordered) and item.args.get("nulls_first") is not None:
            nulls_first = bool(item.args["nulls_first"])
        return SortKey(bound, descending, nulls_first, collation_of(bound))

    def raise_(self, node: exp.Expression) -> Expression:
        if not {"new", "old"} & self.statement.env.extra_scopes.keys():
            raise SqlError(
                "RAISE() may only be used within a trigger-program", offset=offset_of(node)
            )
        message = node.args.get("expression")
        return Raise(node.this, None if message is None else self.bind(message))

    def tuple_(self, node: exp.Tuple) -> Expression:
        if len(node.expressions) == 1:
            return self.bind(node.expressions[0])
        raise SqlError("row value misused", offset=offset_of(node))

    def alias(self, node: exp.Alias) -> Expression:
        return self.bind(node.this)


def _ordered(item: exp.Expression) -> exp.Expression:
    inner: exp.Expression = item.this if isinstance(item, exp.Ordered) else item
    return inner


_MATCHES: dict[Any, str] = {
    exp.Like: "LIKE",
    exp.Glob: "GLOB",
    exp.RegexpLike: "REGEXP",
    exp.Match: "MATCH",
}

_Handler = Callable[[ExpressionBinder, Any], Expression]
_HANDLERS: dict[type[exp.Expression], _Handler] = {
    exp.Column: ExpressionBinder.column,
    exp.Literal: ExpressionBinder.literal,
    exp.HexString: ExpressionBinder.hex_string,
    exp.Null: ExpressionBinder.null,
    exp.Boolean: ExpressionBinder.boolean,
    exp.Placeholder: ExpressionBinder.parameter,
    exp.Neg: ExpressionBinder.negate,
    exp.Unary: ExpressionBinder.plus,
    exp.Command: ExpressionBinder.raise_,
    exp.BitwiseNot: ExpressionBinder.unary_not_bits,
    exp.And: ExpressionBinder.conjunction,
    exp.Or: ExpressionBinder.disjunction,
    exp.Not: ExpressionBinder.negation,
    exp.Between: comparisons.between,
    exp.Case: comparisons.case,
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
    exp.In: comparisons.membership,
    exp.Anonymous: calls.anonymous,
    exp.Filter: calls.filtered,
    exp.Window: calls.windowed,
    exp.Tuple: ExpressionBinder.tuple_,
    exp.Alias: ExpressionBinder.alias,
}
_HANDLERS.update(dict.fromkeys(comparisons.COMPARISONS, comparisons.comparison))
_HANDLERS.update(dict.fromkeys(_ARITHMETIC, ExpressionBinder.arithmetic))
_HANDLERS.update(dict.fromkeys(_MATCHES, ExpressionBinder.match))
