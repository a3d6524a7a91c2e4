"""Binding of FROM: tables, views, CTEs, subqueries, table-valued functions, and how they join.

Joins go left to right.  A RIGHT join is a LEFT join the other way round; a FULL join, and the right
side of a LEFT join when it is a join itself, become relations of their own ("composites") whose
columns keep their names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlglot.expressions as exp
from msgspec.structs import replace

from sql.bind.ctes import cte_block, renamed
from sql.bind.expressions import ExpressionBinder
from sql.bind.nodes import is_query, offset_of
from sql.bind.scope import Scope, ScopeColumn, ScopeItem, nearest, nullable, table_item, without
from sql.bind.typing import carried_affinity, collation_of, compare, kinds_of
from sql.errors import SqlError, SqlNameError
from sql.expressions import Case, ColumnRef, Compare, Expression, Literal
from sql.functions import JSON
from sql.plan import (
    Block,
    DerivedRelation,
    FromItem,
    OuterJoin,
    Relation,
    ResultColumn,
    RowRelation,
    Select,
    TableRelation,
    WorkRelation,
    conjuncts,
    width,
)
from sql.schema import Table

if TYPE_CHECKING:
    from sql.bind.queries import Binder

_NUMBERED = re.compile(r":[0-9]*$")
_CATALOGS = frozenset(("sqlite_master", "sqlite_schema"))
_TEMP_CATALOGS = frozenset(("sqlite_temp_master", "sqlite_temp_schema"))


def distinct_names(names: Sequence[str]) -> list[str]:
    """The names of a derived relation's columns: those that stand there already get `:1` and so on."""
    found: list[str] = []
    seen: set[str] = set()
    for name in names:
        count = 0
        while name.lower() in seen:
            count += 1
            name = f"{_NUMBERED.sub('', name)}:{count}"
        seen.add(name.lower())
        found.append(name)
    return found


def output_columns(
    binder: Binder, block: Block, result: tuple[ResultColumn, ...], source: int, alias: str
) -> list[ScopeColumn]:
    """The columns of a derived relation."""
    columns: list[ScopeColumn] = []
    names = distinct_names([column.inner_name or column.name for column in result])
    for slot, (name, column) in enumerate(zip(names, result, strict=True)):
        output = binder.output_of(block, slot)
        assert output is not None
        reference = ColumnRef(
            source,
            slot,
            name,
            alias,
            carried_affinity(output),
            collation_of(output),
            kinds_of(output) & ~JSON,  # a column has a text, whatever made it
            isinstance(output, ColumnRef) and output.converted,
        )
        columns.append(
            ScopeColumn(name, reference, column.declared_type, column.table, column.column)
        )
    return columns


class _Joined(NamedTuple):
    """Relations of FROM, and those conditions on their rows that are a part of WHERE."""

    items: list[FromItem]
    where: list[Expression]


class FromBinder:
    """Binds one FROM clause into `scope`."""

    __slots__ = ("_later", "_merged_inside", "_only_inner", "_target", "binder", "scope")

    def __init__(self, binder: Binder, scope: Scope) -> None:
        self.binder = binder
        self.scope = scope
        self._merged_inside: dict[str, ScopeColumn] = {}  # of the latest join in parentheses
        # ON of inner joins, and functions' arguments, that name a relation to their right, or a column of the result.
        self._later: list[exp.Expression] = []
        self._only_inner = False  # joins, in all of FROM
        self._target: ScopeItem | None = None  # the table that UPDATE ... FROM changes

    def bind(self, node: exp.Select) -> tuple[tuple[FromItem, ...], tuple[Expression, ...]]:
        """The joined relations, and the conditions of inner joins (part of WHERE); `bind_later` has those that are to
        be bound when all names are known."""
        from_ = node.args.get("from_")
        if from_ is None:
            return (), ()
        joins = node.args.get("joins") or []
        sides = {str(join.args.get("side") or "").upper() for join in joins}
        self._only_inner = not sides.intersection(("LEFT", "RIGHT", "FULL"))
        items, where = self._joined(
            from_.this, joins, may_wait=not sides.intersection(("RIGHT", "FULL"))
        )
        return tuple(items), tuple(where)

    def bind_later(self, binder: ExpressionBinder) -> tuple[Expression, ...]:
        """The conditions that had to wait.  What UPDATE ... FROM joins does not know the table that is changed."""
        items = self.scope.items
        self.scope.items = [item for item in items if item is not self._target]
        found = [part for each in self._later for part in conjuncts(binder.bind(each))]
        self.scope.items = items
        return tuple(found)

    def _joined(
        self, first: exp.Expression, joins: list[exp.Expression], *, may_wait: bool = False
    ) -> _Joined:
        """`may_wait`: ON of an inner join is a part of WHERE, and may name what comes later in FROM."""
        joined = self._relation_list(first)
        self.scope.merged |= self._merged_inside
        self._merged_inside = {}
        inner_joins = first.args.get("joins") or [] if isinstance(first, exp.Table) else []
        for join in [*inner_joins, *joins]:
            joined = self._join(joined, join, may_wait=may_wait)
        return joined

    def _relation_list(self, node: exp.Expression) -> _Joined:
        """One FROM term: a relation, or a parenthesised join that is spread in place."""
        if isinstance(node, exp.Subquery) and not is_query(node.this):
            return self._parenthesised(node.this, node.args.get("joins") or [])
        relation, item = self._relation(node)
        self.scope.items.append(item)
        if node.meta.get("is_target"):
            self._target = item
        joined = _Joined([FromItem(relation)], [])
        if isinstance(node, exp.Subquery):
            for join in node.args.get("joins") or []:
                joined = self._join(joined, join)
        return joined

    def _parenthesised(self, first: exp.Expression, joins: list[exp.Expression]) -> _Joined:
        """A join in parentheses: its conditions see its own relations alone."""
        scope = self.scope
        around, merged = scope.items, scope.merged
        scope.items, scope.merged = [], {}
        self._only_inner = False
        found = self._joined(first, joins)
        scope.items = [*around, *scope.items]
        self._merged_inside, scope.merged = scope.merged, merged
        return found

    def _join(self, left: _Joined, join: exp.Expression, *, may_wait: bool = False) -> _Joined:
        side = str(join.args.get("side") or "").upper()
        kind = str(join.args.get("kind") or "").upper()
        natural = str(join.args.get("method") or "").upper() == "NATURAL"
        if natural and (join.args.get("on") is not None or join.args.get("using")):
            raise SqlError("a NATURAL join may not have an ON or USING clause")
        scope = self.scope
        left_count = len(scope.items)
        self._merged_inside = {}
        right = self._relation_list(join.this)
        inside, self._merged_inside = self._merged_inside, {}
        left_scope, right_scope = scope.items[:left_count], scope.items[left_count:]
        using = self._using(join, natural, left_scope, right_scope)
        on: list[Expression] = []
        for name in using:
            on.append(self._using_condition(name, left_scope, right_scope, side, inside))
        for lowered, column in inside.items():
            if not any(lowered in item.by_name for item in left_scope):
                scope.merged[lowered] = column
        condition = join.args.get("on")
        if condition is not None:
            scope.items = [*left_scope, *right_scope]
            try:
                on += conjuncts(ExpressionBinder(self.binder, scope).bind(condition))
            except SqlNameError:
                if not may_wait or side not in ("", "INNER"):
                    raise
                self._later.append(condition)
        if side in ("", "INNER"):
            first = right.items[0]
            if kind == "CROSS" and condition is None and join.args.get("cross_order"):
                first = replace(first, join="cross")
            return _Joined([*left.items, first, *right.items[1:]], [*left.where, *right.where, *on])
        return self._outer(side, left, right, on, left_count)

    def _outer(
        self, side: str, left: _Joined, right: _Joined, on: list[Expression], left_count: int
    ) -> _Joined:
        """LEFT, RIGHT or FULL join of what stands so far, so many items of the scope, with the new ones."""
        places = range(len(self.scope.items))
        if side == "LEFT":
            return self._left(left, right, on, places[left_count:])
        if side == "RIGHT":
            return self._left(right, left, on, places[:left_count])
        return self._full(left, right, on, left_count)

    def _left(self, kept: _Joined, joined: _Joined, on: list[Expression], places: range) -> _Joined:
        """LEFT join of `kept` with what has these places in the scope, on whichever side of it that stands."""
        relation = joined.items[0].relation
        if len(joined.items) > 1 or joined.where:
            relation, mapping = self._composite(joined, places)
            on = [_remap(condition, mapping) for condition in on]
            self._repoint(mapping, places)
        self._null(places)
        return _Joined([*kept.items, FromItem(relation, "left", tuple(on))], kept.where)

    def _full(
        self, left: _Joined, right: _Joined, on: list[Expression], left_count: int
    ) -> _Joined:
        places = range(len(self.scope.items))
        first, of_first = self._composite(left, places[:left_count])
        second, of_second = self._composite(right, places[left_count:])
        source = self.binder.next_source()
        first_width = width(first.block)
        block = OuterJoin(
            first.block,
            second.block,
            first.source,
            second.source,
            first_width,
            width(second.block),
            tuple(_remap(condition, of_first | of_second) for condition in on),
            True,
        )
        final: dict[tuple[int, int], ColumnRef] = {}
        for mapping, behind in ((of_first, 0), (of_second, first_width)):
            for key, reference in mapping.items():
                final[key] = replace(
                    reference,
                    source=source,
                    column=reference.column + behind,
                    kinds=reference.kinds | 1,
                )
        self._repoint(final, places)
        return _Joined([FromItem(DerivedRelation(source, block, ""))], [])

    def _composite(
        self, joined: _Joined, places: range
    ) -> tuple[DerivedRelation, dict[tuple[int, int], ColumnRef]]:
        """A relation of its own of all columns of what has these places in the scope, and where each went."""
        source = self.binder.next_source()
        outputs: list[Expression] = []
        mapping: dict[tuple[int, int], ColumnRef] = {}
        for item in self.scope.items[places.start : places.stop]:
            expressions = [column.expression for column in item.columns]
            if item.rowid is not None:
                expressions.append(item.rowid)
            if item.key is not None:
                expressions.append(item.key)
            for expression in expressions:
                if not isinstance(expression, ColumnRef):
                    continue
                key = (expression.source, expression.column)
                if key not in mapping:
                    mapping[key] = replace(expression, source=source, column=len(outputs))
                    outputs.append(expression)
        block = Select(items=tuple(joined.items), where=tuple(joined.where), outputs=tuple(outputs))
        return DerivedRelation(source, block, ""), mapping

    def _repoint(self, mapping: dict[tuple[int, int], ColumnRef], places: range) -> None:
        for place in places:
            item = self.scope.items[place]
            columns = [
                replace(column, expression=_remap(column.expression, mapping))
                for column in item.columns
            ]
            rowid = None if item.rowid is None else _remap(item.rowid, mapping)
            key = None if item.key is None else _remap(item.key, mapping)
            made = ScopeItem(item.alias, columns, rowid, key, item.schema)
            made.merged = item.merged
            self.scope.items[place] = made
        self._remap_merged(mapping)

    def _remap_merged(self, mapping: dict[tuple[int, int], ColumnRef]) -> None:
        merged = self.scope.merged
        for name, column in list(merged.items()):
            merged[name] = replace(column, expression=_remap(column.expression, mapping))

    def _null(self, places: range) -> None:
        """Note that an outer join may have NULLs in the place of these items' rows."""
        mapping: dict[tuple[int, int], ColumnRef] = {}
        for place in places:
            item = self.scope.items[place] = nullable(self.scope.items[place])
            for column in item.columns:
                reference = column.expression
                if isinstance(reference, ColumnRef):
                    mapping[reference.source, reference.column] = reference
        self._remap_merged(mapping)

    def _using(
        self,
        join: exp.Expression,
        natural: bool,
        left: list[ScopeItem],
        right: list[ScopeItem],
    ) -> list[str]:
        if natural:
            names = []
            for item in right:
                for column in item.columns:
                    if not column.hidden and any(
                        column.name.lower() in other.by_name for other in left
                    ):
                        names.append(column.name)
            return names
        return [name.name for name in join.args.get("using") or ()]

    def _using_condition(
        self,
        name: str,
        left: list[ScopeItem],
        right: list[ScopeItem],
        side: str,
        inside: dict[str, ScopeColumn],
    ) -> Expression:
        """`inside`: what the right side, a join in parentheses, shows once."""
        lowered = name.lower()
        left_column = self.scope.merged.get(lowered)
        if left_column is None:
            for item in left:
                if lowered in item.by_name and lowered not in item.merged:
                    left_column = item.by_name[lowered]
                    break
        right_item = next((item for item in right if lowered in item.by_name), None)
        if left_column is None or right_item is None:
            raise SqlNameError(
                f"cannot join using column {name} - column not present in both tables",
                token=name,
                suggestions=nearest(name, _common_names(left, right)),
            )
        right_column = inside.get(lowered) or right_item.by_name[lowered]
        right_item.merged.add(lowered)
        if self.binder.asks is not None:
            self.binder.asks.column(left_column)
            self.binder.asks.column(right_column)
        left_value, right_value = left_column.expression, right_column.expression
        if side in ("RIGHT", "FULL"):
            # The column shown once is whichever side has a value.
            either = Case(
                ((Compare("IS NOT", left_value, Literal(None)), left_value),), right_value
            )
            self.scope.merged[lowered] = replace(left_column, expression=either)
        return compare("=", left_value, right_value)

    # Single relations

    def _relation(self, node: exp.Expression) -> tuple[Relation, ScopeItem]:
        if isinstance(node, exp.Subquery) or is_query(node):
            return self._subquery(node)
        assert isinstance(node, exp.Table)
        if isinstance(node.this, exp.Anonymous):
            return self._function(node)
        return self._named(node)

    def _subquery(self, node: exp.Expression) -> tuple[Relation, ScopeItem]:
        alias = node.alias if isinstance(node, (exp.Subquery, exp.Values)) else ""
        block, result = self.binder.query(node, self.scope.parent)
        return self._derived(block, result, alias)

    def _derived(
        self,
        block: Block,
        result: tuple[ResultColumn, ...],
        alias: str,
        shared: int | None = None,
        hint: bool | None = None,
    ) -> tuple[Relation, ScopeItem]:
        source = self.binder.next_source()
        columns = output_columns(self.binder, block, result, source, alias)
        return DerivedRelation(source, block, alias, shared, hint), ScopeItem(
            alias, columns, schema=None
        )

    def _function(self, node: exp.Table) -> tuple[Relation, ScopeItem]:
        call = node.this
        name = call.this
        provider = self.binder.env.relations and self.binder.env.relations(name.lower())
        if not provider:
            raise SqlNameError(f"no such table-valued function: {name}", token=name)
        trees, alias = call.expressions, node.alias or name
        if len(trees) > len(provider.hidden):
            raise SqlError(f"too many arguments on {name}() - max {len(provider.hidden)}")
        try:
            arguments = ExpressionBinder(self.binder, self.scope).bind_all(trees)
        except SqlNameError:
            if not self._only_inner:
                raise
            # What they name may come later in FROM: they are conditions on the hidden columns (`sql.bind.hidden`).
            for place, tree in zip(sorted(provider.hidden), trees, strict=False):
                column = exp.column(provider.table.columns[place].name, table=alias, quoted=True)
                self._later.append(exp.EQ(this=column, expression=tree))
            arguments = ()
        return self._provided(provider, alias, arguments)

    def _provided(
        self, provider: Any, alias: str, arguments: tuple[Expression, ...]
    ) -> tuple[Relation, ScopeItem]:
        source = self.binder.next_source()
        table = provider.table
        if self.binder.asks is not None:
            self.binder.asks.relation(table.name, table.database, None)
        item = table_item(table, source, alias, (31,) * len(table.columns))
        item = ScopeItem(
            alias,
            [
                replace(column, hidden=place in provider.hidden)
                for place, column in enumerate(item.columns)
                if place != provider.rowid
            ],
            None if provider.rowid is None else item.columns[provider.rowid].expression,
        )
        return RowRelation(source, provider, alias, arguments), item

    def _named(self, node: exp.Table) -> tuple[Relation, ScopeItem]:
        name = node.name
        database = node.args.get("db")
        alias = node.alias or name
        if database is None:
            cte = None if node.meta.get("is_target") else self.binder.find_cte(name)
            if cte is not None:
                self._no_index(node)
                return self._cte(cte, alias)
        elif self.binder.env.schema.layer(database.name) is None or (
            name.lower() in _TEMP_CATALOGS and database.name.lower() != "temp"
        ):
            tables = [entry.name for entry in self.binder.env.schema.tables.values()]
            raise SqlNameError(
                f"no such table: {database.name}.{name}",
                token=name,
                offset=offset_of(node),
                suggestions=nearest(name, tables) or nearest(database.name, tables),
            )
        elif name.lower() in _CATALOGS and database.name.lower() == "temp":
            name = "sqlite_temp_master"
        schema = self.binder.env.schema
        where = self.binder.database if database is None else database.name
        own = self.binder.database
        if own is not None and database is not None and database.name.lower() != own:
            raise SqlError(
                f"view {self.binder.view_name} cannot reference objects in database {database.name}"
            )
        view = schema.find_view(name, where)
        if view is not None:
            self._no_index(node)
            return self._view(view, alias)
        table = schema.find_table(name, where)
        if table is not None:
            source = self.binder.next_source()
            relation = TableRelation(source, table, alias, self._index_hint(node, table))
            kinds = self.binder.kinds_of(table)
            item = table_item(table, source, alias, kinds, schema=table.database)
            if self.binder.asks is not None and not node.meta.get("is_target"):
                self.binder.asks.relation(table.name, table.database, database and database.name)
            if self.binder.env.hidden:
                item = without(item, self.binder.env.hidden, table.name, self.binder.inside)
            return relation, item
        provider = self.binder.env.relations and self.binder.env.relations(name.lower(), where)
        if provider:
            return self._provided(provider, alias, ())
        full = name if where is None else f"{where}.{name}"
        known = [entry.name for entry in schema.tables.values()]
        known += [entry.name for entry in schema.views.values()]
        raise SqlNameError(
            f"no such table: {full}",
            token=name,
            offset=offset_of(node),
            suggestions=nearest(name, known),
        )

    def _index_hint(self, node: exp.Table, table: Table) -> str | bool | None:
        hint: str | bool | None = node.meta.get("indexed_by")
        if isinstance(hint, str):
            indexes = self.binder.env.schema.indexes_on(table.name, table.database)
            if hint.lower() not in [index.name.lower() for index in indexes]:
                self._no_index(node)
        return hint

    def _no_index(self, node: exp.Table) -> None:
        """INDEXED BY what is not there: a view or a common table expression has no index at all."""
        hint = node.meta.get("indexed_by")
        if isinstance(hint, str):
            raise SqlError(f"no such index: {hint}", token=hint)

    def _cte(self, cte: Any, alias: str) -> tuple[Relation, ScopeItem]:
        work = cte.work
        if work is not None:
            if self.binder.asks is not None:
                self.binder.asks.recursive()
            work.used += 1
            source = self.binder.next_source()
            columns = output_columns(self.binder, work.block, work.columns, source, alias)
            columns = [
                replace(column, expression=replace(column.expression, kinds=kinds))
                if isinstance(column.expression, ColumnRef)
                else column
                for column, kinds in zip(columns, work.kinds, strict=True)
            ]
            relation = WorkRelation(source, work.number, len(work.columns), alias)
            return relation, ScopeItem(alias, columns, schema=None)
        if cte.binding:
            raise SqlError(f"circular reference: {cte.name}", token=cte.name)
        inside, self.binder.inside = self.binder.inside, cte.name
        cte_block(self.binder, cte, self.scope.parent)
        self.binder.inside = inside
        uses = self.binder.cte_uses
        uses[cte.number] = uses.get(cte.number, 0) + 1
        return self._derived(cte.block, cte.result, alias, cte.number, cte.hint)

    def _view(self, view: Any, alias: str) -> tuple[Relation, ScopeItem]:
        binder = self.binder
        if id(view) in binder.views:
            raise SqlError(f"view {view.name} is circularly defined")
        parse = binder.env.parse
        if parse is None:
            from sql.parse import parse_statement
            from sql.parse.statements import Query

            def parse(text: str) -> Any:
                statement = parse_statement(text)
                assert isinstance(statement, Query)
                return statement.tree

        saved, binder.ctes = binder.ctes, ()
        around = binder.database
        # A view's own names are those of its database; a temporary one may name any.
        binder.database = None if view.database == "temp" else view.database
        around_name, binder.view_name = binder.view_name, view.name
        inside, binder.inside = binder.inside, view.name
        extras, binder.env.extra_scopes = binder.env.extra_scopes, {}
        on_text, binder.env.on_text = (
            binder.env.on_text,
            None,
        )  # it tells of the statement's own text
        binder.views.add(id(view))
        try:
            block, result = binder.query(parse(view.select), None)
        finally:
            binder.views.remove(id(view))
            binder.database, binder.view_name, binder.inside = around, around_name, inside
            binder.ctes = saved
            binder.env.extra_scopes, binder.env.on_text = extras, on_text
        if view.columns is not None and len(view.columns) != len(result):
            raise SqlError(
                f"expected {len(view.columns)} columns for '{view.name}' but got {len(result)}"
            )
        relation, item = self._derived(block, renamed(result, view.columns, view.name), alias)
        if binder.asks is not None:
            columns = [
                replace(column, table=view.name, column=column.name, stored=view.database)
                for column in item.columns
            ]
            item = ScopeItem(alias, columns, schema=None)
        if binder.env.hidden:
            item = replace(
                without(replace(item, schema=view.database), binder.env.hidden, view.name, inside),
                schema=None,
            )
        return relation, item


def _remap(node: Expression, mapping: dict[tuple[int, int], ColumnRef]) -> Expression:
    from sql.plan.walk import map_expression

    def rewrite(part: Expression) -> Expression:
        if isinstance(part, ColumnRef):
            return mapping.get((part.source, part.column), part)
        return part

    return map_expression(node, rewrite)


def _common_names(left: list[ScopeItem], right: list[ScopeItem]) -> list[str]:
    """The names of columns that both sides of a join have."""
    there = {name for item in right for name in item.by_name}
    return [column.name for item in left for name, column in item.by_name.items() if name in there]
