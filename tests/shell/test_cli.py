"""The command line: three ways in, exit statuses, what goes where, what each way imports."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.shell.running import command, environ, kvsh


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database with a table and some keys."""
    path = tmp_path / "app.db"
    script = """
        CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, born INT);
        INSERT INTO person VALUES (1, 'Ada', 1815), (2, 'Grace', 1906), (3, 'Edsger', NULL);
        put user:1 "Ada Lovelace"
        put user:2 Grace
        put x'00ff' x'ff00'
    """
    done = kvsh(path, stdin="\n".join(line.strip() for line in script.splitlines()))
    assert done == (0, "", "")
    return path


# -- raw commands from argv --------------------------------------------------------------------------


def test_a_key_put_from_argv_is_read_in_a_script_and_in_sql(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    assert kvsh(path, "put", "user:1", "Ada Lovelace") == (0, "", "")
    assert kvsh(path, "get", "user:1") == (0, "Ada Lovelace\n", "")
    assert kvsh(path, stdin="get user:1\n") == (0, "Ada Lovelace\n", "")
    query = "SELECT value FROM kv WHERE key LIKE 'user:%'"
    assert kvsh(path, query) == (0, "Ada Lovelace\n", "")


def test_words_from_argv_are_taken_as_they_are(database: Path) -> None:
    awkward = 'it\'s "quoted"; -- no comment\n\\n'
    assert kvsh(database, "put", "k", awkward).status == 0
    assert kvsh(database, "get", "k").out == awkward + "\n"
    assert kvsh(database, "put", "--", "--ttl", "x").status == 0
    assert kvsh(database, "get", "--", "--ttl").out == "x\n"


def test_bytes_can_be_written_in_hexadecimal(database: Path) -> None:
    done = subprocess.run(
        command(str(database), "get", "x'00ff'"), capture_output=True, env=environ(), check=True
    )
    assert done.stdout == b"\xff\x00\n"


def test_options_after_a_raw_command_are_its_own(database: Path) -> None:
    assert kvsh(database, "scan", "--prefix", "user:", "--keys").out == "user:1\nuser:2\n"
    assert kvsh("--readonly", database, "scan", "--prefix", "user:", "--limit", "1").out == (
        "user:1|Ada Lovelace\n"
    )
    assert kvsh("--csv", database, "scan", "user:2", "user:3").out == "key,value\nuser:2,Grace\n"


def test_get_of_a_missing_key_prints_nothing_and_ends_with_1(database: Path) -> None:
    assert kvsh(database, "get", "nobody") == (1, "", "")
    assert kvsh(database, "exists", "nobody") == (1, "0\n", "")
    assert kvsh(database, "exists", "user:1") == (0, "1\n", "")


def test_reading_a_database_that_is_not_there_makes_none(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    done = kvsh(path, "get", "k")
    assert done == (1, "", f"kvsh: {path}: no such database\n")
    assert kvsh("--readonly", path, "SELECT 1").status == 1
    assert not path.exists()


def test_a_query_without_a_database_runs_in_memory(tmp_path: Path) -> None:
    assert kvsh("SELECT 1", cwd=tmp_path) == (0, "1\n", "")
    assert kvsh("--csv", "values (1)", "select 2 AS a", cwd=tmp_path).out == "column1\n1\na\n2\n"
    assert kvsh(".help", "get", cwd=tmp_path).out.startswith("usage: get KEY\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [("put", "k", "v"), ("get", "k"), ("count",), (".tables",), ("CREATE TABLE t(a)",), ("delete from t",)],
)  # fmt: skip
def test_a_forgotten_database_is_asked_for(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = kvsh(*words, cwd=tmp_path)
    assert done.status == 2 and done.out == "" and done.err.startswith("kvsh: which database?")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("selct 1", "no such file: selct 1: did you mean select?"),
        ("get a", 'which database?  kvsh FILE "get a"'),
        (".tables x", 'which database?  kvsh FILE ".tables x"'),
    ],
)
def test_a_mistyped_statement_is_no_new_database(tmp_path: Path, name: str, told: str) -> None:
    done = kvsh(name, cwd=tmp_path)
    assert done.status == 2 and done.err.startswith(f"kvsh: {told}")
    assert list(tmp_path.iterdir()) == []
    assert kvsh(f"./{name}", "put", "a", "b", cwd=tmp_path).status == 0
    assert kvsh("selection of 1999.db", "put", "a", "b", cwd=tmp_path).status == 0


def test_a_file_may_be_called_like_a_command(tmp_path: Path) -> None:
    assert kvsh("./count", "put", "a", "b", cwd=tmp_path).status == 0
    assert kvsh("count", "get", "a", cwd=tmp_path).out == "b\n"
    assert kvsh("select.db", "put", "a", "b", cwd=tmp_path).status == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["count", "select.db"]


@pytest.mark.parametrize(
    "words",
    [
        ("put", "k"),
        ("get",),
        ("delete",),
        ("incr", "a", "b", "c"),
        ("scan", "--limit", "x"),
        (".nod",),
    ],
)
def test_wrong_usage_of_a_command_ends_with_2(database: Path, words: tuple[str, ...]) -> None:
    done = kvsh(database, *words)
    assert done.status == 2 and done.out == "" and done.err.startswith("kvsh: ")


# -- statements ------------------------------------------------------------------------------------------


def test_statements_from_argv(database: Path) -> None:
    assert kvsh(database, "SELECT name FROM person WHERE id = 1").out == "Ada\n"
    assert kvsh(database, "SELECT 1; SELECT 2").out == "1\n2\n"
    assert kvsh(database, "SELECT 1", "SELECT 2").out == "1\n2\n"
    assert kvsh(database, "select", "1", "+", "1").out == "2\n"
    assert kvsh(database, "get user:2").out == "Grace\n"
    assert kvsh(database, ".mode csv\nSELECT 1 AS a").out == "a\n1\n"
    assert kvsh("", "SELECT 1").out == "1\n"


def test_commands_and_files_run_in_the_order_given(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("SELECT 'file';\n")
    done = kvsh("-c", "SELECT 'one'", "-f", "a.sql", "-c", "SELECT 'two'", cwd=tmp_path)
    assert done == (0, "one\nfile\ntwo\n", "")
    assert kvsh("-f", "-", stdin="SELECT 3;").out == "3\n"


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("--csv", "a,b\n1,\n"),
        ("--json", '[{"a":1,"b":null}]\n'),
        ("--jsonl", '{"a":1,"b":null}\n'),
        ("--mode=tsv", "a\tb\n1\t\n"),
        ("--mode=quote", "1,NULL\n"),
        ("--null=NIL", "1|NIL\n"),
        ("--headers", "a|b\n1|\n"),
    ],
)
def test_options_say_how_results_look(option: str, text: str) -> None:
    assert kvsh(option, "", "SELECT 1 AS a, NULL AS b") == (0, text, "")
    assert kvsh("", option, "SELECT 1 AS a, NULL AS b") == (0, text, "")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("x=5", "integer|5\n"), ("x=1.5", "real|1.5\n"), ("x=Ada L", "text|Ada L\n"), ("x=007", "text|007\n"),
        ("x='5'", "text|5\n"), ("x=x'4142'", "blob|AB\n"), ("x=NULL", "null|\n"), (":x=a=b", "text|a=b\n"),
        ("x='; DROP TABLE t", "text|'; DROP TABLE t\n"), ("x=", "text|\n"),
    ],
)  # fmt: skip
def test_parameters_from_argv_are_bound_not_spliced(given: str, expected: str) -> None:
    assert kvsh("--param", given, "SELECT typeof(:x), :x") == (0, expected, "")


@pytest.mark.parametrize("given", ["x", "=5", ""])
def test_a_parameter_without_name_or_value_is_refused(given: str) -> None:
    done = kvsh("-p", given, "SELECT 1")
    assert done.status == 2 and "--param takes NAME=VALUE" in done.err


def test_two_modes_are_both_named() -> None:
    assert "more than one output mode: csv, json" in kvsh("--mode", "csv", "--json", "SELECT 1").err


def test_a_name_from_argv_is_shown_without_what_a_terminal_would_act_on(tmp_path: Path) -> None:
    done = kvsh("no\x1b[31m.db", "get", "x", cwd=tmp_path)
    assert done.err == "kvsh: no\\x1b[31m.db: no such database\n"


@pytest.mark.parametrize("word", [".tables", ".tab", ".compa", ".rep"])
def test_a_shortened_command_makes_no_database_either(tmp_path: Path, word: str) -> None:
    kvsh(tmp_path / "no.db", word, cwd=tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_error_ends_with_1_and_names_the_place_and_the_nearest_name(database: Path) -> None:
    done = kvsh(database, "SELECT *\nFROM persn")
    assert done.status == 1 and done.out == ""
    assert done.err == (
        "<argument>:2:6: error: no such table: persn\n  FROM persn\n       ^ did you mean person?\n"
    )


@pytest.mark.parametrize("arguments", [("--nonsense",), ("--mode", "nice"), ("--csv", "--json")])
def test_wrong_usage_of_the_options_ends_with_2(arguments: tuple[str, ...]) -> None:
    done = kvsh(*arguments)
    assert done.status == 2 and done.out == "" and "kvsh: " in done.err


def test_help_and_version() -> None:
    assert "kvsh app.db put user:1" in kvsh("--help").out
    assert kvsh("--version").out.startswith("kvsh ")


def test_readonly_refuses_to_write(database: Path) -> None:
    done = kvsh("--readonly", database, "DELETE FROM person")
    assert done.status == 1 and "read" in done.err
    assert kvsh("--readonly", database, "put", "a", "b").status == 1
    assert kvsh(database, "SELECT count(*) FROM person").out == "3\n"


def test_the_database_as_it_was_at_a_commit(database: Path) -> None:
    assert kvsh(database, "put", "user:1", "changed").status == 0
    log = kvsh(database, ".log").out
    newest = max(int(line.split()[0]) for line in log.splitlines() if line[:8].strip().isdigit())
    assert kvsh("--at", str(newest), database, "get", "user:1").out == "changed\n"
    assert kvsh("--at", str(newest - 1), database, "get", "user:1").out == "Ada Lovelace\n"


# -- databases that are none -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [b"\x89PNG\r\n\x1a\n" + bytes(500), b"SQLite format 3\0" + bytes(4080), b"hello\n", b"\0" * 9],
)
def test_a_file_that_is_no_database_is_refused_and_left_alone(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "file.db"
    path.write_bytes(content)
    for words in (("SELECT 1",), ("put", "a", "b")):
        done = kvsh(path, *words)
        assert done.status == 1 and done.out == ""
        assert done.err.startswith("kvsh: ") and str(path) in done.err
        assert "Traceback" not in done.err
    assert path.read_bytes() == content


def test_a_directory_or_a_path_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no" / "where.db"):
        done = kvsh(path, "SELECT 1")
        assert done.status == 1 and str(path) in done.err and "Traceback" not in done.err


# -- streams and signals ---------------------------------------------------------------------------------


def test_a_reader_that_has_seen_enough_ends_it_quietly(database: Path) -> None:
    query = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    process = subprocess.Popen(
        command(str(database), query),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environ(),
    )
    assert process.stdout is not None and process.stderr is not None
    with process.stdout as stdout, process.stderr as stderr:
        assert stdout.readline() == b"1\n"
        stdout.close()
        assert stderr.read() == b""
    assert process.wait(timeout=60) == 0


def test_output_that_can_not_be_written_is_an_error(database: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command(str(database), "SELECT * FROM person"),
            stdout=full,
            stderr=subprocess.PIPE,
            env=environ(),
            check=False,
        )
    assert done.returncode == 1
    assert b"No space left on device" in done.stderr and b"Traceback" not in done.stderr


def test_the_help_says_something_of_each_option() -> None:
    assert re.findall(r"^  (-\S+)\n(?! {4})", kvsh("--help").out, re.MULTILINE) == []


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_that_can_not_be_written_is_an_error_and_a_closed_pipe_is_none(option: str) -> None:
    """A full disk gave a traceback, and a pipe that was left early the status 1."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command(option), stdout=full, stderr=subprocess.PIPE, env=environ(), check=False
        )
    assert done.returncode == 1
    assert done.stderr == b"kvsh: standard output: No space left on device\n"
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        command(option), stdout=writing, stderr=subprocess.PIPE, env=environ(), check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_not_mistaken_for_the_database(database: Path, closed: str) -> None:
    """The number of a closed stream went to the database file, which was then read as a script."""
    words = " ".join(command(str(database)))
    for more in ("", "get user:1", "get nobody", "nonsense"):
        subprocess.run(
            f"{words} {more} {closed}",
            shell=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environ(),
            check=False,
        )
    assert kvsh(database, ".check") == (0, "ok\n", "")
    assert subprocess.call(f"{words} <&-", shell=True, env=environ()) == 0


_ENDLESS = (
    "BEGIN; INSERT INTO person VALUES (9, 'Alan', 1912); SELECT 'running';"
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n;"
)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_what_runs_and_leaves_the_database_whole(
    database: Path, number: int, status: int
) -> None:
    process = subprocess.Popen(
        command(str(database)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environ(),
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(_ENDLESS.split("SELECT 'running';")[0].encode() + b"SELECT 'running';\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"running\n"
    process.stdin.write(_ENDLESS.split("SELECT 'running';")[1].encode())
    process.stdin.flush()
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert b"Traceback" not in err
    assert kvsh(database, "SELECT count(*) FROM person").out == "3\n"
    assert kvsh(database, ".check").out == "ok\n"


# -- what each way imports -------------------------------------------------------------------------------

_HEAVY = ("sqlglot", "click", "prompt_toolkit", "pygments", "dataclasses_json", "tomllib")
_PROBE = """
import atexit, sys
from kvsh.cli import main
atexit.register(lambda: print(*[m for m in {heavy} if m in sys.modules], file=sys.stderr))
sys.exit(main(sys.argv[1:]))
"""


def _imported(*arguments: str) -> set[str]:
    done = subprocess.run(
        [*command()[:1], "-c", _PROBE.format(heavy=_HEAVY), *arguments],
        capture_output=True,
        env=environ(),
        stdin=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    return set(done.stderr.split())


def test_a_raw_command_imports_no_parser_and_no_terminal(database: Path) -> None:
    assert _imported(str(database), "get", "user:1") == set()
    assert _imported(str(database), "put", "user:1", "x") == set()
    assert _imported(str(database), "scan", "--limit", "2") == set()


def test_a_statement_imports_the_parser_and_nothing_else(database: Path) -> None:
    assert _imported(str(database), "SELECT 1") == {"sqlglot"}
    assert _imported(str(database)) == set()


def test_only_options_import_click(database: Path) -> None:
    assert _imported("--csv", str(database), "get", "user:1") == {"click"}


def test_the_installed_command_is_the_module(tmp_path: Path) -> None:
    assert os.path.basename(command()[0]).startswith("python")
    assert kvsh("", "SELECT 40 + 2", cwd=tmp_path).out == "42\n"


@pytest.mark.parametrize(
    ("arguments", "script", "name"),
    [
        (["SELECT * FROM person"], "", b"standard output: No space"),
        ([".dump"], "", b"standard output: No space"),
        ([], ".dump\n", b"standard output: No space"),
        ([".export", "/dev/full", "person"], "", b"/dev/full: No space"),
        ([], ".once /dev/full\nSELECT 1;\n", b"<stdin>:2:1: error: /dev/full: No space"),
        ([], ".output /dev/full\n.dump\n", b"/dev/full: No space"),
    ],
)
def test_what_can_not_be_written_is_named(
    database: Path, arguments: list[str], script: str, name: bytes
) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command(str(database), *arguments),
            input=script.encode(),
            stdout=full,
            stderr=subprocess.PIPE,
            env=environ(),
            check=False,
        )
    assert done.returncode == 1
    assert name in done.stderr


@pytest.mark.parametrize("redirection", [".once |head -n 1", ".output |head -n 1", ".once |false"])
def test_a_command_that_has_seen_enough_ends_no_script(database: Path, redirection: str) -> None:
    script = f"""{redirection}
SELECT value FROM generate_series(1, 300000);
INSERT INTO person (name) VALUES ('behind it');
.output
SELECT count(*) FROM person WHERE name = 'behind it';
"""
    done = subprocess.run(
        command(str(database)),
        input=script.encode(),
        capture_output=True,
        env=environ(),
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == (b"1\n" if "false" in redirection else b"1\n1\n")


@pytest.mark.parametrize(
    ("options", "out"),
    [
        (("-csv",), "a\n1\n"),
        (("-json",), '[{"a":1}]\n'),
        (("-header", "-separator", ","), "a\n1\n"),
        (("-noheader", "-csv"), "1\n"),
        (("-batch", "-bail"), "1\n"),
        (("-nullvalue", "-", "-cmd", "SELECT NULL"), "-\n1\n"),
    ],
)
def test_options_of_sqlite3_are_understood(options: tuple[str, ...], out: str) -> None:
    assert kvsh(*options, ":memory:", "SELECT 1 AS a") == (0, out, "")


def test_the_last_of_bail_and_no_bail_counts() -> None:
    script = "SELEC 1; SELECT 2;"
    assert kvsh("--no-bail", "--bail", stdin=script).out == ""
    assert kvsh("-bail", "--no-bail", stdin=script).out == "2\n"


def test_an_unknown_option_with_one_dash_is_named_as_a_whole() -> None:
    """`-ro` was told that there is no -r."""
    done = kvsh("-ro", ":memory:", "SELECT 1")
    assert done.status == 2 and "No such option '--ro'" in done.err


def test_an_option_of_one_letter_may_have_its_value_behind_it(tmp_path: Path) -> None:
    (tmp_path / "sv").write_text("SELECT 2;")
    assert kvsh("-cSELECT 1").out == "1\n"
    assert kvsh("-fsv", cwd=tmp_path).out == "2\n"


def test_what_is_loaded_behind_the_prompt_is_all_that_a_first_query_needs(tmp_path: Path) -> None:
    program = """
import sys
from btree import open_memory
from sql import Session, load_planner
session = Session(open_memory())
session.execute("PRAGMA user_version").close()  # as the catalog of what is completed reads the schema
load_planner()
before = set(sys.modules)
session.execute("SELECT a FROM (SELECT 1 AS a) WHERE a > 0 ORDER BY 1 LIMIT 3").close()
print(sorted(name for name in set(sys.modules) - before if name.startswith("sql")))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        env=environ(),
        cwd=tmp_path,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
