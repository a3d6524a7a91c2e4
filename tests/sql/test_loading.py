"""What a process's first statement imports, and what it leaves alone."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest

import kvsh
from sql.catalog import _decoder


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
    """From within the modules' own code, that is: the last object that is made before the pause may well start one."""
    code = (
        "import gc, kvsh, sys\n"
        "con = kvsh.connect(':memory:')\n"
        "gc.set_threshold(50)\n"
        "seen = []\n"
        "def note(phase, info):\n"
        "    frame, importing = sys._getframe(0), False\n"
        "    while frame is not None:\n"
        "        name = frame.f_globals.get('__name__')\n"
        "        importing = importing or name == 'importlib._bootstrap'\n"
        "        if importing and name == 'sql.loading': seen.append(phase)\n"
        "        frame = frame.f_back\n"
        "gc.callbacks.append(note)\n"
        "con.execute('SELECT 1').fetchall()\n"
        "print(len(seen), 'sqlglot' in sys.modules)\n"
    )
    assert told(code) == "0 True"


def test_what_decodes_the_catalog_is_made_by_one_thread_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two that had msgspec look into the classes of records at the same time crashed the process, in some of a hundred runs."""
    at_work: list[object] = []
    most = [0]

    class Decoder:
        def __init__(self, record: type) -> None:
            at_work.append(record)
            most.append(len(at_work))
            time.sleep(0.01)
            at_work.remove(record)

    monkeypatch.setattr(msgspec.msgpack, "Decoder", Decoder)
    _decoder.cache_clear()
    try:
        threads = [
            threading.Thread(target=_decoder, args=(name,))
            for name in ("table", "index", "view", "trigger", "table")
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        _decoder.cache_clear()
    assert max(most) == 1


def test_a_statement_imports_of_sqlglot_no_more_than_its_trees() -> None:
    code = (
        "import sys, kvsh; con = kvsh.connect(':memory:');"
        "con.execute('CREATE TABLE t(a INTEGER PRIMARY KEY, b)');"
        "con.execute('INSERT INTO t VALUES (1, 2)');"
        "con.execute('UPDATE t SET b = b + ? WHERE a = ?', (1, 1));"
        "con.execute('SELECT a, max(b) FROM t GROUP BY a ORDER BY 2').fetchall();"
        "print(*[m for m in ('expressions', 'dialects', 'parser', 'generator') if 'sqlglot.' + m in sys.modules])"
    )
    assert told(code) == "expressions"


@pytest.mark.parametrize(
    "use",
    [
        "import sqlglot; print(sqlglot.parse_one('SELECT 1').sql())",
        "from sqlglot import exp, parse_one; print(parse_one('SELECT 1').sql())",
        "from sqlglot.dialects.sqlite import SQLite; print(SQLite().parse('SELECT 1')[0].sql())",
        "import sqlglot.optimizer.optimizer; print(sqlglot.parse_one('SELECT 1').sql())",
        "import sqlglot.expressions as exp; print(exp.select('1').sql())",
        "import sqlglot; print('parse_one' in dir(sqlglot) and 'SELECT 1')",
        "import importlib, sqlglot; importlib.reload(sqlglot); print(sqlglot.select('1').sql())",
    ],
)
def test_programs_that_use_sqlglot_find_all_of_it(use: str) -> None:
    first = "import kvsh; kvsh.connect(':memory:').execute('SELECT 1').fetchall(); "
    of_kvsh = "import sys; before = sys.modules['sqlglot']; "
    same = "; print(sys.modules['sqlglot'] is before, before.__path__ != [])"
    assert told(first + of_kvsh + use + same) == "SELECT 1\nTrue True"
    assert told(f"{use}; {first}") == "SELECT 1"


def test_what_stops_the_import_of_the_rest_of_sqlglot_leaves_it_to_the_next() -> None:
    code = (
        "import kvsh, sys\n"
        "kvsh.connect(':memory:').execute('SELECT 1').fetchall()\n"
        "import sqlglot\n"
        "sys.modules['sqlglot.diff'] = None\n"
        "try: sqlglot.parse_one\n"
        "except ImportError as error: print(type(error).__name__)\n"
        "del sys.modules['sqlglot.diff']\n"
        "print(sqlglot.parse_one('SELECT 1').sql())\n"
    )
    assert told(code) == "ModuleNotFoundError\nSELECT 1"


def test_finders_are_as_they_were_once_sqlglot_is_imported() -> None:
    code = (
        "import kvsh, sys; before = list(sys.meta_path);"
        "kvsh.connect(':memory:').execute('SELECT 1').fetchall();"
        "import sqlglot; print(sys.meta_path == before, sqlglot.__spec__.loader is sqlglot.__loader__,"
        " type(sqlglot.__loader__).__name__)"
    )
    assert told(code) == "True True SourceFileLoader"


@pytest.mark.parametrize(
    ("statement", "loaded"),
    [
        ("SELECT b FROM t WHERE a = 1", []),
        ("UPDATE t SET b = 3 WHERE a = 1", ["compile.blocks"]),
        ("SELECT b FROM t WHERE b > 1 ORDER BY a", ["compile.blocks"]),
        ("SELECT b, count(*) FROM t GROUP BY b", ["compile.blocks", "compile.groups"]),
        ("SELECT a FROM t UNION SELECT b FROM t", ["compile.blocks", "compile.arms"]),
        ("SELECT sum(a) OVER () FROM t", ["compile.blocks", "run.windows"]),
    ],
)
def test_what_makes_code_is_loaded_for_statements_that_have_such(
    tmp_path: Path, statement: str, loaded: list[str]
) -> None:
    con = kvsh.connect(tmp_path / "t.db")
    con.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b INTEGER)")
    con.execute("INSERT INTO t VALUES (1, 2), (2, 2)")
    con.commit()
    con.close()
    parts = ("compile.blocks", "compile.groups", "compile.arms", "run.windows")
    code = (
        f"import sys, kvsh; con = kvsh.connect({str(tmp_path / 't.db')!r});"
        f"con.execute({statement!r}).fetchall();"
        f"print([part for part in {parts!r} if 'sql.' + part in sys.modules])"
    )
    assert told(code) == str(loaded)
