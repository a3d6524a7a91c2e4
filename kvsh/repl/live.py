"""The open database as completion sees it: names from the schema, keys and values by bounded range scans.

Every look-up is bounded in seeks, rows and time, so it costs the same with a thousand keys and with a hundred
million.  Keys are offered like paths: `user:` stands for all keys that start so, found by seeking past each
group rather than by reading it.

    us|   ->  user:  (about 1,000,000 keys)     user:1|  ->  user:1, user:10, user:100, ...

Threads: the completer runs in a thread of its own.  `lock` is held while it reads, and by the shell while a statement
runs, so that a session serves one thread at a time.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from btree import prefix_end
from kvsh.complete import ColumnInfo, Datum, ForeignKeyInfo, Relation, SchemaNames

if TYPE_CHECKING:
    from btree import Transaction, Tree, Value
    from sql import Schema, Session, SqlValue, Table, View

RAW_TREE_ID = 1
BUDGET_SECONDS = 0.015
_SEEKS_MAX = 64
_SAMPLE_ROWS_MAX = 5_000
_SEPARATORS = b":/|#."
_RUN_MAX = 15
_VALUE_LENGTH_MAX = 60


class LiveCatalog:
    """`kvsh.complete.Catalog` over a session."""

    def __init__(self, session: Session) -> None:
        self.lock = threading.RLock()
        self._session = session
        self._schema: Schema | None = None
        self._names = SchemaNames()
        self._samples: dict[tuple[int, int], _Sample] = {}

    def attach(self, session: Session) -> None:
        """Look at another database from now on."""
        with self.lock:
            self._session = session
            self._schema = None
            self._samples.clear()

    def schema(self) -> SchemaNames:
        with self.lock:
            schema = self._session.schema
            if schema is not self._schema:
                self._names = schema_names(schema)
                self._schema = schema
            return self._names

    def preload(self) -> None:
        """Read the schema ahead of the first completion."""
        self.schema()

    def keys(self, prefix: str, limit: int) -> Sequence[Datum]:
        lowered = _key_prefix(prefix)
        if lowered is None:
            return ()
        with self.lock, self._session.reading() as transaction:
            return fold_keys(
                transaction.tree(RAW_TREE_ID), lowered, limit, is_hex=prefix[:2] == "x'"
            )

    def values(self, relation: str, column: str, prefix: str, limit: int) -> Sequence[Datum]:
        with self.lock:
            schema = self._session.schema
            table = schema.table(relation)
            position = _column_position(table, column)
            if table is None or position is None:
                return ()
            with self._session.reading() as transaction:
                tree = _ordering_tree(schema, table, position, transaction)
                if tree is not None:
                    return distinct_values(tree, prefix, limit)
                if position == table.rowid_alias:
                    return ()
                return self._sampled(transaction.tree(table.tree_id), position, prefix, limit)

    def _sampled(self, tree: Tree, position: int, prefix: str, limit: int) -> Sequence[Datum]:
        key = (tree.id, position)
        sample = self._samples.get(key)
        if sample is None or sample.state is not tree.state:
            sample = self._samples[key] = take_sample(tree, position)
        found = [
            _datum(value, count if sample.is_whole else 0)
            for value, count in sample.counts
            if _starts(value, prefix)
        ]
        return found[:limit]


# -- names -------------------------------------------------------------------------------------------


def schema_names(schema: Schema) -> SchemaNames:
    """The catalog's records as names for completion."""
    relations = _relations(schema)
    relations.setdefault(
        "kv", Relation("kv", (ColumnInfo("key", "TEXT"), ColumnInfo("value", "TEXT")), "table")
    )
    names = ("type", "name", "tbl_name", "rootpage", "sql")
    relations.setdefault(
        "sqlite_master", Relation("sqlite_master", tuple(map(ColumnInfo, names)), "view")
    )
    layers = schema.layers() if schema.attached else {}
    return SchemaNames(
        relations,
        {index.name: index.table for index in schema.indexes.values()},
        [trigger.name for trigger in schema.triggers.values()],
        databases={database: _relations(layer) for database, layer in layers.items()},
    )


def _relations(schema: Schema) -> dict[str, Relation]:
    """Tables and views by their lower-case names."""
    relations: dict[str, Relation] = {}
    for table in schema.tables.values():
        keys = []
        for key in table.foreign_keys:
            parent = schema.find_table(key.parent, table.database)
            parent_columns = key.parent_columns or (
                tuple(parent.columns[i].name for i in _primary_key(parent)) if parent else ()
            )
            own = tuple(table.columns[i].name for i in key.columns)
            keys.append(ForeignKeyInfo(own, key.parent, tuple(parent_columns)))
        columns = tuple(ColumnInfo(c.name, c.declared_type or "") for c in table.columns)
        relations[table.name.lower()] = Relation(table.name, columns, "table", tuple(keys))
    for view in schema.views.values():
        relations[view.name.lower()] = Relation(view.name, _view_columns(view, relations), "view")
    return relations


def _primary_key(table: Table) -> tuple[int, ...]:
    if table.primary_key:
        return tuple(table.primary_key)
    return (table.rowid_alias,) if table.rowid_alias is not None else ()


def _view_columns(view: View, relations: dict[str, Relation]) -> tuple[ColumnInfo, ...]:
    """The view's result columns, from its text by the completion's own analysis."""
    if view.columns:
        return tuple(map(ColumnInfo, view.columns))
    from kvsh.complete.blocks import outputs
    from kvsh.complete.scope import situate
    from kvsh.complete.tokens import significant, tokenize

    tokens = significant(tokenize(view.select))
    block = situate(tokens, 0).block
    return outputs(block.compound_of or block, SchemaNames(relations))


def _column_position(table: Table | None, column: str) -> int | None:
    if table is None:
        return None
    lowered = column.lower()
    for position, one in enumerate(table.columns):
        if one.name.lower() == lowered:
            return position
    return None


# -- keys --------------------------------------------------------------------------------------------


def _key_prefix(prefix: str) -> bytes | None:
    """What was typed as bytes; `x'00f` as the bytes it spells so far; None if it spells none."""
    if prefix[:2] != "x'":
        return prefix.encode(errors="surrogateescape")
    digits = prefix[2:].rstrip("'")
    try:
        return bytes.fromhex(digits[: len(digits) // 2 * 2])
    except ValueError:
        return None


def fold_keys(tree: Tree, prefix: bytes, limit: int, *, is_hex: bool = False) -> list[Datum]:
    """Keys that start with `prefix`, those that share their next segment folded into one.

    Of many keys without segments that share the next byte, the first `_RUN_MAX` and their beginning."""
    fold = _Fold(tree, prefix, limit, is_hex)
    low: bytes | None = prefix or None
    high = prefix_end(prefix)
    until = time.monotonic() + BUDGET_SECONDS
    for _ in range(_SEEKS_MAX):
        batch = next(iter(tree.batches(low, high)), None)
        if batch is None:
            break
        low = fold.take(*batch)  # however long it took: what has been read is offered
        if low is None or len(fold.out) >= limit or time.monotonic() > until:
            break
    return fold.out


class _Fold:
    """The keys found so far, and the run of unsegmented ones that is being listed."""

    def __init__(self, tree: Tree, prefix: bytes, limit: int, is_hex: bool) -> None:
        self.tree = tree
        self.prefix = prefix
        self.limit = limit
        self.is_hex = is_hex
        self.out: list[Datum] = []
        self.stem = b""
        self.run = 0

    def take(self, keys: list[bytes], values: list[Value]) -> bytes | None:
        """Fold one leaf's keys; where to seek next, None if nothing can be beyond."""
        now_ms = time.time() * 1000
        at = 0
        while at < len(keys) and len(self.out) < self.limit:
            key = keys[at]
            group = _group(key, len(self.prefix))
            end = prefix_end(group) if group else None
            upto = at + 1 if end is None else bisect_left(keys, end, at)
            if upto == at + 1 and (end is None or upto < len(keys) or self._is_alone(key, end)):
                group = self._overlong_run(key)
                end = prefix_end(group) if group else None
                if group is None or end is None:
                    if not _is_expired(values[at], now_ms):
                        self._emit(key, "", whole=True)
                    at += 1
                    continue
                upto = bisect_left(keys, end, at)
            assert group is not None and end is not None
            if upto == len(keys):
                self._emit(group, f"about {self.tree.estimate(group, end):,} keys", whole=False)
                return end
            self._emit(group, f"{upto - at:,} keys", whole=False)
            at = upto
        return keys[-1] + b"\0" if at >= len(keys) else None

    def _overlong_run(self, key: bytes) -> bytes | None:
        stem = key[: len(self.prefix) + 1]
        self.run = self.run + 1 if stem == self.stem else 1
        self.stem = stem
        return stem if self.run > _RUN_MAX and len(key) > len(stem) else None

    def _is_alone(self, key: bytes, end: bytes) -> bool:
        return next(iter(self.tree.batches(key + b"\0", end)), None) is None

    def _emit(self, key: bytes, note: str, *, whole: bool) -> None:
        try:
            text = key.decode()
        except UnicodeDecodeError:
            text = ""
        if self.is_hex or not text.isprintable() or not text:
            self.out.append(Datum(f"x'{key.hex()}'", note, whole))
        else:
            self.out.append(Datum(text, note, whole))


def _group(key: bytes, start: int) -> bytes | None:
    """The key up to the first separator at or after `start`, if something follows it."""
    for position in range(start, len(key) - 1):
        if key[position] in _SEPARATORS:
            return key[: position + 1]
    return None


def _is_expired(value: Value, now_ms: float) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and value[1] <= now_ms


# -- values ------------------------------------------------------------------------------------------


def _ordering_tree(
    schema: Schema, table: Table, position: int, transaction: Transaction
) -> Tree | None:
    """A tree whose keys start with the column's values as they are, if there is one."""
    if table.without_rowid and table.primary_key[:1] == (position,):
        if table.columns[position].collation == "BINARY":
            return transaction.tree(table.tree_id)
        return None
    for index in schema.indexes_on(table.name, table.database):
        first = index.columns[0]
        if first.column == position and first.collation == "BINARY" and index.where is None:
            return transaction.tree(index.tree_id)
    return None


def distinct_values(tree: Tree, prefix: str, limit: int) -> list[Datum]:
    """Distinct first elements of the tree's keys that start with `prefix`, in order, seeking past each run."""
    out: list[Datum] = []
    low: tuple[SqlValue, ...] | None = (prefix,) if prefix else None
    inclusive = True
    until = time.monotonic() + BUDGET_SECONDS
    for _ in range(_SEEKS_MAX):
        batch = next(iter(tree.batches(low, None, lo_inclusive=inclusive)), None)
        if batch is None:
            break
        firsts = [key[0] for key in batch[0]]
        at = 0
        while at < len(firsts) and len(out) < limit:
            value = firsts[at]
            if prefix and not _starts(value, prefix):
                return out
            upto = at
            while upto < len(firsts) and firsts[upto] == value:
                upto += 1
            if value is not None:
                out.append(_datum(value, upto - at if upto < len(firsts) else 0))
            at = upto
        if len(out) >= limit or time.monotonic() > until:
            break
        low, inclusive = (firsts[-1],), False
    return out


class _Sample(NamedTuple):
    state: object
    counts: list[tuple[SqlValue, int]]  # the most frequent first
    is_whole: bool


def take_sample(tree: Tree, position: int) -> _Sample:
    """The column's values in the tree's first rows, at most `_SAMPLE_ROWS_MAX` and `BUDGET_SECONDS` of them."""
    counter: Counter[SqlValue] = Counter()
    rows = 0
    until = time.monotonic() + BUDGET_SECONDS
    is_whole = True
    for _, values in tree.batches():
        counter.update(row[position] for row in values[:_SAMPLE_ROWS_MAX] if position < len(row))
        rows += len(values)
        if rows >= _SAMPLE_ROWS_MAX or time.monotonic() > until:
            is_whole = rows >= len(tree)
            break
    counter.pop(None, None)
    return _Sample(tree.state, counter.most_common(2_000), is_whole)


def _starts(value: SqlValue, prefix: str) -> bool:
    return not prefix or (isinstance(value, str) and value.lower().startswith(prefix.lower()))


def _datum(value: SqlValue, count: int) -> Datum:
    note = "" if not count else f"{count:,} row{'' if count == 1 else 's'}"
    if isinstance(value, str):
        if len(value) > _VALUE_LENGTH_MAX:
            return Datum(value[:_VALUE_LENGTH_MAX], note, whole=False)
        return Datum(value, note)
    if isinstance(value, bytes):
        return Datum(f"x'{value[:_VALUE_LENGTH_MAX].hex()}'", note, numeric=True)
    return Datum(repr(value), note, numeric=True)
