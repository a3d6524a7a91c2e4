"""Where the rows of an INSERT come from: VALUES, a query, or the columns' defaults alone.

A `Source` gives rows as wide as the table.  VALUES are compiled in that width, with defaults and NULLs in
the places that the statement leaves out, so that nothing is rearranged at run time; VALUES of
nothing but parameters are the bound values themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import sqlglot.expressions as exp

from sql.compile import (
    CompiledQuery,
    compile_values,
    compile_values_of_rows,
    compile_values_of_sets,
    prepare_select,
)
from sql.dml.copying import Copied
from sql.dml.target import column_place
from sql.errors import SqlError, SqlNameError
from sql.parse import parse_expression

if TYPE_CHECKING:
    from sql.bind import BindEnvironment
    from sql.context import Context
    from sql.parse.statements import Insert
    from sql.schema import Table

Row = tuple[Any, ...]

_UNKNOWN: Any = object()

_CHANGES_AT_ONCE = 4096
"""Rows of a program whose values are computed before it is asked whether the statement has been cancelled."""

_READ_MIN = 1 << 14
"""Rows among which those of a query are from which on they are read by column from pages, rather than as rows."""


class Source:
    """The rows of one statement.

    `values(ctx)` gives them where they are VALUES, else `query` and `arrange` do.  `parameters_only`:
    there is one row, and it is the statement's parameters in their order.  `row`: the expressions of the only one.
    `rowid_last`: behind the columns, each row has its rowid.  `is_followed`: there are
    parameters behind the rows, in ON CONFLICT or RETURNING."""

    def __init__(self, statement: Insert, table: Table, env: BindEnvironment) -> None:
        self.statement = statement
        self.table = table
        self.env = env
        self.values: Callable[[Context], list[Row]] | None = None
        self._of_sets: Callable[[Context, Iterable[Row]], list[Row]] | None = None
        self._of_changes: Callable[[Context, Iterable[Any]], list[Row]] | None = _UNKNOWN
        self._expressions: list[list[exp.Expression]] = []  # that `values` computes
        self.query: CompiledQuery | None = None
        self._copied: Copied | None = None  # of the query
        self._by_column: Copied | None = None  # the same for `columns`
        self.arrange: Callable[[Context, Row], Row] | None = None
        self.parameters_only = False
        self.is_followed = any(tree.find(exp.Placeholder) for tree in self._behind())
        self.row_count: int | None = None
        self.row: list[exp.Expression] | None = None  # the only one of VALUES
        self.places = [] if statement.source is None else self._places()
        self.rowid_last = -1 in self.places
        self._prepare()

    # -- preparing -------------------------------------------------------------------------------

    def _places(self) -> list[int]:
        """Where the statement's values go: column positions, -1 for a rowid that is no column."""
        table = self.table
        if not self.statement.columns:
            return [place for place, column in enumerate(table.columns) if column.generated is None]
        return [insert_place(table, name) for name in self.statement.columns]

    def _prepare(self) -> None:
        source, env = self.statement.source, self.env
        if source is None:
            if self.statement.columns:
                raise SqlError(f"0 values for {len(self.statement.columns)} columns")
            self.row_count = 1
            self.row = self._full([])
            self._compile([self.row])
            return
        if self._is_plain_values(source):
            rows = [row.expressions for row in source.expressions]
            widths = set(map(len, rows))
            if len(widths) > 1:
                raise SqlError("all VALUES must have the same number of terms")
            self._check_count(widths.pop())
            self.row_count = len(rows)
            if len(rows) == 1:
                self.row = self._full(rows[0])
            self.values = self._parameters(rows)
            if self.values is None:
                full = [self._full(row) for row in rows]
                self._compile(full)
            return
        tree = source.copy()
        if self.statement.with_ is not None:
            tree.set("with_", self.statement.with_.copy())
        self.query = prepare_select(tree, env)
        self._copied = Copied(self.query)
        self._by_column = Copied(self.query, whole=False)
        self._check_count(len(self.query.columns))
        if self.places != list(range(len(self.table.columns))):
            self.arrange = self._arrangement()

    def _compile(self, rows: list[list[exp.Expression]]) -> None:
        self._expressions = [[item.copy() for item in row] for row in rows]
        self.values = compile_values(rows, self.env)

    def _is_plain_values(self, source: exp.Expression) -> bool:
        """VALUES without a query in them: they need no plan that depends on the data."""
        return (
            isinstance(source, exp.Values)
            and self.statement.with_ is None
            and not any(source.args.get(name) for name in ("with_", "order", "limit", "offset"))
            and all(
                node is source
                for node in source.find_all(exp.Select, exp.SetOperation, exp.Values, exp.In)
            )
        )

    def _check_count(self, count: int) -> None:
        if count == len(self.places):
            return
        if self.statement.columns:
            raise SqlError(f"{count} values for {len(self.places)} columns")
        raise SqlError(
            f"table {self.table.name} has {len(self.places)} columns"
            f" but {count} values were supplied"
        )

    def _parameters(
        self, rows: Sequence[Sequence[exp.Expression]]
    ) -> Callable[[Context], list[Row]] | None:
        """Rows of nothing but parameters in their order, for all columns: slices of the bound values."""
        width = len(rows[0])
        if self.places != list(range(len(self.table.columns))):
            return None
        number = 0
        for row in rows:
            for item in row:
                if not isinstance(item, exp.Placeholder) or item.meta.get("index") != number:
                    return None
                number += 1
        if self.is_followed:
            return lambda ctx: list(zip(*[iter(ctx.parameters[:number])] * width, strict=True))
        self.parameters_only = len(rows) == 1
        if self.parameters_only:
            return lambda ctx: [ctx.parameters]
        return lambda ctx: list(zip(*[iter(ctx.parameters)] * width, strict=True))

    def _behind(self) -> Iterator[exp.Expression]:
        """The expressions behind the rows, which may have parameters of their own."""
        yield from self.statement.returning
        for upsert in self.statement.upserts:
            yield from (part.expression for part in upsert.target)
            yield from (assignment.value for assignment in upsert.assignments or ())
            yield from filter(None, (upsert.target_where, upsert.where))

    def _full(self, row: Sequence[exp.Expression]) -> list[exp.Expression]:
        """One VALUES row's expressions in the table's width; of a column named twice the first counts,
        of a rowid the last."""
        full: list[exp.Expression] = []
        for place, column in enumerate(self.table.columns):
            at = self._source_of(place)
            if at is not None:
                full.append(row[at])
            elif self._has_default(place):
                assert column.default is not None
                full.append(parse_expression(column.default))
            else:
                full.append(exp.Null())
        if self.rowid_last:
            at = self._source_of(-1)
            assert at is not None
            full.append(row[at])
        return full

    def _has_default(self, place: int) -> bool:
        """Whether a column that is left out gets a value of its own; a rowid's DEFAULT means nothing."""
        column = self.table.columns[place]
        return (
            column.default is not None
            and column.generated is None
            and place != self.table.rowid_alias
        )

    def _source_of(self, place: int) -> int | None:
        """Which of the statement's values goes to a place."""
        found = [at for at, item in enumerate(self.places) if item == place]
        if not found:
            return None
        return found[-1] if place in (-1, self.table.rowid_alias) else found[0]

    def _arrangement(self) -> Callable[[Context, Row], Row]:
        """(ctx, row of the query) -> row in the table's width."""
        names: dict[str, Any] = {}
        sources = []
        for place, column in enumerate(self.table.columns):
            at = self._source_of(place)
            if at is not None:
                sources.append(f"row[{at}]")
            elif self._has_default(place):
                assert column.default is not None
                names[f"d{place}"] = compile_values([[parse_expression(column.default)]], self.env)
                sources.append(f"d{place}(ctx)[0][0]")
            else:
                sources.append("None")
        if self.rowid_last:
            sources.append(f"row[{self._source_of(-1)}]")
        made: Callable[[Context, Row], Row] = eval(
            f"lambda ctx, row: ({', '.join(sources)},)", names
        )
        return made

    # -- running ---------------------------------------------------------------------------------

    def batches(self, ctx: Context) -> Iterable[list[Row]]:
        """The rows, in the table's width."""
        if self.values is not None:
            return (self.values(ctx),)
        assert self._copied is not None
        arrange, batches = self.arrange, self._copied.batches(ctx)
        if arrange is None:
            return batches
        return ([arrange(ctx, row) for row in batch] for batch in batches)

    def columns(self, ctx: Context) -> Iterator[Sequence[Sequence[Any]]] | None:
        """The rows by column, where a query gives them so that reads them from pages; else None."""
        if self._by_column is None or self.rowid_last:
            return None
        if self.arrange is None:
            return self._by_column.columns_read(ctx, _READ_MIN)
        sources = [self._source_of(place) for place in range(len(self.table.columns))]
        if any(at is None and self._has_default(place) for place, at in enumerate(sources)):
            return None
        found = self._by_column.columns_read(ctx, _READ_MIN)
        if found is None:
            return None
        return (
            [(None,) * len(columns[0]) if at is None else columns[at] for at in sources]
            for columns in found
        )

    def of_sets(self, ctx: Context, sets: Sequence[Row]) -> list[Row]:
        """The rows of many executions of VALUES, each with its own parameters."""
        if self.parameters_only:
            return sets if isinstance(sets, list) else list(sets)
        if not self._expressions:
            assert self.values is not None
            values, rows = self.values, []
            for parameters in sets:
                ctx.parameters = parameters
                rows += values(ctx)
            return rows
        if self._of_sets is None:
            self._of_sets = compile_values_of_sets(self._expressions, self.env)
        return self._of_sets(ctx, sets)

    def of_changes(self, ctx: Context, changes: Sequence[Any]) -> list[Row] | None:
        """The rows of VALUES of a program for each of many rows before and after; None where it is better run for each."""
        if self._of_changes is _UNKNOWN:
            scopes = self.env.extra_scopes
            changed = {
                scopes[name][1]: at for at, name in enumerate(("old", "new")) if name in scopes
            }
            self._of_changes = None
            if self._expressions and len(changed) == len(scopes):
                self._of_changes = compile_values_of_rows(self._expressions, self.env, changed)
        if self._of_changes is None:
            return None
        rows: list[Row] = []
        for start in range(0, len(changes), _CHANGES_AT_ONCE):
            ctx.check()
            rows += self._of_changes(ctx, changes[start : start + _CHANGES_AT_ONCE])
        return rows


def insert_place(table: Table, name: str) -> int:
    """The position of a column that an INSERT lists."""
    try:
        place = column_place(table, name)
    except SqlNameError as error:
        made = SqlNameError(f"table {table.name} has no column named {name}", token=name)
        made.suggestions = error.suggestions
        raise made from None
    if place >= 0 and table.columns[place].generated is not None:
        raise SqlError(f'cannot INSERT into generated column "{table.columns[place].name}"')
    return place
