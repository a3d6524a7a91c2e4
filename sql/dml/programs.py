"""Programs: statements that run once for a row that a statement writes, with OLD and NEW in scope.

Triggers are programs, and so are the actions of foreign keys.  Their statements are prepared when the
program first runs, and again when what they were compiled for no longer holds.  What a statement and
the programs that it starts have in common is a `StatementState`: the programs that are running, and the
counter of violated foreign keys that has to be zero when the statement ends.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import sqlglot.expressions as exp
from msgspec.structs import replace

from sql.compile import CompiledQuery, compile_values, prepare_select
from sql.context import Context
from sql.errors import SqlError, SqlNameError
from sql.expressions import ROWID, ColumnRef, Parameter, Unary
from sql.parse.statements import Query, Statement
from sql.plan import Select
from sql.run.arithmetic import RaiseError
from sql.values import truth

if TYPE_CHECKING:
    from btree import Transaction
    from sql.bind import BindEnvironment
    from sql.dml.undo import Undo
    from sql.schema import Table
    from sql.session import Session

Row = tuple[Any, ...]
Keyed = tuple[Any, Row]
"""A row with its tree key before it: what OLD and NEW are."""
Change = tuple["Keyed | None", "Keyed | None"]
"""A row before and after."""

NEW_SOURCE = 1_000_000
OLD_SOURCE = 1_000_001
DEPTH_MAX = 1000
_DEEP = 8
_LOOKED_AT = 255
"""Of so many runs in a statement one asks whether the plans still fit the trees' sizes."""

_FRAMES_MAX = 60_000
"""Python frames that `DEPTH_MAX` programs inside one another may take; asked for from `_DEEP` on."""


class StatementState:
    """What a statement shares with the programs that it starts."""

    __slots__ = ("changed", "running", "undo", "violations")

    def __init__(self, undo: Undo) -> None:
        self.undo = undo
        self.running: list[Program] = []
        self.changed = 0  # rows that programs' statements have changed so far
        self.violations = 0  # of immediate foreign keys


class ProgramContext(Context):
    """A context with the state of the outermost statement."""

    __slots__ = ("runs", "state", "values")

    def __init__(self, outer: Context, parameters: Row, state: StatementState) -> None:
        super().__init__(
            outer.transaction,
            parameters,
            outer.schema,
            outer.functions,
            outer.cancellation,
            outer.session,
            outer.memory_limit_bytes,
        )
        self.now = outer.now
        self.runs = 0  # of the program that it is for
        self.values: Row = ()  # of NEW and OLD, see `value_number`; else the parameters
        self.state = state

    def bind(self, old: Keyed | None, new: Keyed | None) -> None:
        """Let the program's statements see a row that was changed."""
        values: Row = ()
        if new is not None:
            self.outer_rows[NEW_SOURCE] = new
            values = (*new[1], new[0])
        if old is not None:
            self.outer_rows[OLD_SOURCE] = old
            values = (*values, *old[1], old[0])
        self.values = values


def value_number(value: Any, env: BindEnvironment) -> int | None:
    """The place of a bound expression among the parameters; in a program, whose statements have none, among the values
    of NEW and OLD."""
    if isinstance(value, Parameter):
        return value.index
    if isinstance(value, Unary) and value.op == "+":  # what has lost its affinity
        value = value.operand
    if isinstance(value, ColumnRef) and value.source in (NEW_SOURCE, OLD_SOURCE):
        return places_of_values(env)[value.source][value.column]
    return None


def places_of_values(env: BindEnvironment) -> dict[int, dict[int, int]]:
    """Of NEW and OLD, by the numbers of their sources, where each column is among `ProgramContext.values`."""
    scopes, places = env.extra_scopes, {}
    first = 0
    for name in ("new", "old"):
        if name in scopes:
            table, source = scopes[name]
            width = len(table.columns)
            places[source] = {ROWID: first + width} | {at: first + at for at in range(width)}
            first += width + 1
    return places


def with_state(ctx: Context, undo: Undo) -> tuple[ProgramContext, bool]:
    """The context with a statement's state, and whether the statement is the outermost one, which `undo` guards."""
    if isinstance(ctx, ProgramContext):
        return ctx, False
    made = ProgramContext(ctx, ctx.parameters, StatementState(undo))
    made.outer_rows = ctx.outer_rows
    made.values = ctx.parameters
    return made, True


class Program:
    """Statements with OLD and NEW, rows of `table`, in scope.

    `repeats`: whether it may start itself again (actions of foreign keys may, triggers only where
    recursive_triggers is on).  `database`: the one that names mean objects of; None for any.
    `is_pure`: there are no functions that ask for what was written last."""

    def __init__(
        self,
        session: Session,
        table: Table,
        statements: tuple[Statement, ...],
        *,
        when: exp.Expression | None = None,
        scopes: Iterable[str] = ("old", "new"),
        repeats: bool = False,
        database: str | None = None,
        is_pure: bool = False,
    ) -> None:
        self.session = session
        self.table = table
        self.statements = statements
        self.when = when
        self.repeats = repeats
        self.database = database
        self.is_pure = is_pure
        sources = {"old": OLD_SOURCE, "new": NEW_SOURCE}
        self.scopes = {name: (table, sources[name]) for name in scopes}
        self._condition: Any = None
        self._condition_is_volatile = when is not None and when.find(exp.Select) is not None
        self._plans: dict[str | None, list[Any]] = {}
        self._made_for: tuple[Any, ...] = ()
        self._shape: object = None  # of the trees at the last look at the plans

    def environment(self, transaction: Transaction) -> BindEnvironment:
        """What the statements are bound against."""
        env = self.session.environment(transaction, extra_scopes=self.scopes)
        if self.database is not None:
            layer = env.schema.layer(self.database)
            assert layer is not None, "a program ends with its database"
            env.schema = layer
        return env

    def run(
        self,
        ctx: ProgramContext,
        old: Keyed | None,
        new: Keyed | None,
        or_conflict: str | None = None,
    ) -> None:
        """Run for one row.

        `or_conflict` of the statement that started the program wins over those of its own."""
        session, state = self.session, ctx.state
        running = state.running
        if self in running and not self.repeats and not session.recursive_triggers:
            return
        if len(running) >= DEPTH_MAX:
            raise SqlError("too many levels of trigger recursion")
        frames = 0
        if len(running) == _DEEP and sys.getrecursionlimit() < _FRAMES_MAX:
            frames = sys.getrecursionlimit()
            sys.setrecursionlimit(_FRAMES_MAX)
        inner = state.undo.contexts.pop(self, None) or ProgramContext(ctx, (), state)
        inner.bind(old, new)
        saved = session.changes, session.last_insert_rowid
        running.append(self)
        try:
            self._run(inner, or_conflict)
            state.undo.contexts[self] = inner
        except RaiseError as error:
            error.conflict = error.action
            raise
        finally:
            if frames:
                sys.setrecursionlimit(frames)
            running.pop()
            session.changes, session.last_insert_rowid = saved

    def run_each(
        self, ctx: ProgramContext, rows: Sequence[Change], plans: Sequence[Any] | None
    ) -> bool:
        """Run `plans`, as `apart` gave them, for each of many rows: one statement after the other.  Without plans it says
        whether WHEN is true of none."""
        session, inner = self.session, ProgramContext(ctx, (), ctx.state)
        saved = session.changes, session.last_insert_rowid

        def bound() -> Iterator[ProgramContext]:
            for number, (old, new) in enumerate(rows):
                if not number & _LOOKED_AT:
                    ctx.check()
                inner.bind(old, new)
                yield inner

        ctx.state.running.append(self)
        try:
            if self.when is not None:
                rows = [row for row, found in zip(rows, bound(), strict=True) if self._holds(found)]
            if plans is None:
                return not rows
            for plan in plans:
                if isinstance(plan, CompiledQuery):
                    for each in bound():
                        for _ in plan.run(each):
                            pass
                else:
                    ctx.state.changed += plan.run_each(inner, bound(), rows)
            return True
        finally:
            ctx.state.running.pop()
            session.changes, session.last_insert_rowid = saved

    def apart(self, ctx: ProgramContext, or_conflict: str | None) -> list[Any] | None:
        """The statements' plans, if it makes no difference to run one after the other for many rows: each has to do
        with one table alone, which is its `apart_tree`, or is a query that reads none."""
        from sql.dml.target import is_plain

        if not self.asks_nothing(ctx):
            return None
        self._look_at_made_for(ctx)
        self._look_at_plans(ctx.transaction)
        found = []
        for place, statement in enumerate(self.statements):
            plan = self._plan(ctx, place, or_conflict)
            if isinstance(statement, Query):
                block = plan.block
                if not isinstance(block, Select) or block.items or not is_plain(plan):
                    return None
            elif plan.apart_tree is None or plan.database != "main":
                return None
            found.append(plan)
        return found

    def asks_nothing(self, ctx: Context) -> bool:
        """Whether nothing in it can tell when it runs, but for the tables that its statements read."""
        return self.is_pure and not self._condition_is_volatile and not ctx.functions.version

    def _look_at_made_for(self, ctx: ProgramContext) -> None:
        """Forget all that was made for another schema."""
        made_for = (ctx.schema, ctx.functions.version, self.session.foreign_keys)
        if self._made_for != made_for:
            self._made_for = made_for
            self._condition = None
            self._plans.clear()

    def _run(self, ctx: ProgramContext, or_conflict: str | None) -> None:
        self._look_at_made_for(ctx)
        if self.when is not None and not self._holds(ctx):
            return
        transaction = ctx.transaction
        if not ctx.runs & _LOOKED_AT:
            self._look_at_plans(transaction)
        ctx.runs += 1
        for place, statement in enumerate(self.statements):
            plan = self._plan(ctx, place, or_conflict)
            if isinstance(statement, Query):
                for _ in plan.run(ctx):
                    ctx.check()
                continue
            self.session.ensure_writable(transaction, plan.database)
            if not plan.notes_writes:
                ctx.state.undo.needed()
            outcome = plan.run(ctx)
            ctx.state.changed += outcome.changes
            self.session.changes = outcome.changes

    def _plan(self, ctx: Context, place: int, or_conflict: str | None) -> Any:
        """The plan of a statement, under the conflict clause that wins over its own."""
        transaction = ctx.transaction
        if transaction.shape is not self._shape:
            self._look_at_plans(transaction)
        plans = self._plans.get(or_conflict)
        if plans is None:
            plans = self._plans[or_conflict] = [None] * len(self.statements)
        plan = plans[place]
        if plan is None:
            env = self.environment(ctx.transaction)
            env.running = None
            plan = self.prepared(self.statements[place], env, or_conflict)
            if plan.is_still_valid(transaction):  # and not good for a single run
                plans[place] = plan
        return plan

    def _look_at_plans(self, transaction: Transaction) -> None:
        """Forget the plans that no longer fit the trees."""
        self._shape = transaction.shape
        for plans in self._plans.values():
            for place, plan in enumerate(plans):
                if plan is not None and not plan.is_still_valid(transaction):
                    plans[place] = None

    def _holds(self, ctx: ProgramContext) -> bool:
        condition = self._condition
        assert self.when is not None
        if condition is None or self._condition_is_volatile:
            env = self.environment(ctx.transaction)
            condition = self._condition = compile_values([[self.when.copy()]], env)
        return bool(truth(condition(ctx)[0][0]))

    def prepared(self, statement: Any, env: BindEnvironment, or_conflict: str | None) -> Any:
        """The plan of one of its statements in its `environment`."""
        from sql.dml import prepare_write

        try:
            if isinstance(statement, Query):
                return prepare_select(statement.tree.copy(), env)
            if or_conflict is not None and hasattr(statement, "or_conflict"):
                statement = replace(statement, or_conflict=or_conflict)
            return prepare_write(self.session, statement, env)
        except SqlNameError as error:
            name = error.message.removeprefix("no such table: ")
            if self.database and name != error.message and "." not in name:
                raise SqlNameError(f"no such table: {self.database}.{name}", token=name) from error
            raise
