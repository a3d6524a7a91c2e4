"""What INSERT, UPDATE and DELETE have in common: the table or view they name, and its surroundings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import sqlglot.expressions as exp
from msgspec.structs import replace

from sql.compile import prepare_select
from sql.dml.records import TableRecords
from sql.dml.triggers import Triggers
from sql.errors import SqlError, SqlNameError
from sql.expressions import Call, Match
from sql.parse import parse_expression
from sql.plan.walk import walk_block
from sql.result import WriteOutcome

if TYPE_CHECKING:
    from btree import Transaction
    from sql.bind import BindEnvironment
    from sql.compile import CompiledQuery
    from sql.context import Context
    from sql.dml.foreign_keys import ForeignKeys
    from sql.dml.keyed import OneRow
    from sql.dml.programs import Change
    from sql.dml.returning import Returning
    from sql.dml.row_programs import RowPrograms, Starting
    from sql.parse.statements import Delete, Insert, ObjectName, Update
    from sql.plan import ResultColumn
    from sql.schema import Table, View
    from sql.session import Session

Values = tuple[Any, ...]

SETS_AT_ONCE = 262144
"""Sets of parameters that are run together where they name rows by their keys: a leaf is searched and changed once for all
that mean rows of it."""

MANY_CHANGED = 1000
"""Rows that a statement changes from which on it is looked whether its plan is made for as many."""

_CHECK_MASK = 63  # of so many executions one asks whether it has been cancelled


class WritePlan:
    """A prepared INSERT, UPDATE or DELETE: what the session runs, any number of times.

    With `single_step` the plan undoes itself where it fails half-way; the session takes no savepoint then.  With
    `notes_writes` it tells the run's `Undo` of all that it writes as a program's statement.  `query` is the scan that
    feeds the statement, for EXPLAIN."""

    is_insert = False
    single_step = False
    notes_writes = False
    apart_tree: int | None = None
    """The tree of the only table that a run of a program's statement reads and writes, if there is but one."""
    database = "main"
    """That of the table or view that is written to."""
    sets_at_once = 4096
    """Sets of parameters that `run_many` had best be given at once."""
    columns: tuple[ResultColumn, ...] | None = None
    query: CompiledQuery | None = None
    again: Callable[[Context], WritePlan]
    """Makes the plan anew, for the kinds of value that the trees hold by then."""

    @property
    def one(self) -> OneRow | None:
        """A function that executes once with the row of one rowid alone, or gives None with nothing written;
        it calls nothing of the program's."""
        return None

    @property
    def within_program(self) -> OneRow | None:
        """The same of a program's statement, for whoever takes back what is noted if it gives None (`row_programs`)."""
        return None

    def is_still_valid(self, transaction: Transaction) -> bool:
        """Whether what was compiled for the kinds of value in the trees still fits."""
        return True

    def run(self, ctx: Context) -> WriteOutcome:
        """Execute once, in a writable transaction."""
        raise NotImplementedError

    def run_many(self, ctx: Context, parameter_sets: Iterable[Values]) -> WriteOutcome:
        """Execute for each set of parameters."""
        total = WriteOutcome(0)
        plan, transaction = self, ctx.transaction
        shape = transaction.shape
        for number, values in enumerate(parameter_sets):
            if not number & _CHECK_MASK:
                ctx.check()
            ctx.parameters = values
            if transaction.shape is not shape:  # one of them has put a value of a new kind
                shape = transaction.shape
                if not plan.is_still_valid(transaction):
                    plan = self.again(ctx)
            outcome = plan.run(ctx)
            total.changes += outcome.changes
            total.total_changes += outcome.total_changes
            if outcome.rows:
                total.rows = [*(total.rows or ()), *outcome.rows]
        return total

    def run_each(self, ctx: Context, bound: Iterable[Context], changes: Sequence[Change]) -> int:
        """Execute for each of a program's `changes`, which `bound` binds in turn; the number of changes."""
        return sum([self.run(each).changes for each in bound])


class QueriedPlan(WritePlan):
    """UPDATE and DELETE of a stored table: a query finds the rows, unless a key names the only one.

    Each way to change them imports its modules when it is first taken: all of them would be a tenth of what a first UPDATE
    of 100,000 rows takes."""

    target: Target
    query: CompiledQuery
    or_conflict: str | None = None
    _select: exp.Select  # what `query` is made of
    single_step = True
    notes_writes = True
    returning: Returning | None
    _one: OneRow | None  # the short way to a row by its key
    _fires: bool  # nothing but AFTER triggers stands in the way of that
    _noted: bool  # a program's statement: rows are noted before they change
    _starting: Starting | None = None  # that way, with all programs

    @property
    def one(self) -> OneRow | None:
        if self._starting is not None:
            return self._starting.one
        return None if self._fires or self._noted else self._one

    @property
    def within_program(self) -> OneRow | None:
        if self._starting is not None:
            return self._starting.within_program
        return None if self._fires else self._one

    def run(self, ctx: Context) -> WriteOutcome:
        outcome = self._by_key(ctx)
        if outcome is None:
            if not self._noted or self._starting is not None:
                self._renew(ctx)
            outcome = self._changed(ctx)
        if outcome.changes >= MANY_CHANGED:
            self.query.changed(outcome.changes)
        return outcome

    def _by_key(self, ctx: Context) -> WriteOutcome | None:
        """The short way; None, with nothing written, if there is none, or the row needs a closer look."""
        outcome = None if self._starting is None else self._starting.one(ctx)
        if outcome is not None or self._one is None:
            return outcome
        if not self._fires:
            return self._one(ctx)
        from sql.dml.rows import one_and_after

        return one_and_after(ctx, self.target, self._one, self.or_conflict)

    def _renew(self, ctx: Context) -> None:
        """Have the scan compiled anew if it has no code yet, no longer fits the trees, or was planned for far more rows
        than the parameters find, or far fewer."""
        query, transaction = self.query, ctx.transaction
        if (
            not query.has_code
            or not query.is_still_valid(transaction)
            or (query.is_dear and not query.fits(transaction, ctx.parameters))
        ):
            env = ctx.session.environment(transaction, parameters=ctx.parameters)
            self.query = prepare_select(self._select, env)

    def _changed(self, ctx: Context) -> WriteOutcome:
        """Execute by any other way."""
        raise NotImplementedError

    def take_short_way(self, one: OneRow | None, programs: RowPrograms | None) -> None:
        """Have `one`, if there is one, with the programs that it starts."""
        if one is not None and programs is not None:
            from sql.dml.row_programs import Starting

            self._starting = Starting(one, programs)
        self._one = one if programs is None or self._fires else None

    def needs_scan(self, env: BindEnvironment) -> bool:
        """Whether the scan will be run, rather than perhaps; `env` is what it is bound in."""
        if self._noted:
            return env.running is None
        return self._one is None and self._starting is None

    def is_still_valid(self, transaction: Transaction) -> bool:
        if self.returning is not None and self.returning.volatile:
            return False
        if (self._one is not None or self._starting is not None) and not self._noted:
            return True
        return self.query.is_still_valid(transaction)


def is_plain(query: CompiledQuery) -> bool:
    """Whether a statement's expressions have neither subqueries, whose code fits only the kinds of value
    that the trees hold at the moment, nor functions of the program's, which nobody may call twice."""
    return not any(
        getattr(node, "plan", None) is not None
        or isinstance(node, Match)
        or (isinstance(node, Call) and not node.function.builtin)
        for node in walk_block(query.block)
    )


class Target:
    """A stored table as the target of one kind of statement: its records, triggers and foreign keys.

    `changed` are the positions of the columns that an UPDATE assigns to."""

    def __init__(
        self,
        session: Session,
        env: BindEnvironment,
        table: Table,
        event: str,
        changed: frozenset[int] | None = None,
        *,
        records: TableRecords | None = None,
        foreign_keys: ForeignKeys | None = None,
    ) -> None:
        self.session = session
        self.env = env
        self.table = table
        self.records = records or TableRecords(_checked(table, changed), env)
        names = None
        if changed is not None:
            names = frozenset(table.columns[place].name.lower() for place in changed if place >= 0)
        self.triggers = Triggers(session, env, table, event, names)
        self._removal: tuple[Triggers, ForeignKeys | None] | None = None
        self.foreign_keys = foreign_keys
        if session.foreign_keys and foreign_keys is None:
            from sql.dml.foreign_keys import ForeignKeys

            keys = ForeignKeys(session, env, table, event, changed)
            self.foreign_keys = keys if keys.matters else None

    @property
    def plain(self) -> bool:
        """Whether nothing but the table and its indexes is touched or looked at."""
        return self.foreign_keys is None and not self.triggers.any

    def removal(self, transaction: Transaction) -> tuple[Triggers, ForeignKeys | None]:
        """The triggers and foreign keys that a row removed by REPLACE concerns."""
        if self._removal is None:
            session, table = self.session, self.table
            env = session.environment(transaction)
            keys = None
            replaces = bool(table.primary_key) or any(
                index.unique for index in self.records.indexes
            )
            if session.foreign_keys and replaces:
                from sql.dml.foreign_keys import ForeignKeys

                found = ForeignKeys(session, env, table, "DELETE")
                keys = found if found.matters else None
            self._removal = Triggers(session, env, table, "DELETE"), keys
        return self._removal


def _checked(table: Table, changed: frozenset[int] | None) -> Table:
    """The table with the checks that a change of the columns may break: what has passed is not looked at again."""
    if changed is None or not table.checks:
        return table
    if any(column.generated is not None for column in table.columns):
        return table  # whose values change with others'
    names = {table.columns[place].name.lower() for place in changed if place >= 0}
    if -1 in changed or table.rowid_alias in changed:
        names |= {"rowid", "oid", "_rowid_"}
    checks = [
        check
        for check in table.checks
        if any(
            column.name.lower() in names
            for column in parse_expression(check.expression).find_all(exp.Column)
        )
    ]
    return table if len(checks) == len(table.checks) else replace(table, checks=tuple(checks))


def find_target(
    statement: Insert | Update | Delete, env: BindEnvironment
) -> tuple[Table | None, View | None]:
    """The table or view that the statement names.  Raises SqlNameError, SqlError."""
    name: ObjectName = statement.table
    schema = env.schema
    view = schema.find_view(name.name, name.schema)
    table = schema.find_table(name.name, name.schema)
    if table is None and view is None:
        if name.schema is not None and schema.layer(name.schema) is None:
            raise SqlNameError(f"no such table: {name}", offset=name.start, token=name.name)
        lowered = name.name.lower()
        if lowered in (
            "sqlite_master",
            "sqlite_schema",
            "sqlite_temp_master",
            "sqlite_temp_schema",
        ):
            raise SqlError(f"table {name.name} may not be modified", offset=name.start)
        from sql.bind.scope import nearest

        known = [item.name for item in schema.tables.values()]
        raise SqlNameError(
            f"no such table: {name}",
            offset=name.start,
            token=name.name,
            suggestions=nearest(name.name, known),
        )
    return table, view


def column_place(table: Table, name: str, offset: int | None = None) -> int:
    """A column's position; -1 for the rowid's names.  SqlNameError if there is none."""
    lowered = name.lower()
    for place, column in enumerate(table.columns):
        if column.name.lower() == lowered:
            return place
    if not table.without_rowid and lowered in ("rowid", "oid", "_rowid_"):
        return -1 if table.rowid_alias is None else table.rowid_alias
    from sql.bind.scope import nearest

    suggestions = nearest(name, [column.name for column in table.columns])
    raise SqlNameError(
        f"no such column: {name}", offset=offset, token=name, suggestions=suggestions
    )


def scan_query(
    statement: Update | Delete,
    alias: str,
    outputs: Sequence[exp.Expression],
    *,
    from_: exp.From | None = None,
    joins: Sequence[exp.Join] = (),
) -> exp.Select:
    """The SELECT that finds the rows of an UPDATE or DELETE: `outputs` over the target's rows."""
    name = statement.table
    table = exp.Table(
        this=exp.to_identifier(name.name, quoted=True),
        db=None if name.schema is None else exp.to_identifier(name.schema, quoted=True),
    )
    table.meta["is_target"] = True  # and no CTE of the name
    if alias.lower() != name.name.lower():
        table.set("alias", exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))
    if statement.indexed_by is not None:
        table.meta["indexed_by"] = statement.indexed_by
    for output in outputs:
        output.meta["text"] = ""  # nobody sees its name; to make it would load sqlglot's generator
    select = exp.Select(expressions=list(outputs))
    select.meta["row_by_row"] = True  # no aggregates, no windows
    select.set("from_", exp.From(this=table))
    if from_ is not None:
        sources = [exp.Join(this=from_.this), *joins]
        if any(value for join in joins for name, value in join.args.items() if name != "this"):
            # The sources join among themselves: RIGHT JOIN, NATURAL and USING would take the target in.
            select.set("from_", from_)
            sources = [*joins, exp.Join(this=table)]
        select.set("joins", sources)
    if statement.where is not None:
        select.set("where", exp.Where(this=condition_of(statement.where)))
    if statement.order is not None:
        select.set("order", statement.order)
    if statement.limit is not None:
        select.set("limit", _wrapped(exp.Limit, statement.limit))
    if statement.offset is not None:
        select.set("offset", _wrapped(exp.Offset, statement.offset))
    if statement.with_ is not None:
        select.set("with_", statement.with_)
    return select


def condition_of(where: exp.Expression) -> exp.Expression:
    """What a WHERE asks."""
    node = where.this if isinstance(where, exp.Where) else where
    assert isinstance(node, exp.Expression)
    return node


def _wrapped(kind: type[exp.Expression], node: exp.Expression) -> exp.Expression:
    if isinstance(node, kind):
        return node
    return kind(expression=node)


def tree_key(alias: str) -> exp.Expression:
    """The target's tree key as a column."""
    column = _column("_key_", alias, quoted=False)
    column.meta["tree_key"] = True
    return column


def row_columns(table: Table, alias: str | None = None) -> list[exp.Expression]:
    """All columns of the target's row."""
    return [_column(column.name, alias or table.name) for column in table.columns]


def _column(name: str, table: str, *, quoted: bool = True) -> exp.Column:
    """`table.name`; not by `exp.column`, which copies what it is given: a fifth of an UPDATE's first run."""
    return exp.Column(
        this=exp.Identifier(this=name, quoted=quoted),
        table=exp.Identifier(this=table, quoted=True),
    )


def with_known(tree: exp.Expression, with_: exp.Expression | None) -> exp.Expression:
    """An expression outside of a statement's query, whose subqueries know the names of the statement's WITH."""
    if with_ is None:
        return tree
    for query in [*tree.find_all(exp.Select, exp.SetOperation, exp.Values)]:
        above = query.find_ancestor(exp.Select, exp.SetOperation, exp.Values)
        if above is not None:
            continue
        known = with_.copy()
        own = query.args.get("with_")
        if own is not None:
            names = {definition.alias.lower() for definition in own.expressions}
            kept = [each for each in known.expressions if each.alias.lower() not in names]
            known.set("expressions", [*kept, *own.expressions])
        query.set("with_", known)
    return tree
