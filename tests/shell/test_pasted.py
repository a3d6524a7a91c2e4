"""Long inputs at the prompt: what goes together, what is told, what `.undo` takes back, and what is asked."""

from __future__ import annotations

import pytest

from kvsh import key_lines
from kvsh.undo import UndoLog
from tests.shell.conftest import Shell


@pytest.fixture
def prompt(shell: Shell) -> Shell:
    """As at a prompt."""
    environment = shell.environment
    environment.interactive = environment.changes_shown = True
    environment.undo_log = UndoLog(environment.store)
    return shell


def commits(shell: Shell) -> int:
    transaction = shell.environment.store.begin()
    try:
        return transaction.commit_number
    finally:
        transaction.rollback()


def inserts(first: int, last: int) -> str:
    return "\n".join(
        f"INSERT INTO track VALUES ({number}, 'it''s {number}; x', 1, 0.5);"
        for number in range(first, last + 1)
    )


def test_changes_of_one_form_are_few_commits_and_told_in_one_line(prompt: Shell) -> None:
    before = commits(prompt)
    assert prompt.error(inserts(1001, 3000)) == "2,000 rows changed by 2,000 statements\n"
    assert commits(prompt) - before < 10
    assert prompt("SELECT count(*), max(name) FROM track WHERE trackid > 1000;") == (
        "2000|it's 3000; x\n"
    )


def test_undo_takes_back_what_was_told_in_one_line(prompt: Shell) -> None:
    prompt(f"{inserts(11, 60)}\nSELECT 1;\n{inserts(61, 90)}")
    assert "undone: 30 statements from INSERT INTO track VALUES (61" in prompt(".undo")
    assert prompt("SELECT max(trackid) FROM track;") == "60\n"
    assert "undone: 50 statements from" in prompt(".undo")
    assert prompt("SELECT max(trackid) FROM track;") == "7\n"


def test_one_that_fails_is_told_behind_those_before_it(prompt: Shell) -> None:
    told = prompt.error(f"{inserts(11, 600)}\n{inserts(600, 700)}").splitlines()
    assert told == [
        "590 rows changed by 590 statements",
        "error: UNIQUE constraint failed: track.trackid",
    ]
    assert prompt("SELECT max(trackid) FROM track;") == "600\n"
    assert "undone: 590 statements" in prompt(".undo")


@pytest.mark.parametrize("between", ["", "UPDATE track SET price = 1 WHERE trackid = -1;\n"])
def test_one_that_fails_is_not_tried_again(prompt: Shell, between: str) -> None:
    """It could do what it had failed to do, in a transaction that was none any more."""
    rows = "".join(
        f"INSERT OR ROLLBACK INTO track VALUES ({number}, 'x', 1, 1);\n{between}"
        for number in (*range(11, 300), 250, *range(300, 320))
    )
    told = prompt.error(f"begin\n{rows}commit").splitlines()
    assert told[-1] == "error: UNIQUE constraint failed: track.trackid"
    assert len(told) == 2 and not prompt.environment.in_transaction()
    assert prompt("SELECT max(trackid) FROM track;") == "7\n"


def test_forms_by_turns_have_the_outcome_of_one_by_one(prompt: Shell) -> None:
    lines = [
        line
        for number in range(11, 200)
        for line in (
            f"INSERT INTO track VALUES ({number}, 'n', 1, 0.5);",
            f"UPDATE track SET name = 'n{number}' WHERE trackid = {number - 1};",
            f"DELETE FROM track WHERE trackid = {number - 5};",
        )
    ]
    assert prompt.error("\n".join(lines)) == "562 rows changed by 567 statements\n"
    assert prompt("SELECT group_concat(name) FROM track WHERE trackid > 10;") == (
        "n196,n197,n198,n199,n\n"
    )


def test_a_change_of_all_rows_is_asked_about_among_others(prompt: Shell) -> None:
    asked: list[str] = []

    def confirm(question: str) -> bool:
        asked.append(question)
        return False

    prompt.environment.confirm = confirm
    every = "\nUPDATE track SET price = 9;\nUPDATE track SET price = 9;\n"
    told = prompt.error(f"{inserts(11, 40)}{every}{inserts(41, 60)}").splitlines()
    assert len(asked) == 2 and all("53" not in question for question in asked)
    assert told[0] == "30 rows changed by 30 statements"
    assert told[-1] == "20 rows changed by 20 statements"
    assert prompt("SELECT count(*) FROM track WHERE price = 9;") == "0\n"


def test_inside_of_a_transaction_they_are_its_own(prompt: Shell) -> None:
    told = prompt.error(f"begin\n{inserts(11, 60)}\nrollback")
    assert told == "50 rows changed by 50 statements\n"
    assert prompt("SELECT max(trackid) FROM track;") == "7\n"
    assert "nothing to undo" in prompt.error(".undo")


def test_echo_shows_each_and_parameters_are_bound(prompt: Shell) -> None:
    prompt(".echo on")
    assert prompt(inserts(11, 40)) == inserts(11, 40) + "\n"
    prompt(".echo off\n.param set who 'O''Neil'")
    changes = [f"INSERT INTO track VALUES ({number}, :who, 1, 1);" for number in range(50, 70)]
    assert prompt.error("\n".join(changes)) == "20 rows changed by 20 statements\n"
    assert prompt("SELECT count(*) FROM track WHERE name = 'O''Neil';") == "20\n"


@pytest.mark.parametrize("forms", [1, 2])
def test_ctrl_c_keeps_what_is_done_and_ends_the_rest(
    prompt: Shell, monkeypatch: pytest.MonkeyPatch, forms: int
) -> None:
    """Of one form all go together; of several, here with an UPDATE, each by itself."""
    environment = prompt.environment
    runs = environment.session.runs
    execute = runs.execute
    calls = 0

    def interrupted(*arguments: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 3:
            environment.interrupt()
        return execute(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(runs, "execute", interrupted)
    text = inserts(1001, 9000)
    if forms == 2:
        text = text.replace(";\n", ";\nUPDATE track SET price = 1 WHERE trackid = -1;\n")
    told = prompt.error(text).splitlines()
    assert told[-1] == "interrupted"
    kept = int(prompt("SELECT count(*) FROM track WHERE trackid > 1000;"))
    assert 0 < kept < 8000
    assert told[0].startswith(f"{kept:,} rows changed by ")
    assert not environment.in_transaction()


def test_pasted_keys_are_put_in_one_commit_and_taken_back_in_one_step(prompt: Shell) -> None:
    before = commits(prompt)
    prompt("".join(f"put pasted:{number} {number}\n" for number in range(500)))
    assert commits(prompt) - before == 1
    assert prompt("count --prefix pasted:") == "500\n"
    assert "undone: 500 statements from put pasted:0 0" in prompt(".undo")
    assert prompt("count --prefix pasted:") == "0\n"


def test_pasted_lines_of_keys_by_turns_go_together_and_say_what_is_absent(prompt: Shell) -> None:
    before = commits(prompt)
    lines = "".join(
        f"put k:{number} {number}\nget k:{number}\ndelete k:{number - 1}\n" for number in range(200)
    )
    assert prompt.error(f"{lines}get nothing\n") == "no such key: k:-1\nno such key: nothing\n"
    assert commits(prompt) - before == 1
    assert prompt("scan --prefix k: --keys") == "k:199\n"
    assert "undone: 601 statements from put k:0 0" in prompt(".undo")
    assert prompt("count --prefix k:") == "0\n"


def test_pasted_lines_of_keys_run_by_themselves_where_they_must(prompt: Shell) -> None:
    """An option, a quote that nothing closes, a file for the first result."""
    text = "put a 1\nput b 2 --ttl 1h\nget b\nget a\ndelete a b\nget visits\nget user:2\n"
    assert prompt(text) == "2\n1\n41\nGrace\n"
    assert prompt("count --prefix a") == "0\n"
    assert prompt(".once first.txt\nget visits\nget user:2") == "Grace\n"
    assert prompt.error('put c 3\nput d "4\nput e 5\n').startswith('error: unclosed quote: "4')
    assert prompt("count") == "5\n"


def test_ctrl_c_ends_pasted_lines_of_keys_between_two_transactions(
    prompt: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = prompt.environment
    monkeypatch.setattr("kvsh.pasted.KEY_LINES_MAX", 100)
    execute = key_lines.execute
    calls = 0

    def interrupted(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 3:
            environment.interrupt()
        return execute(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(key_lines, "execute", interrupted)
    told = prompt.error("".join(f"put i:{number} x\n" for number in range(1000)))
    assert told == "interrupted\n"
    assert prompt("count --prefix i:") == "300\n"
    assert "undone: 300 statements" in prompt(".undo")
