"""Guards: on a terminal, what would be hard to take back is done in a savepoint and shown before it is kept.

    DELETE FROM invoice;
    deletes 412 of 412 rows of invoice - keep? [y/N]

UPDATE and DELETE without WHERE, DROP, and ALTER TABLE ... DROP COLUMN are guarded.  The counts are exact, since the
statement has run when the question is put.  While it waits for an answer, the writer's lock is held.  No guard in a
script, with `--yes`, or with `confirm = false`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kvsh.complete.tokens import OPERATOR, QUOTED, STRING, WORD, Token, significant, tokenize

if TYPE_CHECKING:
    from btree import Transaction
    from sql import Schema, Session

GUARD_SAVEPOINT = "kvsh guard"


@dataclass(frozen=True, slots=True)
class Danger:
    """What a guarded statement does: `verb` is delete, update, drop; `kind` of the object and its name."""

    verb: str
    kind: str
    name: str
    column: str = ""
    database: str | None = None


def danger_of(statement: str) -> Danger | None:
    """The danger of a SQL statement, or None if it needs no guard.

    >>> danger_of("DELETE FROM t")
    Danger(verb='delete', kind='table', name='t', column='', database=None)
    >>> danger_of("DELETE FROM t WHERE id = 1") is danger_of("SELECT 1") is None
    True
    """
    tokens = [token for token in significant(tokenize(statement)) if token.text != ";"]
    start = _after_with(tokens)
    if start >= len(tokens):
        return None
    verb = tokens[start].upper
    rest = tokens[start + 1 :]
    if verb == "DELETE" and rest and rest[0].upper == "FROM":
        return _unbounded("delete", rest[1:])
    if verb == "UPDATE":
        if rest and rest[0].upper == "OR":
            rest = rest[2:]
        return _unbounded("update", rest)
    if verb == "DROP" and len(rest) >= 2:
        return _dropped(rest)
    if verb == "ALTER" and start == 0:
        return _dropped_column(rest)
    return None


def _after_with(tokens: list[Token]) -> int:
    """Where the statement's own verb is, past common table expressions."""
    if not tokens or tokens[0].upper != "WITH":
        return 0
    depth = 0
    for position, token in enumerate(tokens):
        if token.kind == OPERATOR:
            depth += (token.text == "(") - (token.text == ")")
        elif depth == 0 and token.upper in (
            "SELECT",
            "INSERT",
            "UPDATE",
            "DELETE",
            "REPLACE",
            "VALUES",
        ):
            return position
    return len(tokens)


def _unbounded(verb: str, rest: list[Token]) -> Danger | None:
    """The danger of an UPDATE or DELETE whose own level has neither WHERE nor LIMIT."""
    depth = 0
    for token in rest:
        if token.kind == OPERATOR:
            depth += (token.text == "(") - (token.text == ")")
        elif depth == 0 and token.upper in ("WHERE", "LIMIT"):
            return None
    database, name = _name(rest)
    return Danger(verb, "table", name, database=database) if name else None


def _name(tokens: list[Token]) -> tuple[str | None, str]:
    """The name at the start, and the database that it is qualified with."""
    database = None
    if len(tokens) >= 3 and tokens[1].text == ".":
        database = tokens[0].name.lower()
        tokens = tokens[2:]
    if tokens and tokens[0].kind in (WORD, QUOTED, STRING):
        return database, tokens[0].name
    return database, ""


def _dropped(rest: list[Token]) -> Danger | None:
    kind = rest[0].text.lower()
    if kind not in ("table", "index", "view", "trigger"):
        return None
    names = rest[3:] if [token.upper for token in rest[1:3]] == ["IF", "EXISTS"] else rest[1:]
    database, name = _name(names)
    return Danger("drop", kind, name, database=database) if name else None


def _dropped_column(rest: list[Token]) -> Danger | None:
    words = [token.upper for token in rest]
    if "DROP" not in words[1:]:
        return None
    at = words.index("DROP", 1)
    after = rest[at + 2 :] if words[at + 1 : at + 2] == ["COLUMN"] else rest[at + 1 :]
    database, name = _name(rest[1:])
    _, column = _name(after)
    return Danger("drop", "column", name, column, database) if name and column else None


def rows_of(danger: Danger, schema: Schema, transaction: Transaction) -> int | None:
    """How many rows the table in danger has; None if there is no such table."""
    table = schema.find_table(danger.name, danger.database)
    if table is None:
        return None
    return len(transaction.tree(table.tree_id))


def question(danger: Danger, schema: Schema, *, touched: int, total: int | None) -> str:
    """What the user is asked; `schema` is as it was before the statement."""
    if danger.verb == "delete":
        what = f"deletes {touched:,}{_of(total)} of {danger.name}"
    elif danger.verb == "update":
        what = f"changes {touched:,}{_of(total)} of {danger.name}"
    elif danger.kind == "column":
        what = f"drops column {danger.column} of {danger.name}{_with_rows(total)}"
    elif danger.kind == "table":
        what = f"drops table {danger.name}{_with_rows(total)}{_with_parts(danger, schema)}"
    else:
        what = f"drops {danger.kind} {danger.name}"
    return f"{what} - keep? [y/N]"


def _of(total: int | None) -> str:
    return "" if total is None else f" of {total:,} row{'' if total == 1 else 's'}"


def _with_rows(total: int | None) -> str:
    return "" if total is None else f" with {total:,} row{'' if total == 1 else 's'}"


def _with_parts(danger: Danger, schema: Schema) -> str:
    layer = schema.layer(danger.database) or schema
    indexes = sum(1 for index in layer.indexes_on(danger.name) if index.origin == "c")
    triggers = len(layer.triggers_on(danger.name))
    parts = [
        f"{count} {noun if count == 1 else plural}"
        for count, noun, plural in (
            (indexes, "index", "indexes"),
            (triggers, "trigger", "triggers"),
        )
        if count
    ]
    return f", {' and '.join(parts)}" if parts else ""


@contextmanager
def provisional(session: Session) -> Iterator[Provision]:
    """Everything inside is undone at the end, unless `keep()` was called: in a transaction of its own, or, where one
    is open, behind a savepoint of it."""
    provision = Provision(session)
    try:
        yield provision
    except BaseException:
        provision.undo()
        raise
    provision.finish()


class Provision:
    """Work that may still be undone as a whole."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._is_nested = session.in_transaction
        self.is_kept = False
        if self._is_nested:
            session.savepoint(GUARD_SAVEPOINT)
        else:
            session.begin("IMMEDIATE")

    def keep(self) -> None:
        """What was done stays."""
        self.is_kept = True

    def finish(self) -> None:
        """End as decided."""
        if not self.is_kept:
            self.undo()
        elif self._is_nested:
            self._session.release(GUARD_SAVEPOINT)
        else:
            self._session.commit()

    def undo(self) -> None:
        """Undo, whatever state the statement left the session in."""
        if not self._session.in_transaction:
            return  # the statement itself ended the transaction (an error under OR ROLLBACK)
        if self._is_nested:
            self._session.rollback_to(GUARD_SAVEPOINT)
            self._session.release(GUARD_SAVEPOINT)
        else:
            self._session.rollback()
