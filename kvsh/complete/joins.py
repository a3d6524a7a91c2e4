"""FROM, JOIN, ON and USING: relations, whole joins along foreign keys, and join conditions."""

from __future__ import annotations

from collections.abc import Iterator

from kvsh.complete.blocks import cte_relation, resolve
from kvsh.complete.catalog import Catalog, Relation, SchemaNames
from kvsh.complete.expressions import operand_or_operator, operator
from kvsh.complete.names import keywords, quoted_name, relation_note, schema_relations
from kvsh.complete.ranking import Candidate
from kvsh.complete.scope import Situation
from kvsh.complete.words import TABLE_FUNCTIONS


def from_candidates(situation: Situation, catalog: Catalog) -> Iterator[Candidate]:
    frame = situation.frame
    if frame.want_source:
        if situation.clause == "JOIN":
            yield from _related(situation, catalog.schema())
        yield from _sources(situation, catalog)
    elif situation.back(1) != "AS":
        if situation.clause == "JOIN" and not frame.may_alias:
            yield from keywords(("ON", "USING ("), weight=3)
        yield from operator(situation)


def _sources(situation: Situation, catalog: Catalog) -> Iterator[Candidate]:
    schema = catalog.schema()
    for cte in situation.block.ctes.values():
        yield Candidate(
            quoted_name(cte.name), "cte", relation_note(cte_relation(cte, schema)), 0, cte.name
        )
    yield from schema_relations(schema)
    if situation.frame.base.statement not in ("INSERT", "UPDATE", "DELETE"):
        for name, (signature, _) in TABLE_FUNCTIONS.items():
            yield Candidate(f"{name}(", "function", signature, 3, name)
        yield from keywords(("(SELECT",), weight=4)


def _related(situation: Situation, schema: SchemaNames) -> Iterator[Candidate]:
    """Whole joins along foreign keys: `Album ON Album.ArtistId = a.ArtistId`."""
    taken = {source.label.lower() for source in situation.block.sources}
    for source in situation.block.sources:
        relation = schema.relation(source.name)
        if relation is None:
            continue
        for other, pairs in _links(relation, schema):
            label = _free_label(other.name, taken)
            on = " AND ".join(
                f"{label}.{quoted_name(theirs)} = {quoted_name(source.label)}.{quoted_name(mine)}"
                for mine, theirs in pairs
            )
            name = quoted_name(other.name)
            head = name if label == name else f"{name} {label}"
            yield Candidate(f"{head} ON {on}", "join", "foreign key", 1, match=other.name)


def _free_label(name: str, taken: set[str]) -> str:
    if name.lower() not in taken:
        return quoted_name(name)
    letter = next((c for c in name.lower() if c.isalpha()), "t")
    number = 2
    while f"{letter}{number}" in taken:
        number += 1
    return f"{letter}{number}"


def _links(
    relation: Relation, schema: SchemaNames
) -> Iterator[tuple[Relation, list[tuple[str, str]]]]:
    """Relations tied to this one by a foreign key of either, with (own column, its column) pairs."""
    for key in relation.foreign_keys:
        parent = schema.relation(key.parent)
        if parent is not None:
            yield parent, list(zip(key.columns, key.parent_columns, strict=False))
    lowered = relation.name.lower()
    for other in schema.relations.values():
        for key in other.foreign_keys:
            if key.parent.lower() == lowered and other is not relation:
                yield other, list(zip(key.parent_columns, key.columns, strict=False))


def on_candidates(situation: Situation, catalog: Catalog) -> Iterator[Candidate]:
    if situation.back(1) in ("ON", "AND"):
        yield from _join_conditions(situation, catalog.schema())
    yield from operand_or_operator(situation, catalog)


def _join_conditions(situation: Situation, schema: SchemaNames) -> Iterator[Candidate]:
    """Conditions between the source joined last and those before it."""
    sources = situation.block.sources
    at = max((i for i, s in enumerate(sources)), default=-1)
    if at < 1:
        return
    joined, relation = sources[at], resolve(sources[at], situation.block, schema)
    if relation is None:
        return
    by_name: list[Candidate] = []
    for source in sources[:at]:
        other = resolve(source, situation.block, schema)
        if other is None:
            continue
        mine, theirs = quoted_name(joined.label), quoted_name(source.label)
        for linked, pairs in _links(relation, schema):
            if linked.name.lower() == other.name.lower() and pairs:
                text = " AND ".join(
                    f"{mine}.{quoted_name(a)} = {theirs}.{quoted_name(b)}" for a, b in pairs
                )
                yield Candidate(text, "join", "foreign key", 0, match=text)
        names = {column.name.lower() for column in other.columns}
        for column in relation.columns:
            if column.name.lower() in names:
                name = quoted_name(column.name)
                text = f"{mine}.{name} = {theirs}.{name}"
                by_name.append(Candidate(text, "join", "same name", 1, match=text))
    yield from by_name


def using_columns_candidates(situation: Situation, catalog: Catalog) -> Iterator[Candidate]:
    schema = catalog.schema()
    relations = [resolve(source, situation.block, schema) for source in situation.block.sources]
    known = [relation for relation in relations if relation is not None]
    if len(known) < 2:
        return
    before = {column.name.lower() for relation in known[:-1] for column in relation.columns}
    for column in known[-1].columns:
        if column.name.lower() in before:
            yield Candidate(quoted_name(column.name), "column", column.type, 0, column.name)
