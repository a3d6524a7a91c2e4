"""CREATE TABLE: the table's record, its tree, and the indexes that its constraints ask for.

Sources: https://www.sqlite.org/lang_createtable.html and build.c of SQLite for the order of checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from btree import TreeKind
from sql.bind.scope import nearest
from sql.ddl.expressions import check_expression, columns_named, is_constant
from sql.ddl.work import Work, check_collation, text_from_name
from sql.errors import SqlError, SqlNameError
from sql.expressions import Affinity
from sql.parse.statements import (
    Check as CheckClause,
)
from sql.parse.statements import (
    Collation,
    ColumnDefinition,
    Constraint,
    CreateTable,
    Default,
    Generated,
    IndexedColumn,
    NotNull,
    PrimaryKey,
    Unique,
)
from sql.parse.statements import ForeignKey as ForeignKeyClause
from sql.schema import Check, Column, ForeignKey, Index, IndexColumn, Table
from sql.values import affinity_of_type

COLUMNS_MAX = 2000
_STANDARD_TYPES = frozenset(("INT", "INTEGER", "REAL", "TEXT", "BLOB", "ANY"))


def create_table(work: Work, statement: CreateTable, values: tuple[Any, ...]) -> None:
    """Carry out CREATE TABLE with a list of columns, or with a query, whose parameters have `values`."""
    name = statement.name
    if is_there_already(work, statement):
        return
    work.check_new_name(name, what="table")
    if statement.select is not None:
        from sql.ddl.table_as import create_table_as

        create_table_as(work, statement, values)
        return
    draft = TableDraft(work, statement)
    table, indexes = draft.finished()
    add_table(work, table, indexes)


def is_there_already(work: Work, statement: CreateTable) -> bool:
    """Whether IF NOT EXISTS makes the statement do nothing."""
    return work.is_there_already(statement) or (
        statement.if_not_exists and _is_raw_key_space(work, statement)
    )


def _is_raw_key_space(work: Work, statement: CreateTable) -> bool:
    """CREATE TABLE IF NOT EXISTS kv(key, value) means what is there already, as dumps have it."""
    names = [column.name.lower() for column in statement.columns]
    is_kv = statement.name.name.lower() == "kv" and names == ["key", "value"]
    return is_kv and not work.temporary


def add_table(work: Work, table: Table, indexes: Sequence[Index]) -> None:
    """Make the trees of a new table and its constraints' indexes, and enter them in the catalog."""
    import msgspec

    kind = TreeKind.CLUSTERED if table.without_rowid else TreeKind.TABLE
    work.catalog.add(msgspec.structs.replace(table, tree_id=work.create_tree(kind)))
    for index in indexes:
        tree_id = work.create_tree(TreeKind.INDEX)
        work.catalog.add(msgspec.structs.replace(index, tree_id=tree_id))
    if table.autoincrement and work.layer.table("sqlite_sequence") is None:
        work.catalog.add(
            Table(
                name="sqlite_sequence",
                tree_id=work.create_tree(TreeKind.TABLE),
                columns=(Column("name"), Column("seq")),
                database=work.database,
                sql="CREATE TABLE sqlite_sequence(name,seq)",
            )
        )


class TableDraft:
    """A table's record in the making; the constraints add to it in the order written."""

    def __init__(self, work: Work, statement: CreateTable, *, check: bool = True) -> None:
        """`check`: whether expressions are held to what may stand in them."""
        self.check = check
        self.work = work
        self.statement = statement
        self.name = statement.name.name
        self.columns: list[Column] = []
        self.places: dict[str, int] = {}
        self.checks: list[Check] = []
        self.check_trees: list[CheckClause] = []
        self.generated: dict[int, Generated] = {}
        self.foreign_keys: list[ForeignKey] = []
        self.primary_key: tuple[int, ...] = ()
        self.has_primary_key = False
        self.rowid_alias: int | None = None
        self.rowid_conflict: str | None = None
        self.autoincrement = False
        self.indexes: list[Index] = []
        self.last_key: tuple[tuple[IndexColumn, ...], str | None] | None = None
        self.key_collations: tuple[str, ...] = ()

    def finished(self) -> tuple[Table, list[Index]]:
        """The table and its indexes, without trees yet."""
        statement = self.statement
        if len(statement.columns) > COLUMNS_MAX:
            raise SqlError(f"too many columns on {self.name}")
        for definition in statement.columns:
            self._column(definition)
        for constraint in statement.constraints:
            self._table_constraint(constraint)
        self._close_primary_key()
        if len(self.generated) == len(self.columns):
            raise SqlError("must have at least one non-generated column")
        table = Table(
            name=self.name,
            tree_id=0,
            columns=tuple(self.columns),
            primary_key=self.primary_key,
            rowid_alias=self.rowid_alias,
            rowid_conflict=self.rowid_conflict,
            without_rowid=statement.without_rowid,
            autoincrement=self.autoincrement,
            strict=statement.strict,
            database=self.work.database,
            checks=tuple(self.checks),
            foreign_keys=tuple(self.foreign_keys),
            sql=text_from_name("TABLE", statement.text, statement.name.start),
            key_collations=self.key_collations,
        )
        if self.check:
            self._check_expressions(table)
        indexes = [index for index in self.indexes if index.tree_id >= 0]
        return table, indexes

    # -- columns ------------------------------------------------------------------------------------

    def _column(self, definition: ColumnDefinition) -> None:
        name = definition.name
        if name.lower() in self.places:
            raise SqlError(
                f"duplicate column name: {name}", offset=definition.name_start, token=name
            )
        place = len(self.columns)
        self.places[name.lower()] = place
        self.columns.append(self.column_record(definition))
        for constraint in definition.constraints:
            self._column_constraint(place, constraint)

    def column_record(self, definition: ColumnDefinition) -> Column:
        """The column by itself: type, collation, NOT NULL, DEFAULT, GENERATED."""
        return column_record(self.name, definition, strict=self.statement.strict)

    def _column_constraint(self, place: int, constraint: Constraint) -> None:
        match constraint:
            case PrimaryKey():
                self._primary_key(constraint, [place], is_descending=constraint.descending)
            case Unique():
                self._unique(constraint, (self._own_part(place),))
            case CheckClause():
                self._check(constraint)
            case ForeignKeyClause():
                if constraint.parent_columns is not None and len(constraint.parent_columns) != 1:
                    raise SqlError(
                        f"foreign key on {self.columns[place].name} should reference only one "
                        f"column of table {constraint.parent}"
                    )
                self.foreign_keys.append(_foreign_key(constraint, (place,)))
            case Generated():
                self.generated[place] = constraint
            case Collation() if self.check:
                check_collation(self.work, constraint.collation)
            case _:
                pass

    def _table_constraint(self, constraint: Constraint) -> None:
        match constraint:
            case PrimaryKey():
                places = [part.column for part in self._parts(constraint.columns)]
                self._primary_key(
                    constraint,
                    [place for place in places if place is not None],
                    parts=self._parts(constraint.columns),
                )
            case Unique():
                self._unique(constraint, self._parts(constraint.columns))
            case CheckClause():
                self._check(constraint)
            case ForeignKeyClause():
                self._foreign_key(constraint)
            case _:
                pass

    def _parts(self, columns: tuple[IndexedColumn, ...]) -> tuple[IndexColumn, ...]:
        parts = []
        for column in columns:
            if column.column is None:
                raise SqlError("expressions prohibited in PRIMARY KEY and UNIQUE constraints")
            place = self._place(column.column, column.start)
            collation = column.collation or self.columns[place].collation
            parts.append(IndexColumn(place, None, collation.upper(), column.descending))
        return tuple(parts)

    def _place(self, name: str, start: int) -> int:
        place = self.places.get(name.lower())
        if place is None:
            raise SqlNameError(
                f"no such column: {name}",
                offset=start,
                token=name,
                suggestions=nearest(name, [column.name for column in self.columns]),
            )
        return place

    def _own_part(self, place: int) -> IndexColumn:
        return IndexColumn(place, None, self.columns[place].collation)

    # -- keys ---------------------------------------------------------------------------------------

    def _primary_key(
        self,
        constraint: PrimaryKey,
        places: list[int],
        *,
        is_descending: bool = False,
        parts: tuple[IndexColumn, ...] | None = None,
    ) -> None:
        if self.has_primary_key:
            raise SqlError(f'table "{self.name}" has more than one primary key')
        self.has_primary_key = True
        self.primary_key = tuple(dict.fromkeys(places))
        column = self.columns[places[0]]
        is_integer = len(places) == 1 and (column.declared_type or "").upper() == "INTEGER"
        if is_integer and not is_descending and not self.statement.without_rowid:
            self.rowid_alias = places[0]
            self.rowid_conflict = constraint.conflict
            self.autoincrement = constraint.autoincrement
            return
        if constraint.autoincrement:
            raise SqlError(
                "AUTOINCREMENT not allowed on WITHOUT ROWID tables"
                if self.statement.without_rowid and is_integer
                else "AUTOINCREMENT is only allowed on an INTEGER PRIMARY KEY"
            )
        parts = parts or (self._own_part(places[0]),)
        collations: dict[int | None, str] = {
            part.column: part.collation for part in reversed(parts)
        }
        own = {place: self.columns[place].collation for place in self.primary_key}
        if self.statement.without_rowid and own != collations:
            self.key_collations = tuple(collations[place] for place in self.primary_key)
        if is_descending:
            parts = (IndexColumn(parts[0].column, None, parts[0].collation, True),)
        if (
            is_integer and not is_descending
        ):  # SQLite takes it for a row id until the definition's end
            self.last_key = parts, constraint.conflict
            return
        self._key_index(parts, "pk", constraint.conflict)

    def _unique(self, constraint: Unique, parts: tuple[IndexColumn, ...]) -> None:
        self._key_index(parts, "u", constraint.conflict)

    def _key_index(self, parts: tuple[IndexColumn, ...], origin: str, conflict: str | None) -> None:
        """Note an index for a constraint, unless there is one on the same columns."""
        import msgspec

        wanted = [(part.column, part.collation) for part in parts]
        for place, known in enumerate(self.indexes):
            if [(part.column, part.collation) for part in known.columns] != wanted:
                continue
            if known.conflict and conflict and known.conflict != conflict:
                raise SqlError("conflicting ON CONFLICT clauses specified")
            self.indexes[place] = msgspec.structs.replace(
                known,
                conflict=known.conflict or conflict,
                origin="pk" if origin == "pk" else known.origin,
            )
            return
        self.indexes.append(
            Index(
                name=f"sqlite_autoindex_{self.name}_{len(self.indexes) + 1}",
                table=self.name,
                tree_id=0,
                columns=parts,
                unique=True,
                origin=origin,
                conflict=conflict,
            )
        )

    def _close_primary_key(self) -> None:
        """NOT NULL of keys, and the clustered key of a WITHOUT ROWID table, which is no index."""
        import msgspec

        statement = self.statement
        if statement.without_rowid:
            if not self.has_primary_key:
                raise SqlError(f"PRIMARY KEY missing on table {self.name}")
            if self.last_key is not None:
                parts, conflict = self.last_key
                self._key_index(parts, "pk", conflict)
            self.indexes = [
                msgspec.structs.replace(index, tree_id=-1) if index.origin == "pk" else index
                for index in self.indexes
            ]
        for place in self.primary_key:
            if place in self.generated:
                raise SqlError("generated columns cannot be part of the PRIMARY KEY")
            if statement.without_rowid or (statement.strict and place != self.rowid_alias):
                self.columns[place] = msgspec.structs.replace(self.columns[place], not_null=True)
        if statement.without_rowid:
            conflict = next(
                (index.conflict for index in self.indexes if index.origin == "pk"), None
            )
            self.rowid_conflict = conflict

    # -- the other constraints ------------------------------------------------------------------------

    def _check(self, constraint: CheckClause) -> None:
        self.checks.append(Check(constraint.text, constraint.name))
        self.check_trees.append(constraint)

    def _foreign_key(self, constraint: ForeignKeyClause) -> None:
        places = []
        for name in constraint.columns:
            place = self.places.get(name.lower())
            if place is None:
                raise SqlError(f'unknown column "{name}" in foreign key definition', token=name)
            places.append(place)
        parents = constraint.parent_columns
        if parents is not None and len(parents) != len(places):
            raise SqlError(
                "number of columns in foreign key does not match the number of columns in the "
                "referenced table"
            )
        self.foreign_keys.append(_foreign_key(constraint, tuple(places)))

    def _check_expressions(self, table: Table) -> None:
        environment = self.work.environment()
        for check in self.check_trees:
            check_expression(
                check.expression, table, environment, what="CHECK constraints", deterministic=False
            )
        for generated in self.generated.values():
            check_expression(
                generated.expression,
                table,
                environment,
                what="generated columns",
                deterministic=True,
            )
        check_loops(table, {place: item.expression for place, item in self.generated.items()})


def column_record(table: str, definition: ColumnDefinition, *, strict: bool) -> Column:
    """The record of a column as its definition says, keys and checks aside."""
    declared = definition.declared_type
    if strict:
        if declared is None:
            raise SqlError(f"missing datatype for {table}.{definition.name}")
        if declared.upper() not in _STANDARD_TYPES:
            raise SqlError(f'unknown datatype for {table}.{definition.name}: "{declared}"')
    if declared is not None and declared.upper() in _STANDARD_TYPES:
        declared = declared.upper()
    affinity = affinity_of_type(declared)
    if strict and declared == "ANY":
        affinity = Affinity.BLOB
    collation, not_null, conflict = "BINARY", False, None
    default = shown = generated = None
    stored = False
    for constraint in definition.constraints:
        match constraint:
            case Collation():
                collation = constraint.collation.upper()
            case NotNull():
                not_null, conflict = True, constraint.conflict
            case Default():
                default, shown = _default(definition.name, constraint)
            case Generated():
                generated, stored = constraint.text, constraint.stored
            case _:
                pass
    if generated is not None and default is not None:
        raise SqlError("cannot use DEFAULT on a generated column")
    return Column(
        name=definition.name,
        declared_type=declared,
        affinity=affinity,
        collation=collation,
        not_null=not_null,
        not_null_conflict=conflict,
        default=default,
        default_shown=shown,
        generated=generated,
        stored=stored,
    )


def _default(column: str, constraint: Default) -> tuple[str, str | None]:
    """The default's SQL, and its text where that is no expression (a bare word is a string)."""
    import sqlglot.expressions as exp

    tree = constraint.expression
    if not is_constant(tree):
        raise SqlError(f"default value of column [{column}] is not constant")
    text = constraint.text
    if isinstance(tree, exp.Literal) and tree.is_string and not text.startswith("'"):
        quoted = str(tree.this).replace("'", "''")
        return f"'{quoted}'", text
    return text, None


def _foreign_key(constraint: ForeignKeyClause, places: tuple[int, ...]) -> ForeignKey:
    return ForeignKey(
        columns=places,
        parent=constraint.parent,
        parent_columns=constraint.parent_columns,
        on_delete=constraint.on_delete,
        on_update=constraint.on_update,
        deferred=constraint.deferred,
        name=constraint.name,
    )


def check_loops(table: Table, trees: dict[int, object]) -> None:
    """Raise SqlError if a generated column depends on itself."""
    import sqlglot.expressions as exp

    places = {column.name.lower(): place for place, column in enumerate(table.columns)}
    uses: dict[int, set[int]] = {}
    for place, tree in trees.items():
        assert isinstance(tree, exp.Expression)
        uses[place] = {places[name] for name in columns_named(tree) if name in places}
    for start in uses:
        seen: set[int] = set()
        waiting = list(uses[start])
        while waiting:
            place = waiting.pop()
            if place == start:
                raise SqlError(f'generated column loop on "{table.columns[start].name}"')
            if place not in seen:
                seen.add(place)
                waiting += uses.get(place, ())
