"""CREATE, DROP and ALTER.

Source: parse.y of SQLite 3.40, https://www.sqlite.org/lang_createtable.html and its neighbours.
"""

from __future__ import annotations

import re

import sqlglot.expressions as exp

from sql.parse.changes import CONFLICTS, ChangeParser
from sql.parse.cursor import IDENTIFIERS
from sql.parse.statements import (
    AddColumn,
    Check,
    Collation,
    ColumnDefinition,
    Constraint,
    CreateIndex,
    CreateTable,
    CreateTrigger,
    CreateView,
    CreateVirtualTable,
    Default,
    Drop,
    DropColumn,
    ForeignKey,
    Generated,
    NotNull,
    ObjectName,
    PrimaryKey,
    Query,
    RenameColumn,
    RenameTable,
    Statement,
    Unique,
)

_GENERATED = re.compile(r"\s*\bGENERATED\s+ALWAYS\Z", re.IGNORECASE)
_DROPPED = frozenset(("TABLE", "INDEX", "VIEW", "TRIGGER"))
_EVENTS = frozenset(("INSERT", "UPDATE", "DELETE"))
_LITERALS = frozenset(
    ["NULL", "NUMBER", "BLOB", "STRING", "CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP"]
)


class DefinitionParser(ChangeParser):
    """Productions of `cmd` that change the schema."""

    __slots__ = ()

    # CREATE

    def create(self) -> Statement:
        self.expect("CREATE")
        temporary = self.accept("TEMP")
        kind = self.kinds[self.index]
        self.index += 1
        if kind == "TABLE":
            return self._create_table(temporary)
        if kind == "VIEW":
            return self._create_view(temporary)
        if kind == "TRIGGER":
            return self._create_trigger(temporary)
        if not temporary:
            if kind == "INDEX":
                return self._create_index(unique=False)
            if kind == "UNIQUE":
                self.expect("INDEX")
                return self._create_index(unique=True)
            if kind == "VIRTUAL":
                self.expect("TABLE")
                return self._create_virtual_table()
        self.index -= 1
        self.unexpected()

    def _if_not_exists(self) -> bool:
        if not self.accept("IF"):
            return False
        self.expect("NOT")
        self.expect("EXISTS")
        return True

    def _create_table(self, temporary: bool) -> CreateTable:
        if_not_exists = self._if_not_exists()
        name = self.object_name()
        if self.accept("AS"):
            if not self.starts_query(self.index):
                self.unexpected()
            return CreateTable(
                text=self.text,
                name=name,
                temporary=temporary,
                if_not_exists=if_not_exists,
                select=self.query(),
            )
        self.expect("(")
        columns = [self.column_definition()]
        constraints: list[Constraint] = []
        while self.accept(","):
            if self._starts_table_constraint():
                constraints = self._table_constraints()
                break
            columns.append(self.column_definition())
        self.expect(")")
        without_rowid = strict = False
        while self.kinds[self.index] not in (";", ""):
            place = self.index
            if self.accept("WITHOUT"):
                if self.name().lower() != "rowid":
                    self.fail(f"unknown table option: {self.values[place + 1]}", place + 1)
                without_rowid = True
            elif self.name().lower() == "strict":
                strict = True
            else:
                self.fail(f"unknown table option: {self.values[place]}", place)
            if not self.accept(","):
                break
        return CreateTable(
            text=self.text,
            name=name,
            temporary=temporary,
            if_not_exists=if_not_exists,
            columns=tuple(columns),
            constraints=tuple(constraints),
            without_rowid=without_rowid,
            strict=strict,
        )

    # Columns

    def column_definition(self) -> ColumnDefinition:
        place = self.index
        name = self.name()
        type_place = self.index
        # GENERATED ALWAYS reads as part of the type, and is no part of it: SQLite does the same.
        declared = _GENERATED.sub("", self.type_name())
        if declared.startswith(("'", '"', "`", "[")):
            declared = self.values[type_place]
        constraints: list[Constraint] = []
        while True:
            found = self._column_constraint(constraints)
            if not found:
                break
        return ColumnDefinition(
            name=name,
            declared_type=declared if self.index > type_place and declared else None,
            constraints=tuple(constraints),
            start=self.starts[place],
            end=self.ends[self.index - 1],
            name_start=self.starts[place],
            name_end=self.ends[place],
        )

    def _constraint_name(self) -> str | None:
        """The last of any CONSTRAINT names that stand here."""
        name = None
        while self.accept("CONSTRAINT"):
            name = self.name()
        return name

    def _column_constraint(self, found: list[Constraint]) -> bool:
        """Append the next constraint; False if there is none."""
        place = self.index
        name = self._constraint_name()
        kind = self.kinds[self.index]
        self.index += 1
        if kind == "DEFAULT":
            found.append(self._default(name))
        elif kind == "NULL":
            self._on_conflict()
        elif kind == "NOT" and self.kinds[self.index] == "NULL":
            self.index += 1
            found.append(NotNull(name=name, conflict=self._on_conflict()))
        elif kind == "PRIMARY":
            found.append(self._column_primary_key(name))
        elif kind == "UNIQUE":
            found.append(Unique(name=name, conflict=self._on_conflict()))
        elif kind == "CHECK":
            expression, text = self._expression_in_parentheses()
            found.append(Check(name=name, expression=expression, text=text))
        elif kind == "REFERENCES":
            found.append(self._references(name, ()))
        elif kind == "COLLATE":
            found.append(Collation(name=name, collation=self.identifier_or_string()))
        elif kind == "GENERATED":
            self.expect("ALWAYS")
            self.expect("AS")
            found.append(self._generated(name))
        elif kind == "AS":
            found.append(self._generated(name))
        elif kind in ("NOT", "DEFERRABLE"):
            self.index -= 1
            return self._late_deferral(found)
        else:
            self.index -= 1
            return self.index > place
        return True

    def _late_deferral(self, found: list[Constraint]) -> bool:
        """A DEFERRABLE clause apart from its REFERENCES belongs to the last foreign key."""
        place = self.index
        deferred = self._deferral()
        if self.index == place:
            return False
        for where in range(len(found) - 1, -1, -1):
            constraint = found[where]
            if isinstance(constraint, ForeignKey):
                found[where] = ForeignKey(
                    name=constraint.name,
                    columns=constraint.columns,
                    parent=constraint.parent,
                    parent_columns=constraint.parent_columns,
                    on_delete=constraint.on_delete,
                    on_update=constraint.on_update,
                    deferred=deferred,
                )
                break
        return True

    def _on_conflict(self) -> str | None:
        if not self.accept("ON"):
            return None
        self.expect("CONFLICT")
        conflict = self.accept_one_of(CONFLICTS)
        if conflict is None:
            self.unexpected()
        return conflict

    def _expression_in_parentheses(self) -> tuple[exp.Expression, str]:
        self.expect("(")
        place = self.index
        expression = self.expression()
        text = self.slice_from(place)
        self.expect(")")
        return expression, text

    def _default(self, name: str | None) -> Default:
        if self.kinds[self.index] == "(":
            expression, text = self._expression_in_parentheses()
            return Default(name=name, expression=expression, text=text)
        place = self.index
        kind = self.kinds[place]
        if kind in ("+", "-"):
            if self.kinds[place + 1] not in _LITERALS:
                self.index += 1
                self.unexpected()
            self.index += 1
            expression = self._primary()
            if kind == "-":
                expression = exp.Neg(this=expression)
        elif kind in _LITERALS and self.kinds[place + 1] != ".":
            expression = self._primary()
        elif kind in IDENTIFIERS:
            # A bare word is TRUE, FALSE, or a string.
            self.index += 1
            word = self.values[place]
            quoted = self.text[self.starts[place]] in '"`['
            if not quoted and word.lower() in ("true", "false"):
                expression = exp.Boolean(this=word.lower() == "true")
            else:
                expression = exp.Literal(this=word, is_string=True)
        else:
            self.unexpected()
        return Default(name=name, expression=expression, text=self.slice_from(place))

    def _column_primary_key(self, name: str | None) -> PrimaryKey:
        self.expect("KEY")
        descending = False
        if not self.accept("ASC"):
            descending = self.accept("DESC")
        conflict = self._on_conflict()
        return PrimaryKey(
            name=name,
            descending=descending,
            conflict=conflict,
            autoincrement=self.accept("AUTOINCREMENT"),
        )

    def _generated(self, name: str | None) -> Generated:
        expression, text = self._expression_in_parentheses()
        stored = False
        if self.kinds[self.index] == "ID":
            word = self.values[self.index].lower()
            if word not in ("stored", "virtual"):
                self.unexpected()
            stored = word == "stored"
            self.index += 1
        elif self.accept("VIRTUAL"):
            pass
        return Generated(name=name, expression=expression, text=text, stored=stored)

    def _references(self, name: str | None, columns: tuple[str, ...]) -> ForeignKey:
        parent = self.name()
        parent_columns = self.names_in_parentheses() if self.kinds[self.index] == "(" else None
        actions = {"DELETE": "NO ACTION", "UPDATE": "NO ACTION", "INSERT": ""}
        while True:
            if self.kinds[self.index] == "ON" and self.kinds[self.index + 1] in actions:
                event = self.kinds[self.index + 1]
                self.index += 2
                actions[event] = self._action()
            elif self.accept("MATCH"):
                self.name()
            else:
                break
        return ForeignKey(
            name=name,
            columns=columns,
            parent=parent,
            parent_columns=parent_columns,
            on_delete=actions["DELETE"],
            on_update=actions["UPDATE"],
            deferred=self._deferral(),
        )

    def _action(self) -> str:
        if self.accept("SET"):
            if self.accept("NULL"):
                return "SET NULL"
            self.expect("DEFAULT")
            return "SET DEFAULT"
        if self.accept("CASCADE"):
            return "CASCADE"
        if self.accept("RESTRICT"):
            return "RESTRICT"
        self.expect("NO")
        self.expect("ACTION")
        return "NO ACTION"

    def _deferral(self) -> bool:
        negate = self.kinds[self.index] == "NOT" and self.kinds[self.index + 1] != "NULL"
        if negate:
            self.index += 1
            self.expect("DEFERRABLE")
        elif not self.accept("DEFERRABLE"):
            return False
        deferred = False
        if self.accept("INITIALLY"):
            deferred = self.accept("DEFERRED")
            if not deferred:
                self.expect("IMMEDIATE")
        return deferred and not negate

    # Table constraints

    def _starts_table_constraint(self) -> bool:
        return self.kinds[self.index] in ("CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN")

    def _table_constraints(self) -> list[Constraint]:
        """Constraints, between which SQLite lets the comma go."""
        found: list[Constraint] = []
        while True:
            name = self._constraint_name()
            constraint = self._table_constraint(name)
            if constraint is not None:
                found.append(constraint)
            elif name is None:
                self.unexpected()
            self.accept(",")
            if self.kinds[self.index] == ")" and self.kinds[self.index - 1] != ",":
                return found

    def _table_constraint(self, name: str | None) -> Constraint | None:
        kind = self.kinds[self.index]
        if kind == "PRIMARY":
            self.index += 1
            self.expect("KEY")
            self.expect("(")
            columns = self.indexed_columns()
            autoincrement = self.accept("AUTOINCREMENT")
            self.expect(")")
            return PrimaryKey(
                name=name,
                columns=columns,
                autoincrement=autoincrement,
                conflict=self._on_conflict(),
            )
        if kind == "UNIQUE":
            self.index += 1
            self.expect("(")
            columns = self.indexed_columns()
            self.expect(")")
            return Unique(name=name, columns=columns, conflict=self._on_conflict())
        if kind == "CHECK":
            self.index += 1
            expression, text = self._expression_in_parentheses()
            self._on_conflict()
            return Check(name=name, expression=expression, text=text)
        if kind == "FOREIGN":
            self.index += 1
            self.expect("KEY")
            names = self.names_in_parentheses()
            self.expect("REFERENCES")
            return self._references(name, names)
        return None

    # Other objects

    def _create_virtual_table(self) -> CreateVirtualTable:
        if_not_exists = self._if_not_exists()
        name = self.object_name()
        self.expect("USING")
        module = self.name()
        arguments: list[str] = []
        if self.accept("("):
            depth, place = 0, self.index
            while depth or self.kinds[self.index] != ")":
                kind = self.kinds[self.index]
                if kind in ("", "ILLEGAL"):
                    self.unexpected()
                depth += (kind == "(") - (kind == ")")
                if kind == "," and not depth:
                    arguments.append(self.slice_from(place))
                    place = self.index + 1
                self.index += 1
            arguments.append(self.slice_from(place))
            self.index += 1
        return CreateVirtualTable(
            text=self.text,
            name=name,
            module=module,
            arguments=tuple(arguments),
            if_not_exists=if_not_exists,
        )

    def _create_index(self, *, unique: bool) -> CreateIndex:
        if_not_exists = self._if_not_exists()
        name = self.object_name()
        self.expect("ON")
        place = self.index
        table = ObjectName(self.name(), None, self.starts[place], self.ends[place])
        self.expect("(")
        columns = self.indexed_columns()
        self.expect(")")
        where: exp.Expression | None = None
        text: str | None = None
        if self.accept("WHERE"):
            place = self.index
            where = self.expression()
            text = self.slice_from(place)
        return CreateIndex(
            text=self.text,
            name=name,
            table=table,
            columns=columns,
            unique=unique,
            if_not_exists=if_not_exists,
            where=where,
            where_text=text,
        )

    def _create_view(self, temporary: bool) -> CreateView:
        if_not_exists = self._if_not_exists()
        name = self.object_name()
        columns = self.names_in_parentheses() if self.kinds[self.index] == "(" else None
        self.expect("AS")
        place = self.index
        if not self.starts_query(place):
            self.unexpected()
        select = self.query()
        if self.parameters:
            self.fail("parameters are not allowed in views", place)
        return CreateView(
            text=self.text,
            name=name,
            select=select,
            select_text=self.slice_from(place),
            columns=columns,
            temporary=temporary,
            if_not_exists=if_not_exists,
        )

    def _create_trigger(self, temporary: bool) -> CreateTrigger:
        if_not_exists = self._if_not_exists()
        name = self.object_name()
        timing = "BEFORE"
        if self.accept("AFTER"):
            timing = "AFTER"
        elif self.accept("INSTEAD"):
            self.expect("OF")
            timing = "INSTEAD OF"
        else:
            self.accept("BEFORE")
        event = self.accept_one_of(_EVENTS)
        if event is None:
            self.unexpected()
        columns: list[str] = []
        if event == "UPDATE" and self.accept("OF"):
            columns.append(self.name())
            while self.accept(","):
                columns.append(self.name())
        self.expect("ON")
        table = self.object_name()
        if self.accept("FOR"):
            self.expect("EACH")
            self.expect("ROW")
        when: exp.Expression | None = None
        when_text: str | None = None
        if self.accept("WHEN"):
            place = self.index
            when = self.expression()
            when_text = self.slice_from(place)
        self.expect("BEGIN")
        body = [self._trigger_step()]
        while not self.accept("END"):
            body.append(self._trigger_step())
        if self.parameters:
            self.fail("trigger cannot use variables", self.index - 1)
        return CreateTrigger(
            text=self.text,
            name=name,
            table=table,
            timing=timing,
            event=event,
            columns=tuple(columns),
            when=when,
            when_text=when_text,
            body=tuple(body),
            temporary=temporary,
            if_not_exists=if_not_exists,
        )

    def _trigger_step(self) -> Statement:
        place = self.index
        step: Statement
        if self.kinds[place] in ("INSERT", "REPLACE", "UPDATE", "DELETE"):
            step = self.change(None, place, in_trigger=True)
        elif self.starts_query(place):
            tree = self.query()
            step = Query(text=self.slice_from(place), tree=tree)
        else:
            self.unexpected()
        self.expect(";")
        return step

    # DROP and ALTER

    def drop(self) -> Drop:
        self.expect("DROP")
        kind = self.accept_one_of(_DROPPED)
        if kind is None:
            self.unexpected()
        if_exists = self.accept("IF")
        if if_exists:
            self.expect("EXISTS")
        return Drop(text=self.text, kind=kind, name=self.object_name(), if_exists=if_exists)

    def alter(self) -> Statement:
        self.expect("ALTER")
        self.expect("TABLE")
        table = self.object_name()
        if self.accept("ADD"):
            self.accept("COLUMN")
            place = self.index
            column = self.column_definition()
            return AddColumn(
                text=self.text, table=table, column=column, column_text=self.slice_from(place)
            )
        if self.accept("DROP"):
            self.accept("COLUMN")
            return DropColumn(text=self.text, table=table, column=self.name())
        self.expect("RENAME")
        if self.accept("TO"):
            return RenameTable(text=self.text, table=table, to=self.name())
        self.accept("COLUMN")
        column_name = self.name()
        self.expect("TO")
        return RenameColumn(text=self.text, table=table, column=column_name, to=self.name())
