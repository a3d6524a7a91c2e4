"""REINDEX and ANALYZE.

ANALYZE stores nothing: the planner reads its statistics from the trees as they are, so they are never
stale, and there is no sqlite_stat1 table.
"""

from __future__ import annotations

from sql.ddl.work import Work, no_such
from sql.errors import SqlError
from sql.parse.statements import Analyze, ObjectName, Reindex
from sql.schema import Index


def reindex(work: Work, statement: Reindex) -> None:
    """Build indexes anew: all of them, a table's, one, or those that use a collation."""
    for index in _named_indexes(work, statement.name):
        table = work.layer.table(index.table)
        assert table is not None
        work.transaction.tree(index.tree_id).clear()
        work.fill_index(table, index)


def _named_indexes(work: Work, name: ObjectName | None) -> list[Index]:
    layer = work.layer
    if name is None:
        return list(layer.indexes.values())
    if name.schema is None:
        wanted = name.name.upper()
        if wanted in ("BINARY", "NOCASE", "RTRIM") or wanted in work.session.functions.collations:
            return [
                index
                for index in layer.indexes.values()
                if any(part.collation == wanted for part in index.columns)
            ]
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
    if name is None or (name.schema is None and name.name.lower() in ("main", "temp")):
        return
    schema = work.schema
    if not (schema.find_table(name.name, name.schema) or schema.find_index(name.name, name.schema)):
        raise no_such("table", name, [table.name for table in schema.tables.values()])
