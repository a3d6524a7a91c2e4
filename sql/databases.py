"""The databases of a session beside the one that it is opened on: temporary objects, and those that were attached.

Their catalogs hold records as if each were the only database.  A session sees them under the names that it
knows the databases by, with its own tree ids (see `sql.joint`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sql.catalog import Moved, moved, schema_cache
from sql.schema import TEMP, Schema

if TYPE_CHECKING:
    from btree import Store, Tree

_SCHEMAS_KEPT = 4


class Database:
    """One of them, by its name (as written) and its number."""

    __slots__ = ("_moved", "_schemas", "_stored", "name", "number", "store")

    def __init__(self, name: str, number: int, store: Store) -> None:
        self.name = name
        self.number = number
        self.store = store
        self._stored = schema_cache(store)
        self._schemas: list[tuple[Schema, Schema]] = []  # as stored, and as the session sees it
        self._moved: dict[int, tuple[Any, Any]] = {}
        """Records as stored and as the session sees them, by the identity of the first."""

    @property
    def is_temporary(self) -> bool:
        """Whether it is that of temporary objects."""
        return self.number == TEMP

    def schema(self, catalog: Tree) -> Schema:
        """What the session sees of it, by its catalog's tree.  Objects that did not change are the same in
        successive schemas."""
        stored = self._stored.schema(catalog)
        for known, made in self._schemas:
            if known is stored:
                return made
        made = self._seen(stored)
        self._schemas = [(stored, made), *self._schemas[: _SCHEMAS_KEPT - 1]]
        return made

    def _seen(self, stored: Schema) -> Schema:
        known, self._moved = self._moved, {}
        made = Schema()
        made.tables = {key: self._own(item, known) for key, item in stored.tables.items()}
        made.views = {key: self._own(item, known) for key, item in stored.views.items()}
        made.indexes = {key: self._own(item, known) for key, item in stored.indexes.items()}
        made.triggers = {key: self._own(item, known) for key, item in stored.triggers.items()}
        made.indexes_of = {
            key: [made.indexes[item.name.lower()] for item in items]
            for key, items in stored.indexes_of.items()
        }
        made.triggers_of = {
            key: [made.triggers[item.name.lower()] for item in items]
            for key, items in stored.triggers_of.items()
        }
        made.rowids, made.settings = stored.rowids, stored.settings
        if self.is_temporary:
            made.temp = made
        else:
            made.attached = {self.name.lower(): made}
        return made

    def _own(self, item: Moved, known: dict[int, tuple[Any, Any]]) -> Moved:
        """The record as the session sees it, the one that is known for it if there is."""
        pair = known.get(id(item)) or (item, moved(item, self.name.lower(), self.number))
        self._moved[id(item)] = pair
        own: Moved = pair[1]
        return own
