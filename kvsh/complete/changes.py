"""Statements that change data or schema: INSERT, UPDATE, CREATE, DROP, ALTER, PRAGMA and their lists."""

from __future__ import annotations

from collections.abc import Iterator

from kvsh.complete.catalog import Catalog
from kvsh.complete.expressions import expects_operand, operand_or_operator
from kvsh.complete.names import columns_of, functions, keywords, quoted_name, schema_relations
from kvsh.complete.ranking import Candidate
from kvsh.complete.scope import Situation
from kvsh.complete.words import (
    COLUMN_CONSTRAINTS,
    INDEX_PRAGMAS,
    PRAGMAS,
    REFERENCE_ACTIONS,
    RESERVED,
    TABLE_CONSTRAINTS,
    TABLE_OPTIONS,
    TABLE_PRAGMAS,
    TYPES,
)


def after_into(situation: Situation, catalog: Catalog) -> Iterator[Candidate]:
    frame = situation.frame
    if frame.want_source:
        yield from schema_relations(catalog.schema())
        return
    relation = (
        catalog.schema().relation(frame.block.sources[-1].name) if frame.block.sources else None
    )
    if relation is not None and situation.back(1) != ")":
        names = ", ".join(quoted_name(column.name) for column in relation.columns)
        yield Candidate(f"({names}) VALUES (", "template", "all columns", 0, match="(")
    yield from keywords(("VALUES (", "SELECT", "DEFAULT VALUES", "WITH"), weight=1)


def after_update(situation: Situation, catalog: Catalog) -> Iterator[Candidate]:
    if situation.frame.want_source:
        yield from schema_relations(catalog.schema())
        yield from keywords(("OR REPLACE", "OR IGNORE"))
    else:
        yield from keywords(("SET", "AS"))


def after_set(situation: Situation, catalog: Catalog) -> Iterator[Candidate]:
    if situation.back(1) in ("SET", ","):
        target = situation.frame.base.sources or situation.block.sources
        relation = catalog.schema().relation(target[0].name) if target else None
        if relation is not None:
            for candidate in columns_of(relation):
                yield candidate._replace(text=candidate.text + " = ")
        return
    if situation.frame.base.statement == "INSERT" and expects_operand(situation):
        yield Candidate("excluded.", "alias", "the row that was to be inserted", 1, "excluded")
    yield from operand_or_operator(situation, catalog)


def after_values_row(situation: Situation, catalog: Catalog) -> Iterator[Candidate]:
    if situation.frame.opener != "row":
        yield from keywords(("(", "RETURNING", "ON CONFLICT"))
        return
    yield from keywords(("NULL", "CURRENT_TIMESTAMP", "(SELECT"), weight=1)
    yield from functions(catalog)


def after_listed_columns(situation: Situation, catalog: Catalog) -> Iterator[Candidate]:
    frame = situation.frame
    if situation.previous is not None and situation.previous.text not in ("(", ","):
        yield from keywords(
            ("ASC", "DESC", "COLLATE NOCASE") if situation.clause == "INDEX COLUMNS" else ()
        )
        return
    relation = catalog.schema().relation(frame.relation)
    typed = situation.word.name.lower() if situation.word is not None else ""
    if relation is not None:
        yield from columns_of(relation, without=(name for name in frame.listed if name != typed))


def after_own_columns(situation: Situation, _catalog: Catalog) -> Iterator[Candidate]:
    for name in situation.frame.definition:
        yield Candidate(quoted_name(name), "column", "this table", 1, name)


def after_definition(situation: Situation, _catalog: Catalog) -> Iterator[Candidate]:
    previous = situation.previous
    if previous is None or previous.text in ("(", ","):
        if situation.word is not None:
            yield from keywords(TABLE_CONSTRAINTS, weight=5)
        return
    if situation.back(2) in ("(", ",") and previous.upper not in RESERVED:
        for name in TYPES:
            yield Candidate(name, "type", weight=1)
    yield from keywords(COLUMN_CONSTRAINTS)


def after_references(situation: Situation, catalog: Catalog) -> Iterator[Candidate]:
    if situation.back(1) == "REFERENCES":
        yield from _tables(situation, catalog)
    else:
        yield from keywords(("(", *REFERENCE_ACTIONS))


def _tables(situation: Situation, catalog: Catalog) -> Iterator[Candidate]:
    if situation.frame.relation and situation.back(1) != "REFERENCES":
        return
    for candidate in schema_relations(catalog.schema()):
        if candidate.kind == "table":
            yield candidate


def after_create_table(situation: Situation, catalog: Catalog) -> Iterator[Candidate]:
    if situation.back(1) == "TABLE":
        yield from keywords(("IF NOT EXISTS",), weight=6)
    elif situation.back(1) == ")" or situation.back(2) == ")":
        yield from keywords(TABLE_OPTIONS)
    elif situation.back(1) != "EXISTS":
        yield from keywords(("(", "AS SELECT"))


def after_create_index(situation: Situation, _catalog: Catalog) -> Iterator[Candidate]:
    yield from keywords(("IF NOT EXISTS",) if situation.back(1) == "INDEX" else ("ON",))


def after_index_on(situation: Situation, catalog: Catalog) -> Iterator[Candidate]:
    if situation.back(1) == "ON":
        yield from _tables(situation, catalog)
    else:
        yield from keywords(("(", "WHERE") if situation.back(1) != ")" else ("WHERE",))


def after_create_trigger(situation: Situation, _catalog: Catalog) -> Iterator[Candidate]:
    previous = situation.back(1)
    if previous == "TRIGGER":
        yield from keywords(("IF NOT EXISTS",))
    elif previous in ("BEFORE", "AFTER", "OF"):
        yield from keywords(("INSERT", "UPDATE", "DELETE", "UPDATE OF"))
    else:
        yield from keywords(("AFTER", "BEFORE", "INSTEAD OF", "INSERT", "UPDATE", "DELETE", "ON"))


def after_trigger_on(situation: Situation, catalog: Catalog) -> Iterator[Candidate]:
    if situation.back(1) == "ON":
        yield from schema_relations(catalog.schema())
    else:
        yield from keywords(("BEGIN", "FOR EACH ROW", "WHEN"))


def after_drop(situation: Situation, catalog: Catalog) -> Iterator[Candidate]:
    schema = catalog.schema()
    kind = situation.clause.partition(" ")[2]
    if situation.back(1) not in (kind, "EXISTS"):
        return
    if kind == "INDEX":
        for name, table in schema.indexes.items():
            if name.startswith("sqlite_"):
                continue  # of a constraint, and not to be dropped
            yield Candidate(quoted_name(name), "index", f"on {table}", 1, name)
    elif kind == "TRIGGER":
        for name in schema.triggers:
            yield Candidate(quoted_name(name), "trigger", "", 1, name)
    else:
        wanted = kind.lower()
        yield from (c for c in schema_relations(schema) if c.kind == wanted)
    if situation.back(1) == kind:
        yield from keywords(("IF EXISTS",))


def after_alter_table(situation: Situation, catalog: Catalog) -> Iterator[Candidate]:
    frame, previous = situation.frame, situation.back(1)
    if previous == "TABLE":
        yield from (c for c in schema_relations(catalog.schema()) if c.kind == "table")
        return
    relation = catalog.schema().relation(frame.relation)
    verb = situation.back(2)
    if previous == "COLUMN" and verb in ("DROP", "RENAME") and relation is not None:
        yield from columns_of(relation)
    elif previous in ("DROP", "RENAME") and relation is not None:
        yield from keywords(("COLUMN",) if previous == "DROP" else ("TO", "COLUMN"), weight=0)
        yield from columns_of(relation)
    elif previous == "ADD":
        yield from keywords(("COLUMN",))
    elif verb == "TABLE":
        yield from keywords(("ADD COLUMN", "RENAME TO", "RENAME COLUMN", "DROP COLUMN"))
    elif situation.back(2) == "COLUMN" and situation.back(3) == "RENAME":
        yield from keywords(("TO",))
    elif situation.back(2) == "COLUMN":
        for name in TYPES:
            yield Candidate(name, "type", weight=1)
    else:
        yield from keywords(COLUMN_CONSTRAINTS)


def after_pragma(situation: Situation, _catalog: Catalog) -> Iterator[Candidate]:
    if situation.back(1) == "PRAGMA":
        for name in PRAGMAS:
            text = f"{name}(" if name.upper() in TABLE_PRAGMAS | INDEX_PRAGMAS else name
            yield Candidate(text, "pragma", weight=1, match=name)
    elif situation.back(1) == "=":
        yield from keywords(("ON", "OFF", "FULL", "NORMAL"))


def after_pragma_argument(situation: Situation, catalog: Catalog) -> Iterator[Candidate]:
    schema = catalog.schema()
    if situation.frame.call in INDEX_PRAGMAS:
        for name, table in schema.indexes.items():
            yield Candidate(quoted_name(name), "index", f"on {table}", 1, name)
    elif situation.frame.call in TABLE_PRAGMAS:
        yield from schema_relations(schema)


def after_relations_and_indexes(situation: Situation, catalog: Catalog) -> Iterator[Candidate]:
    if len(situation.before) == 1:
        yield from schema_relations(catalog.schema())
        for name, table in catalog.schema().indexes.items():
            yield Candidate(quoted_name(name), "index", f"on {table}", 2, name)


def after_conflict(situation: Situation, _catalog: Catalog) -> Iterator[Candidate]:
    yield from keywords(
        ("CONFLICT (",) if situation.back(1) == "ON" else ("DO UPDATE SET", "DO NOTHING", "WHERE")
    )
