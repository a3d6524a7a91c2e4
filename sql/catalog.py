"""The catalog: one tree that describes all others, and the schema made from it.

Rows of the catalog's tree (see `btree.CATALOG_TREE_ID`), stored on disk, do not change:

    rowid -> (type, name, tbl_name, tree id, sql, record)

`type` is table, index, view or trigger, `sql` the text that made the object (None for an index that a
constraint made), `record` the msgpack form of the object's record in `sql.schema`, so that a schema
loads without a parser.  Rows of type `setting` hold the numbers of PRAGMA user_version and the like
in place of the tree id.  `sqlite_master` shows the rows as SQLite would.

A schema is cached for its store, by the identity of the catalog tree's state; records of rows that did
not change are the same objects in successive schemas, so that plans can tell whether they are concerned.
"""

from __future__ import annotations

import weakref
from functools import cache
from threading import Lock
from typing import Any, TypeVar

import msgspec

from btree import CATALOG_TREE_ID, CorruptionError, Row, Store, Transaction, Tree
from sql.schema import MAIN, TREE_BASE, Index, Schema, SchemaObject, Table, Trigger, View

_RECORDS: dict[str, type[Table] | type[Index] | type[View] | type[Trigger]] = {
    "table": Table,
    "index": Index,
    "view": View,
    "trigger": Trigger,
}
_TYPES = {record: name for name, record in _RECORDS.items()}
_SCHEMAS_KEPT = 4

_encode = msgspec.msgpack.Encoder().encode

_making = Lock()
"""Held while msgspec looks into the classes of records, as it does once: two threads that have it do so at the same time
crash the process (msgspec 0.22)."""


@cache
def _decoder(name: str) -> msgspec.msgpack.Decoder[Any]:
    """Made for the kinds of object that a database has: each takes as long as to decode some hundred of them."""
    with _making:
        return msgspec.msgpack.Decoder(_RECORDS[name])


class SchemaCache:
    """The latest schemas of one store."""

    __slots__ = ("_latest", "_records", "_schemas")

    def __init__(self) -> None:
        self._schemas: list[tuple[object, Schema]] = []  # (state of the catalog's tree, schema)
        self._records: dict[int, tuple[Row, SchemaObject]] = {}  # of the latest one loaded
        self._latest: Schema | None = None

    def schema(self, tree: Tree) -> Schema:
        """The schema that the catalog `tree` describes."""
        state = tree.state
        for known, schema in self._schemas:
            if known is state:
                return schema
        schema = self._load(tree)
        self._schemas = [(state, schema), *self._schemas[: _SCHEMAS_KEPT - 1]]
        return schema

    def _load(self, tree: Tree) -> Schema:
        settings: dict[str, tuple[int, int]] = {}  # name: (rowid, value)
        records: dict[int, tuple[Row, SchemaObject]] = {}
        added: list[int] = []
        previous = self._records
        rowid = 0
        try:
            for rowids, rows in tree.batches():
                for rowid, row in zip(rowids, rows, strict=True):
                    if row[0] == "setting":
                        settings[row[1]] = rowid, row[3]
                        continue
                    known = previous.get(rowid)
                    if known is None or (known[0] is not row and known[0] != row):
                        known = (row, _decoder(row[0]).decode(row[5]))
                        added.append(rowid)
                    records[rowid] = known
        except (LookupError, TypeError, ValueError, msgspec.DecodeError) as error:
            raise CorruptionError(f"row {rowid} of the catalog can't be read: {error!r}") from error
        # Mostly something was added at the end, and the rest of the schema is as before.
        is_extended = len(records) == len(previous) + len(added) and self._latest is not None
        if is_extended and self._latest is not None:
            schema = self._latest.extended()
        else:
            schema, added = Schema(), list(records)
        for rowid in added:
            schema.add(records[rowid][1], rowid)
        for name, (rowid, value) in settings.items():
            schema.settings[name] = value
            schema.rowids["setting", name] = rowid
        self._records, self._latest = records, schema
        return schema


_caches: weakref.WeakKeyDictionary[Store, SchemaCache] = weakref.WeakKeyDictionary()


def schema_cache(store: Store) -> SchemaCache:
    """The cache that all sessions on `store` share."""
    cache = _caches.get(store)
    if cache is None:
        cache = _caches[store] = SchemaCache()
    return cache


class Catalog:
    """Changes to the catalog within one write transaction of one store."""

    __slots__ = ("_rowids", "_settings", "_tree")

    def __init__(self, transaction: Transaction, schema: Schema) -> None:
        """`schema`: what the catalog holds now (of this store alone, no overlay)."""
        self._tree = transaction.tree(CATALOG_TREE_ID)
        self._rowids = dict(schema.rowids)  # schemas are shared: never changed in place
        self._settings = dict(schema.settings)

    def add(self, item: SchemaObject) -> None:
        """Append an object."""
        self._tree.put(self._new_rowid(_name_of(item)), _row(item))
        self._bump()

    def replace(self, old: SchemaObject, new: SchemaObject) -> None:
        """Put `new` in the place of `old`, both of one type."""
        rowid = self._rowids.pop(_name_of(old))
        self._rowids[_name_of(new)] = rowid
        self._tree.put(rowid, _row(new))
        self._bump()

    def remove(self, item: SchemaObject) -> None:
        """Take an object out."""
        self._tree.delete(self._rowids.pop(_name_of(item)))
        self._bump()

    def set_setting(self, name: str, value: int) -> None:
        """Store the number `name`."""
        known = ("setting", name)
        rowid = self._rowids[known] if known in self._rowids else self._new_rowid(known)
        self._settings[name] = value
        self._tree.put(rowid, ("setting", name, "", value, None, b""))

    def _new_rowid(self, name: tuple[str, str]) -> int:
        last = self._tree.last()
        rowid = self._rowids[name] = 1 if last is None else last[0] + 1
        return rowid

    def _bump(self) -> None:
        self.set_setting("schema_version", self._settings.get("schema_version", 0) + 1)


def _name_of(item: SchemaObject) -> tuple[str, str]:
    return _TYPES[item.__class__], item.name.lower()


def _row(item: SchemaObject) -> Row:
    item = moved(item, MAIN, 0)
    kind = _TYPES[item.__class__]
    table = getattr(item, "table", item.name)
    return kind, item.name, table, getattr(item, "tree_id", 0), item.sql, _encode(item)


Moved = TypeVar("Moved", bound=SchemaObject)


def moved(item: Moved, database: str, number: int) -> Moved:
    """The object's record as of the database with that name and number (see `sql.joint`).

    In the catalogs all databases are called main, and have the number 0."""
    changes: dict[str, Any] = {}
    if not isinstance(item, Index) and item.database != database:
        changes["database"] = database
    if isinstance(item, (Table, Index)):
        tree_id = item.tree_id % TREE_BASE + number * TREE_BASE
        if tree_id != item.tree_id:
            changes["tree_id"] = tree_id
    return msgspec.structs.replace(item, **changes) if changes else item


def master_rows(tree: Tree) -> list[Row]:
    """The rows of `sqlite_master`: (type, name, tbl_name, rootpage, sql, rowid)."""
    rows: list[Row] = []
    for rowids, batch in tree.batches():
        rows += [
            (*row[:5], rowid)
            for rowid, row in zip(rowids, batch, strict=True)
            if row[0] != "setting"
        ]
    return rows


def setting(schema: Schema, name: str, database: str | None = None) -> int:
    """The number that `set_setting` stored; 0 if none was."""
    layer = schema.layer(database or MAIN)
    value: Any = 0 if layer is None else layer.settings.get(name, 0)
    return int(value)
