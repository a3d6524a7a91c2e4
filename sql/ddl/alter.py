"""ALTER TABLE: rename, rename a column, add and drop a column.

What is renamed is renamed in the text of every definition that means it, as SQLite does, and the
records are made anew from the texts; trees stay.  ADD COLUMN tells the tree what its rows end with from then on, but
for generated columns: these are computed, since a row always holds every column, and DROP COLUMN writes all pages anew.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import itemgetter
from typing import Any

import msgspec

from btree import Tree
from sql.bind.scope import nearest
from sql.ddl.expressions import check_expression
from sql.ddl.objects import forget_sequence, place_of
from sql.ddl.rewrite import ColumnFinder, Edit, edited, own_edits, table_edits, tables_named
from sql.ddl.tables import TableDraft, check_loops
from sql.ddl.texts import text_edits
from sql.ddl.work import RESERVED_NAMES, Work, no_such, objects_of
from sql.errors import SqlError, SqlNameError
from sql.expressions import Affinity
from sql.parse import parse_statement
from sql.parse.lexer import tokens_of
from sql.parse.statements import (
    AddColumn,
    Check,
    ColumnDefinition,
    CreateIndex,
    CreateTable,
    CreateTrigger,
    CreateView,
    Default,
    DropColumn,
    ForeignKey,
    Generated,
    NotNull,
    ObjectName,
    PrimaryKey,
    RenameColumn,
    RenameTable,
    Statement,
    Unique,
)
from sql.schema import Index, Schema, SchemaObject, Table, Trigger, View, quoted


def _table(work: Work, name: ObjectName, *, if_view: str) -> Table:
    """The table to be altered; `if_view` is said of a view."""
    if name.schema is not None and name.schema.lower() != work.database:
        raise no_such("table", name, None)
    table = work.layer.table(name.name)
    if table is None:
        view = work.layer.view(name.name)
        if view is not None:
            raise SqlError(if_view.format(view.name), offset=name.start)
        if name.name.lower() in RESERVED_NAMES:
            raise SqlError(f"table {name.name} may not be altered", offset=name.start)
        raise no_such("table", name, [item.name for item in work.layer.tables.values()])
    if table.name.lower().startswith("sqlite_"):
        raise SqlError(f"table {table.name} may not be altered", offset=name.start)
    return table


# -- records from texts -------------------------------------------------------------------------------------


def _parsed(item: SchemaObject) -> Statement | None:
    return parse_statement(item.sql) if item.sql else None


def _remade(work: Work, item: SchemaObject, text: str, *, old: str, new: str) -> SchemaObject:
    """The record of an object whose text was edited to `text` as table `old` became `new`."""
    statement = parse_statement(text)
    match statement:
        case CreateTable():
            assert isinstance(item, Table)
            if statement.select is not None or item.name.lower() == "sqlite_sequence":
                return msgspec.structs.replace(item, sql=text)
            return _remade_table(work, item, statement)
        case CreateIndex():
            assert isinstance(item, Index)
            parts = tuple(
                part
                if part.expression is None
                else msgspec.structs.replace(part, expression=column.text)
                for part, column in zip(item.columns, statement.columns, strict=True)
            )
            return msgspec.structs.replace(
                item,
                table=new if item.table.lower() == old.lower() else item.table,
                columns=parts,
                where=statement.where_text,
                sql=text,
            )
        case CreateView():
            return msgspec.structs.replace(item, select=statement.select_text, sql=text)
        case CreateTrigger():
            assert isinstance(item, Trigger)
            return msgspec.structs.replace(
                item,
                table=new if item.table.lower() == old.lower() else item.table,
                columns=statement.columns,
                when=statement.when_text,
                body=tuple(part.text for part in statement.body),
                sql=text,
            )
        case _:
            raise AssertionError("no definition in the catalog")


def _remade_table(work: Work, item: Table, statement: CreateTable) -> Table:
    made, _ = TableDraft(work, statement, check=False).finished()
    return msgspec.structs.replace(made, tree_id=item.tree_id)


def _rewrite(
    work: Work, edits_of: Callable[[Statement], list[Edit]], *, old: str, new: str
) -> None:
    """Edit every definition that needs it, and enter its new record.

    What is not temporary can only mean what is in its own database; temporary definitions mean what a name without a
    database means, but for what their triggers stand on."""
    schema = work.schema
    temp = schema.temp
    items = [] if work.temporary else [(item, False) for item in objects_of(work.layer)]
    meant = schema.table(old) or schema.view(old)
    is_hidden = meant is not None and meant.database != work.database
    if is_hidden:
        items += [(item, True) for item in schema.temporary_triggers_on(old, work.database)]
    elif temp is not None:
        items += [(item, True) for item in objects_of(temp)]
    for item, is_temporary in items:
        statement = _parsed(item)
        if statement is None:
            assert isinstance(item, Index)
            if item.table.lower() == old.lower() and old != new:
                number = item.name.rsplit("_", 1)[1]
                made = msgspec.structs.replace(
                    item, name=f"sqlite_autoindex_{new}_{number}", table=new
                )
                work.catalog.replace(item, made)
            continue
        speaks_below = is_temporary != work.temporary  # of a table of the database
        if speaks_below and isinstance(statement, CreateTable):
            continue  # a temporary table's foreign keys refer to temporary tables
        is_outside = work.temporary and isinstance(item, Trigger) and item.on is not None
        if is_outside:  # what it does may mean the table; what it stands on is of another database
            statement = msgspec.structs.replace(statement, table=ObjectName(""))
        if speaks_below and is_hidden and old != new and isinstance(statement, CreateTrigger):
            target = statement.table
            edits = [(target.start, target.end, quoted(new))]
        else:
            edits = edits_of(statement)
        if edits:
            own = work
            if speaks_below:
                own = work.within("temp")
            text = edited(statement.text, edits)
            before = "" if is_outside else old
            own.catalog.replace(item, _remade(own, item, text, old=before, new=new))


# -- RENAME -------------------------------------------------------------------------------------------------


def rename_table(work: Work, statement: RenameTable) -> None:
    """ALTER TABLE ... RENAME TO."""
    table = _table(work, statement.table, if_view="view {} may not be altered")
    old, new = table.name, statement.to
    layer = work.layer
    taken = layer.table(new) or layer.view(new) or layer.find_index(new)
    if taken is not None:
        raise SqlError(f"there is already another table or index with this name: {new}")
    if new.lower().startswith("sqlite_"):
        raise SqlError(f"object name reserved for internal use: {new}", token=new)
    session = work.session
    if session.pragmas.get("legacy_alter_table"):
        edits_of = partial(
            own_edits, old=old, new=new, database=work.database, parents=session.foreign_keys
        )
    else:
        check_definitions(work)
        edits_of = partial(table_edits, old=old, new=new, database=work.database)
    _rewrite(work, edits_of, old=old, new=new)
    if not session.pragmas.get("legacy_alter_table"):
        check_definitions(work, " after rename")
    if table.autoincrement:
        forget_sequence(work, old, new)


def _no_such_column(table: Table, name: str) -> SqlNameError:
    known = [column.name for column in table.columns]
    return SqlNameError(f'no such column: "{name}"', token=name, suggestions=nearest(name, known))


def rename_column(work: Work, statement: RenameColumn) -> None:
    """ALTER TABLE ... RENAME COLUMN."""
    table = _table(work, statement.table, if_view='cannot rename columns of view "{}"')
    old, new = statement.column, statement.to
    if place_of(table, old) is None:
        raise _no_such_column(table, old)
    check_definitions(work)
    other = place_of(table, new)
    if other is not None and other != place_of(table, old):
        raise SqlError(f"error in table {table.name} after rename: duplicate column name: {new}")
    _quote_texts(work)
    from sql.ddl.table_as import quoted_if_needed

    shown = quoted(new) if _is_quoted(statement) else quoted_if_needed(new)
    finder = ColumnFinder(table, old, shown, work.layer)
    _rewrite(work, finder.found, old=table.name, new=table.name)
    check_definitions(work, " after rename")


def _is_quoted(statement: RenameColumn) -> bool:
    tokens = tokens_of(statement.text)
    last = max(place for place, kind in enumerate(tokens.kinds) if kind not in ("", ";"))
    return statement.text[tokens.starts[last]] in "\"`['"


def _quote_texts(work: Work) -> None:
    """Put texts in double quotes into single ones; from then on what is left in double ones has to be a column."""
    temp = None if work.temporary else work.schema.temp
    for layer in (work.layer, temp):
        for item in objects_of(layer) if layer is not None else ():
            statement = _parsed(item)
            if statement is None:
                continue
            temporary = layer is temp or work.temporary
            edits = text_edits(work, statement, temporary=temporary)
            if edits:
                own = work.within("temp") if layer is temp else work
                text, table = edited(statement.text, edits), getattr(item, "table", item.name)
                own.catalog.replace(item, _remade(own, item, text, old=table, new=table))
    work.on_text = _refused


def _refused(error: SqlNameError) -> None:
    raise error


def check_definitions(work: Work, moment: str = "") -> None:
    """Raise SqlError if a view's query does not bind, or a trigger names a table that is not there."""
    schema = work.schema
    for layer in (None if work.temporary else work.layer, schema.temp):
        if layer is None:
            continue
        found: list[tuple[int, View | Trigger]] = [
            *((layer.rowids["view", view.name.lower()], view) for view in layer.views.values()),
            *(
                (layer.rowids["trigger", item.name.lower()], item)
                for item in layer.triggers.values()
            ),
        ]
        for _, item in sorted(found, key=itemgetter(0)):
            visible = schema if layer is schema.temp else layer
            try:
                _check_definition(work, item, visible)
            except SqlError as error:
                kind = "view" if isinstance(item, View) else "trigger"
                message = error.message
                table = message.removeprefix("no such table: ")
                if layer is not schema.temp and table != message and "." not in table:
                    message = f"no such table: {work.database}.{table}"
                raise SqlError(f"error in {kind} {item.name}{moment}: {message}") from error


def _check_definition(work: Work, item: View | Trigger, schema: Schema) -> None:
    if isinstance(item, View):
        from sql.pragma_tables import view_columns

        view_columns(work.context(), item, schema, work.on_text)
        return
    from sql.relations import relation

    for name in tables_named(parse_statement(item.sql)):
        if not (schema.table(name) or schema.view(name) or relation(name.lower())):
            raise no_such("table", name)


# -- ADD COLUMN -----------------------------------------------------------------------------------------------


def add_column(work: Work, statement: AddColumn) -> None:
    """ALTER TABLE ... ADD COLUMN: existing rows get the default, or the generated value."""
    table = _table(work, statement.table, if_view="Cannot add a column to a view")
    definition = statement.column
    if place_of(table, definition.name) is not None:
        raise SqlError(f"duplicate column name: {definition.name}", token=definition.name)
    tree = work.transaction.tree(table.tree_id)
    _check_added(work, definition, has_rows=len(tree) > 0)
    old_statement = parse_statement(table.sql)
    assert isinstance(old_statement, CreateTable)
    text = _with_column(table, old_statement, statement.column_text)
    new_statement = parse_statement(text)
    assert isinstance(new_statement, CreateTable)
    try:
        made = _remade_table(work, table, new_statement)
        _check_expressions(work, made, definition)
    except SqlError as error:
        raise SqlError(f"error in table {table.name} after add column: {error.message}") from error
    work.catalog.replace(table, made)
    _fill_column(work, made, tree)


def _check_added(work: Work, definition: ColumnDefinition, *, has_rows: bool) -> None:
    import sqlglot.expressions as exp

    default: Any = None
    not_null = generated = references = False
    for constraint in definition.constraints:
        match constraint:
            case PrimaryKey():
                raise SqlError("Cannot add a PRIMARY KEY column")
            case Unique():
                raise SqlError("Cannot add a UNIQUE column")
            case Default():
                default = constraint.expression
            case NotNull():
                not_null = True
            case Generated():
                generated = True
                if constraint.stored and has_rows:
                    raise SqlError("cannot add a STORED column")
            case ForeignKey():
                references = True
            case _:
                pass
    if not has_rows or generated:
        return
    is_null = default is None or isinstance(default, exp.Null)
    if references and work.session.foreign_keys and not is_null:
        raise SqlError("Cannot add a REFERENCES column with non-NULL default value")
    if not_null and is_null:
        raise SqlError("Cannot add a NOT NULL column with default value NULL")
    inner = default  # through signs, parentheses and CASTs
    while isinstance(inner, (exp.Neg, exp.Paren, exp.Cast)) or inner.__class__ is exp.Unary:
        inner = inner.this
    if not is_null and not isinstance(inner, (exp.Literal, exp.Boolean, exp.HexString, exp.Null)):
        raise SqlError("Cannot add a column with non-constant default")


def _with_column(table: Table, statement: CreateTable, column_text: str) -> str:
    """The table's text with a column definition after the last one."""
    text = table.sql
    tokens = tokens_of(text)
    if statement.select is not None or not statement.columns:
        end = text.rindex(")")
    else:
        last = statement.columns[-1].end
        end = next(start for start in tokens.starts if start >= last)
    return f"{text[:end]}, {column_text}{text[end:]}"


def _check_expressions(work: Work, table: Table, definition: ColumnDefinition) -> None:
    environment = work.environment()
    for constraint in definition.constraints:
        if isinstance(constraint, Check):
            check_expression(
                constraint.expression,
                table,
                environment,
                what="CHECK constraints",
                deterministic=False,
            )
        elif isinstance(constraint, Generated):
            check_expression(
                constraint.expression,
                table,
                environment,
                what="generated columns",
                deterministic=True,
            )
            check_loops(table, {len(table.columns) - 1: constraint.expression})


def _fill_column(work: Work, table: Table, tree: Tree) -> None:
    """Give every row its value in the new, last column, and hold the rows to the constraints."""
    if not len(tree):
        return
    from sql.compile import compile_row_function
    from sql.parse import parse_expression
    from sql.values import apply_affinity, kind_of

    column = table.columns[-1]
    others = len(table.columns) - 1
    value: Any = None
    if column.generated is None:
        expression = parse_expression(column.default or "NULL")
        value_of = compile_row_function([expression], table, work.environment())
        value = value_of(work.context(), (None,) * (others + 1), None)[0]
        if column.affinity is not Affinity.BLOB:
            value = apply_affinity(value, column.affinity)
    tree.widen((*[0] * others, kind_of(value)))
    tree.lengthen(others + 1, (value,))
    if column.generated is not None:
        from sql.dml import fill_generated

        fill_generated(work.context(), table, others, work.environment())
    if table.checks:
        _check_rows(work, table)


def _check_rows(work: Work, table: Table) -> None:
    """Raise SqlError if a row violates a CHECK constraint of the table."""
    from sql.compile import prepare_select
    from sql.parse.statements import Query

    checks = " AND ".join([f"({check.expression}\n)" for check in table.checks])
    name = f"{work.database}.{quoted(table.name)}"
    query = parse_statement(f"SELECT 1 FROM {name} WHERE NOT ({checks}) LIMIT 1")
    assert isinstance(query, Query)
    if any(prepare_select(query.tree, work.environment()).run(work.context())):
        raise SqlError("CHECK constraint failed")


# -- DROP COLUMN ------------------------------------------------------------------------------------------------


def drop_column(work: Work, statement: DropColumn) -> None:
    """ALTER TABLE ... DROP COLUMN: refused while anything else uses the column."""
    table = _table(work, statement.table, if_view='cannot drop column from view "{}"')
    name = statement.column
    place = place_of(table, name)
    if place is None:
        raise _no_such_column(table, name)
    if place in table.primary_key:
        raise SqlError(f'cannot drop PRIMARY KEY column: "{name}"')
    parsed = parse_statement(table.sql)
    assert isinstance(parsed, CreateTable)
    own = parsed.columns[place].constraints if parsed.columns else ()
    if any(isinstance(constraint, Unique) for constraint in own):
        raise SqlError(f'cannot drop UNIQUE column: "{name}"')
    if len(table.columns) == 1:
        raise SqlError(f'cannot drop column "{name}": no other columns exist')
    check_definitions(work)
    _quote_texts(work)
    table = _table(work, statement.table, if_view="")
    parsed = parse_statement(table.sql)
    assert isinstance(parsed, CreateTable)
    text = _without_column(table, parsed, place)
    try:
        made = _remade_text(work, table, text)
    except SqlError as error:
        raise SqlError(f"error in table {table.name} after drop column: {error.message}") from error
    work.catalog.replace(table, made)
    _move_indexes(work, table, made, place)
    work.on_text = None  # a view's name of the column in double quotes is a text from now on
    check_definitions(work, " after drop column")
    _check_triggers(work, made, name)
    tree = work.transaction.tree(table.tree_id)
    # The masks of the columns behind the dropped one move: widened to both.
    kinds = tree.kinds
    if kinds:
        tree.widen(kinds[:place] + kinds[place + 1 :])
    tree.drop_column(place, work.session.cancellation.check)


def _without_column(table: Table, parsed: CreateTable, place: int) -> str:
    text = table.sql
    if not parsed.columns:
        raise SqlError("the columns of this table come from no text")
    tokens = tokens_of(text)
    column = parsed.columns[place]
    if place + 1 < len(parsed.columns):
        return text[: column.start] + text[parsed.columns[place + 1].start :]
    before = max(
        start
        for kind, start in zip(tokens.kinds, tokens.starts, strict=True)
        if kind == "," and start < column.start
    )
    after = next(start for start in tokens.starts if start >= column.end)  # "," or ")"
    return text[:before] + text[after:]


def _remade_text(work: Work, table: Table, text: str) -> Table:
    statement = parse_statement(text)
    assert isinstance(statement, CreateTable)
    draft = TableDraft(work, statement, check=True)
    made, _ = draft.finished()
    return msgspec.structs.replace(made, tree_id=table.tree_id)


def _move_indexes(work: Work, old: Table, new: Table, dropped: int) -> None:
    """Renumber the columns of the table's indexes; an index on the dropped one is an error."""
    from sql.parse import parse_expression

    environment = work.environment()
    moved = {
        place: place - (place > dropped) for place in range(len(old.columns)) if place != dropped
    }
    for index in list(work.layer.indexes_on(old.name)):
        parts = []
        try:
            for part in index.columns:
                if part.column is None or part.column < 0:
                    parts.append(part)
                elif part.column in moved:
                    parts.append(msgspec.structs.replace(part, column=moved[part.column]))
                else:
                    raise SqlError(f"no such column: {old.columns[dropped].name}")
            for text in [part.expression for part in parts] + [index.where]:
                if text is not None:
                    check_expression(
                        parse_expression(text),
                        new,
                        environment,
                        what="index expressions",
                        deterministic=False,
                    )
        except SqlError as error:
            raise SqlError(
                f"error in index {index.name} after drop column: {error.message}"
            ) from error
        work.catalog.replace(index, msgspec.structs.replace(index, columns=tuple(parts)))


def _check_triggers(work: Work, table: Table, dropped: str) -> None:
    """Raise SqlError if an expression in a trigger still names the dropped column."""
    for trigger in work.layer.triggers.values():
        statement = parse_statement(trigger.sql)
        finder = ColumnFinder(table, dropped, dropped, work.layer)
        finder.in_lists = False
        edits = finder.found(statement)
        if edits:
            start, end, _ = min(edits)
            before = statement.text[max(0, start - 4) : start]
            qualifier = before if before.lower() in ("new.", "old.") else ""
            raise SqlError(
                f"error in trigger {trigger.name} after drop column: "
                f"no such column: {qualifier}{statement.text[start:end]}"
            )
