"""CREATE INDEX, VIEW and TRIGGER, and DROP of everything."""

from __future__ import annotations

import sqlglot.expressions as exp

from btree import TreeKind
from sql.bind.scope import nearest
from sql.ddl.expressions import check_expression
from sql.ddl.rewrite import parts_of
from sql.ddl.work import (
    RESERVED_NAMES,
    Work,
    check_collation,
    check_database,
    no_such,
    text_from_name,
)
from sql.errors import SqlError, SqlNameError
from sql.parse.statements import (
    CreateIndex,
    CreateTrigger,
    CreateView,
    Drop,
    IndexedColumn,
    ObjectName,
)
from sql.result import WriteOutcome
from sql.schema import Index, IndexColumn, Table, Trigger, View

# -- indexes ------------------------------------------------------------------------------------------


def create_index(work: Work, statement: CreateIndex) -> None:
    """Carry out CREATE INDEX: the index is filled from the table at once."""
    name = statement.name
    table = _indexed_table(work, statement)
    if statement.if_not_exists and work.layer.find_index(name.name):
        return
    work.check_new_name(name, what="index")
    parts = tuple(_part(work, table, column) for column in statement.columns)
    if statement.where is not None:
        check_expression(
            statement.where,
            table,
            work.environment(),
            what="partial index WHERE clauses",
            deterministic=True,
        )
    index = Index(
        name=name.name,
        table=table.name,
        tree_id=work.create_tree(TreeKind.INDEX),
        columns=parts,
        unique=statement.unique,
        where=statement.where_text,
        sql=text_from_name(
            "UNIQUE INDEX" if statement.unique else "INDEX", statement.text, name.start
        ),
    )
    work.catalog.add(index)
    work.fill_index(table, index)


def _indexed_table(work: Work, statement: CreateIndex) -> Table:
    """The table that is to be indexed.  Raises SqlError for what can't be."""
    check_database(work, statement.name)
    table_name, layer = statement.table, work.layer
    if table_name.name.lower() in RESERVED_NAMES:
        raise SqlError(f"table {table_name.name} may not be indexed", offset=table_name.start)
    if layer.view(table_name.name):
        raise SqlError("views may not be indexed", offset=table_name.start)
    table = layer.table(table_name.name)
    if table is None:
        known = [item.name for item in layer.tables.values()]
        qualified = ObjectName(table_name.name, work.database, table_name.start, table_name.end)
        raise no_such("table", qualified, known)
    if table.name.lower().startswith("sqlite_"):
        raise SqlError(f"table {table.name} may not be indexed", offset=table_name.start)
    return table


def is_index_there(work: Work, statement: CreateIndex) -> bool:
    """Whether an index of the name is there.  Raises SqlError for a table that can't be indexed."""
    _indexed_table(work, statement)
    return work.layer.find_index(statement.name.name) is not None


def _part(work: Work, table: Table, column: IndexedColumn) -> IndexColumn:
    if column.column is not None:
        place = place_of(table, column.column)
        if place is not None:
            collation = column.collation or table.columns[place].collation
            check_collation(work, collation)
            return IndexColumn(place, None, collation.upper(), column.descending)
        if column.text[:1] != '"':  # such a name is a text where it is no column's
            raise SqlNameError(
                f"no such column: {column.column}",
                offset=column.start,
                token=column.column,
                suggestions=nearest(column.column, [item.name for item in table.columns]),
            )
    if column.collation is not None:
        check_collation(work, column.collation)
    check_expression(
        column.expression,
        table,
        work.environment(),
        what="index expressions",
        deterministic=True,
    )
    return IndexColumn(None, column.text, (column.collation or "BINARY").upper(), column.descending)


def place_of(table: Table, name: str) -> int | None:
    """The position of a column, by its name."""
    wanted = name.lower()
    for place, column in enumerate(table.columns):
        if column.name.lower() == wanted:
            return place
    return None


# -- views and triggers ---------------------------------------------------------------------------------


def create_view(work: Work, statement: CreateView) -> None:
    """Carry out CREATE VIEW.  What it selects from is looked up when it is used."""
    name = statement.name
    if work.is_there_already(statement):
        return
    if statement.parameter_names:
        raise SqlError("parameters are not allowed in views")
    _check_databases(work, "view", statement)
    work.check_new_name(name, what="view")
    work.catalog.add(
        View(
            name=name.name,
            select=statement.select_text,
            columns=statement.columns,
            database=work.database,
            sql=text_from_name("VIEW", statement.text, name.start),
        )
    )


def create_trigger(work: Work, statement: CreateTrigger) -> None:
    """Carry out CREATE TRIGGER.  Its body is looked at when it first fires."""
    name = statement.name
    if statement.temporary and name.schema is not None:
        raise SqlError("temporary trigger may not have qualified name", offset=name.start)
    table, view = _triggering(work, statement)
    target = table or view
    assert target is not None
    if work.layer.find_trigger(name.name):
        if statement.if_not_exists:
            return
        raise SqlError(f"trigger {name.name} already exists", offset=name.start, token=name.name)
    if name.name.lower().startswith("sqlite_"):
        raise SqlError(f"object name reserved for internal use: {name.name}", token=name.name)
    if view is not None and statement.timing != "INSTEAD OF":
        raise SqlError(f"cannot create {statement.timing} trigger on view: {view.name}")
    if table is not None and statement.timing == "INSTEAD OF":
        raise SqlError(f"cannot create INSTEAD OF trigger on table: {table.name}")
    if statement.parameter_names:
        raise SqlError("trigger cannot use variables")
    _check_databases(work, "trigger", statement)
    work.catalog.add(
        Trigger(
            name=name.name,
            table=statement.table.name if table is None else table.name,
            timing=statement.timing,
            event=statement.event,
            columns=statement.columns,
            when=statement.when_text,
            body=tuple(part.text for part in statement.body),
            database=work.database,
            sql=text_from_name("TRIGGER", statement.text, name.start),
            on=None if target.database == work.database else target.database,
        )
    )


def _triggering(work: Work, statement: CreateTrigger) -> tuple[Table | None, View | None]:
    """The table or the view that the trigger is for.  Raises SqlError where there can't be one."""
    target = statement.table
    check_database(work, statement.name)
    # A temporary trigger may stand on any table, another on those of its database.
    schema = work.schema if work.temporary else work.layer
    if not work.temporary and target.schema is not None and target.schema.lower() != work.database:
        raise _foreign("trigger", statement.name, target.schema)
    table = schema.find_table(target.name, target.schema)
    view = schema.find_view(target.name, target.schema)
    if target.name.lower() in RESERVED_NAMES:
        raise SqlError("cannot create trigger on system table", offset=target.start)
    if table is None and view is None:
        known = [item.name for item in schema.tables.values()]
        database = target.schema if work.temporary else work.database
        raise no_such("table", ObjectName(target.name, database, target.start, target.end), known)
    if table is not None and table.name.lower().startswith("sqlite_"):
        raise SqlError("cannot create trigger on system table", offset=target.start)
    return table, view


def _check_databases(work: Work, kind: str, statement: CreateView | CreateTrigger) -> None:
    """Raise SqlError if what is no temporary object names a table of another database than its own."""
    if work.temporary:
        return
    for tree in parts_of(statement, exp.Expression):
        for table in tree.find_all(exp.Table):
            database = table.args.get("db")
            if database is not None and database.name.lower() != work.database:
                raise _foreign(kind, statement.name, database.name)


def _foreign(kind: str, name: ObjectName, database: str) -> SqlError:
    return SqlError(f"{kind} {name.name} cannot reference objects in database {database}")


def is_trigger_there(work: Work, statement: CreateTrigger) -> bool:
    """Whether a trigger of the name is there.  Raises SqlError for a table that can't have one."""
    _triggering(work, statement)
    return work.layer.find_trigger(statement.name.name) is not None


# -- DROP -----------------------------------------------------------------------------------------------


def drop(work: Work, statement: Drop) -> None:
    """Carry out DROP TABLE, INDEX, VIEW or TRIGGER."""
    found = _dropped(work, statement)
    match found:
        case None:
            if not statement.if_exists:
                known = [] if not work.knows(statement.name) else _known(work, statement.kind)
                raise no_such(statement.kind.lower(), statement.name, known)
        case Table():
            _drop_table(work, found)
        case View():
            _drop_triggers(work, found.name)
            work.catalog.remove(found)
        case Index():
            work.catalog.remove(found)
            work.transaction.drop_tree(found.tree_id)
        case Trigger():
            work.catalog.remove(found)


def is_gone_already(work: Work, statement: Drop) -> bool:
    """Whether there is nothing to drop.  Raises SqlError for what may not be dropped by the statement."""
    return _dropped(work, statement) is None


def _dropped(work: Work, statement: Drop) -> Table | View | Index | Trigger | None:
    """What the statement drops, or None.  Raises SqlError for what it may not drop."""
    name, layer = statement.name, work.layer
    if not work.knows(name):
        return None
    table, view = layer.table(name.name), layer.view(name.name)
    if statement.kind == "TABLE":
        if view is not None:
            raise SqlError(f"use DROP VIEW to delete view {view.name}", offset=name.start)
        if table is None and name.name.lower() in RESERVED_NAMES:
            raise SqlError(f"table {name.name} may not be dropped", offset=name.start)
        return table
    if statement.kind == "VIEW":
        if table is not None:
            raise SqlError(f"use DROP TABLE to delete table {table.name}", offset=name.start)
        return view
    if statement.kind == "TRIGGER":
        return layer.find_trigger(name.name)
    index = layer.find_index(name.name)
    if index is not None and index.sql is None:
        raise SqlError(
            "index associated with UNIQUE or PRIMARY KEY constraint cannot be dropped",
            offset=name.start,
        )
    return index


def _known(work: Work, kind: str) -> list[str]:
    schema = work.schema
    found: dict[str, list[str]] = {
        "TABLE": [table.name for table in schema.tables.values()],
        "VIEW": [view.name for view in schema.views.values()],
        "INDEX": [index.name for index in schema.indexes.values()],
        "TRIGGER": [trigger.name for trigger in schema.triggers.values()],
    }
    return found[kind]


def _drop_table(work: Work, table: Table) -> None:
    if table.name.lower() == "sqlite_sequence":
        raise SqlError(f"table {table.name} may not be dropped")
    if work.session.foreign_keys:
        _delete_rows(work, table)
    _drop_triggers(work, table.name)
    for index in list(work.layer.indexes_on(table.name)):
        work.catalog.remove(index)
        work.transaction.drop_tree(index.tree_id)
    work.catalog.remove(table)
    work.transaction.drop_tree(table.tree_id)
    if table.autoincrement:
        forget_sequence(work, table.name)


def _delete_rows(work: Work, table: Table) -> None:
    """Delete a parent table's rows as DELETE FROM would, foreign key actions and counters included; and those of a
    child, which may be the violations that wait for the transaction's end."""
    from sql.dml import before_drop_table

    name, session = table.name.lower(), work.session
    others = work.layer.tables.values()
    waits = session.deferred_violations and any(
        key.deferred or session.defer_foreign_keys for key in table.foreign_keys
    )
    if not waits and not any(
        key.parent.lower() == name for other in others for key in other.foreign_keys
    ):
        return
    deleted = len(work.transaction.tree(table.tree_id))
    session.changes = 0
    before_drop_table(session, work.context(), table)
    session.count_changes(WriteOutcome(deleted))


def _drop_triggers(work: Work, table: str) -> None:
    """Remove the triggers on a table or a view, the temporary ones too."""
    if not work.temporary:
        for trigger in list(work.layer.triggers_on(table)):
            work.catalog.remove(trigger)
    temporary = work.schema.temporary_triggers_on(table, work.database)
    owner = work if work.temporary or not temporary else work.within("temp")
    for trigger in temporary:
        owner.catalog.remove(trigger)


def forget_sequence(work: Work, table: str, rename_to: str | None = None) -> None:
    """Take a table's row out of sqlite_sequence, or rename it there."""
    sequence = work.layer.table("sqlite_sequence")
    if sequence is None:
        return
    tree = work.transaction.tree(sequence.tree_id)
    for rowids, rows in tree.batches():
        for rowid, row in zip(rowids, rows, strict=True):
            if isinstance(row[0], str) and row[0].lower() == table.lower():
                if rename_to is None:
                    tree.delete(rowid)
                else:
                    tree.put(rowid, (rename_to, *row[1:]))
