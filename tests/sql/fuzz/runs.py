"""Runs of random statements, one to a seed, in both engines."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, NamedTuple

from tests.sql.dml_scripts import contents
from tests.sql.engines import Engine, EngineError, KvshEngine, Rows, SqliteEngine, outcome
from tests.sql.fuzz.agreement import agree, explanation
from tests.sql.fuzz.cascades import COMPARED, Cascades, in_key_order
from tests.sql.fuzz.definitions import Definitions
from tests.sql.fuzz.queries import QueryMaker
from tests.sql.fuzz.tables import make_tables
from tests.sql.fuzz.writes import Fuzz

QUERIES = 60
WRITES = 25
DEFINITIONS = 40
LEAF_LIMIT = 8
"""Rows of a leaf: small, so that a few rows make a tree."""
_ORPHANS = "sqlite3 forgets an upsert's foreign keys where its triggers delete parents"
_LOST = "sqlite3 loses its way where a REPLACE's triggers write to the table"


class Difference(NamedTuple):
    """A statement that the engines answer in two ways; `reason` if that is known and told in docs/sql.md."""

    seed: int
    statement: str
    ours: object
    expected: object
    reason: str | None = None

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: {self.statement}\n    kvsh    {str(self.ours)[:900]}\n"
            f"    sqlite3 {str(self.expected)[:900]}"
            + (f"\n    known: {self.reason}" if self.reason else "")
        )


class Outcome(NamedTuple):
    """How many statements a run compared, and how they differed."""

    statements: int
    differences: list[Difference]

    @property
    def unexplained(self) -> list[Difference]:
        return [found for found in self.differences if found.reason is None]


def run_queries(seed: int) -> Outcome:
    """Random SELECTs over random tables.  An error in one engine must be one in the other; its text may be
    that of another mistake of the same statement."""
    rng = random.Random(seed)
    ours, oracle = KvshEngine(leaf_limit=LEAF_LIMIT), SqliteEngine()
    found = []
    try:
        for statement in make_tables(rng):
            ours.execute(statement)
            oracle.execute(statement)
        maker = QueryMaker(rng)
        for _ in range(QUERIES):
            query, ordered = maker.query()
            parameters = maker.parameters or ()
            expected = result(oracle, query, parameters)
            mine = result(ours, query, parameters)
            if isinstance(expected, str) and isinstance(mine, str):
                continue
            if (
                isinstance(expected, str)
                or isinstance(mine, str)
                or not agree(query, mine, expected, ordered=ordered)
            ):
                reason = explanation(mine, expected)
                if reason is None and not isinstance(mine, str):
                    reason = query_explanation(ours, oracle, maker, query, mine, ordered=ordered)
                found.append(Difference(seed, f"{query} {parameters}", mine, expected, reason))
    finally:
        ours.close()
        oracle.close()
    return Outcome(QUERIES, found)


def query_explanation(
    ours: Engine, oracle: Engine, maker: QueryMaker, query: str, mine: Rows, *, ordered: bool
) -> str | None:
    """Why sqlite3 gives other rows, by what it makes of the query in other forms."""
    parameters = maker.parameters or ()

    def agrees(form: str, rows: Rows | str) -> bool:
        other = result(oracle, form, parameters)
        if isinstance(rows, str) or isinstance(other, str):
            return False
        return agree(form, rows, other, ordered=ordered)

    oracle.execute("PRAGMA automatic_index = OFF")
    agrees_without = agrees(query, mine)
    oracle.execute("PRAGMA automatic_index = ON")
    if agrees_without:
        return "sqlite3 answers so, too, without automatic indexes"
    if agrees(fenced(query), mine):
        return "sqlite3 answers so, too, where subqueries are materialized"
    bare = maker.without_affinities(query)
    if bare != query and agrees(bare, result(ours, bare, parameters)):
        return "a compound has the affinities of another of its arms in sqlite3"
    return None


def fenced(query: str) -> str:
    """The query with all its common table expressions, subqueries in FROM and views materialized, so that sqlite3 does not
    merge them with what surrounds them."""
    query = re.sub(r"\) AS (NOT MATERIALIZED |MATERIALIZED )?\(", ") AS MATERIALIZED (", query)
    query = re.sub(r"\) AS (r\d+)\b", r" LIMIT -1) AS \1", query)
    view = r"(WITH m AS MATERIALIZED (SELECT * FROM \1) SELECT * FROM m) AS \2"
    return re.sub(r"\b(v[0-3]) AS (\w+)", view, query)


def result(engine: Engine, query: str, parameters: tuple[object, ...] | list[object]) -> Rows | str:
    """The rows, or the error's message."""
    try:
        return engine.execute(query, parameters)
    except EngineError as error:
        return f"error: {error}"


def run_writes(seed: int) -> Outcome:
    """A random schema and statements that write, compared with messages and tables after each one; until the
    first difference, or until sqlite3 finds a rowid that is no integer or a value that a STRICT column does not
    take: what it keeps of the statement then depends on its journal."""
    ours, theirs = KvshEngine(leaf_limit=LEAF_LIMIT), SqliteEngine()
    count = 0
    script = Fuzz(seed).statements(WRITES)
    try:
        for count, statement in enumerate(script, 1):
            expected = outcome(theirs, statement)
            if "datatype mismatch" in str(expected) or "cannot store" in str(expected):
                break
            mine = State(shown(outcome(ours, statement)), *rows(ours))
            other = State(shown(expected), *rows(theirs))
            if mine != other:
                reason = write_explanation(script[: count - 1], statement, mine, other)
                place = 0 if mine.outcome != other.outcome else slice(1, 3)
                found = Difference(seed, statement, mine[place], other[place], reason)
                return Outcome(count, [found])
        return checked(ours, seed, count)
    finally:
        ours.close()
        theirs.close()


def checked(ours: Engine, seed: int, count: int) -> Outcome:
    """What a script without a difference comes to once the database is checked."""
    found = ours.execute("PRAGMA integrity_check")
    differences = [] if found == [("ok",)] else [Difference(seed, "integrity_check", found, "ok")]
    return Outcome(count, differences)


def shown(result: object) -> object:
    """A result in no order; whole REALs as integers, which is how sqlite3's RETURNING shows them."""
    if not isinstance(result, list):
        return result
    return sorted(
        repr([int(v) if isinstance(v, float) and v == int(v) else v for v in row]) for row in result
    )


def run_cascades(seed: int) -> Outcome:
    """Triggers and foreign keys of many rows, compared with messages, tables and counters after each statement; until the
    first difference, or until triggers go too deep: what sqlite3 keeps of that statement depends on its journal."""
    maker = Cascades(seed)
    ours, theirs = KvshEngine(leaf_limit=maker.random.choice((LEAF_LIMIT, 64))), SqliteEngine()
    definitions, statements = maker.definitions(), maker.statements()
    count, has_failed = 0, False
    try:
        for count, statement in enumerate([*definitions, *statements], 1):
            expected = outcome(theirs, in_key_order(statement))
            mine = outcome(ours, statement)
            has_failed |= isinstance(expected, str)
            if mine != expected:
                reason = _LOST if expected == "error: constraint failed" else None
                if mine == "error: FOREIGN KEY constraint failed" and " ON CONFLICT" in statement:
                    reason = _ORPHANS if outcome(theirs, "PRAGMA foreign_key_check") else None
                return Outcome(count, [Difference(seed, statement, mine, expected, reason)])
            if expected == "error: too many levels of trigger recursion":
                break
            if count <= len(definitions):
                continue
            # What failed has counted as many changes as it made by then, which is each engine's own.
            counters = [] if has_failed else ["SELECT changes(), total_changes()"]
            for query in (*(f"SELECT * FROM {name}" for name in COMPARED), *counters):
                rows, wanted = (
                    sorted(map(repr, engine.execute(query))) for engine in (ours, theirs)
                )
                if rows != wanted:
                    only = sorted({*rows} - {*wanted})[:9], sorted({*wanted} - {*rows})[:9]
                    return Outcome(count, [Difference(seed, f"{statement}; {query}", *only)])
        return checked(ours, seed, count)
    finally:
        ours.close()
        theirs.close()


def run_definitions(seed: int) -> Outcome:
    """Random definitions over each other, compared with all that is defined and all tables after each statement; until the
    first difference.  An error in one engine must be one in the other; its text may be that of another mistake."""
    ours, theirs = KvshEngine(leaf_limit=LEAF_LIMIT), SqliteEngine()
    script = Definitions(seed).statements(DEFINITIONS)
    count = 0
    try:
        for count, statement in enumerate(script, 1):
            expected, mine = outcome(theirs, statement), outcome(ours, statement)
            found: tuple[object, object] | None = None
            if not (isinstance(expected, str) and isinstance(mine, str)):
                found = shown(mine), shown(expected)
                if found[0] == found[1]:
                    found = defined(ours), defined(theirs)
            if found is not None and found[0] != found[1]:
                reason = definition_explanation(script[:count], *found)
                return Outcome(count, [Difference(seed, statement, *found, reason)])
        return checked(ours, seed, count)
    finally:
        ours.close()
        theirs.close()


def defined(engine: Engine) -> dict[str, object]:
    """What is defined, and the rows of all tables."""
    found: dict[str, object] = {}
    for database, catalog in (("main", "sqlite_master"), ("temp", "sqlite_temp_master")):
        objects = engine.execute(f"SELECT type, name, tbl_name, sql FROM {catalog}")
        found[database] = sorted(map(repr, objects))
        for kind, name, _, _ in objects:
            if kind == "table":
                found[f"{database}.{name}"] = shown(
                    outcome(engine, f'SELECT * FROM {database}."{name}"')
                )
    return found


def definition_explanation(script: list[str], ours: object, expected: object) -> str | None:
    """Why sqlite3 accepts or refuses another definition; docs/sql.md tells of each."""
    if "generated column loop" in str(ours):
        return "generated columns that need themselves are refused with the definition"
    has_triggers = "TRIGGER" in "".join(script)
    if has_triggers and isinstance(expected, str) and not isinstance(ours, str):
        return "what a trigger's body names is looked for when it fires"
    if str(ours).startswith("error: error in trigger") and "after drop column" in str(ours):
        return "a trigger's name of a dropped column in double quotes is a text to sqlite3"
    if str(expected).startswith("error: error in index") and not isinstance(ours, str):
        return "sqlite3 looks for an index's columns in the temporary table of its table's name"
    if isinstance(ours, dict) and isinstance(expected, dict) and " RENAME " in script[-1]:
        apart = {key for key in ours | expected if ours.get(key) != expected.get(key)}
        if apart == {"temp"} and all(
            "'trigger'" in each for each in {*ours["temp"]} ^ {*expected["temp"]}
        ):
            return "sqlite3 takes a temporary trigger's table for the temporary one of its name"
    return None


class State(NamedTuple):
    """What a statement gave, and what was stored after it."""

    outcome: object
    tables: dict[str, Any]
    log: list[str]


def write_explanation(
    script: list[str], statement: str, ours: State, expected: State
) -> str | None:
    """Why sqlite3 did something else; docs/sql.md tells of each."""
    unknown = "error: no such column"
    if str(ours.outcome).startswith(unknown) and str(expected.outcome).startswith(unknown):
        return "of two unknown names in SET the one assigned to is told first"
    altered = any(before.startswith(("ALTER", "DROP")) for before in [*script, statement])
    if altered and "no such" in str(expected.outcome) and "CREATE TRIGGER" in "".join(script):
        return "what a trigger's body names is looked for when it fires"
    if expected.outcome == "error: constraint failed":
        return _LOST
    if str(expected.outcome).startswith("error: foreign key mismatch") and "INSERT" in statement:
        return "sqlite3 looks at new rows of a parent table, where there are several"
    if ours in other_orders(script, statement):
        return (
            "which rows fail or are replaced depends on the order in which the statement finds them"
        )
    if repr(ours).replace("'", "") == repr(expected).replace("'", ""):
        return "sqlite3 shows a text as the number that a comparison converted it to"
    return None


def other_orders(script: list[str], statement: str) -> Iterator[State]:
    """What sqlite3 makes of the statement where it looks for its rows in other orders, or its view shows
    them so."""
    target = re.match(r"(UPDATE( OR \w+)?|DELETE FROM) (\w+)", statement)
    hints = [""]
    if target is not None:
        made = "\n".join(script)
        hints += [
            " NOT INDEXED",
            *(f" INDEXED BY {name}" for name in re.findall(rf"INDEX (\w+) ON {target[3]}\(", made)),
            *(f" INDEXED BY sqlite_autoindex_{target[3]}_{number}" for number in range(1, 5)),
        ]
    view = next((place for place, made in enumerate(script) if made.startswith("CREATE VIEW")), -1)
    if " w " in statement and view >= 0:
        for order in ("a", "a DESC", "b", "b DESC", "rowid", "rowid DESC"):
            yield from other_orders(
                [*script[:view], f"{script[view]} ORDER BY {order}", *script[view + 1 :]],
                statement.replace(" w ", ' "w" ', 1),
            )
    for backwards, hint in product((False, True), [*hints, None]):
        form = statement
        if target is not None and hint is not None:
            form = f"{target[0]}{hint}{statement[target.end() :]}"
        engine = SqliteEngine()
        try:
            for before in script:
                outcome(engine, before)
            if hint is None:
                for number in range(9):
                    outcome(engine, f"DROP INDEX i{number}")
            if backwards:
                engine.execute("PRAGMA reverse_unordered_selects = ON")
            yield State(shown(outcome(engine, form)), *rows(engine))
        finally:
            engine.close()


def rows(engine: KvshEngine | SqliteEngine) -> tuple[dict[str, Any], list[str]]:
    """All tables; the log of the triggers in no order, since that is the planner's."""
    found = contents(engine)
    # Whether there is a row for a table that never had one depends on what was tried.
    sequence = found.get("sqlite_sequence")
    if isinstance(sequence, list):
        found["sqlite_sequence"] = [row[1:] for row in sequence if row[2]]
    log = found.pop("log", [])
    assert isinstance(log, list)
    return found, sorted(repr(row[2:4]) for row in log)


RUNS: dict[str, Callable[[int], Outcome]] = {
    "queries": run_queries,
    "writes": run_writes,
    "cascades": run_cascades,
    "definitions": run_definitions,
}
