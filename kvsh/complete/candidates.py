"""What could stand at a place in a SQL statement: the candidates, before they are matched and ranked.

`candidates` looks at the situation (see `scope`) and yields by clause.  The weights, lower first:
0 what fits exactly (values, join conditions, the rest of a compound keyword), 1 names of the schema in
scope, 2 qualifiers, 3 functions, 4 keywords, 5 and more the unlikely rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from kvsh.complete import changes
from kvsh.complete.catalog import Catalog
from kvsh.complete.expressions import operand_or_operator
from kvsh.complete.joins import from_candidates, on_candidates, using_columns_candidates
from kvsh.complete.literals import values
from kvsh.complete.names import keywords, qualified
from kvsh.complete.ranking import Candidate
from kvsh.complete.scope import Situation
from kvsh.complete.tokens import STRING, WORD
from kvsh.complete.words import COLLATIONS, STATEMENTS

_CONTINUATIONS: dict[str, tuple[str, ...]] = {
    "GROUP": ("BY",),
    "ORDER": ("BY",),
    "PARTITION": ("BY",),
    "LEFT": ("JOIN", "OUTER JOIN"),
    "RIGHT": ("JOIN", "OUTER JOIN"),
    "FULL": ("JOIN", "OUTER JOIN"),
    "INNER": ("JOIN",),
    "CROSS": ("JOIN",),
    "OUTER": ("JOIN",),
    "NATURAL": ("JOIN", "LEFT JOIN"),
    "INSERT": ("INTO", "OR REPLACE INTO", "OR IGNORE INTO"),
    "DELETE": ("FROM",),
    "CREATE": ("TABLE", "INDEX", "UNIQUE INDEX", "VIEW", "TRIGGER", "TEMP TABLE", "TEMP VIEW"),
    "UNIQUE": ("INDEX",),
    "TEMP": ("TABLE", "VIEW", "TRIGGER"),
    "DROP": ("TABLE", "INDEX", "VIEW", "TRIGGER"),
    "ALTER": ("TABLE",),
    "NULLS": ("FIRST", "LAST"),
    "PRIMARY": ("KEY",),
    "FOREIGN": ("KEY (",),
    "WITHOUT": ("ROWID",),
    "QUERY": ("PLAN",),
    "CONFLICT": ("DO NOTHING", "DO UPDATE SET", "("),
    "DO": ("NOTHING", "UPDATE SET"),
    "BEGIN": ("IMMEDIATE", "DEFERRED", "EXCLUSIVE", "TRANSACTION"),
    "COMMIT": ("TRANSACTION",),
    "ROLLBACK": ("TO", "TRANSACTION"),
    "COLLATE": COLLATIONS,
    "INSTEAD": ("OF",),
    "GENERATED": ("ALWAYS AS (",),
}
"""What must follow a word; nothing else is offered there."""


def candidates(situation: Situation, catalog: Catalog) -> Iterator[Candidate]:
    """Everything that could stand at the cursor of a SQL statement, likely things first."""
    word = situation.word
    if word is not None and word.kind == STRING:
        yield from values(situation, catalog)
        return
    if situation.back(1) == "." and len(situation.before) >= 2:
        yield from qualified(situation, catalog.schema())
        return
    continuation = _continuation(situation)
    if continuation is not None:
        yield from keywords(continuation, weight=0)
        return
    produce = _BY_CLAUSE.get(situation.clause, operand_or_operator)
    yield from produce(situation, catalog)


_BEFORE_NOT_OPERAND = frozenset(("AND", "OR", "WHERE", "ON", "HAVING", "(", ",", "SELECT", "WHEN"))


def _continuation(situation: Situation) -> Sequence[str] | None:
    previous = situation.previous
    if previous is None or previous.kind != WORD:
        return None
    upper = previous.upper
    if upper == "NOT" and situation.back(2) == "IS":
        return ("NULL", "DISTINCT FROM")
    if upper == "NOT" and situation.clause in ("DEFINITION", "REFERENCES"):
        return ("NULL",)
    if upper == "NOT" and situation.back(2) not in _BEFORE_NOT_OPERAND:
        return ("IN (", "LIKE", "BETWEEN", "NULL", "GLOB")
    if upper == "IF":
        return ("EXISTS",) if situation.back(3) == "DROP" else ("NOT EXISTS",)
    if upper == "IS":
        return ("NULL", "NOT NULL", "DISTINCT FROM", "NOT DISTINCT FROM")
    if upper in ("UNION", "EXCEPT", "INTERSECT"):
        return (
            ("ALL SELECT", "SELECT", "ALL", "VALUES") if upper == "UNION" else ("SELECT", "VALUES")
        )
    if upper == "ALL" and situation.clause == "COMPOUND":
        return ("SELECT", "VALUES")
    if upper == "UNIQUE" and situation.clause != "CREATE":
        return None
    if (
        upper in ("LEFT", "RIGHT", "FULL", "INNER", "CROSS", "OUTER", "NATURAL")
        and situation.clause != "FROM"
    ):
        return None
    if upper in ("BEGIN", "COMMIT", "ROLLBACK") and len(situation.before) > 1:
        return None
    return _CONTINUATIONS.get(upper)


def after_statement_start(situation: Situation, _catalog: Catalog) -> Iterator[Candidate]:
    if situation.previous is None or situation.clause in ("EXPLAIN", ""):
        words: tuple[str, ...] = STATEMENTS
        if situation.clause == "EXPLAIN":
            words = (
                "ANALYZE",
                "QUERY PLAN",
                "CODE",
                *(w for w in STATEMENTS if "EXPLAIN" not in w),
            )
        for order, word in enumerate(words):
            yield Candidate(word, "keyword", weight=4 + order // 12)


def after_with(situation: Situation, _catalog: Catalog) -> Iterator[Candidate]:
    previous = situation.back(1)
    if previous == "WITH":
        yield from keywords(("RECURSIVE",), weight=6)
    elif previous == "AS":
        yield from keywords(("(", "MATERIALIZED (", "NOT MATERIALIZED ("))
    elif previous == ")":
        yield from keywords(("SELECT", "INSERT INTO", "UPDATE", "DELETE FROM", "AS ("))
    else:
        yield from keywords(("AS (", "AS MATERIALIZED (", "AS NOT MATERIALIZED ("))


def after_query_start(situation: Situation, catalog: Catalog) -> Iterator[Candidate]:
    if situation.frame.opener == "query" or situation.clause in ("COMPOUND", "CREATE VIEW AS"):
        yield from keywords(("SELECT", "WITH", "VALUES (", "RECURSIVE"))
    else:
        yield from after_statement_start(situation, catalog)


def after_nothing(_situation: Situation, _catalog: Catalog) -> Iterator[Candidate]:
    return iter(())


_BY_CLAUSE: dict[str, Callable[[Situation, Catalog], Iterator[Candidate]]] = {
    "": after_query_start,
    "COMPOUND": after_query_start,
    "CREATE VIEW AS": after_query_start,
    "EXPLAIN": after_statement_start,
    "FROM": from_candidates,
    "JOIN": from_candidates,
    "ON": on_candidates,
    "USING COLUMNS": using_columns_candidates,
    "INTO": changes.after_into,
    "UPDATE": changes.after_update,
    "SET": changes.after_set,
    "VALUES": changes.after_values_row,
    "INSERT COLUMNS": changes.after_listed_columns,
    "CONFLICT COLUMNS": changes.after_listed_columns,
    "INDEX COLUMNS": changes.after_listed_columns,
    "PARENT COLUMNS": changes.after_listed_columns,
    "OWN COLUMNS": changes.after_own_columns,
    "OWN EXPRESSION": changes.after_own_columns,
    "DEFINITION": changes.after_definition,
    "REFERENCES": changes.after_references,
    "CREATE TABLE": changes.after_create_table,
    "CREATE INDEX": changes.after_create_index,
    "INDEX ON": changes.after_index_on,
    "CREATE VIEW": lambda situation, catalog: keywords(("AS SELECT",)),
    "CREATE TRIGGER": changes.after_create_trigger,
    "TRIGGER ON": changes.after_trigger_on,
    "DROP TABLE": changes.after_drop,
    "DROP VIEW": changes.after_drop,
    "DROP INDEX": changes.after_drop,
    "DROP TRIGGER": changes.after_drop,
    "ALTER TABLE": changes.after_alter_table,
    "PRAGMA": changes.after_pragma,
    "PRAGMA ARGUMENT": changes.after_pragma_argument,
    "WITH": after_with,
    "CTE COLUMNS": after_nothing,
    "REINDEX": changes.after_relations_and_indexes,
    "ANALYZE": changes.after_relations_and_indexes,
    "CONFLICT": changes.after_conflict,
    "SAVEPOINT": after_nothing,
    "RELEASE": after_nothing,
    "VACUUM": after_nothing,
    "COMMIT": after_nothing,
    "ROLLBACK": after_nothing,
    "BEGIN": after_nothing,
    "CREATE": after_nothing,
    "DROP": after_nothing,
    "ALTER": after_nothing,
    "INSERT": after_nothing,
    "DELETE": after_nothing,
}
