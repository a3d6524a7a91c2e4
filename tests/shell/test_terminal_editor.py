"""Screens of the line editor: menu, several lines, toolbar, signatures, windows of several sizes, no colour."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.shell.terminal import Terminal

PROGRAM = (sys.executable, str(Path(__file__).with_name("editor_program.py")))
ROOT = str(Path(__file__).resolve().parent.parent.parent)


def editor(*arguments: str, columns: int = 80, rows: int = 24, **environ: str) -> Terminal:
    return Terminal(
        arguments,
        columns=columns,
        rows=rows,
        environ={"PYTHONPATH": ROOT, **environ},
        program=PROGRAM,
    )


def test_the_menu_opens_while_typing_and_tab_takes_from_it() -> None:
    with editor() as terminal:
        terminal.wait_for_prompt("shop.db> ")
        terminal.send("SELECT na")
        terminal.wait_for(r"^ +Name +Artist")
        terminal.send("\t")
        terminal.wait_for(r"^shop\.db> SELECT Name")
        terminal.send(" FROM Artist;\r")
        terminal.wait_for(r"read: 'SELECT Name FROM Artist;'")


def test_enter_takes_the_selected_proposal_without_running() -> None:
    with editor("completion=tab") as terminal:
        terminal.wait_for_prompt("shop.db> ")
        terminal.send("SELECT * FROM \t")
        terminal.wait_for(r"^ +countries +table, 1 column")
        terminal.send("\t")
        terminal.wait_for(r"^shop\.db> SELECT \* FROM Artist")
        terminal.send("\r")
        terminal.send(";\r")
        terminal.wait_for(r"read: 'SELECT \* FROM Artist;'")


def test_several_lines_have_a_continuation_prompt_and_come_back_whole() -> None:
    with editor() as terminal:
        terminal.wait_for_prompt("shop.db> ")
        terminal.send("SELECT 1,\r")
        terminal.wait_for(r"^    \.\.\.>$")
        terminal.send("2;\r")
        terminal.wait_for(r"read: 'SELECT 1,\\n2;'")
        terminal.wait_for_prompt("shop.db> ")
        terminal.send("\x1b[A")
        terminal.wait_until(
            lambda: terminal.cursor_line.startswith("    ...> 2;"), "the whole statement again"
        )
        terminal.send("\r")
        terminal.wait_until(lambda: terminal.text.count("read: 'SELECT 1,") == 2, "a second run")


def test_history_search_finds_whole_statements() -> None:
    with editor() as terminal:
        terminal.wait_for_prompt("shop.db> ")
        terminal.send("SELECT 'needle',\r1;\r")
        terminal.wait_for("read: .*needle")
        terminal.wait_for_prompt("shop.db> ")
        terminal.send("\x12needle")
        terminal.wait_for("I-search backward: needle")
        terminal.send("\r\r")
        terminal.wait_until(lambda: terminal.text.count("read:") == 2, "the found statement runs")


def test_the_toolbar_shows_the_state_and_the_signature_of_a_call() -> None:
    with editor() as terminal:
        terminal.wait_for(r"^ shop\.db │ box │ 12\.3 ms")
        terminal.send("SELECT substr(")
        terminal.wait_for(r"^ substr\(text, start \[, length\]\)")


def test_control_c_clears_the_line_and_control_d_leaves() -> None:
    with editor() as terminal:
        terminal.wait_for_prompt("shop.db> ")
        terminal.send("SELECT no\x03")
        terminal.wait_for("interrupted")
        terminal.wait_for_prompt("shop.db> ")
        terminal.send("\x04")
        terminal.wait_for("bye")
        assert terminal.wait_for_exit() == 0


def test_wide_windows_and_resizing_keep_the_line() -> None:
    with editor(columns=200, rows=50) as terminal:
        terminal.wait_for_prompt("shop.db> ")
        text = "SELECT " + ", ".join(f"column_{i}" for i in range(14))
        terminal.send(text)
        terminal.wait_until(lambda: terminal.cursor_line.endswith("column_13"), "one long line")
        terminal.resize(60, 24)
        terminal.wait_until(lambda: "column_13" in terminal.text, "the line, wrapped")
        terminal.send(";\r")
        terminal.wait_for(r"read: 'SELECT column_0")


def test_wide_characters_are_completed_and_edited() -> None:
    with editor() as terminal:
        terminal.wait_for_prompt("shop.db> ")
        terminal.send("SELECT 国\t")
        terminal.wait_for("国名")
        terminal.send(" FROM countries;\r")
        terminal.wait_for(re.escape(r"read: 'SELECT \u56fd\u540d FROM countries;'"))


def test_without_colour_nothing_is_coloured() -> None:
    with editor(NO_COLOR="1") as terminal:
        terminal.wait_for_prompt("shop.db> ")
        terminal.send("SELECT 'text', 12;\r")
        terminal.wait_for("read:")
        coloured = re.findall(rb"\x1b\[[\d;]*[349]\d[\d;]*m", terminal.raw)
        assert not coloured
    with editor() as terminal:
        terminal.wait_for_prompt("shop.db> ")
        terminal.send("SELECT 'text', 12;\r")
        terminal.wait_for("read:")
        assert re.search(rb"\x1b\[[\d;]*3[0-9][\d;]*m", terminal.raw)


def test_a_terminal_without_utf_8_gets_ascii() -> None:
    with editor(LC_ALL="C", LANG="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0") as terminal:
        terminal.wait_for(r"^ shop\.db \| box \| 12\.3 ms")
        terminal.send("SELECT 1;\r")
        terminal.wait_for("read: 'SELECT 1;'")
        assert terminal.raw.isascii()


def test_vi_keys_show_their_mode() -> None:
    with editor("keys=vi") as terminal:
        terminal.wait_for(r"INSERT")
        terminal.send("SELECT 2;\x1b")
        terminal.wait_for("NORMAL")
        terminal.send("hr1\r")
        terminal.wait_for("read: 'SELECT 1;'")
