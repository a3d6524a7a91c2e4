"""`.undo` and `.dry`: take the last committed statement back, or see what one would change.

Undo keeps a snapshot of the moment before each statement (snapshots cost nothing but the space of what is
replaced), for the newest `UNDO_MAX` of them.  To undo is to compare that snapshot with now, tree by tree, and to write
the difference back in a new commit: so the counts are exact, triggers and cascades are taken back too, and the log stays
whole.  Refused with a reason: where nothing is to be undone, where a transaction is open, and where somebody else
has committed since.

A dry run does the statement, compares, and rolls back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from btree import RAW_TREE_ID, Transaction
from kvsh.difference import Difference, difference, reverse, snapshot

if TYPE_CHECKING:
    from btree import Store
    from sql import Schema, Session

UNDO_MAX = 20


class UndoError(Exception):
    """Nothing can be undone now; the message says why."""


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one table, or to the raw keys."""

    name: str
    noun: str  # row, key
    removed: int
    added: int
    changed: int
    total: int  # entries before

    def __bool__(self) -> bool:
        return bool(self.removed or self.added or self.changed)


@dataclass(slots=True)
class Changes:
    """What one statement did: to entries, and to the schema (`created`, `dropped`, `altered` names)."""

    entries: list[Change] = field(default_factory=list)
    created: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.entries or self.created or self.dropped or self.altered)


def said(changes: Changes, verbs: tuple[str, str, str]) -> list[str]:
    """The changes in sentences, with `verbs` for entries removed, added and changed.

    >>> one = Change("t", "row", removed=1204, added=0, changed=1, total=5000)
    >>> said(Changes([one]), ("deletes", "inserts", "changes"))
    ['deletes 1,204 of 5,000 rows of t, changes 1 row']
    """
    lines = [f"{verb} {', '.join(names)}" for verb, names in (
        ("creates", changes.created), ("drops", changes.dropped), ("alters", changes.altered)
    ) if names]  # fmt: skip
    for change in changes.entries:
        parts: list[str] = []
        counts = zip(verbs, (change.removed, change.added, change.changed), strict=True)
        for number, (verb, count) in enumerate(counts):
            if not count:
                continue
            noun = change.noun if count == 1 else change.noun + "s"
            if number != 1 and not parts:
                parts.append(
                    f"{verb} {count:,} of {change.total:,} {_plural(change)} of {change.name}"
                )
            elif not parts:
                parts.append(
                    f"{verb} {count:,} {noun} {'into' if number == 1 else 'of'} {change.name}"
                )
            else:
                parts.append(f"{verb} {count:,} {noun}")
        lines.append(", ".join(parts))
    return lines


def _plural(change: Change) -> str:
    return change.noun if change.total == 1 else change.noun + "s"


def tree_names(schema: Schema) -> dict[int, tuple[str, str]]:
    """tree id -> (name, noun) of what a user calls data: tables and the raw key space, no indexes."""
    names = {RAW_TREE_ID: ("kv", "key")}
    for database, layer in schema.layers().items():
        before = "" if database == "main" else f"{database}."
        for table in layer.tables.values():
            names[table.tree_id] = (f"{before}{table.name}", "row")
    return names


def _change(
    tree_id: int, found: Difference, total: int, names: dict[int, tuple[str, str]]
) -> Change | None:
    if tree_id not in names:
        return None
    name, noun = names[tree_id]
    return Change(name, noun, len(found.removed), len(found.added), len(found.changed), total)


def _schema_changes(before: Schema, after: Schema, changes: Changes, prefix: str = "") -> None:
    """Objects of a database that came, went, or are no longer what they were."""
    for kind in ("tables", "views", "indexes", "triggers"):
        old, new = getattr(before, kind), getattr(after, kind)
        noun = {"indexes": "index"}.get(kind, kind[:-1])
        changes.created += [f"{noun} {prefix}{new[key].name}" for key in new if key not in old]
        changes.dropped += [f"{noun} {prefix}{old[key].name}" for key in old if key not in new]
        if kind == "tables":
            changes.altered += [
                f"table {prefix}{old[key].name}"
                for key in old
                if key in new and old[key].columns != new[key].columns
            ]


# -- dry runs ----------------------------------------------------------------------------------------


def dry_run(session: Session, run: Callable[[], None]) -> Changes:
    """What `run` changes in the session's database; everything is rolled back.  Its errors pass through."""
    from kvsh.guard import provisional

    schema = session.schema
    with provisional(session):
        with session.writing() as transaction:
            before = {
                tree_id: transaction.tree(tree_id).state for tree_id in transaction.tree_ids()
            }
        run()
        new_schema = session.schema
        after: dict[int, list[tuple[list[object], list[object]]]] = {}
        with session.writing() as transaction:
            for tree_id in transaction.tree_ids():
                tree = transaction.tree(tree_id)
                if before.get(tree_id) is not tree.state:
                    after[tree_id] = snapshot(tree)
            gone = [tree_id for tree_id in before if tree_id not in transaction.tree_ids()]
    changes = Changes()
    for database, layer in new_schema.layers().items():
        known = schema.layer(database)
        if known is not None:
            prefix = "" if database == "main" else f"{database}."
            _schema_changes(known, layer, changes, prefix)
    names = tree_names(schema)
    with session.reading() as transaction:
        for tree_id in sorted({*after, *gone}):
            if tree_id not in names or tree_id not in before:
                continue
            tree = transaction.tree(tree_id)
            now = iter(after[tree_id]) if tree_id in after else None
            found = difference(tree.batches(), now, session.cancellation.check)
            change = _change(tree_id, found, len(tree), names)
            if change:
                changes.entries.append(change)
    _count_new_tables(new_schema, names, after, changes)
    return changes


def _count_new_tables(
    schema: Schema,
    old_names: dict[int, tuple[str, str]],
    after: dict[int, list[tuple[list[object], list[object]]]],
    changes: Changes,
) -> None:
    for tree_id, (name, noun) in tree_names(schema).items():
        if tree_id not in old_names and tree_id in after:
            count = sum(len(keys) for keys, _ in after[tree_id])
            if count:
                changes.entries.append(Change(name, noun, 0, count, 0, 0))


# -- undo --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Entry:
    """A step that can be taken back.  Of commits since some moment, those of others are the ones that this shell has
    not counted as its own; its own between two steps, of `.checkpoint` and the like, change nothing."""

    statement: str
    before: Transaction  # a read transaction that began before it
    schema: Schema
    own_before: int  # this shell's commits until then
    commit: int  # the newest commit when it was done
    own: int  # this shell's commits until then
    elsewhere: str = ""  # an attached database that it wrote to, which is not taken back

    def others_meanwhile(self) -> bool:
        """Whether somebody else has committed while it ran."""
        return self.commit - self.before.commit_number != self.own - self.own_before

    def others_since(self, commit: int, own: int) -> bool:
        """Whether somebody else has committed between it and a later moment."""
        return commit - self.commit != own - self.own


class UndoLog:
    """The newest statements that can be taken back.  One per shell; not for scripts."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._entries: list[_Entry] = []
        self._pending: Transaction | None = None
        self._pending_schema: Schema | None = None
        self._pending_others: dict[str, int] = {}
        self._pending_own = 0
        self._statements: list[str] = []

    def before(self, session: Session) -> None:
        """Call before each statement."""
        if self._pending is None and not session.in_transaction and not self._store.readonly:
            self._pending = self._store.begin()
            self._pending_schema = session.schema
            self._pending_others = _commits_of_others(session)
            self._pending_own = self._own_commits(self._pending)

    def _own_commits(self, now: Transaction) -> int:
        """How many commits this shell has made; in memory all are its own."""
        count = getattr(self._store, "own_commits", None)
        return now.commit_number if count is None else count()

    def after(self, session: Session, statement: str) -> None:
        """Call after each statement, failed or not."""
        self._statements.append(" ".join(statement.split()))
        if session.in_transaction or self._pending is None:
            return
        before, schema, statements = self._pending, self._pending_schema, self._statements
        self._pending, self._statements = None, []
        now = self._store.begin()
        commit, own = now.commit_number, self._own_commits(now)
        now.rollback()
        others = _commits_of_others(session)
        written = [
            name for name, number in self._pending_others.items() if others.get(name) != number
        ]
        elsewhere = written[0] if written and written[0] in others else ""
        if (commit == before.commit_number and not elsewhere) or schema is None:
            before.rollback()
            return
        text = (
            statements[-1]
            if len(statements) == 1
            else f"transaction of {len(statements)} statements"
        )
        self._entries.append(
            _Entry(text, before, schema, self._pending_own, commit, own, elsewhere)
        )
        if len(self._entries) > UNDO_MAX:
            self._entries.pop(0).before.rollback()

    def forget(self) -> None:
        """Let go of every snapshot (another database is opened, the shell ends)."""
        for entry in self._entries:
            entry.before.rollback()
        self._entries.clear()
        if self._pending is not None:
            self._pending.rollback()
            self._pending = None

    def undo(self, session: Session) -> tuple[str, Changes]:
        """Take the newest statement back: its text, and what was put right.  Raises UndoError."""
        if session.in_transaction:
            raise UndoError("a transaction is open: ROLLBACK takes it back")
        if not self._entries:
            raise UndoError("nothing to undo: no statement of this session has changed anything")
        entry = self._entries[-1]
        if entry.elsewhere:
            raise UndoError(
                f"{_short(entry.statement)!r} has written to {entry.elsewhere}:"
                " what is written to attached databases is not taken back"
            )
        if entry.others_meanwhile():
            raise UndoError(
                f"somebody else has committed while {_short(entry.statement)!r} ran:"
                " it can't be taken back alone"
            )
        with session.writing() as joined:
            transaction = session.part_of(joined, "main")
            commit, own = transaction.commit_number, self._own_commits(transaction)
            if entry.others_since(commit, own):
                raise UndoError(
                    f"commit {commit:,} of somebody else came after"
                    f" {_short(entry.statement)!r}: it can't be taken back alone"
                )
            changes = self._write_back(entry, transaction, session)
        entry.before.rollback()
        self._entries.pop()
        last = self._entries[-1] if self._entries else None
        if last is not None and not last.others_since(entry.before.commit_number, entry.own_before):
            now = self._store.begin()
            last.own = self._own_commits(now)
            last.commit = commit + last.own - own  # whatever others have done since
            now.rollback()
        return _short(entry.statement), changes

    def _write_back(self, entry: _Entry, transaction: Transaction, session: Session) -> Changes:
        """Give each tree what it held.  One that was dropped is made anew under another id, since none is used twice;
        the catalog names that."""
        from sql import copy_tree, put_in_place

        changes = Changes()
        _schema_changes(session.schema.main, entry.schema.main, changes)
        names, check = tree_names(session.schema), session.cancellation.check
        now_ids = set(transaction.tree_ids())
        trees = _same_trees(entry.before, transaction)
        for tree_id in entry.before.tree_ids():
            old = entry.before.tree(tree_id)
            if tree_id not in trees:
                trees[tree_id] = copy_tree(entry.before, transaction, tree_id, lambda _: check())
                name, noun = tree_names(entry.schema).get(tree_id, ("", ""))
                if name and len(old):
                    changes.entries.append(Change(name, noun, 0, len(old), 0, 0))
                continue
            new = transaction.tree(trees[tree_id])
            if old.state is new.state:
                continue
            found = difference(new.batches(), old.batches(), check)
            change = _change(trees[tree_id], found, len(new), names)
            if change:
                changes.entries.append(change)
            reverse(new, _swapped(found))
        for tree_id in now_ids.difference(trees.values()):
            transaction.drop_tree(tree_id)
        put_in_place(transaction, {then: now for then, now in trees.items() if then != now})
        return changes


def _same_trees(before: Transaction, now: Transaction) -> dict[int, int]:
    """The trees that there are still, by the ids that they had: those of the same id, and those of the same table or
    index, which was dropped and came back."""
    from sql import catalog_trees

    ids = set(now.tree_ids())
    same = {tree_id: tree_id for tree_id in before.tree_ids() if tree_id in ids}
    by_name = catalog_trees(now)
    for name, tree_id in catalog_trees(before).items():
        other = by_name.get(name)
        if (
            tree_id not in same
            and other is not None
            and other not in same
            and before.tree(tree_id).kind is now.tree(other).kind
        ):
            same[tree_id] = other
    return same


def _commits_of_others(session: Session) -> dict[str, int]:
    """The newest commits of attached databases, by their names."""
    found = {}
    for other in session.others.values():
        if not other.is_temporary:
            now = other.store.begin()
            found[other.name] = now.commit_number
            now.rollback()
    return found


def _swapped(found: Difference) -> Difference:
    """The same difference seen from the other side."""
    return Difference(
        found.added, found.removed, {k: (b, a) for k, (a, b) in found.changed.items()}
    )


def _short(statement: str) -> str:
    return statement if len(statement) <= 60 else statement[:57] + "..."
