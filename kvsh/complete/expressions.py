"""What can stand in an expression: an operand or, after one, an operator or the next clause."""

from __future__ import annotations

from collections.abc import Iterator

from kvsh.complete.catalog import Catalog
from kvsh.complete.literals import COMPARISONS, values
from kvsh.complete.names import aliases, columns, functions, keywords
from kvsh.complete.ranking import Candidate
from kvsh.complete.scope import Situation
from kvsh.complete.tokens import NUMBER, OPERATOR, QUOTED, STRING, WORD
from kvsh.complete.words import JOINS, TYPES, word_set

_OPERAND_WORDS = word_set("""SELECT DISTINCT ALL WHERE AND OR NOT ON BY HAVING WHEN THEN ELSE CASE LIKE GLOB REGEXP MATCH BETWEEN IS
    SET RETURNING LIMIT OFFSET VALUES ESCAPE IN DEFAULT""")
_OPERATORS = (
    "AND", "OR", "IN (", "LIKE", "IS NULL", "IS NOT NULL", "BETWEEN", "NOT IN (", "NOT LIKE", "GLOB",
    "COLLATE NOCASE", "IS DISTINCT FROM", "NOT BETWEEN", "ESCAPE", "REGEXP",
)  # fmt: skip
_AFTER: dict[str, tuple[str, ...]] = {
    "SELECT": ("FROM", "AS", "OVER (", "FILTER (WHERE", "WHERE", "ORDER BY", "LIMIT", "UNION ALL", "UNION"),
    "FROM": ("WHERE", *JOINS, "GROUP BY", "ORDER BY", "LIMIT", "AS", "HAVING", "UNION ALL", "UNION", "EXCEPT", "INTERSECT", "INDEXED BY", "NOT INDEXED", "WINDOW"),
    "JOIN": ("ON", "USING (", "AS", *JOINS, "WHERE", "GROUP BY", "ORDER BY", "LIMIT"),
    "ON": (*JOINS, "WHERE", "GROUP BY", "ORDER BY", "LIMIT", "HAVING"),
    "USING": (*JOINS, "WHERE", "GROUP BY", "ORDER BY", "LIMIT"),
    "WHERE": ("GROUP BY", "ORDER BY", "LIMIT", "RETURNING", "UNION ALL", "UNION", "EXCEPT", "INTERSECT", "HAVING", "ON CONFLICT"),
    "GROUP BY": ("HAVING", "ORDER BY", "LIMIT", "COLLATE NOCASE", "UNION ALL", "WINDOW"),
    "HAVING": ("ORDER BY", "LIMIT", "UNION ALL", "WINDOW"),
    "ORDER BY": ("DESC", "ASC", "LIMIT", "NULLS LAST", "NULLS FIRST", "COLLATE NOCASE"),
    "LIMIT": ("OFFSET",),
    "SET": ("WHERE", "FROM", "RETURNING"),
    "RETURNING": ("AS",),
    "WINDOW": ("PARTITION BY", "ORDER BY", "ROWS BETWEEN", "RANGE BETWEEN", "GROUPS BETWEEN", "UNBOUNDED PRECEDING AND CURRENT ROW", "EXCLUDE"),
    "PARTITION BY": ("ORDER BY", "ROWS BETWEEN", "RANGE BETWEEN"),
}  # fmt: skip
_WITH_OPERATORS = word_set("SELECT WHERE ON HAVING EXPRESSION SET RETURNING VALUES") | {"GROUP BY"}


def expects_operand(situation: Situation) -> bool:
    previous = situation.previous
    if previous is None:
        return True
    if previous.kind == OPERATOR:
        if previous.text == "*":
            return situation.back(2) not in (
                "SELECT",
                ",",
                ".",
                "(",
                "DISTINCT",
                "ALL",
                "RETURNING",
                "",
            )
        return previous.text != ")"
    return previous.kind == WORD and previous.upper in _OPERAND_WORDS and situation.back(2) != "."


def operand_or_operator(situation: Situation, catalog: Catalog) -> Iterator[Candidate]:
    if expects_operand(situation):
        yield from operand(situation, catalog)
    else:
        yield from operator(situation)


def operand(situation: Situation, catalog: Catalog) -> Iterator[Candidate]:
    if situation.clause == "WINDOW" and situation.back(1) == "(":
        yield from keywords(("PARTITION BY", "ORDER BY", "ROWS BETWEEN", "RANGE BETWEEN"), weight=0)
        return
    is_listed = situation.back(1) in ("(", ",") and situation.frame.opener == "group"
    if situation.word is None and (situation.back(1) in COMPARISONS or is_listed):
        yield from values(situation, catalog)
    if situation.back(1) == "(" and situation.frame.opener == "group":
        yield from keywords(("SELECT",), weight=2)
    if situation.frame.call.lower() == "count" and situation.back(1) == "(":
        yield Candidate("*)", "column", "all rows", 0)
    if situation.clause == "SELECT" and situation.back(1) in ("SELECT", "DISTINCT", ",", "ALL"):
        yield Candidate("*", "column", "all columns", 2)
    yield from columns(situation, catalog)
    if situation.clause in ("ORDER BY", "GROUP BY", "HAVING"):
        yield from aliases(situation)
    yield from functions(catalog)
    words = [
        "CASE",
        "NOT",
        "EXISTS (",
        "CAST(",
        "NULL",
        "(SELECT",
        "CURRENT_TIMESTAMP",
        "CURRENT_DATE",
    ]
    if situation.clause == "SELECT" and situation.back(1) == "SELECT":
        words.insert(0, "DISTINCT")
    if situation.frame.opener == "call" and situation.back(1) == "(":
        words.insert(0, "DISTINCT")
    if situation.frame.cases and situation.back(1) == "CASE":
        words.insert(0, "WHEN")
    yield from keywords(words)


def operator(situation: Situation) -> Iterator[Candidate]:
    frame = situation.frame
    if frame.call.lower() == "cast" and situation.clause == "EXPRESSION":
        if situation.back(1) == "AS":
            for name in TYPES:
                yield Candidate(name, "type", weight=0)
            return
        yield Candidate("AS", "keyword", weight=0)
    if situation.back(1) == "AS":
        return  # a name of the user's own
    if frame.cases:
        yield from keywords(("WHEN", "THEN", "ELSE", "END"), weight=3)
    clause = situation.clause
    if frame.opener == "call" and clause == "EXPRESSION":
        yield from keywords(("ORDER BY",), weight=6)
    statement = frame.block.statement
    words = _AFTER.get(clause, ())
    if statement in ("UPDATE", "DELETE") and clause in ("WHERE", "FROM"):
        words = ("WHERE", "RETURNING") if clause == "FROM" else ("RETURNING",)
    previous = situation.previous
    is_comparable = previous is not None and (
        previous.kind in (WORD, QUOTED, STRING, NUMBER) or previous.text == ")"
    )
    if is_comparable and clause in _WITH_OPERATORS:
        weight = 3 if clause in ("WHERE", "ON", "HAVING", "EXPRESSION") else 6
        yield from keywords(_OPERATORS, weight=weight)
    yield from keywords(words)
