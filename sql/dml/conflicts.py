"""What is done about rows that are in the way of a row: which constraint is looked at when, and how a
conflict in it ends.

The statement's OR clause wins over the constraint's own ON CONFLICT clause, which wins over ABORT; an
upsert's clause wins over all of them.  Constraints that REPLACE come last, so that nothing is removed
for a row that another constraint refuses.  Sources: https://www.sqlite.org/lang_conflict.html,
https://www.sqlite.org/lang_upsert.html, and insert.c of SQLite for the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from sql.errors import ConstraintError, SqlError

if TYPE_CHECKING:
    from sql.dml.index_keys import IndexKeys
    from sql.dml.records import TableRecords
    from sql.dml.upsert import UpsertClause


class Skipped(Exception):
    """OR IGNORE, or ON CONFLICT DO NOTHING: the row is left out."""


class Resolution(Struct, frozen=True):
    """A unique constraint (None: the tree's own key) and the `action` in a conflict: ABORT, FAIL,
    ROLLBACK, IGNORE, REPLACE, or UPDATE with its `clause`."""

    constraint: IndexKeys | None
    action: str
    clause: UpsertClause | None = None


def resolutions(
    records: TableRecords,
    or_conflict: str | None,
    clauses: Sequence[UpsertClause] = (),
) -> list[Resolution]:
    """All unique constraints of a table in the order in which they are checked."""
    found = [
        _resolution(records, constraint, or_conflict, clauses) for constraint in records.constraints
    ]
    if clauses and not clauses[0].everything:
        return _by_clauses(found, clauses, has_rowid=not records.table.without_rowid)
    if (
        or_conflict is None
        and found[0].constraint is None
        and found[0].action == "REPLACE"
        and not records.table.without_rowid
    ):
        found.append(found.pop(0))
    return found


def touched(
    order: Sequence[Resolution], records: TableRecords, assigned: frozenset[int]
) -> list[Resolution]:
    """Those constraints that an UPDATE of these columns (-1: the rowid) may break."""
    changed = assigned | set(records.generated)
    moves = records.moves(assigned)
    return [
        item
        for item in order
        if (moves if item.constraint is None else item.constraint.depends_on(changed))
    ]


def _resolution(
    records: TableRecords,
    constraint: IndexKeys | None,
    or_conflict: str | None,
    clauses: Sequence[UpsertClause],
) -> Resolution:
    for clause in clauses:
        if clause.covers(constraint):
            action = "IGNORE" if clause.clause.assignments is None else "UPDATE"
            return Resolution(constraint, action, clause)
    return Resolution(constraint, or_conflict or records.own_conflict(constraint) or "ABORT")


def _by_clauses(
    found: list[Resolution], clauses: Sequence[UpsertClause], *, has_rowid: bool
) -> list[Resolution]:
    """Constraints that clauses name come first, in the clauses' order, then a rowid that none of them names."""
    ordered: list[Resolution] = []
    for clause in clauses:
        ordered += [
            item
            for item in found
            if item.clause is clause and not clause.everything and item not in ordered
        ]
    own_key = [item for item in found if has_rowid and item.constraint is None]
    unique: list[Resolution] = []
    for item in [*ordered, *own_key, *found]:
        if item not in unique:
            unique.append(item)
    return unique


def constraint_error(message: str, kind: str, conflict: str) -> ConstraintError:
    """The error of a broken constraint; `conflict` says what becomes of the statement."""
    error = ConstraintError(message, kind=kind)
    error.conflict = conflict
    return error


def datatype_mismatch() -> ConstraintError:
    """A rowid that is no integer."""
    return ConstraintError("datatype mismatch", kind="MISMATCH")


def full() -> SqlError:
    """No rowid is left."""
    return SqlError("database or disk is full")
