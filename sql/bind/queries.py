"""Binding of queries: SELECT, compounds, VALUES, WITH, in SQLite's order of name resolution."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from sqlglot import exp

from btree import Kind
from sql.bind.environment import BindEnvironment
from sql.bind.expressions import ExpressionBinder, is_query, number, offset_of
from sql.bind.hidden import with_arguments
from sql.bind.relations import FromBinder, output_columns
from sql.bind.scope import Scope, ScopeColumn, nearest
from sql.bind.typing import affinity_of, collation_of, implicit_collation, kinds_of
from sql.errors import SqlError, SqlNameError
from sql.expressions import (
    Affinity,
    ColumnRef,
    Expression,
    Literal,
    SlotRef,
    Unary,
)
from sql.plan import (
    Block,
    Compound,
    OuterJoin,
    Recursive,
    ResultColumn,
    Select,
    SortKey,
    Values,
    conjuncts,
    width,
)
from sql.plan.walk import replace_outermost, walk_flat

_ORDINALS = {1: "st", 2: "nd", 3: "rd"}


class Cte(Struct):
    """A common table expression; bound at its first use.  `scope_ctes` are the names it may use."""

    name: str
    query: exp.Expression
    columns: tuple[str, ...] | None
    scope_ctes: tuple[dict[str, Cte], ...]
    hint: bool | None
    number: int
    block: Block | None = None
    result: tuple[ResultColumn, ...] = ()
    binding: bool = False
    uses: int = 0
    work: WorkTable | None = None


class WorkTable(Struct):
    """The queue of a recursive CTE while its steps are bound."""

    number: int
    columns: tuple[ResultColumn, ...]
    block: Block
    used: int = 0


def ordinal(position: int) -> str:
    suffix = "th" if position % 100 in (11, 12, 13) else _ORDINALS.get(position % 10, "th")
    return f"{position}{suffix}"


class Binder:
    """Binds one statement.  Source numbers are unique within it."""

    def __init__(self, env: BindEnvironment) -> None:
        self.env = env
        self.ctes: tuple[dict[str, Cte], ...] = ()
        self.extra: dict[str, Any] = {}
        self.cte_uses: dict[int, int] = {}
        self._sources = 0
        self._ctes_made = 0
        self._parameters = 0
        self._view_depth = 0
        self.database: str | None = None  # that names stand for in a view, None: any
        self._kinds: dict[int, tuple[int, ...]] = {}
        self.tables_read: dict[int, tuple[int, ...]] = {}

    # Small services to the expression and FROM binders

    def next_source(self) -> int:
        self._sources += 1
        return self._sources

    def next_parameter(self, node: exp.Expression) -> int:
        self._parameters += 1
        return self._parameters - 1

    def extra_column(self, name: str, table: str | None) -> Expression | None:
        """A column of NEW, OLD or `excluded`: always by its qualified name."""
        from sql.bind.scope import ROWID_NAMES, table_item

        if table is None:
            return None
        found = self.env.extra_scopes.get(table.lower())
        if found is None:
            return None
        item = self.extra.get(table.lower())
        if item is None:
            record, source = found
            item = table_item(record, source, table, (31,) * len(record.columns))
            self.extra[table.lower()] = item
        column = item.by_name.get(name.lower())
        if column is not None:
            bound: Expression = column.expression
            if isinstance(bound, ColumnRef):
                bound = replace(bound, kinds=31)
                if table.lower() in ("new", "old", "excluded"):
                    return Unary("+", bound)  # as in SQLite: its collation and no affinity
            return bound
        if name.lower() in ROWID_NAMES and item.rowid is not None:
            rowid: Expression = item.rowid
            return rowid
        return None

    def kinds_of(self, table: Any) -> tuple[int, ...]:
        masks = self.env.kinds_of(table)
        if table.tree_id > 0:
            self.tables_read[table.tree_id] = self.env.transaction.tree(table.tree_id).kinds
        return masks

    def check_collation(self, name: str) -> None:
        if name.upper() in ("BINARY", "NOCASE", "RTRIM"):
            return
        if name.upper() not in self.env.functions.collations:
            raise SqlError(f"no such collation sequence: {name}", token=name)

    def scope_sources(self, scope: Scope) -> set[int]:
        found = set()
        for item in scope.items:
            for column in item.columns:
                if isinstance(column.expression, ColumnRef):
                    found.add(column.expression.source)
            if isinstance(item.rowid, ColumnRef):
                found.add(item.rowid.source)
        return found

    def subquery(self, node: exp.Expression, scope: Scope) -> Block:
        block, _ = self.query(node, scope)
        return block

    def table_query(self, table: exp.Expression) -> exp.Expression:
        """`x IN t` is `x IN (SELECT * FROM t)`."""
        if isinstance(table, exp.Column):
            table = exp.Table(this=table.this, db=table.args.get("table"))
        return exp.Select(expressions=[exp.Star()], from_=exp.From(this=table.copy()))

    def output_of(self, block: Block, slot: int) -> Expression | None:
        """An expression that stands for an output's affinity, collation and kinds."""
        match block:
            case Select():
                return block.outputs[slot]
            case Values():
                kinds = 0
                for row in block.rows:
                    kinds |= kinds_of(row[slot])
                return SlotRef(0, slot, Affinity.BLOB, "BINARY", kinds)
            case Compound():
                left = self.output_of(block.left, slot)
                right = self.output_of(block.right, slot)
                assert left is not None and right is not None
                return SlotRef(
                    block.source,
                    slot,
                    affinity_of(left) or Affinity.BLOB,
                    implicit_collation(left) or implicit_collation(right) or "BINARY",
                    kinds_of(left) | kinds_of(right),
                )
            case OuterJoin():
                side, place = (
                    (block.left, slot)
                    if slot < block.left_width
                    else (block.right, slot - block.left_width)
                )
                return self.output_of(side, place)
            case Recursive():
                initial = self.output_of(block.initial, slot)
                assert initial is not None
                return SlotRef(
                    block.source,
                    slot,
                    affinity_of(initial) or Affinity.BLOB,
                    implicit_collation(initial) or "BINARY",
                    31,
                )

    # Queries

    def query(
        self, node: exp.Expression, parent: Scope | None
    ) -> tuple[Block, tuple[ResultColumn, ...]]:
        """Any query, WITH included; `parent` is the enclosing SELECT's scope."""
        node = self._unwrapped(node)
        with_ = node.args.get("with_")
        saved = self.ctes
        if with_ is not None:
            self._declare(with_)
        try:
            match node:
                case exp.Select():
                    return self._select(node, parent)
                case exp.SetOperation():
                    return self._compound(node, parent)
                case exp.Values():
                    return self._values(node, parent)
                case exp.Table():
                    star = exp.Select(expressions=[exp.Star()], from_=exp.From(this=node))
                    return self._select(star, parent)
                case _:
                    raise SqlError(f'near "{node.key}": syntax error', offset=offset_of(node))
        finally:
            self.ctes = saved

    def _unwrapped(self, node: exp.Expression) -> exp.Expression:
        """The query inside of parentheses that add nothing."""
        while isinstance(node, exp.Subquery) and is_query(node.this):
            extras = ("order", "limit", "offset", "with_")
            if any(node.args.get(name) is not None for name in extras):
                inner = node.this.copy()
                for name in extras:
                    if node.args.get(name) is not None:
                        inner.set(name, node.args[name])
                return self._unwrapped(inner)
            node = node.this
        return node

    def _declare(self, with_: exp.Expression) -> None:
        names: dict[str, Cte] = {}
        self.ctes = (*self.ctes, names)
        for definition in with_.expressions:
            alias = definition.args["alias"]
            columns = tuple(column.name for column in alias.args.get("columns") or ()) or None
            self._ctes_made += 1
            if alias.name.lower() in names:
                raise SqlError(f"duplicate WITH table name: {alias.name}", token=alias.name)
            names[alias.name.lower()] = Cte(
                alias.name,
                definition.this,
                columns,
                self.ctes,
                definition.args.get("materialized"),
                self._ctes_made,
            )

    def find_cte(self, name: str) -> Cte | None:
        for names in reversed(self.ctes):
            if name.lower() in names:
                return names[name.lower()]
        return None

    def cte_block(self, cte: Cte, parent: Scope | None) -> None:
        """Bind the CTE's query, once."""
        if cte.block is not None:
            return
        saved, self.ctes = self.ctes, cte.scope_ctes
        cte.binding = True
        try:
            recursive = self._recursive(cte, parent)
            if recursive is None:
                cte.block, cte.result = self.query(cte.query, parent)
            else:
                cte.block, cte.result = recursive
        finally:
            self.ctes = saved
            cte.binding = False
        cte.result = renamed(cte.result, cte.columns, cte.name)

    def _recursive(
        self, cte: Cte, parent: Scope | None
    ) -> tuple[Block, tuple[ResultColumn, ...]] | None:
        """The queue form of a compound whose later arms read the CTE itself; None if none does."""
        query = self._unwrapped(cte.query)
        if not isinstance(query, exp.SetOperation):
            return None
        arms: list[tuple[str, exp.Expression]] = []
        node: exp.Expression = query
        while isinstance(node, exp.SetOperation):
            arms.append((_operator(node), node.expression))
            node = node.this
        arms.append(("", node))
        arms.reverse()
        first = next(
            (
                place
                for place, (_, arm) in enumerate(arms)
                if any(
                    table.name.lower() == cte.name.lower() and not table.args.get("db")
                    for table in arm.find_all(exp.Table)
                )
            ),
            None,
        )
        if first is None:
            return None
        if first == 0:
            raise SqlError(f"circular reference: {cte.name}", token=cte.name)
        if any(operator not in ("UNION", "UNION ALL") for operator, _ in arms[first:]):
            raise SqlError(f"circular reference: {cte.name}", token=cte.name)
        with_ = query.args.get("with_")
        if with_ is not None:
            self._declare(with_)
        initial, result = self.query(arms[0][1], parent)
        for operator, arm in arms[1:first]:
            other, _ = self.query(arm, parent)
            if width(initial) != width(other):
                raise mismatch(operator)
            collations = self._collations([initial, other])
            initial = Compound(operator, initial, other, self.next_source(), collations)
        result = renamed(result, cte.columns, cte.name)
        work = WorkTable(cte.number, result, initial)
        cte.work = work
        steps = []
        try:
            for operator, arm in arms[first:]:
                step, _ = self.query(arm, parent)
                if width(step) != width(initial):
                    raise mismatch(operator)
                steps.append(step)
        finally:
            cte.work = None
        block: Block = Recursive(
            cte.number,
            initial,
            tuple(steps),
            any(operator == "UNION" for operator, _ in arms[first:]),
            width(initial),
            self.next_source(),
        )
        return self._ordered_compound(block, [initial, *steps], query, result, parent), result

    def _values(
        self, node: exp.Values, parent: Scope | None
    ) -> tuple[Block, tuple[ResultColumn, ...]]:
        binder = ExpressionBinder(self, Scope(parent))
        rows = tuple(
            binder.bind_all(row.expressions if isinstance(row, exp.Tuple) else [row])
            for row in node.expressions
        )
        if any(len(row) != len(rows[0]) for row in rows):
            raise SqlError("all VALUES must have the same number of terms", offset=offset_of(node))
        names = tuple(ResultColumn(f"column{place + 1}") for place in range(len(rows[0])))
        limit, offset = self._limits(node)
        return Values(rows, (), limit, offset), names

    def _limits(self, node: exp.Expression) -> tuple[Expression | None, Expression | None]:
        binder = ExpressionBinder(self, Scope())
        limit = node.args.get("limit")
        offset = node.args.get("offset")
        bound_limit = bound_offset = None
        if limit is not None:
            bound_limit = binder.bind(limit.expression)
            if limit.args.get("offset") is not None:
                bound_offset = binder.bind(limit.args["offset"])
        if offset is not None:
            bound_offset = binder.bind(offset.expression)
        return bound_limit, bound_offset

    # Compounds

    def _compound(
        self, node: exp.SetOperation, parent: Scope | None
    ) -> tuple[Block, tuple[ResultColumn, ...]]:
        arms: list[tuple[str, exp.Expression]] = []
        arm: exp.Expression = node
        while isinstance(arm, exp.SetOperation) and (
            arm is node or not any(arm.args.get(name) for name in ("order", "limit", "with_"))
        ):
            arms.append((_operator(arm), arm.expression))
            arm = arm.this
        block, result = self.query(arm, parent)
        blocks = [block]
        for operator, right_node in reversed(arms):
            right, _ = self.query(right_node, parent)
            if width(block) != width(right):
                raise mismatch(operator)
            blocks.append(right)
        collations = self._collations(blocks)
        for (operator, _), right in zip(reversed(arms), blocks[1:], strict=True):
            block = Compound(operator, block, right, self.next_source(), collations)
        return self._ordered_compound(block, blocks, node, result, parent), result

    def _collations(self, arms: list[Block]) -> tuple[str, ...]:
        """Per column the first collation that any arm brings: all of a chain compare by it."""
        collations = []
        for slot in range(width(arms[0])):
            outputs = [self.output_of(arm, slot) for arm in arms]
            found = [implicit_or_explicit(output) for output in outputs if output is not None]
            collations.append(next((name for name in found if name), "BINARY"))
        return tuple(collations)

    def _ordered_compound(
        self,
        block: Block,
        arms: list[Block],
        node: exp.Expression,
        result: tuple[ResultColumn, ...],
        parent: Scope | None,
    ) -> Block:
        """ORDER BY and LIMIT of a compound: terms are positions, names or expressions of an arm."""
        order = node.args.get("order")
        limit, offset = self._limits(node)
        keys: list[SortKey] = []
        assert isinstance(block, (Compound, Recursive))
        for place, item in enumerate(order.expressions if order is not None else ()):
            term = item.this if isinstance(item, exp.Ordered) else item
            collation = None
            inner = term
            while isinstance(inner, (exp.Paren, exp.Collate)):
                if isinstance(inner, exp.Collate) and collation is None:
                    self.check_collation(inner.expression.name)
                    collation = inner.expression.name
                    collation = collation.upper() if collation.upper() in _BUILTIN else collation
                inner = inner.this
            slot = self._compound_slot(inner, arms, result, place, parent)
            output = self.output_of(block, slot)
            assert output is not None
            reference = SlotRef(
                block.source,
                slot,
                affinity_of(output) or Affinity.BLOB,
                collation or collation_of(output),
                kinds_of(output),
            )
            key = ExpressionBinder(self, Scope()).sort_key(item, reference)
            keys.append(key)
        return replace(block, order=tuple(keys), limit=limit, offset=offset)

    def _compound_slot(
        self,
        term: exp.Expression,
        arms: list[Block],
        result: tuple[ResultColumn, ...],
        place: int,
        parent: Scope | None,
    ) -> int:
        position = _position(term)
        if position is not None:
            slot = position - 1
            if not 0 <= slot < len(result):
                raise out_of_range("ORDER", place, len(result))
            return slot
        if isinstance(term, exp.Column) and term.args.get("table") is None:
            for slot, column in enumerate(result):
                if column.name.lower() == term.name.lower():
                    return slot
        for arm in arms:
            if not isinstance(arm, Select):
                continue
            scope = self._arm_scopes.get(id(arm))
            if scope is None:
                continue
            if isinstance(term, exp.Column) and term.args.get("table") is None:
                names = scope[1]
                for slot, column in enumerate(names):
                    if column.name.lower() == term.name.lower():
                        return slot
            try:
                bound = ExpressionBinder(self, scope[0]).bind(term)
            except SqlError:
                continue
            spelled = repr(bound)
            for slot, output in enumerate(scope[2]):
                if repr(output) == spelled:
                    return slot
        raise SqlError(
            f"{ordinal(place + 1)} ORDER BY term does not match any column in the result set",
            offset=offset_of(term),
        )

    @property
    def _arm_scopes(self) -> dict[int, Any]:
        found: dict[int, Any] = self.__dict__.setdefault("_arms", {})
        return found

    # SELECT

    def _select(
        self, node: exp.Select, parent: Scope | None
    ) -> tuple[Block, tuple[ResultColumn, ...]]:
        scope = Scope(parent)
        scope.aggregate_source = self.next_source()
        scope.window_source = self.next_source()
        for window in node.args.get("windows") or ():
            scope.named_windows[window.this.name.lower()] = window
        group = node.args.get("group")
        group_nodes = list(group.expressions) if group is not None else []
        scope.key_count = len(group_nodes)
        from_binder = FromBinder(self, scope)
        items, where = from_binder.bind(node)
        binder = ExpressionBinder(self, scope)

        scope.aggregates_allowed = scope.windows_allowed = True
        outputs, result, aliased = self._outputs(node, scope, binder)
        scope.aliases = aliased

        scope.aggregates_allowed = scope.windows_allowed = False
        where_node = node.args.get("where")
        if where_node is not None:
            where += conjuncts(binder.bind(where_node.this))
        items = with_arguments(items, where)
        keys = self._group_keys(group_nodes, outputs, aliased, binder)
        having_node = node.args.get("having")
        having: tuple[Expression, ...] = ()
        scope.aggregates_allowed = True
        if having_node is not None:
            having = conjuncts(binder.bind(having_node.this))
        scope.windows_allowed = True
        order = self._order_keys(node.args.get("order"), outputs, result, node, binder)
        scope.aggregates_allowed = scope.windows_allowed = False
        limit, offset = self._limits(node)
        distinct = node.args.get("distinct") is not None
        block = Select(
            items=items,
            where=where,
            keys=keys if group is not None else (() if scope.aggregates else None),
            aggregates=tuple(scope.aggregates),
            aggregate_source=scope.aggregate_source,
            having=having,
            windows=tuple(scope.windows),
            window_source=scope.window_source,
            outputs=tuple(outputs),
            distinct=distinct,
            order=order,
            limit=limit,
            offset=offset,
        )
        original = block.outputs
        if block.keys is None and having:
            raise SqlError("HAVING clause on a non-aggregate query")
        if block.keys is not None:
            block = _grouped(block)
        if block.windows:
            block = _windowed(block)
        self._arm_scopes[id(block)] = (scope, tuple(result), original, block)
        return block, tuple(result)

    def _outputs(
        self, node: exp.Select, scope: Scope, binder: ExpressionBinder
    ) -> tuple[list[Expression], list[ResultColumn], dict[str, Expression]]:
        outputs: list[Expression] = []
        result: list[ResultColumn] = []
        aliased: dict[str, Expression] = {}
        for item in node.expressions:
            star_table = self._star(item)
            if star_table is not None:
                for column in self._expand(star_table, scope, item):
                    outputs.append(column.expression)
                    result.append(
                        ResultColumn(column.name, column.declared_type, column.table, column.column)
                    )
                continue
            alias = item.alias if isinstance(item, exp.Alias) else None
            inner = item.this if isinstance(item, exp.Alias) else item
            bound = binder.scalar(inner)
            outputs.append(bound)
            result.append(self._named(inner, alias, binder, item))
            if alias is not None:
                aliased.setdefault(alias.lower(), bound)
        return outputs, result, aliased

    def _star(self, item: exp.Expression) -> str | None:
        """ "" for `*`, the table's name for `t.*`, None for anything else."""
        if isinstance(item, exp.Star):
            return ""
        if isinstance(item, exp.Column) and isinstance(item.this, exp.Star):
            name: str = item.args["table"].name
            return name
        return None

    def _expand(self, table: str, scope: Scope, node: exp.Expression) -> list[Any]:
        if not scope.items:
            if table:
                raise SqlNameError(f"no such table: {table}", token=table)
            raise SqlError("no tables specified", offset=offset_of(node))
        columns = []
        matched = False
        for item in scope.items:
            if table and item.alias.lower() != table.lower():
                continue
            matched = True
            for column in item.columns:
                if column.hidden:
                    continue
                lowered = column.name.lower()
                if not table and lowered in item.merged:
                    continue
                if not table and lowered in scope.merged:
                    column = replace(column, expression=scope.merged[lowered].expression)
                columns.append(column)
        if not matched:
            error = SqlNameError(f"no such table: {table}", token=table, offset=offset_of(node))
            error.suggestions = nearest(table, [item.alias for item in scope.items])
            raise error
        return columns

    def _named(
        self,
        node: exp.Expression,
        alias: str | None,
        binder: ExpressionBinder,
        item: exp.Expression,
    ) -> ResultColumn:
        inner = node
        while isinstance(inner, exp.Paren):
            inner = inner.this
        if isinstance(inner, exp.Column):
            found = binder.resolve(inner)
            if isinstance(found, ScopeColumn):
                return ResultColumn(
                    alias if alias is not None else found.name,
                    found.declared_type,
                    found.table,
                    found.column,
                )
            if alias is None:
                return ResultColumn(item.meta.get("text") or inner.name)
        if alias is not None:
            return ResultColumn(alias)
        text = item.meta.get("text")
        return ResultColumn(text if text is not None else node.sql(dialect="sqlite"))

    def _group_keys(
        self,
        nodes: list[exp.Expression],
        outputs: list[Expression],
        aliased: dict[str, Expression],
        binder: ExpressionBinder,
    ) -> tuple[SortKey, ...]:
        keys = []
        scope = binder.scope
        for place, node in enumerate(nodes):
            slot = _position(node)
            if slot is not None:
                if not 1 <= slot <= len(outputs):
                    raise out_of_range("GROUP", place, len(outputs))
                bound = outputs[slot - 1]
            else:
                bound = binder.scalar(node)
            for part in walk_flat(bound):
                if isinstance(part, SlotRef) and part.source == scope.aggregate_source:
                    raise SqlError(
                        "aggregate functions are not allowed in the GROUP BY clause",
                        offset=offset_of(node),
                    )
            keys.append(SortKey(bound, False, True, collation_of(bound)))
        return tuple(keys)

    def _order_keys(
        self,
        order: exp.Expression | None,
        outputs: list[Expression],
        result: list[ResultColumn],
        node: exp.Select,
        binder: ExpressionBinder,
    ) -> tuple[SortKey, ...]:
        keys = []
        for place, item in enumerate(order.expressions if order is not None else ()):
            term = item.this if isinstance(item, exp.Ordered) else item
            collation = None
            inner = term
            while isinstance(inner, (exp.Collate, exp.Paren)):
                inner = inner.this
            slot = _position(inner)
            bound: Expression | None = None
            if slot is not None:
                if not 1 <= slot <= len(outputs):
                    raise out_of_range("ORDER", place, len(outputs))
                bound = outputs[slot - 1]
            elif isinstance(inner, exp.Column) and inner.args.get("table") is None:
                bound = binder.scope.aliases.get(inner.name.lower())
            if bound is None:
                bound = binder.scalar(term)
            elif inner is not term:
                while isinstance(term, (exp.Collate, exp.Paren)):
                    if isinstance(term, exp.Collate):
                        collation = term.expression.name
                        self.check_collation(collation)
                        break
                    term = term.this
            key = binder.sort_key(item, bound)
            if collation is not None:
                collation = collation.upper() if collation.upper() in _BUILTIN else collation
                key = replace(key, collation=collation)
            keys.append(key)
        return tuple(keys)


_NUMBERS = int(Kind.INTEGER | Kind.REAL)
_POSITION_MAX = (1 << 31) - 1  # larger numbers are constants, as in SQLite
_BUILTIN = ("BINARY", "NOCASE", "RTRIM")


def _position(node: exp.Expression) -> int | None:
    """The column number a bare integer in ORDER BY or GROUP BY stands for."""
    while isinstance(node, (exp.Paren, exp.Collate)):
        node = node.this
    negative = False
    while isinstance(node, exp.Neg) or type(node) is exp.Unary:  # the latter is a plus
        negative ^= isinstance(node, exp.Neg)
        node = node.this
    if isinstance(node, exp.Literal) and not node.is_string:
        value = number(node.this)
        if isinstance(value, int) and value <= _POSITION_MAX:
            return -value if negative else value
    return None


def implicit_or_explicit(output: Expression) -> str | None:
    from sql.bind.typing import explicit_collation

    return explicit_collation(output) or implicit_collation(output)


def mismatch(operator: str) -> SqlError:
    return SqlError(
        f"SELECTs to the left and right of {operator} do not have the same number of result columns"
    )


def out_of_range(clause: str, place: int, count: int) -> SqlError:
    return SqlError(
        f"{ordinal(place + 1)} {clause} BY term out of range - should be between 1 and {count}"
    )


def _operator(node: exp.SetOperation) -> str:
    if isinstance(node, exp.Union):
        return "UNION" if node.args.get("distinct") else "UNION ALL"
    return "INTERSECT" if isinstance(node, exp.Intersect) else "EXCEPT"


def renamed(
    result: tuple[ResultColumn, ...], names: tuple[str, ...] | None, table: str
) -> tuple[ResultColumn, ...]:
    if names is None:
        return result
    if len(names) != len(result):
        raise SqlError(f"table {table} has {len(result)} values for {len(names)} columns")
    return tuple(replace(column, name=name) for column, name in zip(result, names, strict=True))


def _grouped(block: Select) -> Select:
    """Rewrite what comes after the grouping to refer to its keys, aggregates and bare columns."""
    assert block.keys is not None
    source = block.aggregate_source
    own = {item.relation.source for item in block.items}
    extremes = [place for place, call in enumerate(block.aggregates) if call.name in ("min", "max")]
    spelled = {
        repr(key.expression): place
        for place, key in reversed(list(enumerate(block.keys)))
        if not (extremes and _shows_variants(key))
    }
    bare: dict[tuple[int, int], int] = {}
    bare_columns: list[Expression] = []
    first_bare = len(block.keys) + len(block.aggregates)

    def replacement(node: Expression) -> Expression | None:
        if isinstance(node, (Literal,)):
            return node
        place = spelled.get(repr(node)) if spelled else None
        if place is not None:
            return SlotRef(
                source,
                place,
                affinity_of(node) or Affinity.BLOB,
                implicit_collation(node) or "BINARY",
                kinds_of(node),
            )
        if isinstance(node, ColumnRef) and node.source in own:
            where = (node.source, node.column)
            slot = bare.get(where)
            if slot is None:
                slot = bare[where] = len(bare_columns)
                bare_columns.append(node)
            return SlotRef(source, first_bare + slot, node.affinity, node.collation, node.kinds | 1)
        return None

    def rewrite(node: Expression) -> Expression:
        return replace_outermost(node, replacement)

    def rewrite_keys(keys: tuple[SortKey, ...]) -> tuple[SortKey, ...]:
        return tuple(replace(key, expression=rewrite(key.expression)) for key in keys)

    outputs = tuple(rewrite(output) for output in block.outputs)
    having = tuple(rewrite(condition) for condition in block.having)
    order = rewrite_keys(block.order)
    windows = tuple(
        replace(
            call,
            arguments=tuple(rewrite(argument) for argument in call.arguments),
            where=None if call.where is None else rewrite(call.where),
            partition=rewrite_keys(call.partition),
            order=rewrite_keys(call.order),
        )
        for call in block.windows
    )
    return replace(
        block,
        outputs=outputs,
        having=having,
        order=order,
        windows=windows,
        bare=tuple(bare_columns),
        bare_from=extremes[-1] if extremes and bare_columns else None,
    )


def _shows_variants(key: SortKey) -> bool:
    """Whether a key is a column that may hold equal values that are not the same, as 1 and 1.0.

    It is shown as bare columns are: of the row with the min() or max(), if there is such an aggregate."""
    column = key.expression
    return isinstance(column, ColumnRef) and (
        key.collation != "BINARY" or column.kinds & _NUMBERS == _NUMBERS
    )


def _windowed(block: Select) -> Select:
    """Rewrite outputs and ORDER BY to the window stage's row: the calls' results, then the columns
    that pass through it."""
    source = block.window_source
    own = {item.relation.source for item in block.items} | {block.aggregate_source}
    slots: dict[tuple[str, int, int], int] = {}
    inputs: list[Expression] = []
    first = len(block.windows)

    def replacement(node: Expression) -> Expression | None:
        if isinstance(node, SlotRef) and node.source == source:
            return node
        if isinstance(node, (ColumnRef, SlotRef)) and node.source in own:
            column = node.column if isinstance(node, ColumnRef) else node.slot
            where = (type(node).__name__, node.source, column)
            slot = slots.get(where)
            if slot is None:
                slot = slots[where] = len(inputs)
                inputs.append(node)
            return SlotRef(source, first + slot, node.affinity, node.collation, node.kinds)
        return None

    outputs = tuple(replace_outermost(output, replacement) for output in block.outputs)
    order = tuple(
        replace(key, expression=replace_outermost(key.expression, replacement))
        for key in block.order
    )
    return replace(block, outputs=outputs, order=order, window_inputs=tuple(inputs))


def bind_query(
    node: exp.Expression, env: BindEnvironment
) -> tuple[Block, tuple[ResultColumn, ...], Binder]:
    """Bind a whole query; the binder tells which trees' kinds it relied on."""
    binder = Binder(env)
    block, result = binder.query(node, None)
    return block, result, binder


__all__ = ["Binder", "Cte", "bind_query", "output_columns"]
