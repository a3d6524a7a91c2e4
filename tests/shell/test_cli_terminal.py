"""The whole shell on a terminal: what a person sees from the first prompt to leaving."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvsh.output.tables import width_of
from tests.shell.running import ROOT, kvsh
from tests.shell.terminal import Terminal

SCRIPT = """
CREATE TABLE artist (id INTEGER PRIMARY KEY, name TEXT);
INSERT INTO artist VALUES (1, 'Ada'), (2, 'Björk'), (3, '椎名林檎');
CREATE TABLE album (id INTEGER PRIMARY KEY, artist_id INT REFERENCES artist(id), title TEXT);
INSERT INTO album VALUES (1, 2, 'Debut'), (2, 2, 'Post'), (3, 3, '無罪モラトリアム');
put user:1 "Ada Lovelace"
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "music.db"
    assert kvsh(path, stdin=SCRIPT) == (0, "", "")
    return path


@pytest.fixture
def terminal(database: Path) -> Iterator[Terminal]:
    with shell(database) as made:
        yield made


def shell(*arguments: str | Path, columns: int = 80, rows: int = 24, **environ: str) -> Terminal:
    """A shell that has painted its prompt."""
    made = Terminal(
        [str(argument) for argument in arguments],
        columns=columns,
        rows=rows,
        environ={"PYTHONPATH": str(ROOT), **environ},
    )
    made.wait_for_prompt("> ")
    return made


def test_a_statement_over_several_lines_and_its_result_in_a_box(terminal: Terminal) -> None:
    assert terminal.lines[1].startswith("music.db>")
    terminal.send("SELECT id, name\r")
    terminal.send("FROM artist;\r")
    terminal.wait_for("^└")
    box = [line for line in terminal.lines if line and line[0] in "┌│├└"]
    assert box[0].startswith("┌────┬") and "│  3 │ 椎名林檎 │" in box[5]
    assert {width_of(line) for line in box} == {width_of(box[0])}


def test_a_history_that_cant_be_kept_is_told_behind_the_statement(database: Path) -> None:
    """The warning was written into the line that the editor was painting."""
    with shell(database, KVSH_HISTORY="/dev/null/history") as terminal:
        terminal.send("SELECT 40 + 2;\r")
        terminal.wait_for("^└")
        told = [line for line in terminal.lines if line][1:3]
        assert told[0] == "music.db> SELECT 40 + 2;"
        assert told[1].startswith("warning: no history is kept: /dev/null")


def test_batch_is_a_script_on_a_terminal_too(database: Path) -> None:
    with Terminal(["-batch", str(database)], environ={"PYTHONPATH": str(ROOT)}) as terminal:
        terminal.send("SELECT 40 + 2 AS sum;\r\x04")
        terminal.wait_for("42")
        assert "music.db>" not in terminal.text and "row in" not in terminal.text


def test_a_file_that_is_read_is_timed_as_a_whole_unless_each_statement_is_asked_for(
    terminal: Terminal, tmp_path: Path
) -> None:
    path = tmp_path / "two.sql"
    path.write_text("INSERT INTO artist VALUES (11, 'a'); SELECT 'wal' || 'nut';")
    terminal.send(f".read '{path}'\r")
    terminal.wait_for("walnut")
    terminal.wait_for("^done in ")
    assert "Run time" not in terminal.text
    path.write_text("SELECT 'haz' || 'el';")
    terminal.send(f".timer on\r.read '{path}'\r")
    terminal.wait_for("hazel")
    terminal.wait_for("^Run time: ")


def test_a_file_that_is_read_is_one_step_for_undo(terminal: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "many.sql"
    inner = tmp_path / "inner.sql"
    inner.write_text("put user:9 Eve\nINSERT INTO artist VALUES (12, 'b');\n")
    path.write_text(
        "CREATE TABLE n (a);\n"
        + "".join(f"INSERT INTO n VALUES ({i});\n" for i in range(500))
        + f".read '{inner}'\nBEGIN; DELETE FROM artist WHERE id = 12; COMMIT;\n"
    )
    terminal.send("INSERT INTO artist VALUES (10, 'before');\r")
    terminal.wait_for("1 row changed")
    terminal.send(f".read '{path}'\r")
    terminal.wait_for("^done in ")
    terminal.wait_for_prompt("> ")
    terminal.send(".undo\r")
    terminal.wait_for(r"undone: \.read (?s:.)*drops table n\n(?s:.)*takes away 1 of \d+ keys of kv")
    terminal.wait_for_prompt("> ")
    terminal.send(".undo\r")
    terminal.wait_for("undone: INSERT INTO artist VALUES")
    terminal.wait_for_prompt("> ")
    (tmp_path / "more.csv").write_text("a,b\n1,2\n")
    terminal.send(f".import '{tmp_path / 'more.csv'}'\r")
    terminal.wait_for("1 row")
    terminal.wait_for_prompt("> ")
    terminal.send(".undo\r")
    terminal.wait_for("drops table more")


def test_an_error_has_a_caret_and_the_nearest_name(terminal: Terminal) -> None:
    terminal.send("SELECT * FROM artst;\r")
    terminal.wait_for("did you mean artist")
    lines = terminal.lines
    (at,) = [number for number, line in enumerate(lines) if "error: no such table" in line]
    assert lines[at + 2].index("^") == lines[at + 1].index("artst")


@pytest.mark.parametrize("before", ["", "'a long text that fills the line', 1 + 1, 'CJK 無罪', "])
def test_the_caret_of_an_error_fits_a_narrow_screen(database: Path, before: str) -> None:
    with shell(database, columns=36) as terminal:
        after = " WHERE 'more' || 'than' || 'a screen' IS NOT NULL"
        terminal.send(f"SELECT {before}nme FROM artist{after};\r")
        terminal.wait_for(r"\^ did you mean\s+name")
        lines = terminal.lines
        (at,) = [number for number, line in enumerate(lines) if "error: no such column" in line]
        shown = terminal.screen.display[at + 1]
        assert lines[at + 2].index("^") == width_of(shown[: shown.index("nme")])
        terminal.wait_for_prompt("> ")


def test_the_toolbar_says_how_the_command_that_is_typed_is_used(terminal: Terminal) -> None:
    terminal.send("put ")
    terminal.wait_for(r"^ put KEY VALUE \[--ttl TIME\]")
    terminal.send("\x15delete from artist")
    terminal.wait_for("^ music.db │ box")
    terminal.send("\x15.watch 1s")
    terminal.wait_for(r"^ \.watch TIME \[--times N\]")
    terminal.send("\x15")
    terminal.wait_for("^ music.db │ box")


def test_help_fits_a_narrow_screen(database: Path) -> None:
    with shell(database, columns=40, PAGER="") as terminal:
        terminal.send(".help\r")
        terminal.wait_for("Other topics: modes, quoting, keys,\n *transactions")
        terminal.wait_for("^  Keys          put get delete exists")
        assert not [
            line for line in terminal.text.split("\n") if line.endswith(("comman", "delet"))
        ]
        terminal.wait_for_prompt("> ")


def test_favourites_are_completed(database: Path, tmp_path: Path) -> None:
    config = tmp_path / "settings" / "config.toml"
    with shell(database, KVSH_CONFIG=str(config)) as terminal:
        terminal.send(
            "\\\\fs firstartist SELECT name FROM artist WHERE id = ?;\r".replace("\\\\", "\\")
        )
        terminal.wait_for("kept: .f firstartist")
        terminal.wait_for_prompt("> ")
        terminal.send(".f fir\t 1\r")
        terminal.wait_for("│ Ada")
        terminal.wait_for("^1 row in")
        terminal.send(".watch 1ms --times 2 VALUES ('seen')\r")
        terminal.wait_for("(?s)│ seen.*│ seen.*1 row in")
        terminal.wait_for_prompt("> ")
        told = [line for line in terminal.text.split("\n") if line.startswith("1 row")]
        assert len(told) == 3 and all(" in " in line for line in told)


def test_tab_completes_names_of_the_open_database(terminal: Terminal) -> None:
    terminal.send("SELECT * FROM alb\t")
    terminal.wait_for("SELECT \\* FROM album")
    terminal.send(";\r")
    terminal.wait_for("Debut")
    terminal.send("get us\t")
    terminal.wait_for("get user:")


def test_the_prompt_shows_a_transaction_and_the_toolbar_what_it_changed(
    terminal: Terminal,
) -> None:
    terminal.send("begin;\r")
    terminal.wait_for(r"^music\.db\*>")
    terminal.send("UPDATE album SET title = 'x' WHERE id < 3;\r")
    terminal.wait_for("2 rows changed")
    terminal.wait_for("in transaction, 2 rows changed")
    terminal.send("\x04")
    terminal.wait_for(r"commit, roll back, or stay\?")
    terminal.send("r\r")
    assert terminal.wait_for_exit() == 0


def test_a_delete_without_where_is_asked_about(terminal: Terminal, database: Path) -> None:
    terminal.send("DELETE FROM album;\r")
    terminal.wait_for(r"deletes 3 of 3 rows of album - keep\? \[y/N\]")
    terminal.send("n\r")
    terminal.wait_for("nothing was changed")
    terminal.wait_for_prompt("> ")
    terminal.send("DELETE FROM album;\r")
    terminal.wait_for(r"(?s)keep\?.*keep\? \[y/N\]")
    terminal.send("y\r")
    terminal.wait_for("3 rows changed")
    terminal.wait_for_prompt("> ")
    terminal.send(".undo\r")
    terminal.wait_for("undone: DELETE FROM album")
    terminal.wait_for_prompt("> ")
    terminal.send("\x04")
    assert terminal.wait_for_exit() == 0
    assert kvsh(database, "SELECT count(*) FROM album").out == "3\n"


def test_ctrl_c_stops_what_runs_and_keeps_the_session(terminal: Terminal) -> None:
    terminal.send("begin;\r")
    terminal.wait_for(r"^music\.db\*>")
    terminal.send("SELECT 40 + 2;\r")
    terminal.wait_for("42")
    terminal.send("SELECT 'it ' || 'runs'; WITH RECURSIVE n(i) AS\r")
    terminal.send("(SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n;\r")
    terminal.wait_for("it runs")
    terminal.interrupt()
    terminal.wait_for("^interrupted")
    terminal.wait_for_prompt("> ")
    assert terminal.cursor_line.startswith("music.db*>")


def test_drawings_and_charts_fit_the_terminal(terminal: Terminal) -> None:
    terminal.send(".tree\r")
    terminal.wait_for("table artist")
    terminal.wait_for_prompt("> ")
    terminal.send(".chart bar SELECT title, id FROM album\r")
    terminal.wait_for("Debut")
    terminal.wait_for_prompt("> ")
    assert "█" in terminal.text


def test_the_first_line_says_what_is_open_and_help_is_one_screen(terminal: Terminal) -> None:
    assert terminal.lines[0].startswith("music.db, ") and ".help lists" in terminal.lines[0]
    terminal.send(".help\r")
    terminal.wait_for("Other topics")
    terminal.wait_for("^music.db> \\Z|^music.db>$(?s:.)*music.db │")
    terminal.wait_for_prompt("> ")
    assert terminal.lines[0].startswith("SQL ends with a semicolon")
    assert terminal.screen.buffer[2][2].bold, "headings are painted"


NOTING = """
import sys
from kvsh.cli import main
from kvsh.repl.shell import Shell

warm_up = Shell.warm_up

def noting(shell):
    with open(sys.argv[2], "w") as file:
        print(*sorted({name.partition(".")[0] for name in sys.modules}), file=file)
    warm_up(shell)

Shell.warm_up = noting
sys.exit(main(sys.argv[1:2]))
"""


def test_the_prompt_is_painted_before_the_parser_is_loaded(database: Path, tmp_path: Path) -> None:
    seen = tmp_path / "modules"
    environ = {"PYTHONPATH": str(ROOT)}
    arguments = [str(database), str(seen)]
    with Terminal(arguments, environ=environ, program=(sys.executable, "-c", NOTING)) as terminal:
        terminal.wait_for_prompt("music.db> ")
        terminal.wait_until(lambda: seen.exists() and seen.read_text() != "", "the list of modules")
        modules = set(seen.read_text().split())
        assert "prompt_toolkit" in modules
        assert not modules & {"sqlglot", "click", "pygments"}
        terminal.send("SELECT name FROM artist WHERE id = 1;\r")
        terminal.wait_for("│ Ada")
        terminal.wait_for_prompt("> ")
        terminal.send("\x04")
        assert terminal.wait_for_exit() == 0


def test_ctrl_z_is_no_part_of_the_line(terminal: Terminal) -> None:
    """It stood there, as a character that no statement can have, and the shell was not stopped.

    Nor is it here, where no login shell could go on with it."""
    terminal.send("SELECT 40 + 2")
    terminal.wait_for(r"40 \+ 2")
    terminal.send("\x1a;\r")
    terminal.wait_for("│ +42 │")
    terminal.wait_for("1 row in ")


def test_a_window_of_any_size_shows_whole_tables(terminal: Terminal) -> None:
    for columns in (120, 40, 200):
        terminal.resize(columns, 30)
        terminal.send("SELECT id, title, title || ' ' || title AS twice FROM album WHERE id < 3;\r")
        terminal.wait_for(r"2 rows in .*\n.*music\.db> *$")
        terminal.wait_for_prompt("> ")
        box = [
            line for line in terminal.lines if line and line[0] in "┌│├└" and "music.db" not in line
        ]
        last = box[max(at for at, line in enumerate(box) if line[0] == "┌") :]
        assert last[-1][0] == "└" and len({width_of(line) for line in last}) == 1
        assert width_of(last[0]) <= columns


COUNTING = (
    "WITH RECURSIVE c(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM c WHERE i < {}) SELECT i FROM c"
)
"""A query that takes a while."""


def test_what_is_typed_while_a_statement_runs_is_shown_once(terminal: Terminal) -> None:
    """The terminal showed it under the statement, and then the editor at its prompt."""
    terminal.send(f"SELECT count(*) FROM ({COUNTING.format(600_000)});\r")
    terminal.wait_for("FROM c.*;$")
    terminal.send("SELECT 'typed' || ' ahead';\r")
    terminal.wait_for("│ typed ahead")
    terminal.wait_for_prompt("> ")
    assert terminal.text.count("SELECT 'typed'") == 1


def test_a_command_that_reads_the_terminal_shows_what_is_typed(terminal: Terminal) -> None:
    terminal.send(".system echo ready; read word; echo got $word\r")
    terminal.wait_for("^ready$")
    terminal.send("hello\r")
    terminal.wait_for(r"^hello\ngot hello$")


def test_the_prompt_stands_in_a_line_of_its_own(terminal: Terminal) -> None:
    """It was painted over what a command had printed without a line end."""
    terminal.send(".system printf abc\r")
    terminal.wait_for(r"^abc\nmusic\.db> *$")
    terminal.send(".system echo def\r")
    terminal.wait_for(r"^def\nmusic\.db> *$")


def test_a_result_is_fitted_to_the_window_as_it_is_when_the_result_is_there(
    terminal: Terminal,
) -> None:
    long = "word " * 14
    terminal.send(f"SELECT count(*), '{long}' AS x FROM ({COUNTING.format(600_000)});\r")
    terminal.wait_for("FROM c.*;$")
    terminal.resize(40, 24)
    terminal.wait_for("1 row in ")
    box = [line for line in terminal.lines if line and line[0] in "┌│├└"]
    assert {width_of(line) for line in box} == {width_of(box[0])} and width_of(box[0]) <= 40


def test_the_editor_begins_with_the_last_statement_and_comes_back_to_the_prompt(
    database: Path,
) -> None:
    with shell(database, EDITOR="sed -i s/Ada/Björk/") as terminal:
        terminal.send("SELECT id, name FROM artist\rWHERE name = 'Ada';\r")
        terminal.wait_for("│  1 │ Ada")
        terminal.wait_for_prompt("> ")
        terminal.send(".edit\r")
        terminal.wait_for(r"\.\.\.> WHERE name = 'Björk';$")
        terminal.send("\r")
        terminal.wait_for("│  2 │ Björk")
        terminal.wait_for_prompt("> ")
        terminal.send("\x04")
        assert terminal.wait_for_exit() == 0


def test_an_editor_that_fails_changes_nothing(database: Path) -> None:
    with shell(database, EDITOR="false") as terminal:
        terminal.send(".edit\r")
        terminal.wait_for("false ended with status 1: nothing was taken over")
        terminal.wait_for_prompt("> ")


def test_undo_takes_statements_back_one_by_one(terminal: Terminal, database: Path) -> None:
    def undone(text: str) -> None:
        terminal.send(".undo\r")
        terminal.wait_for(text)
        terminal.wait_for_prompt("> ")

    for statement in (
        "DELETE FROM album WHERE id = 1;",
        "put user:1 Grace",
        "DROP VIEW IF EXISTS v;",
    ):
        terminal.send(f"{statement}\r")
        if statement.startswith("DROP"):
            terminal.wait_for("keep")
            terminal.send("y\r")
        terminal.wait_for_prompt("> ")
    terminal.send(
        "begin; INSERT INTO artist(name) VALUES ('x'), ('y'); UPDATE album SET title = 'z' WHERE id = 3; commit;\r"
    )
    terminal.wait_for(r"2 rows changed(?s:.)*1 row changed")
    terminal.wait_for_prompt("> ")
    undone(r"undone: transaction of 4 statements\n.*\n?.*takes away 2 of 5 rows of artist")
    undone(r"undone: put user:1 Grace\n  restores 1 of 1 key of kv")
    undone(r"undone: DELETE FROM album WHERE id = 1;\n  brings back 1 row (of|into) album")
    undone("error: nothing to undo")
    terminal.send("\x04")
    assert terminal.wait_for_exit() == 0
    assert kvsh(database, "SELECT count(*), max(title) FROM album").out == "3|無罪モラトリアム\n"
    assert kvsh(database, "get", "user:1").out == "Ada Lovelace\n"


def test_listings_longer_than_the_screen_go_to_the_pager(database: Path, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    with shell(database, PAGER=f"cat > {seen}") as terminal:
        terminal.send(".help all\r")
        terminal.wait_for_prompt("> ")
        terminal.send("put done now\rget done\r")
        terminal.wait_for("^now$")
    assert "Upkeep" in seen.read_text() and "Upkeep" not in terminal.text


def test_a_long_result_goes_to_the_pager(database: Path, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    with shell(database, PAGER=f"cat > {seen}") as terminal:
        terminal.send("SELECT value FROM generate_series(1, 3);\r")
        terminal.wait_for("^└")
        assert not seen.exists()
        terminal.send("SELECT value FROM generate_series(1, 500);\r")
        terminal.wait_for(r"500 rows in ")
        terminal.wait_for_prompt("> ")
        terminal.send("\x04")
        assert terminal.wait_for_exit() == 0
    assert len(seen.read_text().splitlines()) == 504


def test_a_dumb_terminal_gets_plain_lines(database: Path) -> None:
    with shell(database, TERM="dumb") as terminal:
        terminal.send("SELECT name FROM artist\r")
        terminal.send("WHERE id = 1;\r")
        terminal.wait_for(r"\| Ada")
        terminal.wait_for_prompt("> ")
        terminal.send(".quit 3\r")
        assert terminal.wait_for_exit() == 3
        assert b"\x1b" not in terminal.raw


def test_no_color_is_honoured(database: Path) -> None:
    with shell(database, NO_COLOR="1") as terminal:
        terminal.send("SELECT * FROM artist;\r")
        terminal.wait_for("^└")
        terminal.send("exit\r")
        assert terminal.wait_for_exit() == 0
    box = terminal.raw.partition("┌".encode())[2].partition("└".encode())[0]
    assert b"\x1b[3" not in box


def test_the_scratch_database_says_what_it_is() -> None:
    with shell() as terminal:
        terminal.wait_for("a scratch database in memory")
        terminal.send(".help\r")
        terminal.wait_for(r"\.quit")
        terminal.send("quit\r")
        assert terminal.wait_for_exit() == 0


def test_sigterm_rolls_back_what_is_open_and_ends_the_shell(database: Path) -> None:
    with shell(database) as terminal:
        terminal.send("begin;\r")
        terminal.wait_for(r"^music\.db\*>")
        terminal.send("DELETE FROM album WHERE id = 1; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL")
        terminal.send(" SELECT i + 1 FROM n) SELECT 'on and on', count(*) FROM n;\r")
        terminal.wait_for("1 row changed")
        terminal.child.kill(signal.SIGTERM)
        assert terminal.wait_for_exit() == 143
    assert kvsh(database, "SELECT count(*) FROM album").out == "3\n"


def test_ctrl_c_answers_a_question_with_no_at_once(terminal: Terminal) -> None:
    terminal.send("DELETE FROM artist;\r")
    terminal.wait_for("keep")
    terminal.send("\x03")
    terminal.wait_for("undone: nothing was changed")
    terminal.send("BEGIN;\r")
    terminal.wait_for_prompt("*> ")
    terminal.send("\x04")
    terminal.wait_for("commit, roll back, or stay")
    terminal.send("\x03")
    terminal.wait_for_prompt("*> ")
    terminal.send("SELECT 'all ' || count(*) FROM artist;\r")
    terminal.wait_for("all 3")


def test_the_prompt_is_there_before_the_editor_and_what_is_typed_meanwhile_counts(
    database: Path,
) -> None:
    with Terminal([str(database)]) as terminal:
        terminal.wait_for(r"\.db>")
        assert b"\x1b[?2004h" not in terminal.raw.partition(b"> ")[0]  # the editor's first words
        terminal.send(
            "SELECT 6\x03SELECT 6 *\x1a 7 AS answer;\r"
        )  # Ctrl-C and Ctrl-Z are the editor's
        terminal.wait_for(r"│ +42 │")
        assert terminal.text.count("SELECT 6 * 7") == 1


def test_what_init_prints_is_not_behind_the_prompt(database: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('init = [".print ready"]\n')
    with Terminal([str(database)], environ={"KVSH_CONFIG": str(config)}) as terminal:
        terminal.wait_for("^ready$")
        terminal.wait_for_prompt()


def test_pasted_changes_are_told_in_one_line(terminal: Terminal) -> None:
    lines = [f"INSERT INTO artist VALUES ({number}, 'x');" for number in range(10, 60)]
    lines.insert(25, "SELECT 'between' AS b;")
    terminal.send("\x1b[200~" + "\n".join(lines) + "\x1b[201~\r")
    terminal.wait_for(r"^25 rows changed by 25 statements in [\d.]+ (us|ms|s)\n┌")
    terminal.wait_for(r"^1 row in .*\n25 rows changed by 25 statements in ")
    terminal.wait_for_prompt()
    assert " row changed" not in terminal.text


def test_what_was_changed_before_an_error_is_told_before_it(terminal: Terminal) -> None:
    inserts = [f"INSERT INTO artist VALUES ({number}, 'x');" for number in (7, 8, 9, 10, 11, 7, 12)]
    terminal.send("\x1b[200~" + " ".join(inserts) + "\x1b[201~\r")
    terminal.wait_for(r"^5 rows changed by 5 statements in .*\nerror: UNIQUE constraint failed")
    updates = [f"UPDATE artist SET name = 'y' WHERE id = {number};" for number in (7, 8, 9, 10, 11)]
    terminal.send("\x1b[200~" + " ".join(updates) + " DELETE FROM album;\x1b[201~\r")
    terminal.wait_for(r"^5 rows changed by 5 statements in .*\n.*\[y/N\]")
    terminal.send("n\r")
    terminal.wait_for("undone: nothing was changed")
    terminal.send(".timer on\r")
    terminal.send("\x1b[200~" + " ".join([*updates, *updates]) + "\x1b[201~\r")
    terminal.wait_for(r"(?:^1 row changed in .*\n){10}")


def test_settings_fit_the_screen(database: Path) -> None:
    for columns, expected in (
        (80, r" +default\n    colours: auto"),
        (160, r" +default  colours: auto"),
    ):
        with shell(database, columns=columns, rows=50) as terminal:
            terminal.send(".config\r")
            terminal.wait_for(rf"^theme +\"auto\"{expected}")
            terminal.wait_for_prompt()


ENDLESS = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c;"


def test_a_long_statement_says_how_long_it_has_run_until_it_ends(terminal: Terminal) -> None:
    terminal.send(f"{ENDLESS}\r")
    terminal.wait_for(r"^running for \d+ s; Ctrl-C stops it$")
    terminal.send("\x03")
    terminal.wait_for("^interrupted$")
    terminal.wait_for_prompt()
    assert "running for" not in terminal.text
