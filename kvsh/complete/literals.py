"""Values of a column as candidates for the literal it is compared with, read from the data."""

from __future__ import annotations

from collections.abc import Iterator

from kvsh.complete.blocks import resolve
from kvsh.complete.catalog import Catalog, SchemaNames
from kvsh.complete.names import visible_sources
from kvsh.complete.ranking import Candidate
from kvsh.complete.scope import Situation
from kvsh.complete.tokens import NUMBER, QUOTED, STRING, WORD, Token

VALUES_MAX = 40
COMPARISONS = frozenset(("=", "==", "<>", "!=", "<", ">", "<=", ">=", "LIKE", "GLOB", "IS"))


def values(situation: Situation, catalog: Catalog) -> Iterator[Candidate]:
    """Data of the column on the other side of a comparison, read from the tree."""
    compared = _compared_column(situation.before)
    column = _resolve_column(situation, catalog.schema(), *compared) if compared else None
    word = situation.word
    typed = word.name if word is not None and word.kind == STRING else ""
    if column is None:
        return
    relation, name = column
    if relation.lower() == "kv" and name.lower() == "key":
        for datum in catalog.keys(typed, VALUES_MAX):
            yield _value_candidate(datum.text, datum.note, numeric=False, whole=datum.whole)
        return
    for datum in catalog.values(relation, name, typed, VALUES_MAX):
        if datum.numeric and word is not None:
            continue
        yield _value_candidate(datum.text, datum.note, numeric=datum.numeric, whole=datum.whole)


def _value_candidate(text: str, note: str, *, numeric: bool, whole: bool) -> Candidate:
    literal = text if numeric else "'" + text.replace("'", "''") + ("'" if whole else "")
    return Candidate(literal, "value", note, 0, match=text, display=text)


def _compared_column(before: list[Token]) -> tuple[str, str] | None:
    """(qualifier, column), as written, that the literal after these tokens is compared with."""
    position = len(before) - 1
    if position >= 0 and before[position].text in ("(", ","):  # IN ('a', '|
        while position >= 0 and (
            before[position].kind in (STRING, NUMBER) or before[position].text in ",("
        ):
            position -= 1
        if position < 0 or before[position].upper != "IN":
            return None
    elif position < 0 or before[position].upper not in COMPARISONS:
        return None
    position -= 1
    if position >= 0 and before[position].upper == "NOT":
        position -= 1
    if position < 0 or before[position].kind not in (WORD, QUOTED):
        return None
    name = before[position].name
    qualifier = (
        before[position - 2].name if position >= 2 and before[position - 1].text == "." else ""
    )
    return qualifier.lower(), name


def _resolve_column(
    situation: Situation, schema: SchemaNames, qualifier: str, name: str
) -> tuple[str, str] | None:
    for _, source, block in visible_sources(situation.block):
        if qualifier and source.label.lower() != qualifier:
            continue
        relation = resolve(source, block, schema)
        if relation is None or relation.kind not in ("table", "view"):
            continue
        for column in relation.columns:
            if column.name.lower() == name.lower():
                return relation.name, column.name
    return None
