"""Scripts of writing statements, run in kvsh's SQL layer and in sqlite3 and compared after each one.

What is compared: rows or message of every statement, `changes()`, `total_changes()` and
`last_insert_rowid()` after it, and at the end every table with its rowids.
"""

from __future__ import annotations

from tests.sql.engines import COUNTERS, Engine, KvshEngine, SqliteEngine, outcome

_UNCOUNTED = ("create", "drop", "pragma")
TABLES = "SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY name"


def contents(engine: Engine) -> dict[str, object]:
    """Every table's rows, with their types, in the order of their keys."""
    found: dict[str, object] = {}
    for name, sql in engine.execute(TABLES):
        key = "*" if "without rowid" in str(sql).lower() else "rowid, *"
        found[str(name)] = sorted(
            engine.execute(f'SELECT {key} FROM "{name}"'), key=lambda row: [repr(x) for x in row]
        )
    return found


def compare(script: str) -> None:
    """Run the statements of `script` in both engines: outcomes, counters and tables must be the same."""
    ours, theirs = KvshEngine(), SqliteEngine()
    try:
        for statement in statements_of(script):
            mine, expected = outcome(ours, statement), outcome(theirs, statement)
            assert (statement, mine) == (statement, expected)
            if not statement.lower().startswith(_UNCOUNTED):
                assert (statement, ours.execute(COUNTERS)) == (
                    statement,
                    theirs.execute(COUNTERS),
                )
        assert contents(ours) == contents(theirs)
        assert ours.execute("PRAGMA integrity_check") == [("ok",)]
    finally:
        ours.close()
        theirs.close()


def statements_of(script: str) -> list[str]:
    """The statements of a script, by SQLite's own rules of where one ends."""
    from sql.parse import next_statement

    found = []
    start = 0
    while start < len(script):
        end = next_statement(script, start)
        text = script[start : len(script) if end is None else end].strip()
        start = len(script) if end is None else end
        if text.strip(" ;\n"):
            found.append(text)
    return found
