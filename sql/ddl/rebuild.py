"""REINDEX and ANALYZE.

ANALYZE stores nothing: the planner reads its statistics from the trees as they are, so they are never
stale, and there is no sqlite_stat1 table.
"""

from __future__ import annotations

from sql.ddl.work import RESERVED_NAMES, Work, check_database, no_such
from sql.errors import SqlError
from sql.parse.statements import Analyze, ObjectName, Reindex
from sql.schema import Index


def reindex(work: Work, statement: Reindex) -> None:
    """Build indexes anew: all of them, a table's, one, or those that use a collation.

    Without a name, or with a collation's, those of all databases are built."""
    name = statement.name
    collation = None if name is None else _collation(work, name)
    if name is not None and collation is None:
        _rebuild(work, _named_indexes(work, name))
        return
    for database, layer in work.schema.layers().items():
        indexes = [index for index in layer.indexes.values() if _uses(index, collation)]
        if indexes:
            _rebuild(work.within(database), indexes)


def _rebuild(work: Work, indexes: list[Index]) -> None:
    for index in indexes:
        table = work.layer.table(index.table)
        assert table is not None
        work.transaction.tree(index.tree_id).clear()
        work.fill_index(table, index)


def _collation(work: Work, name: ObjectName) -> str | None:
    """The collation that the name is, if it is one."""
    wanted = name.name.upper()
    if name.schema is not None:
        return None
    known = wanted in ("BINARY", "NOCASE", "RTRIM") or wanted in work.session.functions.collations
    return wanted if known else None


def _uses(index: Index, collation: str | None) -> bool:
    return collation is None or any(part.collation == collation for part in index.columns)


def _named_indexes(work: Work, name: ObjectName) -> list[Index]:
    check_database(work, name)
    layer = work.layer
    table = layer.table(name.name)
    if table is not None:
        return list(layer.indexes_on(table.name))
    found = layer.find_index(name.name)
    if found is None:
        raise SqlError("unable to identify the object to be reindexed", offset=name.start)
    return [found]


def analyze(work: Work, statement: Analyze) -> None:
    """Check that what is named is there."""
    name = statement.name
    if name is None or (name.schema is None and work.schema.layer(name.name) is not None):
        return
    if name.name.lower() in RESERVED_NAMES:
        return
    check_database(work, name)
    schema = work.schema
    if not (schema.find_table(name.name, name.schema) or schema.find_index(name.name, name.schema)):
        raise no_such("table", name, [table.name for table in schema.tables.values()])
