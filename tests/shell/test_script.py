"""Scripts: from a pipe as they arrive, from files; where they stop, what they say, what they leave."""

from __future__ import annotations

import io
import os
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from kvsh.environment import Environment, Options
from kvsh.script import Script, run_path
from tests.shell.running import ROOT, command, environ, kvsh


def test_a_script_that_only_writes_says_nothing(tmp_path: Path) -> None:
    script = "create table t(a);\ninsert into t values (1);\nput a b\nbegin\nput c d\ncommit\n"
    assert kvsh(tmp_path / "a.db", stdin=script) == (0, "", "")
    assert kvsh(tmp_path / "a.db", stdin="select * from t;\ncount\n") == (0, "1\n2\n", "")


def test_each_statement_runs_before_more_input_is_awaited(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command(str(tmp_path / "a.db")),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environ(),
    )
    assert process.stdin is not None and process.stdout is not None
    for text, answer in (
        (b"select 1;\n", b"1\n"),
        (b"put k v\nget k\n", b"v\n"),
        (b"select\n  2; select ", b"2\n"),
        (b"3;", b"3\n"),
        (b".mode csv\nselect 4 as four;", b"four\n4\n"),
    ):
        process.stdin.write(text)
        process.stdin.flush()
        assert b"".join(process.stdout.readline() for _ in answer.splitlines()) == answer
    process.stdin.close()
    assert process.stdout.read() == b""
    process.stdout.close()
    assert process.wait(timeout=60) == 0


def test_a_script_stops_at_its_first_error_and_names_the_place(tmp_path: Path) -> None:
    script = "select 1;\n\n  select * frm t;\nselect 2;\n"
    done = kvsh(tmp_path / "a.db", stdin=script)
    assert (done.status, done.out) == (1, "1\n")
    assert done.err.startswith("<stdin>:3:12: error: ")
    lines = done.err.splitlines()
    assert lines[2].index("^") == lines[1].index("frm")


def test_no_bail_goes_on_and_still_ends_with_1(tmp_path: Path) -> None:
    script = "select 1;\nselect * frm t;\nput x\n.nonsense\nselect 2;\n"
    done = kvsh("--no-bail", tmp_path / "a.db", stdin=script)
    assert done.status == 1 and done.out == "1\n2\n"
    heads = [line for line in done.err.splitlines() if line.startswith("<stdin>")]
    assert [head.split(" ")[0] for head in heads] == [
        "<stdin>:2:10:",
        "<stdin>:3:5:",
        "<stdin>:4:1:",
    ]


def test_a_missing_key_is_no_error_but_the_status_is_1(tmp_path: Path) -> None:
    assert kvsh(tmp_path / "a.db", stdin="get a\nput a 1\nget a\n") == (1, "1\n", "")


def test_files_are_named_in_errors(tmp_path: Path) -> None:
    (tmp_path / "load.sql").write_text("create table t(a);\ninsert into t values (1, 2);\n")
    done = kvsh("a.db", "-f", "load.sql", cwd=tmp_path)
    assert done.status == 1
    assert done.err.startswith("load.sql:2:") and "1 column" in done.err
    done = kvsh("a.db", "-f", "none.sql", cwd=tmp_path)
    assert done == (1, "", "kvsh: none.sql: No such file or directory\n")
    done = kvsh("a.db", "-f", ".", cwd=tmp_path)
    assert done == (1, "", "kvsh: .: Is a directory\n")


def test_read_runs_a_file_and_stops_at_its_error(tmp_path: Path) -> None:
    (tmp_path / "inner.sql").write_text("select 'inner';\nselect nonsense;\n")
    (tmp_path / "outer.sql").write_text(".read inner.sql\nselect 'never';\n")
    done = kvsh("a.db", stdin=".read outer.sql\nselect 'never';\n", cwd=tmp_path)
    assert done.status == 1 and done.out == "inner\n"
    assert done.err.startswith("inner.sql:2:8: error: no such column: nonsense")
    assert "outer.sql:1:1: error: inner.sql: stopped at an error" in done.err


def test_a_file_that_reads_itself_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "loop.sql").write_text("select 1;\n.read loop.sql\n")
    done = kvsh("a.db", stdin=".read loop.sql\n", cwd=tmp_path)
    assert done.status == 1 and "nested" in done.err
    assert (
        done.err.count("loop.sql: stopped at an error\n") == 20
    )  # from where it was read, a line each
    assert len(done.err.splitlines()) == 20 + 3


def test_a_device_without_end_is_no_script(tmp_path: Path) -> None:
    """`.read /dev/full` read its zeros until the memory was full."""
    done = kvsh("a.db", ".read", "/dev/zero", cwd=tmp_path)
    assert done.status == 1
    assert done.err.startswith('/dev/zero:1:1: error: unrecognized token: "\\x00')
    assert len(done.err) < 1000


def test_a_statement_without_end_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvsh.script.STATEMENT_MAX", 10_000)
    path = tmp_path / "long.sql"
    for end, goes_on in ("';\n", True), ("", False):
        path.write_text("select 1;\n  select '" + "x" * 20_000 + end)
        messages = io.StringIO()
        environment = Environment(None, Options(), out=io.BytesIO(), err=messages)
        script = Script(environment)
        assert run_path(script, str(path)) is goes_on
        environment.close()
        assert script.status == (0 if goes_on else 1)
    assert messages.getvalue() == (
        f"{path}:2:3: error: what begins here has no end within 10,000 characters\n"
    )


def test_what_an_error_shows_of_a_script_does_nothing_to_a_terminal(tmp_path: Path) -> None:
    done = kvsh(stdin="select '\x1b[2J', \x1b[31m;\n")
    assert done.status == 1 and "\x1b" not in done.err
    assert done.err == (
        '<stdin>:1:16: error: unrecognized token: "\\x1b"\n'
        "  select ' [2J',  [31m;\n"
        "                 ^\n"
    )


@pytest.mark.parametrize(
    ("script", "place", "message"),
    [
        (b"select 1;\nselect 'abc;\n", "2:8", "unclosed quote"),
        (b'select 1;\nput a "b\n', "2:7", "unclosed quote"),
        (b"select 1;\nput a x'0g'\n", "2:7", "hexadecimal"),
        (b"select 1;\nselect '\xff';\n", "2:9", "UTF-8"),
        (b"select 1;\nput a \xe2\x28\xa1\n", "2:7", "UTF-8"),
        (b"select 1;\nget\n", "2:4", "usage: get KEY"),
        (b"select 1;\n.mode nice\n", "2:7", "no such mode"),
        (b"select 1;\n.tabels\n", "2:1", "did you mean .tables?"),
        (b"select 1;\n\\d t\n", "2:4", "no such table: t"),
        (b"select 1;\nKEYS *\n", "2:1", "scan --keys"),
    ],
)
def test_bad_input_is_located(tmp_path: Path, script: bytes, place: str, message: str) -> None:
    done = kvsh(tmp_path / "a.db", stdin=script)
    assert done.status == 1 and done.out == "1\n"
    assert done.err.startswith(f"<stdin>:{place}: error: "), done.err
    assert message in done.err and "Traceback" not in done.err


def test_binary_on_stdin_is_refused_at_its_first_byte(tmp_path: Path) -> None:
    done = kvsh(tmp_path / "a.db", stdin=b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40)
    assert done == (1, "", "<stdin>:1:1: error: byte 0x89 is not UTF-8 text\n")


@pytest.mark.parametrize(
    ("begins", "advice"),
    [
        ("SELECT 1;".encode("utf-16"), "1:1: error: byte 0xff is not UTF-8 text: it may be UTF-16"),
        (b"\x1f\x8b\x08\x00", "1:2: error: byte 0x8b is not UTF-8 text: it is compressed"),
        (b"SQLite format 3\0\x10\xff", "it is a database of SQLite's; .import takes it over"),
    ],
)
def test_a_file_of_another_kind_is_told_what_to_do_with(begins: bytes, advice: str) -> None:
    assert advice in kvsh(stdin=begins).err


def test_a_failed_statement_leaves_nothing_half_done(tmp_path: Path) -> None:
    script = """
        create table t(a integer primary key);
        begin;
        insert into t values (1);
        insert into t values (2), (3), (1);
        commit;
    """
    done = kvsh("--no-bail", tmp_path / "a.db", stdin=script)
    assert done.status == 1 and "UNIQUE constraint failed: t.a" in done.err
    assert "<stdin>:5:" in done.err
    assert kvsh(tmp_path / "a.db", "select group_concat(a) from t").out == "1\n"


def test_an_open_transaction_at_the_end_is_rolled_back_and_said(tmp_path: Path) -> None:
    done = kvsh(tmp_path / "a.db", stdin="put a 1\nbegin\nput a 2\n")
    assert done.status == 0 and "rolled back" in done.err
    assert kvsh(tmp_path / "a.db", "get", "a").out == "1\n"


@pytest.mark.parametrize("count", [10, 5000])
def test_runs_of_inserts_end_as_one_by_one(tmp_path: Path, count: int) -> None:
    """The one that fails is named, those before it stay, and those after it have not been run."""
    lines = ["create table t(a integer primary key, b text);"]
    lines += [f"insert into t values ({i}, 'text {i}; --');" for i in range(count)]
    lines += ["insert into t values (3, 'again');"]
    lines += [f"insert into t values ({i}, 'late');" for i in range(count, count + 5)]
    done = kvsh(tmp_path / "a.db", stdin="\n".join(lines))
    assert done.status == 1
    assert done.err.startswith(f"<stdin>:{count + 2}:1: error: UNIQUE constraint failed: t.a")
    out = kvsh(tmp_path / "a.db", "select count(*), max(a), min(b) from t").out
    assert out == f"{count}|{count - 1}|text 0; --\n"
    done = kvsh("--no-bail", tmp_path / "b.db", stdin="\n".join(lines))
    assert kvsh(tmp_path / "b.db", "select count(*) from t").out == f"{count + 5}\n"


CHANGES = (
    "UPDATE t SET name = '{name}' WHERE id = {n};\n",
    "UPDATE t SET id = {m} WHERE id = {n} ;",  # may fail
    "UPDATE t SET price = price + {n}.5 WHERE name = '{name}';\n",
    "UPDATE t SET price = {m} WHERE price > {n};\n",
    "UPDATE t SET name = name || changes() WHERE id >= {n};\n",
    "DELETE FROM t WHERE id = {n};\n",
    "DELETE FROM t WHERE id = {n} -- and no other than {m}\n;\n",
    "INSERT INTO t VALUES ({n}, '{name}', {m}) ON CONFLICT(id) DO UPDATE SET price = {m}, name = excluded.name;\n",
    "INSERT INTO t VALUES ({n}, '{name}', {m}) ON CONFLICT(id) DO UPDATE SET name = '{name}' WHERE price > {m};\n",
    "INSERT INTO t VALUES ({n}, '{name}', {m}) ON CONFLICT DO NOTHING;\n",
    "INSERT OR REPLACE INTO t VALUES ({n}, upper('{name}'), {m} / 2);\n",
    "INSERT INTO t VALUES ({n}, lower('{name}'), -{m});\n",  # may fail
    "INSERT INTO t VALUES (/* a row */ {n}, lower('{name}'), -{m});\n",
)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("begin", ["", "BEGIN;\n"])
def test_runs_of_changes_end_as_one_by_one(begin: str, seed: int) -> None:
    """sqlite3 knows no runs."""
    numbers = random.Random(seed)
    names = ["a", "b''c", "?", "zz", "", "a;b"]
    statements = []
    for shape in numbers.sample(CHANGES, len(CHANGES)):
        for _ in range(numbers.choice((3, 40))):
            values = {"n": numbers.randrange(30), "m": numbers.randrange(30)}
            statements.append(shape.format(name=numbers.choice(names), **values))
        statements.append("SELECT changes(), total_changes(), last_insert_rowid();\n")
        statements.append("SELECT id, name, price || '' FROM t ORDER BY id;\n")
    connection = sqlite3.connect(":memory:", isolation_level=None)
    expected, failures = [], 0
    for statement in (*TABLE.split(";")[:-1], begin, *statements):
        try:
            rows = connection.execute(statement.strip()).fetchall()
        except sqlite3.Error:
            failures += 1
        else:
            expected += [["NULL" if value is None else str(value) for value in row] for row in rows]
    connection.close()
    head = f"{TABLE}{begin}.mode tsv\n.headers off\n.nullvalue NULL\n"
    done = kvsh("--no-bail", stdin=head + "".join(statements))
    assert [line.split("\t") for line in done.out.splitlines()] == expected
    assert len(_without_places(done.err)) == failures > 0


TURNS = (
    "INSERT INTO t VALUES ({n}, '{name}', {m}.5);",  # may fail
    "INSERT INTO t(id, name) VALUES ({k}, '{name}'), ({k}1, NULL);",
    "INSERT INTO u VALUES ({k}, '{name}');",
    "INSERT INTO u(a) VALUES ('{name}');",
    "INSERT OR IGNORE INTO u VALUES ({n}, '{name}');",
    "INSERT OR ROLLBACK INTO u VALUES ({n}, '{name}');",  # may fail
    "INSERT OR FAIL INTO u VALUES ({k}5, 'new'), ({n}, '{name}');",  # may fail
    "INSERT INTO w VALUES ('{name}{k}', {m});",
    "INSERT INTO logged VALUES ({k}, {m});",
    "INSERT INTO child VALUES ({k}, {n});",  # may fail
    "INSERT INTO seq(a) VALUES ({m});",
    "UPDATE t SET price = price + {m} WHERE id = {n};",
    "UPDATE u SET a = '{name}' || {m} WHERE id = {n};",
    "DELETE FROM t WHERE id = {n};",
    "DELETE FROM u WHERE id > {m} AND a = '{name}';",
    "SELECT id, name FROM t WHERE id >= {n} ORDER BY id LIMIT 2;",
    "SELECT count(*), max(id) FROM u WHERE id > {n};",
    "SELECT changes(), total_changes(), last_insert_rowid();",
    "SELECT * FROM log WHERE n > {n} ORDER BY n DESC LIMIT 1;",
    "-- it's {n}",
    "BEGIN;",
    "COMMIT;",
    "ROLLBACK;",
    "INSERT INTO seq DEFAULT VALUES;",
    "DELETE FROM w;",
    "SELECT count(*), max(a) FROM w;",
)
TURNS_SCHEMA = """
CREATE TABLE u(id INTEGER PRIMARY KEY, a TEXT);
CREATE TABLE w(a TEXT PRIMARY KEY, b INTEGER) WITHOUT ROWID;
CREATE TABLE logged(id INTEGER PRIMARY KEY, n INTEGER);
CREATE TABLE log(n INTEGER);
CREATE TRIGGER logs AFTER INSERT ON logged BEGIN
  INSERT INTO log VALUES (NEW.n);
  SELECT CASE WHEN NEW.n = 7 THEN RAISE(ABORT, 'seven') WHEN NEW.n = 8 THEN RAISE(ROLLBACK, 'eight') END;
END;
CREATE TABLE seq(id INTEGER PRIMARY KEY AUTOINCREMENT, a INTEGER);
CREATE TABLE child(id INTEGER PRIMARY KEY, t INTEGER REFERENCES t(id) DEFERRABLE INITIALLY DEFERRED);
PRAGMA foreign_keys = {};
"""


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("begin", ["", "BEGIN;"])
@pytest.mark.parametrize("place", ["memory", "off", "full"])
def test_statements_that_take_turns_end_as_one_by_one(
    tmp_path: Path, place: str, begin: str, seed: int
) -> None:
    """Rows, errors and their lines are those of sqlite3, which knows no runs."""
    numbers = random.Random(f"{place} {begin} {seed}")
    names = ["a", "b''c", "?", "", "a;b", "x -- y"]
    lines = [begin]
    key = 100
    for _ in range(12):
        shapes = numbers.sample(TURNS, numbers.randrange(2, 5))
        for _ in range(numbers.choice((5, 60))):
            key += 1
            values = {"n": numbers.randrange(40), "m": numbers.randrange(20), "k": key}
            lines.append(numbers.choice(shapes).format(name=numbers.choice(names), **values))
        lines += ["SELECT changes(), total_changes(), last_insert_rowid();"]
        lines += [f"SELECT * FROM {name} ORDER BY 1;" for name in ("u", "w", "log", "seq", "child")]
        lines += ["SELECT id, name, price || '' FROM t ORDER BY id;"]
    schema = TABLE + TURNS_SCHEMA.format("ON" if seed % 2 else "OFF")
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(schema)
    first = schema.count("\n") + 1 + 3
    expected, failures = [], []
    for number, line in enumerate(lines):
        if line.startswith("--"):
            continue  # the module of Python 3.13 raises the statement's error that came before
        try:
            rows = connection.execute(line).fetchall()
        except sqlite3.Error as error:
            failures.append(f"<stdin>:{first + number}:1: error: {error}")
        else:
            expected += [["NULL" if value is None else str(value) for value in row] for row in rows]
    connection.close()
    head = f"{schema}.mode tsv\n.headers off\n.nullvalue NULL\n"
    arguments = [] if place == "memory" else ["--durability", place, str(tmp_path / "a.db")]
    done = kvsh("--no-bail", *arguments, stdin=head + "\n".join(lines))
    assert [line.split("\t") for line in done.out.splitlines()] == expected
    assert [line for line in done.err.splitlines() if "error:" in line] == failures


TABLE = (
    "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, price REAL);"
    "INSERT INTO t VALUES (1,'a',1.5),(2,'b''c',2.5),(3,NULL,NULL),(4,'?',4.25),(5,'x|y',-1e20);\n"
)


SHAPES = (
    "SELECT * FROM t WHERE id = {n};\n",
    "SELECT name, price FROM t WHERE id = {n} AND name = '{name}';",
    "select count(*), '?' from t where price > {n}.25 ;\n",
    "SELECT name FROM t WHERE id >= {n};\n",  # rows to come
    "SELECT name FROM t WHERE id = {n} LIMIT {n};\n",
    "SELECT abs(-9223372036854775807 - id / 4) FROM t WHERE id = {n};\n",  # fails for 4 and more
    "SELECT id FROM t WHERE id = {n}; -- said\n",
    "SELECT id FROM t WHERE id = {n} ORDER BY 1;",
)


@pytest.mark.parametrize("mode", ["list", "csv", "quote", "json", "line"])
def test_runs_of_queries_end_as_one_by_one(tmp_path: Path, mode: str) -> None:
    names = ["a", "b''c", "?", "zz", "", "a;b"]
    statements = [shape.format(n=n % 7, name=names[n % 6]) for shape in SHAPES for n in range(30)]
    head = f"{TABLE}.mode {mode}\n.headers off\n"
    together = kvsh("--no-bail", stdin=head + "".join(statements))
    between = "\nDELETE FROM t WHERE id = 99;\n"
    alone = kvsh("--no-bail", stdin=head + between.join(statements))
    assert together.out == alone.out != ""
    assert together.status == alone.status == 1
    assert _without_places(together.err) == _without_places(alone.err)


def _without_places(text: str) -> list[str]:
    return [line.partition("error:")[2] for line in text.splitlines() if "error:" in line]


def test_an_error_within_a_run_of_queries_names_its_place() -> None:
    lines = [
        f"SELECT abs(-9223372036854775807 - id / 4) FROM t WHERE id = {n};\n" for n in (1, 2, 3)
    ]
    done = kvsh(stdin=TABLE + "".join(lines) + lines[0].replace("= 1", "= 4") + lines[0])
    assert done.out == "9223372036854775807\n" * 3
    assert done.status == 1
    assert done.err.startswith("<stdin>:5:1: error: integer overflow")


def test_a_full_disk_within_runs_of_inserts_names_the_first_that_is_not_there(
    tmp_path: Path,
) -> None:
    """It named the place where the first run began, thousands of lines before."""
    lines = [f"INSERT INTO t VALUES ({n}, '{n:080}');\n" for n in range(2, 40_000)]
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 3000; exec "$@"', "sh", *command(str(tmp_path / "a.db"))],
        input="CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT);\n" + "".join(lines),
        capture_output=True,
        text=True,
        env=environ(),
        check=False,
    )
    assert done.returncode == 1 and "disk is full" in done.stderr
    last = kvsh(tmp_path / "a.db", "SELECT max(a) FROM t").out.strip()
    assert 1000 < int(last) < 39_999
    assert done.stderr.startswith(f"<stdin>:{int(last) + 1}:1: error: "), (last, done.stderr)


def test_a_long_result_streams_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    rows = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 300000)"
    script = f"CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b REAL);INSERT INTO t {rows} SELECT x, 'text ' || x, x / 8.0 FROM c;"
    assert kvsh(path, stdin=script) == (0, "", "")

    def peak(query: str) -> int:
        process = subprocess.Popen(
            command(str(path), query), stdout=subprocess.DEVNULL, env=environ()
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return usage.ru_maxrss >> (10 if sys.platform == "darwin" else 0)

    small = peak("SELECT * FROM t LIMIT 1000")
    assert peak("SELECT * FROM t") < small + (30 << 10)
    assert peak("SELECT id, a FROM t WHERE b >= 0") < small + (30 << 10)


def test_runs_of_puts_end_as_one_by_one(tmp_path: Path) -> None:
    lines = [f"put k:{i % 700} {i}" for i in range(2000)]
    lines[1500] = 'put k:1 "x y" --ttl 1h'
    script = "\n".join([*lines, "count", "get k:0", "get k:1", "get k:699", ""])
    assert kvsh(tmp_path / "a.db", stdin=script).out == ("700\n1400\nx y\n1399\n")
    script = "begin\n" + "\n".join(lines) + "\nrollback\ncount\n"
    assert kvsh(tmp_path / "b.db", stdin=script).out == "0\n"


def test_quit_ends_with_the_status_given(tmp_path: Path) -> None:
    assert kvsh(stdin="select 1;\n.quit 7\nselect 2;\n") == (7, "1\n", "")
    assert kvsh(stdin="exit\nselect 2;\n") == (0, "", "")


def test_echo_and_timer_say_what_runs_and_how_long(tmp_path: Path) -> None:
    done = kvsh("--echo", "--timer", stdin="select 1;\nput a b\n")
    assert done.out == "select 1;\n1\nput a b\n"
    assert done.err.startswith("Run time: ")


def test_a_statement_that_takes_too_long_is_cancelled() -> None:
    endless = (
        "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n;"
    )
    done = kvsh(stdin=f".timeout 100ms\n{endless}\n")
    assert done.status == 1
    assert done.err.startswith("<stdin>:2:1: error: cancelled: it took longer than 0.1 s")


def test_the_demo_script_runs(tmp_path: Path) -> None:
    path = tmp_path / "demo.db"
    assert kvsh(path, "-f", ROOT / "examples" / "demo.sql") == (0, "", "")
    assert kvsh(path, ".check").out == "ok\n"
    assert int(kvsh(path, "count").out) > 0
    assert len(kvsh(path, ".tables").out.split()) >= 3


def test_a_script_that_rewrites_the_same_keys_does_not_grow_the_file(tmp_path: Path) -> None:
    value = "x" * 20_000
    line = "".join(f"put k{i} {value}\n" for i in range(55))
    path = tmp_path / "a.db"
    assert kvsh(path, stdin="".join(f"{line}count\n" for _ in range(36))).status == 0
    assert path.stat().st_size < 30 << 20  # 40 MB were written, 1.1 MB are live
    assert kvsh(path, ".check").out == "ok\n"
    assert kvsh(path, "count").out == "55\n"


class _Screen(io.StringIO):
    """An error stream that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_long_script_shows_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvsh.transfer.progress.APPEARS_AFTER_SECONDS", 0.0)
    monkeypatch.setattr("kvsh.transfer.progress.DRAWN_EVERY_SECONDS", 0.0)
    path = tmp_path / "load.txt"
    path.write_text(
        "".join(f"put key:{i:06} {'x' * 40}\n" for i in range(50_000)) + "get nobody x\n"
    )
    screen = _Screen()
    environment = Environment(None, Options(), out=io.BytesIO(), err=screen)
    script = Script(environment)
    assert not run_path(script, str(path))
    environment.close()
    drawn = screen.getvalue().split("\r\x1b[2K")
    assert any("%" in text and "lines" in text and "left" in text for text in drawn)
    assert any(text.startswith(f"{path}:50001:12: error: usage: get KEY\n") for text in drawn)


def test_a_file_that_went_on_after_errors_did_not_stop(tmp_path: Path) -> None:
    (tmp_path / "inner.sql").write_text("SELECT 1;\nSELECT nope;\nSELECT 2;\n")
    script = f".read {tmp_path}/inner.sql\nSELECT 3;\n"
    status, out, err = kvsh("--no-bail", stdin=script)
    assert (status, out) == (1, "1\n2\n3\n")
    assert "went on after errors" in err and "stopped" not in err
    status, out, err = kvsh(stdin=script)
    assert (status, out) == (1, "1\n")
    assert "inner.sql: stopped at an error" in err
