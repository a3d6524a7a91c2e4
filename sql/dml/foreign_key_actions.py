"""A foreign key as its parents see it: how many children refer to a row, and ON DELETE / ON UPDATE.

The scan of children and the actions are SQL, with the parent's row as OLD: comparisons take the parent
column's affinity and collation, as SQLite's do, and the planner finds the child's index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sql.collations import folding
from sql.compile import prepare_select
from sql.dml.programs import OLD_SOURCE, Keyed, Program, ProgramContext
from sql.errors import ConstraintError
from sql.parse import parse_statement
from sql.schema import quoted

if TYPE_CHECKING:
    from sql.dml.foreign_key_parents import ParentKey
    from sql.schema import ForeignKey, Table
    from sql.session import Session

Row = tuple[Any, ...]


class Children:
    """The children of one parent table under one constraint."""

    def __init__(self, session: Session, child: Table, key: ForeignKey, parent: ParentKey) -> None:
        self.session = session
        self.child = child
        self.key = key
        self.parent = parent
        self._count: Any = None
        self._programs: dict[str, Program] = {}

    def same_key(self, row: Row, other: Row | None) -> bool:
        """Whether nothing changes for the children: the key has a NULL, or is the same in both rows."""
        values = self.parent.values(row)
        if values is None:
            return True
        return (
            other is not None
            and values == self.parent.values(other)
            and all(row[place].__class__ is other[place].__class__ for place in self.parent.places)
        )

    # -- scans -----------------------------------------------------------------------------------

    def _pairs(self) -> list[tuple[str, str]]:
        """Per column, the parent's in OLD and the child's."""
        columns = self.parent.table.columns
        return [
            (quoted(columns[place].name), quoted(self.child.columns[own].name))
            for place, own in zip(self.parent.places, self.key.columns, strict=True)
        ]

    def _where(self, scope: str = "OLD") -> str:
        return " AND ".join(f"{scope}.{theirs} = {own}" for theirs, own in self._pairs())

    def count(self, ctx: ProgramContext, old: Keyed) -> int:
        """Rows that refer to a parent row, itself left out."""
        query = self._count
        if query is None or not query.is_still_valid(ctx.transaction):
            query = self._count = self._prepared_count(ctx)
        inner = ProgramContext(ctx, (), ctx.state)
        inner.outer_rows[OLD_SOURCE] = old
        number: int = next(iter(query.run(inner)))[0][0]
        return number

    def _prepared_count(self, ctx: ProgramContext) -> Any:
        child, parent = self.child, self.parent.table
        text = f"SELECT count(*) FROM {_target(child)} WHERE {self._where('parent')}"
        if child.tree_id == parent.tree_id:
            if child.without_rowid:
                keys = [quoted(child.columns[place].name) for place in child.primary_key]
                same = " AND ".join(f"{key} IS parent.{key}" for key in keys)
                text += f" AND NOT ({same})"
            else:
                text += " AND rowid <> parent.rowid"
        env = self.session.environment(
            ctx.transaction, extra_scopes={"parent": (parent, OLD_SOURCE)}
        )
        statement: Any = parse_statement(text)
        return prepare_select(statement.tree, env)

    # -- actions ---------------------------------------------------------------------------------

    def act(self, ctx: ProgramContext, old: Keyed, new: Keyed | None) -> None:
        """What the constraint says for a deleted or changed row."""
        action = self.key.on_delete if new is None else self.key.on_update
        if action == "NO ACTION":
            return
        if new is not None and self._equal(ctx, old[1], new[1]):
            return
        if action == "RESTRICT":
            if not self.session.defer_foreign_keys and self.count(ctx, old):
                raise ConstraintError("FOREIGN KEY constraint failed", kind="TRIGGER")
            return
        event = "DELETE" if new is None else "UPDATE"
        program = self._programs.get(event)
        if program is None:
            program = self._programs[event] = self._program(action, event)
        program.run(ctx, old, new)

    def program_on_delete(self) -> Program | None:
        """What ON DELETE does to the children; None if it does nothing to them."""
        action = self.key.on_delete
        if action in ("NO ACTION", "RESTRICT"):
            return None
        return self._program(action, "DELETE")

    def _equal(self, ctx: ProgramContext, old: Row, new: Row) -> bool:
        """Whether the key is the same under the parent's collations."""
        for place in self.parent.places:
            column = self.parent.table.columns[place]
            fold = folding(column.collation, ctx.functions.collations)
            before, after = old[place], new[place]
            if (before if fold is None else fold(before)) != (
                after if fold is None else fold(after)
            ):
                return False
        return True

    def _program(self, action: str, event: str) -> Program:
        if action == "CASCADE" and event == "DELETE":
            text = f"DELETE FROM {quoted(self.child.name)} WHERE {self._where()}"
        else:
            settings = []
            for (theirs, own), place in zip(self._pairs(), self.key.columns, strict=True):
                value = "NULL"
                if action == "CASCADE":
                    value = f"NEW.{theirs}"
                elif action == "SET DEFAULT":
                    value = f"({self.child.columns[place].default or 'NULL'})"
                settings.append(f"{own} = {value}")
            # As in SQLite, which thereby overrides the clauses of constraints and of what triggers do.
            update = f"UPDATE OR ABORT {quoted(self.child.name)} SET {', '.join(settings)}"
            text = f"{update} WHERE {self._where()}"
        return Program(
            self.session,
            self.parent.table,
            (parse_statement(text),),
            scopes=("old",) if event == "DELETE" else ("old", "new"),
            repeats=True,
            database=None if self.child.database == "temp" else self.child.database,
            is_pure=action != "SET DEFAULT",  # which may be anything
        )


def _target(table: Table) -> str:
    return f"{quoted(table.database)}.{quoted(table.name)}"
