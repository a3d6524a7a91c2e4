"""Ctrl-C is never lost, whatever moment it comes at."""

from __future__ import annotations

import io
import signal
from pathlib import Path
from typing import Any

import pytest

from kvsh.environment import Environment, Options
from kvsh.repl.cancel import interruptible
from kvsh.transfer.progress import Progress
from sql import Interrupted


@pytest.fixture
def environment() -> Environment:
    environment = Environment(None, Options(), out=io.BytesIO(), err=io.StringIO())
    environment.source = "<test>"
    return environment


def test_between_two_units_it_is_raised_at_once(environment: Environment) -> None:
    with pytest.raises(KeyboardInterrupt):
        environment.interrupt()


def test_before_a_statement_has_begun_it_stops_that_statement_and_no_later_one(
    environment: Environment,
) -> None:
    environment.busy = True
    environment.interrupt()
    with pytest.raises(Interrupted):
        environment.session.execute("SELECT 1")
    assert list(environment.session.execute("SELECT 1").fetch_all()) == [(1,)]


def test_at_the_end_of_a_statement_it_keeps_the_next_from_running(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    show = environment.show

    def signalled(*arguments: Any, **more: Any) -> None:
        show(*arguments, **more)
        environment.interrupt()

    monkeypatch.setattr(environment, "show", signalled)
    environment.execute("SELECT 1; CREATE TABLE t(a);")
    assert not environment.session.schema.tables
    assert environment.err.getvalue() == "interrupted\n"  # type: ignore[attr-defined]


@pytest.mark.parametrize("inside", [False, True])
def test_an_index_that_is_half_written_goes_without_a_trace(
    environment: Environment, inside: bool
) -> None:
    environment.execute(
        "CREATE TABLE t(a, b); INSERT INTO t SELECT value % 977, value FROM generate_series(1, 120000);"
    )
    session = environment.session
    if inside:
        environment.execute("BEGIN; INSERT INTO t VALUES ('mine', 0);")
    asked = 0

    def stops_at_the_end() -> bool:
        nonlocal asked
        asked += 1
        return asked == last

    session.cancellation.progress = stops_at_the_end
    last = -1
    session.execute("SAVEPOINT whole")
    session.execute("CREATE INDEX i ON t(a, b)")
    session.execute("ROLLBACK TO whole")
    last, asked = asked - 1, 0  # the last look but one: some of the entries are in the tree
    session.execute("RELEASE whole")
    with pytest.raises(Interrupted):
        session.execute("CREATE INDEX i ON t(a, b)")
    last = -1
    assert not session.schema.indexes
    assert session.execute("PRAGMA integrity_check").fetch_all() == [("ok",)]
    assert session.in_transaction == inside
    count = session.execute("SELECT count(*) FROM t WHERE a = 'mine'").fetch_all()
    assert count == [(int(inside),)]
    session.execute("CREATE INDEX i ON t(a, b)")
    assert session.execute("PRAGMA integrity_check").fetch_all() == [("ok",)]


def test_a_query_that_does_not_look_up_is_torn_off(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stuck(*_arguments: Any, **_more: Any) -> None:
        environment.interrupt()
        environment.tear()
        pytest.fail("went on")

    monkeypatch.setattr(environment, "show", stuck)
    environment.execute("SELECT 1; CREATE TABLE t(a);")
    assert not environment.session.schema.tables
    assert environment.err.getvalue().endswith("interrupted\n")  # type: ignore[attr-defined]


def test_what_writes_is_never_torn(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.execute("CREATE TABLE t(a); INSERT INTO t VALUES (1);")
    execute = environment.session.execute

    def signalled(*arguments: Any) -> Any:
        result = execute(*arguments)
        environment.interrupt()
        environment.tear()
        return result

    monkeypatch.setattr(environment.session, "execute", signalled)
    environment.execute("DELETE FROM t;")
    assert list(execute("SELECT count(*) FROM t").fetch_all()) == [(0,)]


def test_the_second_look_comes_a_moment_after_ctrl_c() -> None:
    class Torn(Exception):
        pass

    calls: list[str] = []

    def tear() -> None:
        raise Torn

    with pytest.raises(Torn), interruptible(lambda: calls.append("asked"), tear):
        signal.raise_signal(signal.SIGINT)
        signal.pause()
    assert calls == ["asked"]


def test_ending_a_transaction_is_not_disturbed(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.execute("BEGIN; CREATE TABLE t(a); INSERT INTO t VALUES (1);")
    commit = environment.session.commit

    def signalled() -> None:
        environment.interrupt()
        commit()

    monkeypatch.setattr(environment.session, "commit", signalled)
    environment.end_transaction(keep=True)
    assert not environment.in_transaction()
    environment.execute("SELECT a FROM t;")
    environment.target.flush()
    assert environment.err.getvalue() == ""  # type: ignore[attr-defined]


@pytest.fixture
def filled(tmp_path: Path) -> Environment:
    """A file of some hundred pages."""
    environment = Environment(
        str(tmp_path / "a.db"), Options(), out=io.BytesIO(), err=io.StringIO()
    )
    environment.source = "<test>"
    with environment.writing() as transaction:
        for number in range(20_000):
            transaction.tree(1).put(b"%06d" % number, b"x" * 100)
    return environment


@pytest.mark.parametrize("command", ["compact", "backup"])
def test_work_on_the_file_is_abandoned_and_nothing_is_left_of_it(
    filled: Environment, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def update(bar: Progress, rows: int, **_: object) -> None:
        calls.append(rows)
        if len(calls) == 2:
            filled.interrupt()

    monkeypatch.setattr(Progress, "update", update)
    before = (tmp_path / "a.db").read_bytes()
    filled.busy = True
    filled.execute(".compact\n" if command == "compact" else f".backup {tmp_path}/copy.db\n")
    filled.busy = False
    assert "interrupted" in filled.err.getvalue()  # type: ignore[attr-defined]
    assert len(calls) == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.db"]
    assert (tmp_path / "a.db").read_bytes() == before
    filled.execute(f".backup {tmp_path}/copy.db\n")
    filled.close()
    assert (tmp_path / "copy.db").exists()


@pytest.mark.parametrize("command", [".compact\n", ".backup {}/copy.db\n"])
def test_work_on_the_file_shows_on_a_terminal_how_far_it_is(
    filled: Environment, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvsh.transfer.progress.APPEARS_AFTER_SECONDS", 0.0)
    monkeypatch.setattr("kvsh.transfer.progress.DRAWN_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(filled.err, "isatty", lambda: True)
    filled.execute(command.format(tmp_path))
    shown = filled.err.getvalue()  # type: ignore[attr-defined]
    assert f"{command.split()[0][1:]} [#" in shown and " pages  " in shown
    assert "#" not in shown.split("\x1b[2K")[-1]  # erased at the end
    filled.close()
