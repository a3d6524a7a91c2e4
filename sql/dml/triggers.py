"""Row triggers: which ones fire.  https://www.sqlite.org/lang_createtrigger.html."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sql.compile import CompiledQuery
from sql.errors import Interrupted, SqlError
from sql.parse import parse_expression, parse_statement
from sql.run.arithmetic import RaiseIgnore

if TYPE_CHECKING:
    from sql.bind import BindEnvironment
    from sql.dml.programs import Change, Keyed, Program, ProgramContext
    from sql.schema import Table, Trigger
    from sql.session import Session

SCOPES = {"INSERT": ("new",), "UPDATE": ("old", "new"), "DELETE": ("old",)}
"""What a trigger's statements see of the row that fires it."""

AT_ONCE_MIN = 8
"""Rows from which on triggers are run when all of them are written."""

_ASKS = re.compile(r"changes|last_insert_rowid", re.IGNORECASE)
"""Words in a trigger that may ask for what was written last."""


class Triggers:
    """The triggers of one table or view for one event.

    `changed`: for UPDATE, the lower-case names of the columns that are assigned to."""

    def __init__(
        self,
        session: Session,
        env: BindEnvironment,
        table: Table,
        event: str,
        changed: frozenset[str] | None = None,
    ) -> None:
        found = triggers_on(session, env, table, event, changed)
        self.before = _programs(session, table, found, "BEFORE")
        self.after = _programs(session, table, found, "AFTER")
        self.instead = _programs(session, table, found, "INSTEAD OF")

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return bool(self.before or self.after or self.instead)


def triggers_on(
    session: Session,
    env: BindEnvironment,
    table: Table,
    event: str,
    changed: frozenset[str] | None = None,
) -> list[Trigger]:
    """A table's or view's triggers for an event, as `Triggers` has it, in the order of firing."""
    return [
        trigger
        for trigger in _on(session, env, table)
        if trigger.event == event and _concerns(trigger, changed)
    ]


def _on(session: Session, env: BindEnvironment, table: Table) -> list[Trigger]:
    """A table's triggers in the order of firing: temporary ones, then the others, newest first."""
    schema = session.schema_of(env.transaction)
    temporary = schema.temporary_triggers_on(table.name, table.database)
    layer = None if table.database == "temp" else schema.layer(table.database)
    return temporary if layer is None else [*temporary, *reversed(layer.triggers_on(table.name))]


def _concerns(trigger: Trigger, changed: frozenset[str] | None) -> bool:
    return (
        not trigger.columns
        or changed is None
        or any(name.lower() in changed for name in trigger.columns)
    )


def _programs(
    session: Session, table: Table, triggers: list[Trigger], timing: str
) -> list[Program]:
    return [_program(session, table, trigger) for trigger in triggers if trigger.timing == timing]


def _program(session: Session, table: Table, trigger: Trigger) -> Program:
    """The one program of a trigger in a session: all plans share it, and it knows itself again when a
    statement of its own fires it.  Records are made anew when the catalog changes.

    The programs are kept in the session's own dictionary, so that they end with it."""
    from sql.dml.programs import Program

    programs: dict[int, tuple[Trigger, Table, Program]]
    programs = vars(session).setdefault("trigger_programs", {})
    found = programs.get(id(trigger))
    if found is not None and found[0] is trigger and found[1] == table:
        return found[2]
    for number, (other, _, _) in list(programs.items()):
        if other.name == trigger.name and other.database == trigger.database:
            del programs[number]
    program = Program(
        session,
        table,
        tuple(parse_statement(text) for text in trigger.body),
        when=None if trigger.when is None else parse_expression(trigger.when),
        scopes=SCOPES[trigger.event],
        database=None if trigger.database == "temp" else trigger.database,
        is_pure=not any(map(_ASKS.search, (*trigger.body, trigger.when or ""))),
    )
    programs[id(trigger)] = (trigger, table, program)
    return program


def fire(
    programs: list[Program],
    ctx: ProgramContext,
    old: Keyed | None,
    new: Keyed | None,
    or_conflict: str | None = None,
) -> None:
    """Run the programs for one row.  `RaiseIgnore` skips the row."""
    for program in programs:
        program.run(ctx, old, new, or_conflict)


def fire_for_all(
    triggers: Triggers,
    ctx: ProgramContext,
    table: Table,
    or_conflict: str | None,
    write: Callable[[], tuple[Sequence[Change], Sequence[Change]] | None],
) -> bool:
    """Have `write` change many rows of a table, and run their triggers statement by statement, where that is the same:
    each statement of those that run after the rows writes a table of its own, and reads no other, and those before the
    rows do no more than refuse them, and refuse none.  False, with nothing written, where it is not, or anything fails.

    `write` gives the rows before and after: as triggers before them are shown them, and as those after them are."""
    if (
        table.database != "main"
    ):  # which the programs' tables may be, and then are to be made writable
        return False
    seen = {table.tree_id}
    after: list[tuple[Program, list[Any]]] = []
    for program in triggers.after:
        plans = program.apart(ctx, or_conflict)
        if plans is None:
            return False
        for plan in plans:
            if not isinstance(plan, CompiledQuery):
                if plan.apart_tree in seen:
                    return False
                seen.add(plan.apart_tree)
        after.append((program, plans))
    before: list[tuple[Program, list[Any] | None]] = []
    for program in triggers.before:
        plans = program.apart(ctx, or_conflict)
        if plans is not None and not all(isinstance(plan, CompiledQuery) for plan in plans):
            plans = None
        if plans is None and (program.when is None or not program.asks_nothing(ctx)):
            return False
        before.append((program, plans))
    session, transaction = ctx.session, ctx.transaction
    last_rowid = session.last_insert_rowid
    ctx.state.undo.needed()  # what the programs write is not noted
    savepoint = transaction.savepoint()
    done = False
    try:
        rows = write()
        if rows is not None:
            done = all(program.run_each(ctx, rows[0], plans) for program, plans in before)
            for program, plans in after if done else ():
                program.run_each(ctx, rows[1], plans)
    except Interrupted:
        raise
    except (SqlError, RaiseIgnore):  # row by row it is told for which row
        done = False
    if not done:
        transaction.rollback_to(savepoint)
        session.last_insert_rowid = last_rowid
        ctx.state.changed = 0
    transaction.release(savepoint)
    return done


def fire_after(
    programs: list[Program],
    ctx: ProgramContext,
    old: Keyed | None,
    new: Keyed | None,
    or_conflict: str | None = None,
) -> None:
    """AFTER triggers, which may end the row's steps but no longer undo it."""
    try:
        fire(programs, ctx, old, new, or_conflict)
    except RaiseIgnore:
        return
