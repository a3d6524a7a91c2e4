"""Binding of queries: SELECT, compounds, VALUES, WITH, in SQLite's order of name resolution."""

from __future__ import annotations

from typing import Any

import sqlglot.expressions as exp
from msgspec.structs import replace

from sql.bind.compounds import Arm, compound
from sql.bind.ctes import Cte, bind_unused, declare
from sql.bind.environment import Asks, BindEnvironment
from sql.bind.expressions import COLLATIONS, ExpressionBinder
from sql.bind.hidden import with_arguments
from sql.bind.nodes import is_query, offset_of
from sql.bind.positions import out_of_range, position_of
from sql.bind.relations import FromBinder
from sql.bind.scope import ROWID_NAMES, Scope, ScopeColumn, ScopeItem, nearest, table_item
from sql.bind.stages import grouped, windowed
from sql.bind.typing import carried_affinity, collation_of, kinds_of
from sql.bind.windows import declare_windows
from sql.errors import SqlError, SqlNameError
from sql.expressions import (
    ROWID,
    ColumnRef,
    Expression,
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
)
from sql.plan.walk import walk_flat

COLUMNS_MAX = 2000  # of a result


class Binder:
    """Binds one statement.  Source numbers are unique within it."""

    def __init__(self, env: BindEnvironment) -> None:
        self.env = env
        self.ctes: tuple[dict[str, Cte], ...] = ()
        self.extra: dict[str, Any] = {}
        self.cte_uses: dict[int, int] = {}
        self._sources = 0
        self.ctes_made = 0
        self.views: set[int] = set()  # that are being bound, by identity
        self.database: str | None = None  # that names stand for in a view, None: any
        self.view_name = ""
        self.inside = ""  # the innermost view or CTE that is being bound
        self.asks: Asks | None = None
        self.arms: dict[int, Arm] = {}
        self.tables_read: dict[int, tuple[int, ...]] = {}

    # Small services to the expression and FROM binders

    def next_source(self) -> int:
        self._sources += 1
        return self._sources

    def extra_column(self, name: str, table: str | None) -> Expression | None:
        """A column of NEW, OLD or `excluded`: always by its qualified name."""
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
        if self.asks is not None and table.lower() != "excluded":
            self.asks.of_row(found[0], "ROWID" if column is None else column.name)
        if column is not None:
            bound: Expression = column.expression
            if isinstance(bound, ColumnRef):
                bound = replace(bound, kinds=31)
                if bound.column not in (ROWID, found[0].rowid_alias):
                    is_bare = table.lower() in ("new", "old", "excluded")
                else:
                    is_bare = table.lower() == "excluded"
                if is_bare:
                    # As in SQLite: its collation and no affinity, but of row ids in NEW and OLD.
                    return Unary("+", bound)
            return bound
        if name.lower() in ROWID_NAMES and item.rowid is not None:
            rowid: Expression = item.rowid
            return Unary("+", rowid) if table.lower() == "excluded" else rowid
        return None

    def kinds_of(self, table: Any) -> tuple[int, ...]:
        masks = self.env.kinds_of(table)
        if table.tree_id > 0:
            self.tables_read[table.tree_id] = self.env.transaction.tree(table.tree_id).kinds
        return masks

    def collation(self, name: str) -> str:
        """The collation's name as plans have it."""
        if name.upper() in COLLATIONS:
            return name.upper()
        if name.upper() not in self.env.functions.collations:
            raise SqlError(f"no such collation sequence: {name}", token=name)
        return name

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
                first = block.rows[0][slot]
                return SlotRef(0, slot, carried_affinity(first), collation_of(first), kinds)
            case Compound():
                left = self.output_of(block.left, slot)
                right = self.output_of(block.right, slot)
                assert left is not None and right is not None
                return SlotRef(
                    block.source,
                    slot,
                    carried_affinity(left),
                    collation_of(left),
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
                    carried_affinity(initial),
                    collation_of(initial),
                    block.kinds[slot],
                )

    # Queries

    def query(
        self, node: exp.Expression, parent: Scope | None
    ) -> tuple[Block, tuple[ResultColumn, ...]]:
        """Any query, WITH included; `parent` is the enclosing SELECT's scope."""
        node = self.unwrapped(node)
        with_ = node.args.get("with_")
        saved = self.ctes
        if with_ is not None:
            declare(self, with_)
        try:
            bound = self._query(node, parent)
            if with_ is not None and self.env.texts_anywhere:
                bind_unused(self, parent)
            return bound
        finally:
            self.ctes = saved

    def _query(
        self, node: exp.Expression, parent: Scope | None
    ) -> tuple[Block, tuple[ResultColumn, ...]]:
        match node:
            case exp.Select():
                return self._select(node, parent)
            case exp.SetOperation():
                return compound(self, node, parent)
            case exp.Values():
                return self._values(node, parent)
            case exp.Table():
                star = exp.Select(expressions=[exp.Star()], from_=exp.From(this=node))
                return self._select(star, parent)
            case _:
                raise SqlError(f'near "{node.key}": syntax error', offset=offset_of(node))

    def unwrapped(self, node: exp.Expression) -> exp.Expression:
        """The query inside of parentheses that add nothing."""
        while isinstance(node, exp.Subquery) and is_query(node.this):
            extras = ("order", "limit", "offset", "with_")
            if any(node.args.get(name) is not None for name in extras):
                inner = node.this.copy()
                for name in extras:
                    if node.args.get(name) is not None:
                        inner.set(name, node.args[name])
                return self.unwrapped(inner)
            node = node.this
        return node

    def find_cte(self, name: str) -> Cte | None:
        for names in reversed(self.ctes):
            if name.lower() in names:
                return names[name.lower()]
        return None

    def _values(
        self, node: exp.Values, parent: Scope | None
    ) -> tuple[Block, tuple[ResultColumn, ...]]:
        if len(node.expressions) == 1 and node.find(exp.Anonymous) is not None:
            return self._select(_as_select(node), parent)  # for it may be an aggregate
        if self.asks is not None:
            self.asks.select()
        binder = ExpressionBinder(self, Scope(parent))
        rows = tuple(
            binder.bind_all(row.expressions if isinstance(row, exp.Tuple) else [row])
            for row in node.expressions
        )
        if any(len(row) != len(rows[0]) for row in rows):
            raise SqlError("all VALUES must have the same number of terms", offset=offset_of(node))
        names = tuple(ResultColumn(f"column{place + 1}") for place in range(len(rows[0])))
        limit, offset = self.limits(node)
        return Values(rows, (), limit, offset), names

    def limits(self, node: exp.Expression) -> tuple[Expression | None, Expression | None]:
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

    # SELECT

    def _select(
        self, node: exp.Select, parent: Scope | None
    ) -> tuple[Block, tuple[ResultColumn, ...]]:
        if self.asks is not None:
            self.asks.select()
        scope = Scope(parent)
        scope.aggregate_source = self.next_source()
        scope.window_source = self.next_source()
        declare_windows(scope, node.args.get("windows") or [])
        group = node.args.get("group")
        group_nodes = list(group.expressions) if group is not None else []
        scope.key_count = len(group_nodes)
        from_binder = FromBinder(self, scope)
        items, where = from_binder.bind(node)
        binder = ExpressionBinder(self, scope)

        of_rows = not node.meta.get("row_by_row")
        scope.aggregates_allowed = scope.windows_allowed = of_rows
        outputs, result, aliased = self._outputs(node, scope, binder)
        scope.aliases = aliased
        if of_rows and len(outputs) > COLUMNS_MAX:
            raise SqlError("too many columns in result set")

        scope.aggregates_allowed = scope.windows_allowed = False
        where_node = node.args.get("where")
        where += from_binder.bind_later(binder)
        if where_node is not None:
            scope.outer_aggregates_allowed = group is not None or bool(scope.aggregates)
            where += conjuncts(binder.bind(where_node.this))
            scope.outer_aggregates_allowed = True
        items = with_arguments(items, where)
        keys = self._group_keys(group_nodes, outputs, binder)
        scope.aggregates_allowed = of_rows
        having: tuple[Expression, ...] = ()
        if node.args.get("having") is not None:
            if group is None and not scope.aggregates:
                raise SqlError("HAVING clause on a non-aggregate query")
            having = conjuncts(binder.bind(node.args["having"].this))
        scope.windows_allowed = of_rows
        is_aggregate = group is not None or bool(scope.aggregates)
        order = self._order_keys(node.args.get("order"), outputs, binder)
        if scope.aggregates and not is_aggregate:
            raise SqlError(f"misuse of aggregate: {scope.aggregates[0].name}()")
        scope.aggregates_allowed = scope.windows_allowed = False
        limit, offset = self.limits(node)
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
        if block.keys is not None:
            block = grouped(block)
        if block.windows:
            block = windowed(block)
        self.arms[id(block)] = Arm(block, scope, tuple(result), original)
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
                    if self.asks is not None:
                        self.asks.column(column)
                    outputs.append(column.expression)
                    result.append(
                        ResultColumn(column.name, column.declared_type, column.table, column.column)
                    )
                continue
            alias, inner = None, item
            if isinstance(item, exp.Alias):
                alias, inner = item.alias, item.this
            if inner.__class__ is exp.Column:  # whose name is looked up once
                found = binder.resolve(inner)
                if isinstance(found, ScopeColumn):
                    bound = found.expression
                    result.append(_result_column(found, alias))
                else:
                    bound = found
                    result.append(self._named(inner, alias, item))
            else:
                bound = binder.scalar(inner)
                result.append(self._named(inner, alias, item))
            outputs.append(bound)
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
        for place, item in enumerate(scope.items):
            if table and item.alias.lower() != table.lower():
                continue
            matched = True
            later = scope.items[place + 1 :]
            namesakes = [other for other in later if _are_namesakes(item, other)]
            for column in item.columns:
                if column.hidden:
                    continue
                lowered = column.name.lower()
                if any(lowered in x.by_name and lowered not in x.merged for x in namesakes):
                    name = f"{item.schema or '*'}.{item.alias}.{column.name}"
                    raise SqlNameError(f"ambiguous column name: {name}", token=item.alias)
                if not table and lowered in item.merged:
                    continue
                if lowered in scope.merged and any(lowered in other.merged for other in later):
                    column = replace(column, expression=scope.merged[lowered].expression)
                columns.append(column)
        if not matched:
            raise SqlNameError(
                f"no such table: {table}",
                token=table,
                offset=offset_of(node),
                suggestions=nearest(table, [item.alias for item in scope.items]),
            )
        return columns

    def _named(self, node: exp.Expression, alias: str | None, item: exp.Expression) -> ResultColumn:
        """A result column that is no table's."""
        if alias is not None:
            return ResultColumn(alias)
        if isinstance(node, exp.Column):
            return ResultColumn(item.meta.get("text") or node.name)
        text = item.meta.get("text")
        return ResultColumn(
            text if text is not None else node.sql(dialect="sqlite"), inner_name=_column_below(node)
        )

    def _group_keys(
        self,
        nodes: list[exp.Expression],
        outputs: list[Expression],
        binder: ExpressionBinder,
    ) -> tuple[SortKey, ...]:
        keys = []
        scope = binder.scope
        for place, node in enumerate(nodes):
            slot = position_of(node)
            if slot is not None:
                if not 1 <= slot <= len(outputs):
                    raise out_of_range("GROUP", place, len(outputs))
                bound = outputs[slot - 1]
            else:
                scope.aggregates_allowed = True  # to be refused below, in its own words
                bound = binder.scalar(node)
                scope.aggregates_allowed = False
            for part in walk_flat(bound):
                if isinstance(part, SlotRef) and part.source == scope.aggregate_source:
                    raise SqlError(
                        "aggregate functions are not allowed in the GROUP BY clause",
                        offset=offset_of(node),
                    )
                if isinstance(part, SlotRef) and part.source == scope.window_source:
                    name = scope.windows[part.slot].name
                    raise SqlError(f"misuse of window function {name}()", offset=offset_of(node))
            collation = collation_of(bound)
            if slot is not None and isinstance(node, exp.Collate):
                collation = self.collation(node.expression.name)
            keys.append(SortKey(bound, False, True, collation))
        return tuple(keys)

    def _order_keys(
        self,
        order: exp.Expression | None,
        outputs: list[Expression],
        binder: ExpressionBinder,
    ) -> tuple[SortKey, ...]:
        keys = []
        for place, item in enumerate(order.expressions if order is not None else ()):
            term = item.this if isinstance(item, exp.Ordered) else item
            collation = None
            inner = term
            while isinstance(inner, exp.Collate):
                inner = inner.this
            slot = position_of(inner)
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
                collation = self.collation(term.expression.name)
            key = binder.sort_key(item, bound)
            if collation is not None:
                key = replace(key, collation=collation)
            keys.append(key)
        return tuple(keys)


def _as_select(node: exp.Values) -> exp.Select:
    """The only row of VALUES as a SELECT without FROM, which it is to SQLite: aggregates may stand there."""
    row = node.expressions[0]
    select = exp.Select(
        expressions=[
            exp.Alias(this=value.copy(), alias=exp.to_identifier(f"column{place}"))
            for place, value in enumerate(
                row.expressions if isinstance(row, exp.Tuple) else [row], 1
            )
        ]
    )
    for clause in ("limit", "offset"):
        if node.args.get(clause) is not None:
            select.set(clause, node.args[clause].copy())
    return select


def _column_below(node: exp.Expression) -> str | None:
    """The name of the column that COLLATE stands behind."""
    while isinstance(node, (exp.Collate, exp.Paren)):
        node = node.this
    return node.name if isinstance(node, exp.Column) else None


def _are_namesakes(one: ScopeItem, other: ScopeItem) -> bool:
    """Whether two relations of FROM can't be told apart by name; those without one are found by none."""
    return (
        one.alias != "" and one.alias.lower() == other.alias.lower() and one.schema == other.schema
    )


def _result_column(column: ScopeColumn, alias: str | None) -> ResultColumn:
    return ResultColumn(
        column.name if alias is None else alias, column.declared_type, column.table, column.column
    )


def bind_query(
    node: exp.Expression, env: BindEnvironment
) -> tuple[Block, tuple[ResultColumn, ...], Binder]:
    """Bind a whole query; the binder tells which trees' kinds it relied on."""
    binder = Binder(env)
    block, result = binder.query(node, None)
    return block, result, binder
