"""What a process's first statement imports, and what it leaves alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import kvsh


def told(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_first_statement_loads_no_functions_but_those_before_the_one_it_calls() -> None:
    code = (
        "import sys, kvsh; con = kvsh.connect(':memory:');"
        "con.execute('SELECT count(*), sum(1)').fetchall();"
        "print(*sorted(m for m in sys.modules if m.startswith('sql.functions.')))"
    )
    assert told(code) == "sql.functions.aggregates sql.functions.registry"


def test_a_first_update_does_not_load_what_writes_sql() -> None:
    code = (
        "import sys, kvsh; con = kvsh.connect(':memory:');"
        "con.execute('CREATE TABLE t(a INTEGER PRIMARY KEY, b, c)');"
        "con.execute('INSERT INTO t VALUES (1, 2, 3)');"
        "con.execute('UPDATE t SET b = b + 1, c = upper(b) WHERE a % 10 < 7');"
        "con.execute('DELETE FROM t WHERE b + c > 4');"
        "print('sqlglot' in sys.modules, 'sqlglot.dialects.sqlite' in sys.modules)"
    )
    assert told(code) == "True False"


def test_a_change_of_many_rows_loads_no_other_way_than_its_own(tmp_path: Path) -> None:
    con = kvsh.connect(tmp_path / "t.db")
    con.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b)")
    con.execute("INSERT INTO t SELECT value, value FROM generate_series(1, 100)")
    con.commit()
    con.close()
    ways = ("keyed", "keyed_many", "rows", "writer", "row_programs", "foreign_keys", "returning")
    for statement in ("UPDATE t SET b = b + 1 WHERE a % 10 = 0", "DELETE FROM t WHERE a % 10 = 0"):
        code = (
            f"import sys, kvsh; con = kvsh.connect({str(tmp_path / 't.db')!r});"
            f"print(con.execute('{statement}').rowcount);"
            f"print([m for m in {ways!r} if 'sql.dml.' + m in sys.modules])"
        )
        assert told(code) == "10\n[]"


def test_the_collector_is_as_it_was_once_modules_are_loaded() -> None:
    for before in ("enable", "disable"):
        code = (
            f"import gc, kvsh; gc.{before}(); con = kvsh.connect(':memory:');"
            "con.execute('SELECT 1').fetchall(); print(gc.isenabled())"
        )
        assert told(code) == str(before == "enable")


def test_no_collection_runs_while_the_parser_is_imported() -> None:
    code = (
        "import gc, kvsh, sys\n"
        "con = kvsh.connect(':memory:')\n"
        "seen = []\n"
        "def note(phase, info):\n"
        "    frame = sys._getframe(0)\n"
        "    while frame is not None:\n"
        "        if frame.f_globals.get('__name__') == 'sql.loading': seen.append(phase)\n"
        "        frame = frame.f_back\n"
        "gc.callbacks.append(note)\n"
        "con.execute('SELECT 1').fetchall()\n"
        "print(len(seen), 'sqlglot' in sys.modules)\n"
    )
    assert told(code) == "0 True"
