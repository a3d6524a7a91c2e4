"""Row triggers: which ones fire.  https://www.sqlite.org/lang_createtrigger.html."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sql.dml.programs import Keyed, Program, ProgramContext
from sql.parse import parse_expression, parse_statement
from sql.run.arithmetic import RaiseIgnore

if TYPE_CHECKING:
    from sql.bind import BindEnvironment
    from sql.schema import Table, Trigger
    from sql.session import Session

_SCOPES = {"INSERT": ("new",), "UPDATE": ("old", "new"), "DELETE": ("old",)}


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
        found = [
            trigger
            for trigger in _on(session, env, table)
            if trigger.event == event and _concerns(trigger, changed)
        ]
        self.before = _programs(session, table, found, "BEFORE")
        self.after = _programs(session, table, found, "AFTER")
        self.instead = _programs(session, table, found, "INSTEAD OF")

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return bool(self.before or self.after or self.instead)


def _on(session: Session, env: BindEnvironment, table: Table) -> list[Trigger]:
    """A table's triggers in the order of firing: temporary ones, then the others, newest first."""
    schema = session.schema_of(env.transaction)
    temporary = [] if schema.temp is None else schema.temp.triggers_on(table.name)
    if table.temporary:
        return temporary
    return [*temporary, *reversed(schema.main.triggers_on(table.name))]


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
    programs: dict[int, tuple[Trigger, Table, Program]]
    programs = vars(session).setdefault("trigger_programs", {})
    found = programs.get(id(trigger))
    if found is not None and found[0] is trigger and found[1] == table:
        return found[2]
    for number, (other, _, _) in list(programs.items()):
        if other.name == trigger.name:
            del programs[number]
    program = Program(
        session,
        table,
        tuple(parse_statement(text) for text in trigger.body),
        when=None if trigger.when is None else parse_expression(trigger.when),
        scopes=_SCOPES[trigger.event],
        main_only=not trigger.temporary,
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
