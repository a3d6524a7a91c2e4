"""The table of commands: each has help, an example that runs, and does what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from btree import RAW_TREE_ID
from kvsh.arguments import UsageError
from kvsh.commands import COMMANDS, find
from kvsh.commands.settings import TOPICS
from kvsh.commands.syntax import SYNTAX
from kvsh.output import DRAWN, MODES
from kvsh.reader import Unit
from tests.shell.conftest import Shell
from tests.shell.running import ROOT, kvsh

NAMES = sorted({command.name for command in COMMANDS.values()})


EXPECTED = {
    "put": ("put a b --ttl 7d\nget a", "b\n"),
    "get": ("get user:1", "Ada Lovelace\n"),
    "delete": ("delete user:1 user:2 nobody\ncount", "2\n"),
    "exists": ("exists user:1\nexists nobody", "1\n0\n"),
    "scan": ("scan --prefix user: --limit 10", "user:1|Ada Lovelace\nuser:2|Grace\n"),
    "count": ("count --prefix user:\ncount", "2\n4\n"),
    "incr": ("incr visits\nincr visits -2\nincr new 5", "42\n40\n5\n"),
    "expire": ("expire user:1 30m\nexpire user:2 0\nexists user:2", "0\n"),
    "ttl": ("ttl user:1", "-1\n"),
    "persist": ("persist session:9\nttl session:9", "-1\n"),
    "begin": ("begin\nput a b\nrollback\nexists a", "0\n"),
    "commit": ("begin\nput a b\nCOMMIT;\nexists a", "1\n"),
    "rollback": ("BEGIN;\nDELETE FROM track;\nrollback\nSELECT count(*) FROM track;", "3\n"),
    ".help": (".help get", "usage: get KEY\n"),
    ".quit": (".quit 3", ""),
    ".tables": (".tables\n.tables inv%", "cheap\ninvoice\ntrack\ninvoice\n"),
    ".schema": (".schema invoice", "CREATE TABLE invoice (id INTEGER PRIMARY KEY, total REAL);\n"),
    ".indexes": (".indexes track", "track_genre\ntrack_name\n"),
    ".describe": (".describe track", "trackid|INTEGER|no||primary key\n"),
    ".summarize": (".summarize track", "price|real|1|2|0.99|1.99|1.49\n"),
    ".databases": (".databases", "app.db (read/write)\n"),
    ".mode": (".mode csv\n.mode\nSELECT 1 AS a, 'x y';", "csv\na,'x y'\n1,x y\n"),
    ".headers": (".headers on\nSELECT 1 AS a;", "a\n1\n"),
    ".nullvalue": (".nullvalue NIL\nSELECT NULL;", "NIL\n"),
    ".separator": ('.separator "\\t"\nSELECT 1, 2;', "1\t2\n"),
    ".width": (".mode column\n.width 5\nSELECT 1 AS a;", "    a\n-----\n    1\n"),
    ".output": (".output x.csv\nSELECT 1;\n.output\nSELECT 2;", "2\n"),
    ".print": (".print 'a b' c", "a b c\n"),
    ".bail": (".bail off\n.read bad.sql", "after the error\n"),
    ".system": (".system true", ""),
    ".once": (".once y.csv\nSELECT 1;\nSELECT 2;", "2\n"),
    ".timer": (".timer on\nSELECT 1;", "1\n"),
    ".changes": (".changes on\nDELETE FROM invoice;", ""),
    ".echo": (".echo on\nSELECT 1;", "SELECT 1;\n1\n"),
    ".explain": (".explain plan\nSELECT * FROM track WHERE trackid = 7;", "track"),
    ".show": (".show", "mode: list\n"),
    ".param": (
        ".param set who 'O''Neil'\n.param set n 7\n.param list\nSELECT :who, :n + 1, typeof(:n);",
        ":n 7\n:who 'O''Neil'\nO'Neil|8|integer\n",
    ),
    ".eqp": (".eqp on\nSELECT 7 + 1;\n.eqp", "8\non\n"),
    ".timeout": (".timeout 5s\n.show", "timeout: 5s"),
    ".cd": (".cd /\n.cd\nSELECT count(*) FROM track;", "/\n3\n"),
    ".f": (".fs one SELECT ? + 1, ?2;\n.f one 41 'x'\n.f", "42|x\none: SELECT ? + 1, ?2;\n"),
    ".fs": ("SELECT 6;\n.fs n SELECT 7;\n.fs last\n.f n\n.f last", "6\n7\n6\n"),
    ".fd": (".fs n SELECT 7;\n.fd n\n.f", ""),
    "\\x": ("\\x\nSELECT 1 AS a;\n\\x\nSELECT 2;", "a = 1\n2\n"),
    "\\timing": ("\\timing\nSELECT 1;", "1\n"),
    ".open": (".open other.db\n.tables\n.open app.db\n.tables inv%", "invoice\n"),
    ".read": (".read script.sql", "from a file\n"),
    ".import": (".import people.csv people\nSELECT * FROM people;", "Ada|36\nGrace|85\n"),
    ".export": (
        ".export out.csv invoice\n.import out.csv copy\nSELECT * FROM copy;",
        "1|0.5\n2|20.0\n",
    ),
    ".dump": (".dump invoice", "INSERT INTO"),
    ".backup": (".backup copy.db\n.open copy.db\nSELECT count(*) FROM track;", "3\n"),
    ".check": (".check", "ok\n"),
    ".repair": None,
    ".compact": (".compact\nSELECT count(*) FROM track;", "3\n"),
    ".checkpoint": (".checkpoint", ""),
    ".stats": (".stats", "bytes in the file"),
    ".log": (".log 5", "commit  kind"),
    ".tree": (".tree track\n.tree --path user:1\n.tree", "table track (tree"),
    ".page": (".checkpoint\n.page 2", "page 2: leaf of"),
    ".where": (
        ".where SELECT * FROM track WHERE trackid = 7",
        "'Seven', 7",
    ),
    ".crash": (".crash 2", "sound"),
    ".chart": (".chart bar SELECT name, trackid FROM track", "Seven"),
    ".watch": (".watch 10ms --times 2 SELECT count(*) FROM invoice", "2\n2\n"),
    ".dry": (".dry DELETE FROM invoice WHERE total < 1", "deletes 1 of 2 rows of invoice\n"),
    ".undo": None,
    ".edit": None,
    ".config": (".config", "theme"),
    ".theme": (".theme", "dark"),
    ".completions": (".completions bash", "complete -o default -F _kvsh kvsh"),
}


def _files(folder: Path) -> None:
    (folder / "people.csv").write_text("name,age\nAda,36\nGrace,85\n")
    (folder / "bad.sql").write_text("SELECT nonsense;\nSELECT 'after the error';\n")
    (folder / "script.sql").write_text("SELECT 'from a file';\n")
    (folder / "load.sql").write_text("SELECT 'loaded';\n")


def test_every_command_has_a_test() -> None:
    assert sorted(EXPECTED) == NAMES


@pytest.mark.parametrize("name", [name for name in NAMES if EXPECTED[name] is not None])
def test_the_command_does_what_it_says(shell: Shell, tmp_path: Path, name: str) -> None:
    _files(tmp_path)
    expected = EXPECTED[name]
    assert expected is not None
    script, shown = expected
    out = shell(script)
    errors = [line for line in shell.err.getvalue().splitlines() if "error:" in line]
    assert len(errors) == (2 if name == ".bail" else 0), errors
    assert shown in out if shown else out == ""


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help_with_an_example(shell: Shell, name: str) -> None:
    command = find(name)
    out = shell(f".help {name}")
    assert out.startswith(f"usage: {command.usage}\n")
    assert command.summary[1:] in out and f"example: {command.example}" in out
    assert command.summary == command.summary.rstrip(".") and len(command.summary) <= 60
    assert name in shell(".help") and f"  {name}" in shell(".help all")
    assert command.usage.split()[0] == name and command.example.split()[0] == name
    for alias in command.aliases:
        assert find(alias) is command


@pytest.mark.parametrize(
    "name", [name for name in NAMES if name not in (".repair", ".undo", ".edit")]
)
def test_the_example_of_its_help_runs(shell: Shell, tmp_path: Path, name: str) -> None:
    _files(tmp_path)
    setup = {
        "commit": "begin",
        "rollback": "begin",
        ".open": ".backup app2.db",
        ".fd": ".fs genre SELECT 1",
    }.get(name, "")
    example = find(name).example.replace(".watch 2s", ".watch 1ms --times 1")
    shell(f"{setup}\n{example}")
    assert [line for line in shell.err.getvalue().splitlines() if "error:" in line] == []


def test_commands_that_need_a_terminal_say_so(shell: Shell) -> None:
    assert "interactive shell" in shell.error(".undo")
    assert "interactive shell" in shell.error(".edit")


def test_parameters_without_a_name_have_numbers(shell: Shell) -> None:
    shell(".param set 1 'a b'\n.param set 2 7")
    assert shell("SELECT ?, ? + 1, ?, ?2;") == "a b|8||7\n"
    assert shell.err.getvalue() == ""


def test_rows_that_an_import_leaves_out_show_in_the_status(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n3,4,5\n6\n")
    done = kvsh(tmp_path / "other.db", ".import", str(tmp_path / "ragged.csv"), "r")
    assert done.status == 1 and "ragged.csv:3: 3 fields, expected 2" in done.err
    assert "ragged.csv:4: 1 field, expected 2: NULL for the rest" in done.err
    assert kvsh(tmp_path / "other.db", "SELECT * FROM r").out == "1|2\n6|\n"
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n6\n")
    done = kvsh(tmp_path / "third.db", ".import", str(tmp_path / "ragged.csv"))
    assert (done.status, done.err.count("\n")) == (0, 1)  # told, and no failure


def test_the_time_of_a_question_is_not_the_statements(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("kvsh.environment.time.perf_counter", lambda: clock[0])

    def thinking(_question: str) -> bool:
        clock[0] += 30
        return True

    shell.environment.confirm = thinking
    assert "Run time: 0 us" in shell.error(".timer on\nDELETE FROM invoice;")
    assert shell("SELECT count(*) FROM invoice;") == "0\n"


def test_home_is_where_a_bare_name_of_a_file_says(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Completion went through ~/, and the command it completed then found no such file."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    shell(".export ~/track.csv track")
    assert (home / "track.csv").exists()
    assert "~/track.csv" in shell.error(".import '~/track.csv'")


PARAMETERS = ".param set n 2\n.param set name 'O''Neil'\n.param set code 007\n"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("SELECT :n + 1, :name, :code, :other;", "3|O'Neil|007|\n"),
        (".chart bar SELECT name, trackid FROM track WHERE trackid = :n", "Two"),
        (".export - SELECT name FROM track WHERE trackid = :n --format tsv", "name\nTwo\n"),
        (".dry DELETE FROM track WHERE trackid = :n", "deletes 1 of 3 rows of track"),
        (".where SELECT * FROM track WHERE trackid = :n", "table track                 2 "),
        (".watch 0 --times 2 SELECT :n;", "2\n2\n"),
        (".explain plan\nSELECT * FROM track WHERE trackid = :n;", "Search track"),
        (".param set newest (SELECT max(trackid) FROM track)\nSELECT :newest;", "7\n"),
        (".param set none (SELECT 1 WHERE 0)\nSELECT :none IS NULL;", "1\n"),
        (".param set twice (:n * 2)\nSELECT :twice;", "4\n"),
        (".param set t '(2)'\nSELECT typeof(:t);", "text\n"),
        (".param set t (555)123\nSELECT :t;", "(555)123\n"),
    ],
)
def test_parameters_are_bound_wherever_a_statement_is(
    shell: Shell, capsys: pytest.CaptureFixture[str], command: str, expected: str
) -> None:
    """.chart, .export, .dry and .where knew nothing of .param: an incorrect number of bindings was supplied."""
    shown = shell(PARAMETERS + command)
    assert expected in (shown + capsys.readouterr().out), shell.err.getvalue()


@pytest.mark.parametrize("login_shell", ["bash", "zsh", "fish"])
def test_a_login_shell_completes_every_command_and_option(shell: Shell, login_shell: str) -> None:
    script = shell(f".completions {login_shell}")
    words = script.replace("'", " ").replace('"', " ").replace("(", " ").replace(")", " ").split()
    assert {*NAMES, "--param", "--jsonl", "--no-headers", "--log-file", "--help"} <= set(words)


@pytest.mark.parametrize(
    "typed",
    [
        '.read "a\\0b"', ".import a\0b track", '.export "a\\0b" track', ".open a\0b", ".backup a\0b",
        ".repair a.db b\0c", ".output a\0b", ".once |cat \0", ".system echo \0",
    ],
)  # fmt: skip
def test_a_name_with_a_nul_is_refused(shell: Shell, typed: str) -> None:
    assert "no file or command has a NUL in its name" in shell.error(typed)


def test_redirected_results_arrive_in_files_and_commands(shell: Shell, tmp_path: Path) -> None:
    shell(".mode csv\n.once a.csv\nSELECT 1 AS a;\n.output b.csv\nSELECT 2 AS b;\n.output")
    assert (tmp_path / "a.csv").read_text() == "a\n1\n"
    assert (tmp_path / "b.csv").read_text() == "b\n2\n"
    shell(".once '|cat > c.csv'\nSELECT 3 AS c;\n.once |cat > 'd e.csv'\nSELECT 4 AS d;")
    assert (tmp_path / "c.csv").read_text() == "c\n3\n"
    assert (tmp_path / "d e.csv").read_text() == "d\n4\n"
    assert "No such file" in shell.error(".output no/where.csv")
    assert shell(".mode list\nSELECT 4;") == "4\n"


def test_safe_touches_no_file_but_the_database(tmp_path: Path) -> None:
    for text in (
        ".system ls", ".read x.sql", ".output x", ".once '|cat'", ".open x.db", ".backup x.db", ".import x.csv",
        ".export x.csv track", ".crash", ".repair a b",
    ):  # fmt: skip
        done = kvsh("--safe", tmp_path / "app.db", text, cwd=tmp_path)
        assert done.status == 1 and "--safe" in done.err, text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["app.db"]


def test_the_open_database_is_never_written_over(shell: Shell, tmp_path: Path) -> None:
    size = (tmp_path / "app.db").stat().st_size
    for text in (".output app.db", ".once ./app.db", ".backup app.db", ".export app.db track"):
        assert "error:" in shell.error(text), text
    assert (tmp_path / "app.db").stat().st_size >= size
    assert shell(".check") == "ok\n"


def test_ttl_counts_down_and_incr_keeps_it(shell: Shell) -> None:
    left = float(shell("ttl session:9"))
    assert 3590 < left <= 3600
    shell("put counter 1 --ttl 1h\nincr counter")
    assert 3590 < float(shell("ttl counter")) <= 3600
    assert shell("put counter 1\nttl counter") == "-1\n"
    assert "no whole number" in shell.error("incr user:1")
    assert "64 bits" in shell.error("put big 9223372036854775807\nincr big")


def test_an_expired_key_is_gone_from_every_read(shell: Shell) -> None:
    shell("expire user:1 0")
    assert shell("get user:1") == ""
    assert shell("scan --prefix user: --keys") == "user:2\n"
    assert shell("count --prefix user:") == "1\n"
    assert shell("SELECT key FROM kv WHERE key LIKE 'user:%';") == "user:2\n"


def entries(shell: Shell) -> int:
    """Raw keys in the tree, expired ones too."""
    with shell.environment.reading() as transaction:
        return len(transaction.tree(RAW_TREE_ID))


def test_the_room_of_expired_keys_is_taken_back(shell: Shell) -> None:
    before = entries(shell)
    for i in range(500):  # names that ascend; the old ones expire
        shell(f"put job:{i:03d} x --ttl 1h\nexpire job:{max(i - 20, 0):03d} 0")
    assert entries(shell) < before + 30
    shell("put b 2\nexpire user:1 0")
    assert "expired keys taken away" in shell.error(".compact")
    assert shell("count") == f"{entries(shell)}\n"


def test_keys_are_deleted_by_their_beginning(shell: Shell) -> None:
    assert shell("delete --prefix user:\ncount\ncount --prefix user:") == "2\n0\n"
    assert shell("delete --prefix=vis\nscan --keys") == "session:9\n"
    assert shell.error("delete --prefix nothing") == ""
    for wrong in ("delete", "delete a --prefix b", "delete --prefix", "delete --prefix ''"):
        environment = shell.environment
        with pytest.raises(UsageError):
            environment.run(Unit("raw", wrong, 1, 1))
    done = kvsh(shell.environment.path or "", "delete", "--prefix", "session:")
    assert done == (0, "", "")
    assert shell("count") == "0\n"


def test_a_person_is_asked_before_keys_are_deleted_by_their_beginning(shell: Shell) -> None:
    environment = shell.environment
    environment.interactive = True
    asked: list[str] = []
    answer = False

    def confirm(question: str) -> bool:
        asked.append(question)
        return answer

    environment.confirm = confirm
    assert "nothing was deleted" in shell.error("delete --prefix user:")
    assert asked == ["delete 2 keys that begin with user:? [y/N]"]
    assert shell("count --prefix user:") == "2\n"
    answer = True
    assert "2 keys deleted" in shell.error("delete --prefix user:")
    assert "0 keys deleted" in shell.error("delete --prefix user:")  # nothing to ask about
    assert (len(asked), shell("count --prefix user:")) == (2, "0\n")


def test_a_plan_stands_before_its_result_in_a_script_of_like_queries_too(shell: Shell) -> None:
    plan = "Search track by primary key (trackid = {})   ~1 row\n"
    lines = "".join(f"SELECT name FROM track WHERE trackid = {n};\n" for n in (1, 2, 1))
    out = kvsh(shell.environment.path or "", stdin=f".eqp on\n{lines}DELETE FROM kv;\n.eqp\n").out
    one, two = plan.format(1) + "One\n", plan.format(2) + "Two\n"
    assert out == f"{one}{two}{one}on\n"
    assert shell(".eqp full\n.explain plan\nSELECT name FROM track;").count("track") == 1


def test_output_may_go_nowhere(shell: Shell) -> None:
    assert shell(".output off\nSELECT 1;\n.output\nSELECT 2;") == "2\n"
    assert shell(".once off\nSELECT 1;\nSELECT 2;") == "2\n"
    assert not Path("off").exists()


def test_a_backup_may_name_main(shell: Shell) -> None:
    assert shell.error(".backup main copy.db") == ""
    assert kvsh("copy.db", "get", "user:1").out == "Ada Lovelace\n"
    assert "usage: .backup FILE" in shell.error(".backup aux copy2.db")


def test_bytes_that_are_no_text_are_shown_in_hexadecimal(shell: Shell) -> None:
    shell("put x'00ff' x'ff'")
    assert "X'ff'" in shell("scan --limit 1")
    assert shell("count --prefix x'00'") == "1\n"
    assert shell("scan x'00' x'01' --keys --reverse") == "X'00ff'\n"


def test_a_statement_runs_in_the_transaction_of_raw_commands(shell: Shell) -> None:
    shell("begin\nput user:3 Edsger\nINSERT INTO invoice VALUES (3, 1.0);")
    query = "SELECT count(*) FROM kv JOIN invoice ON kv.key = 'user:' || invoice.id;"
    assert shell(query) == "3\n"
    shell("rollback")
    assert shell(query) == "2\n"
    assert "no transaction is active" in shell.error("commit")
    shell("begin")
    assert "within a transaction" in shell.error("begin")
    assert "a transaction is open" in shell.error(".open other.db")


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_a_line_in_the_documentation(name: str) -> None:
    text = (ROOT / "docs" / "shell.md").read_text(encoding="utf-8")
    command = find(name)
    usage = command.usage.replace("|", "\\|")
    assert f"| `{usage}` | {command.summary}." in text


def test_a_database_goes_out_as_sql_and_comes_back(shell: Shell) -> None:
    shell(".export all.sql")
    dumped = shell(".dump")
    assert shell.err.getvalue() == ""
    again = shell(".open copy.db\n.read all.sql\n.dump")
    assert again == dumped
    assert shell("get user:1") == "Ada Lovelace\n"


def test_help_fits_eighty_columns_and_explains_topics(shell: Shell) -> None:
    assert max(map(len, shell(".help").splitlines())) <= 80
    for topic in TOPICS:
        assert max(map(len, shell(f".help {topic}").splitlines())) <= 110


def test_an_exported_query_is_taken_as_it_is_written(shell: Shell, tmp_path: Path) -> None:
    """Its quotes were taken off as if it were words: 'a' became a column, and "b", an unclosed quote."""
    out = tmp_path / "out.csv"
    assert (
        shell.error(
            f""".export {out} SELECT 'a  b' AS "q  q", "total" FROM invoice WHERE 'x'='x'"""
        )
        == ""
    )
    assert out.read_text() == "q  q,total\na  b,0.5\na  b,20.0\n"
    shell(f".export {out} SELECT 'x--y' AS a --format jsonl")
    assert out.read_text() == '{"a":"x--y"}\n'
    error = shell.error(f".export {out} SELECT nope FROM invoice")
    assert error.splitlines()[0].endswith(
        f":{len(f'.export {out} SELECT ') + 1}: error: no such column: nope"
    )
    error = shell.error(f".export {out} nope")
    assert error.splitlines()[0].endswith(
        f":{len(f'.export {out} ') + 1}: error: no such table: nope"
    )


def test_words_in_hexadecimal_are_texts_where_texts_are_wanted(shell: Shell) -> None:
    """They were empty ones: `.backup x'61'` spoke of the current directory."""
    assert shell(".print x'41c3a9'") == "Aé\n"
    shell(".nullvalue x'2d'")
    assert shell("SELECT NULL;") == "-\n"


@pytest.mark.parametrize(
    "typed",
    [
        ".read ''",
        ".open ''",
        ".backup ''",
        ".output ''",
        ".export '' invoice",
        ".import ''",
        ".repair ''",
    ],
)
def test_an_empty_name_of_a_file_is_refused(shell: Shell, typed: str) -> None:
    assert "a file's name is empty" in shell.error(typed)


@pytest.mark.parametrize("mode", sorted(set(MODES) - {"json", "jsonl"}))
def test_no_value_tells_the_terminal_to_do_things(shell: Shell, mode: str) -> None:
    """Colours, titles and bells of a value came through in the modes that are not drawn."""
    shell(f".mode {mode}")
    statement = "SELECT char(27) || '[31mred' || char(7, 155, 8238) AS a, 'two' || char(10, 9) || 'lines' AS b;"
    untouched = shell(statement)
    shell.environment.target.set_terminal(True)
    seen = shell(statement)
    assert all(char.isprintable() or char in "\n\t" for char in seen), seen
    if mode == "tcl":  # has escapes of its own, in a pipe, too
        assert '"\\033[31mred\\007\\x9b\\u202e"' in seen and "\x1b" not in untouched
        return
    assert "\\x1b[31mred\\x07\\x9b\\u202e" in seen.replace("\\\\", "\\")
    if mode in DRAWN:
        assert seen == untouched
    else:
        assert "\x1b[31mred\x07" in untouched  # a file or a pipe gets the data


def test_names_with_control_characters_and_wide_ones_are_listed_as_they_fit(shell: Shell) -> None:
    shell.environment.target.set_terminal(True)
    shell('CREATE TABLE "\x1b]0;title\x07"(a); CREATE TABLE 中文(a);')
    for line in (".tables", ".schema", ".dump"):
        seen = shell(line)
        assert "\x1b" not in seen and "\\x1b]0;title\\x07" in seen and "中文" in seen


def test_what_the_guard_has_undone_counts_no_rows(shell: Shell) -> None:
    """Who left was told of a transaction with three rows changed."""
    shell.environment.confirm = lambda question: False
    shell("BEGIN; INSERT INTO invoice VALUES (3, 1); DELETE FROM invoice;")
    assert shell.environment.changes() == 1


def test_a_command_that_could_not_be_run_is_an_error(shell: Shell) -> None:
    """Its result was lost, and the status 0."""
    assert "could not be run" in shell.error(".once |nosuchcommand\nSELECT 1;")
    assert "could not be run" in shell.error(".output |/dev/null\nSELECT 1;\n.output")
    assert shell.error(".once |false\nSELECT 1;") == ""  # it has read what it wanted
    assert shell("SELECT 'here';") == "here\n"


def test_a_chart_changes_nothing(shell: Shell) -> None:
    """DELETE was executed, and then refused since it gave no rows."""
    for text in ("DELETE FROM invoice", "WITH q AS (SELECT 1) DELETE FROM invoice RETURNING id"):
        assert "would change the database" in shell.error(f".chart bar {text}")
    assert shell("SELECT count(*) FROM invoice;") == "2\n"


def test_safe_makes_no_copy_by_sql_either(tmp_path: Path) -> None:
    done = kvsh("--safe", tmp_path / "a.db", f"VACUUM INTO '{tmp_path}/b.db'")
    assert done.status == 1 and "not available with --safe" in done.err
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.db"]


def test_favourites_are_bound_and_kept_for_the_next_shell(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "settings" / "favourites.toml"
    shell(".fs 'x' SELECT 1")  # the name is what stands there
    shell(".fs who SELECT name FROM track WHERE name = ? OR trackid = ?2\n.param set keep 5")
    assert shell(".f who One 7") == "One\nSeven\n"
    assert shell('.f who "x\' OR 1=1 --" 1') == "One\n"
    assert shell("SELECT ?1, :keep;") == "|5\n"  # what it was given is gone
    assert path.stat().st_mode & 0o777 == 0o600 and sorted(path.parent.iterdir()) == [path]
    odd = "SELECT 'tab\t \x7f \"quoted\" \\ é', 1;"
    shell(f".fs odd {odd}\n.fs many put a 1; ")
    other = Shell(tmp_path / "app.db")
    assert other(".f odd") == 'tab\t \x7f "quoted" \\ é|1\n'
    assert f"odd: {' '.join(odd.split())}" in other(".f")
    assert "no such favourite: od; did you mean odd" in other.error(".f od")
    assert "no other favourite" in other.error(".fs loop .f loop")
    path.write_text("a = 3\n")
    assert "favourites.toml: a is no text" in other.error(".f")
    path.write_text("a = ")
    assert "favourites.toml: " in other.error(".fs b SELECT 1")
    assert path.read_text() == "a = "
    other.environment.options.safe = True
    assert "--safe" in other.error(".fs b SELECT 1")
    other.environment.close()


def test_favourites_need_a_place(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KVSH_CONFIG", "")
    assert "no place for favourites" in shell.error(".f")


def test_what_a_command_prints_is_read_and_imported(shell: Shell) -> None:
    assert shell(".read |echo 'SELECT 6 * 7;'") == "42\n"
    assert (
        shell(".import '|printf \"a,b\\n1,2\\n3,4\\n\"' pairs\nSELECT sum(b) FROM pairs;") == "6\n"
    )
    assert shell.err.getvalue() == ""
    assert "ended with status 3" in shell.error(".read |exit 3")
    assert "|echo bad:1:1: error" in shell.error(".read |echo bad")
    assert "ended with status 3: nothing was loaded" in shell.error(".import '|echo a; exit 3' t3")
    assert "say which table" in shell.error(".import '|echo a'")
    assert "one file, or |COMMAND" in shell.error(".read a b")
    shell.environment.options.safe = True
    assert "--safe" in shell.error(".read |echo bad")
    assert "--safe" in shell.error(".import '|echo a' t3")
    assert "--safe" in shell.error(".cd /")
    assert shell("SELECT name FROM sqlite_schema WHERE name = 't3';") == ""


def test_files_are_found_after_the_directory_has_changed(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    shell(
        "ATTACH 'other.db' AS other; CREATE TABLE other.t (a);\n.open app.db\nATTACH 'other.db' AS other;"
    )
    shell(".cd sub")
    assert shell(".cd") == f"{tmp_path / 'sub'}\n"
    assert "is an attached database itself" in shell.error(".output ../other.db")
    assert "is the open database itself" in shell.error(".output ../app.db")
    assert "no such file or directory" in shell.error(".cd nowhere").lower()
    shell(
        "INSERT INTO other.t VALUES (1); INSERT INTO track VALUES (8, 'Eight', 1, 1);\n.compact\n.backup b.db"
    )
    assert (tmp_path / "sub" / "b.db").exists()
    assert shell("SELECT count(*) FROM track;") == "4\n"


def test_rows_end_as_the_separator_says(shell: Shell) -> None:
    rows = "VALUES (1, 'a'), (NULL, 'b c');"
    assert shell(f".separator , ;\n{rows}") == "1,a;,b c;"
    assert shell(f".mode csv\n.headers off\n.separator ; \\r\\n\n{rows}") == "1;a\r\n;b c\r\n"
    assert shell(f".mode quote\n.separator | !\n{rows}") == "1|'a'!NULL|'b c'!"
    assert shell(f".mode list\n{rows}") == "1|a\n|b c\n"
    assert shell(f".mode ascii\n{rows}") == "1\x1fa\x1e\x1fb c\x1e"
    assert shell(f".mode tcl\n.nullvalue nil\n{rows}") == '"1" "a"\n"nil" "b c"\n'
    assert shell("SELECT 'q\" \\' || char(10, 7);") == '"q\\" \\\\\\n\\007"\n'


def test_a_dump_of_data_alone_goes_into_tables_that_are_there(shell: Shell) -> None:
    text = shell(".dump --data-only")
    assert all(line.startswith("INSERT INTO") for line in text.splitlines())
    shell("DELETE FROM track; DELETE FROM invoice; DELETE FROM kv;")
    shell(text)
    assert shell(".dump --data-only") == text and "Ada Lovelace" in text
    assert shell(".dump --data-only invoice").count("INSERT") == 2


def test_watch_without_a_statement_repeats_the_last_one(shell: Shell) -> None:
    assert shell("SELECT 5;\n\\watch 1ms --times 2") == "5\n5\n5\n"
    assert "usage: .watch" in Shell(None).error(".watch 1ms")


def test_a_mark_behind_a_statement_shows_a_column_a_line(shell: Shell) -> None:
    assert (
        shell("SELECT 1 AS a, 2 AS long\\G\nSELECT 3\\g\nSELECT 4;") == "   a = 1\nlong = 2\n3\n4\n"
    )


def test_a_semicolon_behind_a_command_is_a_habit(shell: Shell) -> None:
    assert shell(".mode csv;\n.headers off ;\nSELECT 'a,b';") == '"a,b"\n'
    assert shell(".nullvalue ;\nSELECT NULL;") == ";\n"
    assert shell(".print a;\nput k v;\nget k;") == "a;\nv\n"


def test_a_comment_that_nothing_closes_is_an_error(shell: Shell) -> None:
    assert shell("/* closed */ SELECT 1;") == "1\n"
    assert ":2:1: error: unclosed comment" in shell.error("SELECT 1;\n/* the rest\nSELECT 2;")


OF_TABLES = {"select", "insert", "update", "delete", "alter", "explain", "case"}
"""Statements whose examples name tables that there may not be."""


@pytest.mark.parametrize("word", sorted(SYNTAX))
def test_help_has_the_syntax_of_statements_with_an_example_that_is_one(
    shell: Shell, word: str
) -> None:
    said = shell(f".help {word.upper()}")
    assert SYNTAX[word] in said
    assert max(map(len, SYNTAX[word].splitlines())) <= 80
    example = said.rpartition("example: ")[2]
    assert (
        "syntax error" not in shell.error(example)
        if word in OF_TABLES
        else shell(example) is not None
    )


def test_help_has_the_calls_of_functions(shell: Shell) -> None:
    assert shell(".help substr;") == "substr(text, start [, length])\n"
    assert "ON CONFLICT" in shell(".help insert into") and "INSERT OR" not in shell(".help replace")
    assert shell(".help count").startswith("usage: count [--prefix P]")
    assert shell(".help count").endswith("count(*) | count([DISTINCT] x)\n")
    assert "FROM json_each(json [, path])" in shell(".help json_each")


def test_a_page_that_is_no_trees_says_what_it_is(shell: Shell) -> None:
    """Of the first page, too, the message only listed what it might be."""
    assert "page 1 is the list of trees; .tree NAME draws one" in shell.error(
        ".checkpoint\n.page 1"
    )
    assert "page 999 is no page of a tree: it is free, " in shell.error(".page 999")
