"""Names of the schema as candidates: relations, columns in scope, functions, and words of the language."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kvsh.complete.blocks import Block, Source, resolve
from kvsh.complete.catalog import Catalog, ColumnInfo, Relation, SchemaNames
from kvsh.complete.ranking import Candidate
from kvsh.complete.scope import Situation
from kvsh.complete.tokens import is_plain_name
from kvsh.complete.words import FUNCTIONS, RESERVED

_ANY_COLUMNS_MAX = 60


def quoted_name(name: str) -> str:
    """The name as it must be written: quoted if it is no plain identifier.

    >>> quoted_name("Artist"), quoted_name("order"), quoted_name("two words")
    ('Artist', '"order"', '"two words"')
    """
    if is_plain_name(name) and name.upper() not in RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


def keywords(words: Iterable[str], *, weight: int = 4) -> Iterator[Candidate]:
    for word in words:
        yield Candidate(word, "keyword", weight=weight)


def visible_sources(block: Block) -> Iterator[tuple[int, Source, Block]]:
    """(distance, source, its block) from the innermost block outwards."""
    distance, current = 0, block
    while current is not None and distance < 20:
        for source in current.sources:
            yield distance, source, current
        if current.parent is None:
            return
        current = current.parent
        distance += 1


def columns(situation: Situation, catalog: Catalog) -> Iterator[Candidate]:
    """Columns of the sources in scope; qualified where a bare name would be ambiguous."""
    schema = catalog.schema()
    found = [
        (distance, source, relation)
        for distance, source, block in visible_sources(situation.block)
        if (relation := resolve(source, block, schema)) is not None
    ]
    if not found:
        yield from _columns_of_all(situation, schema)
        return
    counts: dict[str, int] = {}
    for _, _, relation in found:
        for column in relation.columns:
            counts[column.name.lower()] = counts.get(column.name.lower(), 0) + 1
    several = len(found) > 1
    for distance, source, relation in found:
        label = quoted_name(source.label) if source.label else ""
        for column in relation.columns:
            name = quoted_name(column.name)
            is_qualified = label and (counts[column.name.lower()] > 1 or distance > 0)
            yield Candidate(
                f"{label}.{name}" if is_qualified else name,
                "column",
                _column_note(column, relation if several else None),
                weight=1 + min(distance, 1),
                match=column.name,
            )
    for distance, source, relation in found:
        if several and source.label:
            yield Candidate(
                quoted_name(source.label) + ".",
                "alias",
                relation.name,
                2 + min(distance, 1),
                source.label,
            )


def _columns_of_all(situation: Situation, schema: SchemaNames) -> Iterator[Candidate]:
    """Before there is a FROM: columns of any relation, once a letter is typed."""
    word = situation.word
    if word is None or situation.clause not in ("SELECT", "EXPRESSION", "RETURNING"):
        return
    grouped: dict[str, list[str]] = {}
    for column, relation in schema.columns_starting(word.name, _ANY_COLUMNS_MAX):
        grouped.setdefault(column, []).append(relation)
    for column, relations in grouped.items():
        note = (
            relations[0] if len(relations) == 1 else f"{relations[0]} and {len(relations) - 1} more"
        )
        yield Candidate(quoted_name(column), "column", note, 1, column)


def _column_note(column: ColumnInfo, relation: Relation | None) -> str:
    if relation is None:
        return column.type
    return f"{relation.name} {column.type}".strip()


def qualified(situation: Situation, schema: SchemaNames) -> Iterator[Candidate]:
    """After `name.`: the columns of that source; the relations of a schema name."""
    qualifier = situation.before[-2].name.lower()
    for _, source, block in visible_sources(situation.block):
        if source.label.lower() == qualifier or source.name.lower() == qualifier:
            relation = resolve(source, block, schema)
            if relation is not None:
                yield from columns_of(relation)
                if situation.clause in ("SELECT", "RETURNING"):
                    yield Candidate("*", "column", "all columns", weight=2)
                return
    if qualifier == "excluded" and situation.frame.base.sources:
        relation = schema.relation(situation.frame.base.sources[0].name)
        if relation is not None:
            yield from columns_of(relation)
    elif qualifier in schema.databases:
        yield from map(_relation_candidate, schema.databases[qualifier].values())
    elif qualifier in ("main", "temp"):
        yield from schema_relations(schema)
    elif (relation := schema.relation(qualifier)) is not None:
        yield from columns_of(relation)


def columns_of(relation: Relation, *, without: Iterable[str] = ()) -> Iterator[Candidate]:
    left_out = set(without)
    for column in relation.columns:
        if column.name.lower() not in left_out:
            yield Candidate(quoted_name(column.name), "column", column.type, 1, column.name)


def aliases(situation: Situation) -> Iterator[Candidate]:
    for item in situation.block.items:
        if item.has_alias:
            yield Candidate(quoted_name(item.name), "alias", "result column", 1, item.name)


def functions(catalog: Catalog) -> Iterator[Candidate]:
    for name, signature in FUNCTIONS.items():
        text = f"{name}()" if f"{name}()" in signature else f"{name}("
        yield Candidate(text, "function", signature, 3, name)
    for name in catalog.schema().functions:
        if name not in FUNCTIONS:
            yield Candidate(f"{name}(", "function", "user function", 3, name)


def schema_relations(schema: SchemaNames) -> Iterator[Candidate]:
    """Tables and views by their names alone, and the attached databases, whose names stand before those of theirs."""
    yield from map(_relation_candidate, schema.relations.values())
    for name, relations in schema.databases.items():
        if name != "main":
            count = len(relations)
            note = f"{count} table{'' if count == 1 else 's'} and views"
            yield Candidate(f"{quoted_name(name)}.", "database", note, 2, name)


def _relation_candidate(relation: Relation) -> Candidate:
    return Candidate(
        quoted_name(relation.name), relation.kind, relation_note(relation), 1, relation.name
    )


def relation_note(relation: Relation) -> str:
    count = len(relation.columns)
    return f"{relation.kind}, {count} column{'' if count == 1 else 's'}"
