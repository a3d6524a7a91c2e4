"""A database as SQL text, and a database copied into another.

The text is what the sqlite3 module's `iterdump` gives: sqlite3 loads it, and so does kvsh.  Raw keys come
last, as rows of a table `kv(key, value)`; sqlite3 makes that table, while here `CREATE TABLE IF NOT
EXISTS kv(key, value)` means the raw key space, which is always there.  Expiry times are not in the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec

from btree import CATALOG_TREE_ID, RAW_TREE_ID, KeySpace, Row, Transaction, Tree, TreeKind
from sql.errors import MisuseError
from sql.schema import Index, Table, quoted
from sql.values import real_to_text

if TYPE_CHECKING:
    from sql.schema import Schema
    from sql.session import Session

KV_DEFINITION = "CREATE TABLE IF NOT EXISTS kv(key PRIMARY KEY, value) WITHOUT ROWID;"


def dump_statements(
    session: Session,
    names: Set[str] | None = None,
    *,
    data_only: bool = False,
    like: str | None = None,
) -> Iterator[str]:
    """The statements that make the database anew, as of one moment; temporary objects left out.

    `names`: the lower-case names of the tables and views to give, with their indexes and triggers.  `like`: a
    pattern of the names of all that is to be given, each by its own.  `data_only`: nothing but the INSERTs, for a
    database that has the tables."""
    with session.reading() as transaction:
        schema = session.schema_of(transaction).main
        if like is not None:
            yield from _statements_like(transaction, schema, like)
            return
        if data_only:
            yield from _rows_alone(transaction, schema, names)
            return
        yield "BEGIN TRANSACTION;"
        yield from _tables(transaction, schema, names)
        for owner, _, text in _definitions(schema):
            if names is None or owner.lower() in names:
                yield f"{text};"
        sequence = schema.tables.get("sqlite_sequence")
        if sequence is not None and names is None:
            yield 'DELETE FROM "sqlite_sequence";'
            yield from _inserts(transaction, sequence)
        if names is None:
            yield from _raw_inserts(transaction, schema)
        yield "COMMIT;"


def _statements_like(transaction: Transaction, schema: Schema, pattern: str) -> Iterator[str]:
    """The statements for what has a name that is LIKE the pattern."""
    from sql.compile.patterns import like_predicate

    fits = like_predicate(pattern, None)
    yield "BEGIN TRANSACTION;"
    yield from _tables(transaction, schema, {name.lower() for name in schema.tables if fits(name)})
    for _, name, text in _definitions(schema):
        if fits(name):
            yield f"{text};"
    sequence = schema.tables.get("sqlite_sequence")
    if sequence is not None and fits(sequence.name):
        yield 'DELETE FROM "sqlite_sequence";'
        yield from _inserts(transaction, sequence)
    if fits("kv"):
        yield from _raw_inserts(transaction, schema)
    yield "COMMIT;"


def _tables(transaction: Transaction, schema: Schema, names: Set[str] | None) -> Iterator[str]:
    """The tables, by name, each with its rows."""
    for table in sorted(schema.tables.values(), key=lambda table: table.name):
        name = table.name.lower()
        if not name.startswith("sqlite_") and (names is None or name in names):
            yield f"{table.sql};"
            yield from _inserts(transaction, table)


def _rows_alone(transaction: Transaction, schema: Schema, names: Set[str] | None) -> Iterator[str]:
    """The INSERTs of all tables, and of the raw keys."""
    for table in sorted(schema.tables.values(), key=lambda table: table.name):
        name = table.name.lower()
        if not name.startswith("sqlite_") and (names is None or name in names):
            yield from _inserts(transaction, table)
    if names is None:
        yield from (text for text in _raw_inserts(transaction, schema) if text != KV_DEFINITION)


def _definitions(schema: Schema) -> list[tuple[str, str, str]]:
    """(owner, name, text) of the indexes, views and triggers, in the order of creation."""
    found: list[tuple[int, str, str, str]] = []
    for index in schema.indexes.values():
        if index.sql is not None:
            rowid = schema.rowids["index", index.name.lower()]
            found.append((rowid, index.table, index.name, index.sql))
    for view in schema.views.values():
        found.append((schema.rowids["view", view.name.lower()], view.name, view.name, view.sql))
    for trigger in schema.triggers.values():
        rowid = schema.rowids["trigger", trigger.name.lower()]
        found.append((rowid, trigger.table, trigger.name, trigger.sql))
    return [each[1:] for each in sorted(found)]


def _inserts(transaction: Transaction, table: Table) -> Iterator[str]:
    """One INSERT for each row, generated columns left out; formatted a leaf at a time."""
    stored = [place for place, column in enumerate(table.columns) if column.generated is None]
    escaped = quoted(table.name).replace("%", "%%")
    template = f"INSERT INTO {escaped} VALUES({','.join(['%s'] * len(stored))});"
    for _, rows in transaction.tree(table.tree_id).batches():
        columns = [literals(list(map(itemgetter(place), rows))) for place in stored]
        yield from map(template.__mod__, zip(*columns, strict=True))


def _raw_inserts(transaction: Transaction, schema: Schema) -> Iterator[str]:
    from sql.relations import shown

    pairs = KeySpace(transaction).scan()
    first = next(pairs, None)
    if first is None:
        return
    if schema.tables.get("kv") or schema.views.get("kv"):
        yield "-- The raw key space is not in this dump: a table named kv hides it."
        return
    yield KV_DEFINITION
    pair: tuple[bytes, bytes] | None = first
    while pair is not None:
        key, value = pair
        yield f'INSERT INTO "kv" VALUES({literal(shown(key))},{literal(shown(value))});'
        pair = next(pairs, None)


_PLAIN_REAL_MAX = 1e15


def literal(value: Any) -> str:
    """The value as a SQL literal; text with NUL or carriage return characters as an expression: sqlite3's shell, for one,
    takes \\r\\n of a script for the end of a line, which is \\n."""
    make = _LITERALS[value.__class__]
    return make(value)


def literals(column: list[Any]) -> Sequence[Any]:
    """A column's values as what `%s` makes literals of; a column of one kind without a call for each."""
    kinds = set(map(type, column))
    if kinds == {int}:
        return column
    if kinds == {str}:
        joined = "".join(column)
        if "'" not in joined and "\0" not in joined and "\r" not in joined:
            return [f"'{value}'" for value in column]
    elif kinds == {float}:
        texts = list(map(repr, column))
        joined = "".join(texts)
        # No exponent, no infinity: the digits are those that SQLite writes.
        if (
            "e" not in joined
            and "n" not in joined
            and -_PLAIN_REAL_MAX < min(column) <= max(column) < _PLAIN_REAL_MAX
        ):
            return texts
    return list(map(literal, column))


_UNSAFE = (("\0", r"\0", 0), ("\r", r"\r", 13))
"""Characters that some reader of scripts drops, what stands for them, and their code points."""


def _text(value: str) -> str:
    made = f"""'{value.replace("'", "''")}'"""
    for character, sign, code in _UNSAFE:
        if character in made:
            while sign in made:
                sign += "_"
            # One call however many there are: an expression must not grow deep.
            made = f"replace({made.replace(character, sign)},'{sign}',char({code}))"
    return made


def _real(value: float) -> str:
    if value in (float("inf"), float("-inf")):
        return "1e999" if value > 0 else "-1e999"
    text = real_to_text(value)
    return text if float(text) == value else repr(value)


_LITERALS: dict[type, Callable[[Any], str]] = {
    type(None): lambda value: "NULL",
    int: str,
    float: _real,
    str: _text,
    bytes: lambda value: f"X'{value.hex().upper()}'",
}


# -- copying ------------------------------------------------------------------------------------------------


def copy_database(
    source: Session,
    target: Session,
    progress: Callable[[int, int], object] | None = None,
    *,
    name: str = "main",
    into: str = "main",
) -> int:
    """Replace the content of a database of the target's by that of one of the source's, as of one moment; how many
    entries were copied.

    Raw keys keep their expiry, rows their rowids.  One transaction: all of it, or nothing.  `progress`
    is called with (entries done, entries in all) after each leaf; what it raises abandons the copy."""
    if target.in_transaction:
        raise MisuseError("the target has a transaction open")
    from sql.session_writes import attempt

    with source.reading() as joined, attempt(target, into) as (transaction, _):
        origin, goal = source.part_of(joined, name), target.part_of(transaction, into)
        _drop_everything(goal)
        copied = _Copied(0 if progress is None else _entries(origin), progress)
        _copy_entries(origin.tree(RAW_TREE_ID), goal.tree(RAW_TREE_ID), copied.add)
        catalog = goal.tree(CATALOG_TREE_ID)
        for rowids, rows in origin.tree(CATALOG_TREE_ID).batches():
            for rowid, row in zip(rowids, rows, strict=True):
                catalog.put(rowid, _copy_object(origin, goal, row, copied))
    target.forget_plans()
    return copied.entries


class _Copied:
    """How far a copy is."""

    def __init__(self, total: int, progress: Callable[[int, int], object] | None) -> None:
        self.entries = 0
        self._total = total
        self._progress = progress

    def add(self, entries: int) -> None:
        self.entries += entries
        if self._progress is not None:
            self._progress(self.entries, self._total)


def _entries(transaction: Transaction) -> int:
    """Keys, rows and index entries."""
    total = len(transaction.tree(RAW_TREE_ID))
    for _, rows in transaction.tree(CATALOG_TREE_ID).batches():
        total += sum(len(transaction.tree(row[3])) for row in rows if row[0] in ("table", "index"))
    return total


def _drop_everything(transaction: Transaction) -> None:
    for _, rows in list(transaction.tree(CATALOG_TREE_ID).batches()):
        for row in rows:
            if row[0] in ("table", "index"):
                transaction.drop_tree(row[3])
    transaction.tree(CATALOG_TREE_ID).clear()
    transaction.tree(RAW_TREE_ID).clear()


def _copy_object(origin: Transaction, goal: Transaction, row: Row, copied: _Copied) -> Row:
    """Copy a table's or an index's tree; what the catalog says of it in its new place."""
    if row[0] not in ("table", "index"):
        return row
    return _with_tree(row, copy_tree(origin, goal, row[3], copied.add))


def copy_tree(
    origin: Transaction, goal: Transaction, tree_id: int, progress: Callable[[int], object]
) -> int:
    """A new tree of `goal` with what a tree of `origin` holds: its id.  `progress` is told of each leaf's entries."""
    new_id = goal.create_tree(TreeKind(origin.tree(tree_id).kind))
    _copy_entries(origin.tree(tree_id), goal.tree(new_id), progress)
    return new_id


def catalog_trees(transaction: Transaction) -> dict[tuple[str, str], int]:
    """The trees of a database's tables and indexes, by ("table" or "index", lower-case name)."""
    return {
        (row[0], row[1].lower()): row[3]
        for _, rows in transaction.tree(CATALOG_TREE_ID).batches()
        for row in rows
        if row[0] in ("table", "index")
    }


def put_in_place(transaction: Transaction, trees: Mapping[int, int]) -> None:
    """Let the catalog name other trees: `trees` leads from the ids that it has to those that it is to have."""
    catalog = transaction.tree(CATALOG_TREE_ID)
    for rowids, rows in list(catalog.batches()):
        for rowid, row in zip(rowids, rows, strict=True):
            if row[0] in ("table", "index") and row[3] in trees:
                catalog.put(rowid, _with_tree(row, trees[row[3]]))


def _with_tree(row: Row, tree_id: int) -> Row:
    """What the catalog says of a table or an index, if another tree is its own."""
    kind, name, table, _, sql, record = row
    record_type: type[Table] | type[Index] = Table if kind == "table" else Index
    item = msgspec.msgpack.decode(record, type=record_type)
    encoded = msgspec.msgpack.encode(msgspec.structs.replace(item, tree_id=tree_id))
    return (kind, name, table, tree_id, sql, encoded)


def _copy_entries(old: Tree, new: Tree, progress: Callable[[int], object]) -> None:
    if old.kinds:
        new.widen(old.kinds)
    for keys, values in old.batches():
        new.load(list(keys), list(values) if values else None)
        progress(len(keys))
