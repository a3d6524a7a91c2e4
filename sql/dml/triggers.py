"""Row triggers: when they fire, and their programs with NEW and OLD.

https://www.sqlite.org/lang_createtrigger.html.  A program's statements are prepared at the first firing,
and again when the schema or kinds of value change; they see NEW and OLD as rows of the context.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sql.compile import compile_row_function, prepare_select
from sql.context import Context
from sql.errors import SqlError
from sql.parse import parse_expression, parse_statement
from sql.run.arithmetic import RaiseIgnore
from sql.values import truth

if TYPE_CHECKING:
    from sql.bind import BindEnvironment
    from sql.schema import Table, Trigger
    from sql.session import Session

Row = tuple[Any, ...]

NEW_SOURCE = 1_000_000
OLD_SOURCE = 1_000_001
DEPTH_MAX = 1000

_running: dict[int, list[str]] = {}


class Triggers:
    """The triggers of one table for one event."""

    def __init__(
        self,
        session: Session,
        env: BindEnvironment,
        table: Table,
        event: str,
        changed: frozenset[str] | None = None,
    ) -> None:
        programs = [
            Program(session, env, table, trigger)
            for trigger in env.schema.triggers_on(table.name)
            if trigger.event == event
            and (
                not trigger.columns
                or changed is None
                or any(name.lower() in changed for name in trigger.columns)
            )
        ]
        self.before = [item for item in programs if item.trigger.timing == "BEFORE"]
        self.after = [item for item in programs if item.trigger.timing == "AFTER"]
        self.instead = [item for item in programs if item.trigger.timing == "INSTEAD OF"]

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return bool(self.before or self.after or self.instead)


def fire(
    programs: list[Program],
    ctx: Context,
    old: tuple[Any, Row] | None,
    new: tuple[Any, Row] | None,
) -> int:
    """Run the programs for one row; rows that they changed.  `RaiseIgnore` skips the row."""
    changed = 0
    for program in programs:
        changed += program.run(ctx, old, new)
    return changed


class Program:
    """One trigger's WHEN and statements."""

    def __init__(
        self, session: Session, env: BindEnvironment, table: Table, trigger: Trigger
    ) -> None:
        self.session = session
        self.env = env
        self.table = table
        self.trigger = trigger
        self._when: Any = None
        self._steps: list[Any] | None = None

    def _environment(self, ctx: Context) -> BindEnvironment:
        scopes = {}
        if self.trigger.event != "DELETE":
            scopes["new"] = (self.table, NEW_SOURCE)
        if self.trigger.event != "INSERT":
            scopes["old"] = (self.table, OLD_SOURCE)
        return self.session.environment(ctx.transaction, extra_scopes=scopes)

    def run(self, ctx: Context, old: tuple[Any, Row] | None, new: tuple[Any, Row] | None) -> int:
        """Fire for one row."""
        session = self.session
        names = _running.setdefault(id(session), [])
        if self.trigger.name in names and not session.recursive_triggers:
            return 0
        if len(names) >= DEPTH_MAX:
            raise SqlError("too many levels of trigger recursion")
        inner = Context(
            ctx.transaction,
            (),
            ctx.schema,
            ctx.functions,
            ctx.cancellation,
            session,
            ctx.memory_limit_bytes,
        )
        inner.now = ctx.now
        if new is not None:
            inner.outer_rows[NEW_SOURCE] = new
        if old is not None:
            inner.outer_rows[OLD_SOURCE] = old
        saved = session.changes, session.last_insert_rowid
        names.append(self.trigger.name)
        try:
            return self._run(inner)
        finally:
            names.pop()
            if not names:
                del _running[id(session)]
            session.changes, session.last_insert_rowid = saved

    def _run(self, ctx: Context) -> int:
        if self._steps is None:
            self._prepare(ctx)
        assert self._steps is not None
        if self._when is not None and not truth(self._when(ctx, (), None)[0]):
            return 0
        changed = 0
        for place, (statement, plan) in enumerate(self._steps):
            if plan is None or not plan.is_still_valid(ctx.transaction):
                plan = self._prepared(ctx, statement)
                self._steps[place] = (statement, plan)
            run = getattr(plan, "run_many", None)
            if run is None:
                for _ in plan.run(ctx):
                    pass
                continue
            outcome = plan.run(ctx)
            changed += outcome.total_changes
            self.session.changes = outcome.changes
        return changed

    def _prepare(self, ctx: Context) -> None:
        env = self._environment(ctx)
        if self.trigger.when is not None:
            empty = _no_table(self.table)
            self._when = compile_row_function([parse_expression(self.trigger.when)], empty, env)
        self._steps = [(parse_statement(text), None) for text in self.trigger.body]

    def _prepared(self, ctx: Context, statement: Any) -> Any:
        from sql.dml import prepare_write
        from sql.parse.statements import Query

        env = self._environment(ctx)
        if isinstance(statement, Query):
            return prepare_select(statement.tree.copy(), env)
        table = env.schema.find_table(statement.table.name, statement.table.schema)
        if table is not None:
            self.session.ensure_writable(ctx.transaction, temporary=table.temporary)
        return prepare_write(self.session, ctx.transaction, statement, env)


def _no_table(table: Table) -> Table:
    """A table without columns: WHEN sees NEW and OLD only."""
    from sql.schema import Table as Record

    return Record("", 0, (), without_rowid=True)


__all__ = ["NEW_SOURCE", "OLD_SOURCE", "RaiseIgnore", "Triggers", "fire"]
