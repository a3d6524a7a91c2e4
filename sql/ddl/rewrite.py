"""Names changed inside of SQL text: which places of a definition mean a table or a column.

The text itself is edited, never regenerated, so that comments, layout and spelling stay.  A place is
found through the tree where the parser keeps offsets, and through the tokens where it does not
(column lists, REFERENCES).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlglot.expressions as exp
from msgspec import Struct

from sql.parse.lexer import Tokens, tokens_of
from sql.parse.statements import (
    CreateTable,
    CreateTrigger,
    CreateView,
    Delete,
    IndexedColumn,
    Insert,
    ObjectName,
    Statement,
    Update,
)
from sql.schema import Schema, Table, quoted

Edit = tuple[int, int, str]


def edited(text: str, edits: list[Edit]) -> str:
    """`text` with every [start, end) replaced; an edit made twice counts once."""
    for start, end, new in sorted(set(edits), reverse=True):
        gap = " " if new[-1] == text[end : end + 1] == '"' else ""  # two would be one name
        text = text[:start] + new + gap + text[end:]
    return text


def parts_of(item: Any, kind: type) -> Iterator[Any]:
    """Every instance of `kind` among the fields of a statement, sqlglot's trees left alone."""
    if isinstance(item, kind):
        yield item
    if isinstance(item, (tuple, list)):
        for part in item:
            yield from parts_of(part, kind)
    elif isinstance(item, Struct):
        for name in item.__struct_fields__:
            yield from parts_of(getattr(item, name), kind)


def tables_named(statement: Statement) -> list[str]:
    """The tables and views that a statement reads or writes, by the names it gives them."""
    found = [name.name for name in parts_of(statement, ObjectName)]
    if isinstance(statement, CreateTrigger):
        found.remove(statement.name.name)
    for tree in parts_of(statement, exp.Expression):
        own = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
        found += [
            table.name
            for table in tree.find_all(exp.Table)
            if isinstance(table.this, exp.Identifier) and table.name.lower() not in own
        ]
    return found


# -- renaming a table -------------------------------------------------------------------------------------


def table_edits(statement: Statement, old: str, new: str, database: str) -> list[Edit]:
    """Where `statement` means the table `old` of the database; where it names another one it does not."""
    wanted, text = old.lower(), quoted(new)
    edits: list[Edit] = []
    for name in parts_of(statement, ObjectName):
        is_elsewhere = name.schema is not None and name.schema.lower() != database
        if name.name.lower() == wanted and name.end > name.start and not is_elsewhere:
            edits.append((name.start, name.end, text))
    for tree in parts_of(statement, exp.Expression):
        edits += _table_edits(tree, wanted, text, database)
    edits += _parent_edits(tokens_of(statement.text), wanted, text)
    if isinstance(statement, CreateTrigger):
        # The trigger's own name is no table's.
        edits = [edit for edit in edits if edit[0] != statement.name.start]
    return edits


def own_edits(
    statement: Statement, old: str, new: str, database: str, *, parents: bool
) -> list[Edit]:
    """What `PRAGMA legacy_alter_table` leaves of them: the table's own definition, its indexes, what its triggers stand on,
    and with `parents` REFERENCES to it.  Views, and what triggers do, go on to mean the name."""
    if isinstance(statement, CreateView):
        return []
    if isinstance(statement, CreateTrigger):
        on = statement.table
        return [(on.start, on.end, quoted(new))] if on.name.lower() == old.lower() else []
    edits = table_edits(statement, old, new, database)
    if not parents:
        kept = set(_parent_edits(tokens_of(statement.text), old.lower(), quoted(new)))
        edits = [edit for edit in edits if edit not in kept]
    return edits


def _table_edits(tree: exp.Expression, wanted: str, text: str, database: str) -> list[Edit]:
    for cte in tree.find_all(exp.CTE):
        if cte.alias.lower() == wanted:
            return []
    edits = []
    is_hidden = False
    for table in tree.find_all(exp.Table):
        is_named = isinstance(table.this, exp.Identifier) and table.name.lower() == wanted
        if is_named and not _is_elsewhere(table, database):
            edits.append(_identifier_edit(table.this, text))
        if table.alias.lower() == wanted:
            is_hidden = True
    named_elsewhere = not edits and any(
        table.name.lower() == wanted for table in tree.find_all(exp.Table)
    )
    if not is_hidden and not named_elsewhere:
        for column in tree.find_all(exp.Column):
            qualifier = column.args.get("table")
            if qualifier is None or _is_elsewhere(column, database):
                continue
            if qualifier.name.lower() == wanted:
                edits.append(_identifier_edit(qualifier, text))
    return [edit for edit in edits if edit is not None]


def _is_elsewhere(named: exp.Expression, database: str) -> bool:
    """Whether a name is qualified with another database."""
    written = named.args.get("db")
    return written is not None and written.name.lower() != database


def _identifier_edit(identifier: exp.Expression, text: str) -> Edit | None:
    if "start" not in identifier.meta:
        return None
    return identifier.meta["start"], identifier.meta["end"], text


def _parent_edits(tokens: Tokens, wanted: str, text: str) -> list[Edit]:
    """The names after REFERENCES."""
    return [
        (tokens.starts[place], tokens.ends[place], text)
        for place in range(1, len(tokens.kinds))
        if tokens.kinds[place - 1] == "REFERENCES" and tokens.values[place].lower() == wanted
    ]


# -- renaming a column ------------------------------------------------------------------------------------


class ColumnFinder:
    """Finds where definitions mean the column `old` of `table`."""

    def __init__(self, table: Table, old: str, new: str, schema: Schema) -> None:
        self.table = table.name.lower()
        self.old = old.lower()
        self.new = new
        self.new_quoted = new if new[0] in "\"`['" else quoted(new)
        self.schema = schema
        self.text = ""
        self.in_lists = True  # names in column lists and of assignments, not of expressions alone
        self.edits: list[Edit] = []

    def found(self, statement: Statement) -> list[Edit]:
        """The edits that the statement's text needs."""
        self.edits = []
        self.text = statement.text
        tokens = tokens_of(statement.text)
        if isinstance(statement, CreateTable):
            self._in_table(statement, tokens)
        else:
            self._in_statement(statement, tokens, {})
        return self.edits

    def _edit(self, start: int, end: int) -> None:
        # What stood in quotes stays in quotes.
        is_plain = self.text[start] not in "\"`['"
        self.edits.append((start, end, self.new if is_plain else self.new_quoted))

    # -- by tokens

    def _list(self, tokens: Tokens, place: int) -> int:
        """Edit the names of the parenthesised list at `place`, if one is there; the place after it."""
        if tokens.kinds[place] != "(" or not self.in_lists:
            return place
        depth = 0
        while tokens.kinds[place] != "":
            if tokens.kinds[place] == "(":
                depth += 1
            elif tokens.kinds[place] == ")":
                depth -= 1
                if depth == 0:
                    return place + 1
            elif (
                depth == 1
                and tokens.kinds[place - 1] in ("(", ",")
                and tokens.values[place].lower() == self.old
            ):
                self._edit(tokens.starts[place], tokens.ends[place])
            place += 1
        return place

    def _place_at(self, tokens: Tokens, offset: int) -> int:
        return next(place for place, start in enumerate(tokens.starts) if start >= offset)

    # -- CREATE TABLE

    def _in_table(self, statement: CreateTable, tokens: Tokens) -> None:
        is_own = statement.name.name.lower() == self.table
        kinds = tokens.kinds
        for place in range(len(kinds) - 2):
            is_key = kinds[place] == "KEY" or kinds[place] == "UNIQUE"
            if is_own and is_key and kinds[place + 1] == "(":
                self._list(tokens, place + 1)
            elif kinds[place] == "REFERENCES" and tokens.values[place + 1].lower() == self.table:
                self._list(tokens, place + 2)
        if not is_own:
            return
        for definition in statement.columns:
            if definition.name.lower() == self.old:
                self._edit(definition.name_start, definition.name_end)
        for tree in parts_of(statement, exp.Expression):
            self._in_tree(tree, {self.table: self.table})

    # -- everything else

    def _in_statement(self, statement: Statement, tokens: Tokens, outer: dict[str, str]) -> None:
        sources = dict(outer)
        nested: tuple[Statement, ...] = ()
        if isinstance(statement, CreateTrigger):
            target = statement.table.name.lower()
            sources = {"new": target, "old": target}
            nested = statement.body
            if target == self.table and statement.columns and self.in_lists:
                self._update_of(tokens)
            if statement.when is not None:
                self._in_tree(statement.when, sources)
            for part in nested:
                self._in_statement(part, tokens, sources)
            return
        target_name = getattr(statement, "table", None)
        is_own = False
        if isinstance(target_name, ObjectName):
            is_own = target_name.name.lower() == self.table
            alias = getattr(statement, "alias", None) or target_name.name
            sources[alias.lower()] = target_name.name.lower()
        if isinstance(statement, Update):
            sources |= _relations(
                [part.this for part in (statement.from_, *statement.joins) if part is not None]
            )
        if isinstance(statement, Insert):
            sources["excluded"] = statement.table.name.lower()
            if is_own:
                place = self._place_at(tokens, statement.table.end)
                while tokens.kinds[place] in ("AS", "ID"):
                    place += 1
                self._list(tokens, place)
        if isinstance(statement, (Update, Insert)) and is_own and self.in_lists:
            self._assignments(statement, tokens)
        for part in parts_of(statement, IndexedColumn):
            if is_own and part.column is not None and part.column.lower() == self.old:
                self._edit(part.start, self._name_end(tokens, part.start))
        hides = isinstance(statement, (Insert, Update, Delete)) or is_own
        for tree in parts_of(statement, exp.Expression):
            self._in_tree(tree, sources if hides else outer)

    def _name_end(self, tokens: Tokens, start: int) -> int:
        return tokens.ends[self._place_at(tokens, start)]

    def _update_of(self, tokens: Tokens) -> None:
        place = tokens.kinds.index("OF") + 1
        while tokens.kinds[place] not in ("ON", ""):
            if tokens.values[place].lower() == self.old:
                self._edit(tokens.starts[place], tokens.ends[place])
            place += 1

    def _assignments(self, statement: Update | Insert, tokens: Tokens) -> None:
        from sql.parse.statements import Assignment

        for assignment in parts_of(statement, Assignment):
            place = self._place_at(tokens, assignment.start)
            if tokens.kinds[place] == "(":
                self._list(tokens, place)
            elif tokens.values[place].lower() == self.old:
                self._edit(tokens.starts[place], tokens.ends[place])

    # -- expressions and queries

    def _in_tree(self, tree: exp.Expression, outer: dict[str, str]) -> None:
        for column in tree.find_all(exp.Column):
            identifier = column.this
            if not isinstance(identifier, exp.Identifier) or "start" not in identifier.meta:
                continue
            if identifier.name.lower() == self.old and self._is_ours(column, outer):
                self._edit(identifier.meta["start"], identifier.meta["end"])

    def _is_ours(self, column: exp.Column, outer: dict[str, str]) -> bool:
        qualifier = column.args.get("table")
        wanted = None if qualifier is None else qualifier.name.lower()
        node: Any = column
        while node is not None:
            if isinstance(node, exp.Order) and wanted is None:
                if isinstance(node.parent, exp.SetOperation):
                    return self._is_result(node.parent, outer)
                if self._is_alias(node):
                    return False
            if isinstance(node, exp.Select):
                answer = self._answer(_sources(node), wanted)
                if answer is not None:
                    return answer
            node = node.parent
        return bool(self._answer(outer, wanted))

    def _is_result(self, compound: exp.SetOperation, outer: dict[str, str]) -> bool:
        """Whether the name in ORDER BY of a compound is that of our column in the first arm that has the name."""
        arm: Any = compound
        arms: list[Any] = []
        while isinstance(arm, exp.SetOperation):
            arms.append(arm.expression)
            arm = arm.this
        for select in (arm, *reversed(arms)):
            for item in select.expressions if isinstance(select, exp.Select) else ():
                if item.alias_or_name.lower() == self.old:
                    return isinstance(item, exp.Column) and self._is_ours(item, outer)
        return False

    def _is_alias(self, order: exp.Order) -> bool:
        select = order.parent
        return isinstance(select, exp.Select) and any(
            isinstance(item, exp.Alias) and item.alias.lower() == self.old
            for item in select.expressions
        )

    def _answer(self, sources: dict[str, str], wanted: str | None) -> bool | None:
        """Whether the name means our column; None if these sources do not know it."""
        if wanted is not None:
            found = sources.get(wanted)
            return None if found is None else found == self.table
        visible = [name for alias, name in sources.items() if alias not in _QUALIFIED_ONLY]
        if self.table in visible:
            return True
        for name in visible:
            if not name:
                return False  # a subquery: its own columns
            table = self.schema.table(name)
            if table is not None and any(item.name.lower() == self.old for item in table.columns):
                return False
        return None


_QUALIFIED_ONLY = frozenset(("new", "old", "excluded"))


def _sources(select: exp.Select) -> dict[str, str]:
    """The relations of a FROM clause: alias to table name, "" for anything that is no table."""
    from_ = select.args.get("from_")
    if from_ is None:
        return {}
    return _relations([from_.this, *[join.this for join in select.args.get("joins") or []]])


def _relations(waiting: list[exp.Expression]) -> dict[str, str]:
    """The same of the items of a FROM clause."""
    found: dict[str, str] = {}
    while waiting:
        node = waiting.pop()
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
            found[(node.alias or node.name).lower()] = node.name.lower()
            waiting += [join.this for join in node.args.get("joins") or []]
        elif isinstance(node, exp.Subquery) and isinstance(node.this, exp.Table):
            waiting += [node.this, *[join.this for join in node.args.get("joins") or []]]
        else:
            found[node.alias.lower()] = ""
    return found
