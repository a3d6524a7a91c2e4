"""What a repaired database needs to be one of SQL again.

`btree.repair` brings back trees as far as their pages can be read.  Above them, damage shows as

    a table whose rows were lost, and its indexes not (or the other way round): queries would answer differently by
        the way they take, so all indexes are made anew
    trees that no row of the catalog names any more: the rows of each table go to `lost_and_found_N (c0, c1, ...)`,
        N the tree's number, with their rowids; entries of indexes go, which is told: nobody knows what they were of
    rows of the catalog that name a tree or a table which is not there: they go
    rows with more columns than their table is said to have, as what the catalog said of the last ones is lost: the table
        gets columns `cN`
    rows that are older than some of their table's columns, where what they hold there stood in a directory that is
        lost: they get the columns' defaults
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count as counting
from typing import TYPE_CHECKING, Any

from btree import CATALOG_TREE_ID, RAW_TREE_ID, StoreError, Transaction, TreeKind
from sql.errors import SqlError
from sql.schema import quoted

if TYPE_CHECKING:
    from sql.session import Session

_TABLES = (TreeKind.TABLE, TreeKind.CLUSTERED)


def mend(session: Session) -> list[str]:
    """Make the repaired database behind `session` consistent; what was done, in sentences.

    Each table and each index is a transaction of its own, so that one that fails costs no other."""
    with session.writing() as transaction:
        nameless = _lost_trees(transaction)
        notes = _drop_dangling(transaction)
        lost = _lost_trees(transaction)
    session.forget_plans()
    for tree_id, kind in lost:
        notes += _found(session, tree_id, kind, is_told=(tree_id, kind) not in nameless)
    notes += _widened(session)
    notes += _lengthened(session)
    return notes + _reindex(session)


def _drop_dangling(transaction: Transaction) -> list[str]:
    """Take what names a tree or a table that is not there out of the catalog."""
    catalog = transaction.tree(CATALOG_TREE_ID)
    rows = [entry for keys, rows in catalog.batches() for entry in zip(keys, rows, strict=True)]
    trees = set(transaction.tree_ids())
    there = {
        row[1].lower()
        for _, row in rows
        if row[0] == "view" or (row[0] == "table" and row[3] in trees)
    }
    notes = []
    for rowid, (kind, name, table, tree_id, *_) in rows:
        if kind in ("table", "index") and tree_id not in trees:
            notes.append(f"{kind} {name} is lost")
        elif kind in ("index", "trigger") and table.lower() not in there:
            notes.append(f"{kind} {name} is left out: its table {table} is lost")
        else:
            continue
        catalog.delete(rowid)
    return notes


def _lost_trees(transaction: Transaction) -> list[tuple[int, TreeKind]]:
    """The trees that the catalog does not name."""
    named = {RAW_TREE_ID, CATALOG_TREE_ID}
    for _, rows in transaction.tree(CATALOG_TREE_ID).batches():
        named.update(row[3] for row in rows if row[0] in ("table", "index"))
    return [
        (tree_id, TreeKind(transaction.tree(tree_id).kind))
        for tree_id in transaction.tree_ids()
        if tree_id not in named
    ]


def _found(session: Session, tree_id: int, kind: TreeKind, *, is_told: bool) -> list[str]:
    """Give the rows of a tree without a name a table, and drop the tree.  `is_told`: its name was told of."""
    session.begin("IMMEDIATE")
    try:
        notes = _copied(session, tree_id) if kind in _TABLES else []
        with session.writing() as transaction:
            if kind is TreeKind.INDEX and not is_told:
                count = len(transaction.tree(tree_id))
                notes = [f"an index of {count} entries whose name and columns are lost is left out"]
            transaction.drop_tree(tree_id)
        session.commit()
    except (SqlError, StoreError) as error:
        session.rollback()
        return [f"tree {tree_id} could not be made a table: {error}"]
    return notes


def _copied(session: Session, tree_id: int) -> list[str]:
    with session.writing() as transaction:
        tree = transaction.tree(tree_id)
        width = max((len(row) for _, rows in tree.batches() for row in rows), default=0)
        if not width:
            return ["a table without rows whose name is lost is left out"]
        has_rowids = tree.kind is TreeKind.TABLE

        def entries() -> Iterator[tuple[Any, ...]]:
            for keys, rows in tree.batches():
                for key, row in zip(keys, rows, strict=True):
                    filled = (*row, *(None,) * (width - len(row)))
                    yield (key, *filled) if has_rowids else filled

        name = f"lost_and_found_{tree_id}"
        columns = [f"c{number}" for number in range(width)]
        session.execute(f"CREATE TABLE {name} ({', '.join(columns)})").close()
        if has_rowids:
            columns.insert(0, "rowid")
        marks = ", ".join("?" * len(columns))
        statement = f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({marks})"
        session.execute_many(statement, entries())
        count = len(tree)
    return [f"{count} rows of a table whose name is lost are in {name}"]


def _widened(session: Session) -> list[str]:
    """Give tables the columns that only their rows have."""
    notes = []
    for table in list(session.schema.main.tables.values()):
        with session.writing() as transaction:
            batches = transaction.tree(table.tree_id).batches()
            width = max((len(row) for _, rows in batches for row in rows), default=0)
        taken = {column.name.lower() for column in table.columns}
        added = []
        for number in range(len(table.columns), width):
            name = next(name for at in counting(number) if (name := f"c{at}") not in taken)
            taken.add(name)
            try:
                session.execute(f"ALTER TABLE main.{quoted(table.name)} ADD COLUMN {name}").close()
            except (SqlError, StoreError) as error:
                notes.append(f"rows of {table.name} have more columns than the table: {error}")
                break
            added.append(name)
        if added:
            names = ", ".join(added)
            notes.append(f"{table.name} got the columns {names} that its rows have")
    return notes


def _lengthened(session: Session) -> list[str]:
    """Give rows the columns that they lack."""
    from sql.dml import lengthen_rows

    notes = []
    for table in list(session.schema.main.tables.values()):
        session.begin("IMMEDIATE")
        try:
            with session.writing() as transaction:
                ctx, environment = (
                    session.context(transaction, ()),
                    session.environment(transaction),
                )
                count = lengthen_rows(ctx, table, environment)
            session.commit()
        except (SqlError, StoreError) as error:
            session.rollback()
            notes.append(f"rows of {table.name} lack columns that can't be filled: {error}")
            continue
        if count:
            notes.append(f"{count} rows of {table.name} got the defaults of columns added later")
    return notes


def _reindex(session: Session) -> list[str]:
    """Make every index anew; those that can't be, since rows came back that no longer go together, are told of."""
    notes = []
    count = 0
    for name in session.schema.main.indexes:
        try:
            session.execute(f"REINDEX main.{quoted(name)}").close()
            count += 1
        except SqlError as error:
            notes.append(f"index {name} could not be made anew: {error}")
    if count:
        notes.append(f"{count} index{'' if count == 1 else 'es'} made anew")
    return notes
