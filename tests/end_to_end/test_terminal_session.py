"""Sessions of the whole shell in a terminal: what a user types, and what the screen shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import kvsh
from tests.end_to_end.program import ROOT
from tests.shell.terminal import Terminal

PROMPT = "shop.db> "


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    with kvsh.open(path) as database:
        database.execute("CREATE TABLE artist (id INTEGER PRIMARY KEY, name TEXT, country TEXT)")
        database.execute(
            "INSERT INTO artist (name, country) VALUES ('Ida', 'SE'), ('夏目 漱石', 'JP'), ('Noor', 'EG')"
        )
        database.put("user:1", "Ada Lovelace")
    return path


@pytest.fixture
def terminal(path: Path) -> Iterator[Terminal]:
    environ = {"PYTHONPATH": str(ROOT)}
    with Terminal([str(path)], environ=environ, columns=100, rows=40) as opened:
        opened.wait_for_prompt(PROMPT)
        yield opened


def test_a_statement_over_several_lines_runs_at_its_semicolon(terminal: Terminal) -> None:
    terminal.send("SELECT name\r")
    terminal.wait_for(r"^ *\.\.\.>")
    terminal.send("FROM artist WHERE id = 2;\r")
    terminal.wait_for(r"│ 夏目 漱石 │")
    terminal.wait_for_prompt(PROMPT)


def test_an_error_shows_a_caret_and_the_nearest_name_and_the_session_goes_on(
    terminal: Terminal,
) -> None:
    terminal.send("SELECT * FROM artst;\r")
    terminal.wait_for(r"no such table: artst")
    terminal.wait_for(r"\^ did you mean artist\?")
    terminal.send("get user:1\r")
    terminal.wait_for(r"^Ada Lovelace")


def test_tab_completes_tables_and_keys(terminal: Terminal) -> None:
    terminal.send("SELECT * FROM art\t")
    terminal.wait_for(r"^shop\.db> SELECT \* FROM artist")
    terminal.send(";\r")
    terminal.wait_for(r"│ Ida ")
    terminal.wait_for_prompt(PROMPT)
    terminal.send("get us\t")
    terminal.wait_for(r"^shop\.db> get user:1")
    terminal.send("\r")
    terminal.wait_for(r"^Ada Lovelace")


def test_ctrl_c_cancels_what_runs_and_keeps_the_open_transaction(terminal: Terminal) -> None:
    terminal.send("BEGIN;\r")
    terminal.wait_for_prompt("shop.db*> ")
    terminal.send("INSERT INTO artist (name) VALUES ('kept');\r")
    terminal.wait_for(r"1 row changed")
    terminal.wait_for_prompt("shop.db*> ")
    terminal.send(
        "SELECT 'go';WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
        " SELECT count(*) FROM n;\r"
    )
    terminal.wait_for(r"│ go ")  # the first statement is done: the second one runs
    terminal.interrupt()
    terminal.wait_for(r"interrupted")
    terminal.wait_for_prompt("shop.db*> ")
    terminal.send("SELECT count(*) AS artists FROM artist;\r")
    terminal.wait_for(r"│ +4 │")


def test_a_guard_asks_before_a_delete_without_where_is_kept(terminal: Terminal, path: Path) -> None:
    terminal.send("DELETE FROM artist;\r")
    terminal.wait_for(r"deletes 3 of 3 rows of artist - keep\? \[y/N\]")
    terminal.send("n\r")
    terminal.wait_for(r"undone")
    terminal.send(".quit\r")
    assert terminal.wait_for_exit() == 0
    with kvsh.open(path) as database:
        assert list(database.execute("SELECT count(*) FROM artist")) == [(3,)]


def test_ctrl_d_leaves_and_asks_about_an_open_transaction(terminal: Terminal, path: Path) -> None:
    terminal.send("BEGIN;\r")
    terminal.wait_for_prompt("shop.db*> ")
    terminal.send("put color blue\r")
    terminal.wait_for(r"put color blue\nshop\.db\*>")
    terminal.wait_for_prompt("shop.db*> ")
    terminal.send("\x04")
    terminal.wait_for(r"commit, roll back, or stay\?")
    terminal.send("c\r")
    assert terminal.wait_for_exit() == 0
    with kvsh.open(path) as database:
        assert database.get("color") == b"blue"
