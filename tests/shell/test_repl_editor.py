"""The line editor with typed keys and no terminal: what Enter does, history, suggestions, vi keys."""

from __future__ import annotations

import io
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from kvsh.complete import Completer, EmptyCatalog
from kvsh.config import Config
from kvsh.repl.editor import Editor, Surroundings
from kvsh.repl.history import StatementHistory, entry, parse
from kvsh.repl.plain import PlainEditor
from kvsh.repl.status import Status, duration, prompt_text, signature_line, toolbar


def is_complete(text: str) -> bool:
    return text.rstrip().endswith(";") or text.startswith(".") or not text.strip()


def make_editor(
    pipe: PipeInput,
    history: StatementHistory,
    config: Config,
    on_reading: Callable[[], None] = lambda: None,
) -> Editor:
    surroundings = Surroundings(
        Status, is_complete, lambda line: line.startswith("."), lambda: None, on_reading
    )
    return Editor(
        surroundings,
        Completer(EmptyCatalog()),
        history,
        config,
        depth=0,
        unicode=True,
        input=pipe,
        output=DummyOutput(),
    )


def read(
    keys: str, *, history: StatementHistory | None = None, config: Config | None = None
) -> str:
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        pipe.send_text(keys)
        editor = make_editor(pipe, history or StatementHistory(None, 10, print), config or Config())
        return editor.read()


def test_enter_runs_a_complete_statement_and_otherwise_continues_the_line() -> None:
    assert read("SELECT 1;\r") == "SELECT 1;"
    assert read("SELECT\r1\r;\r") == "SELECT\n1\n;"
    assert read(".help\r") == ".help"


def test_keys_are_kept_until_the_terminal_is_the_editors(monkeypatch: pytest.MonkeyPatch) -> None:
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        events: list[str] = []
        raw_mode = pipe.raw_mode

        def noted() -> AbstractContextManager[None]:
            events.append("raw")
            return raw_mode()

        monkeypatch.setattr(pipe, "raw_mode", noted)
        history = StatementHistory(None, 10, print)
        editor = make_editor(pipe, history, Config(), lambda: events.append("reading"))
        assert events == []
        for _ in range(2):
            pipe.send_text("SELECT 1;\r")
            assert editor.read() == "SELECT 1;"
        assert events == ["reading", "raw", "raw"]


def test_a_new_line_keeps_the_indentation() -> None:
    assert read("SELECT\r    a,\rb;\r") == "SELECT\n    a,\n    b;"


def test_alt_enter_forces() -> None:
    assert read("SELECT 1\x1b\r") == "SELECT 1"


def test_pasted_lines_arrive_as_one_text() -> None:
    assert read("\x1b[200~SELECT 1;\nSELECT 2;\x1b[201~\r") == "SELECT 1;\nSELECT 2;"


def test_control_c_and_control_d_are_told_apart() -> None:
    with pytest.raises(KeyboardInterrupt):
        read("SELECT\x03")
    with pytest.raises(EOFError):
        read("\x04")


def test_vi_keys_edit_the_line() -> None:
    config = Config()
    config.set("keys", "vi", "session")
    assert read("SELECT 2;\x1bhr1A\r", config=config) == "SELECT 1;"


def test_history_keeps_whole_statements_private_to_the_user(tmp_path: Path) -> None:
    path = tmp_path / "state" / "history"
    history = StatementHistory(path, 10, print)
    for statement in ("SELECT 1\nFROM t;", " SELECT 'not kept';", "SELECT 2;", "SELECT 2;"):
        history.append_string(statement)
    assert parse(path.read_text()) == ["SELECT 1\nFROM t;", "SELECT 2;"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    fresh = StatementHistory(path, 10, print)
    assert list(fresh.load_history_strings()) == ["SELECT 2;", "SELECT 1\nFROM t;"]


def test_history_is_cut_to_its_size(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_text("".join(entry(f"SELECT {i};") for i in range(50)))
    assert len(list(StatementHistory(path, 10, print).load_history_strings())) == 10
    assert parse(path.read_text()) == [f"SELECT {i};" for i in range(40, 50)]


def test_a_history_that_cant_be_written_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    complaints: list[str] = []
    history = StatementHistory(tmp_path / "file" / "history", 10, complaints.append)
    history.append_string("SELECT 1;")
    history.append_string("SELECT 2;")
    assert complaints == [f"no history is kept: {tmp_path / 'file'}: File exists"]


def test_the_arrow_brings_back_a_whole_statement(tmp_path: Path) -> None:
    history = StatementHistory(tmp_path / "history", 10, print)
    history.append_string("SELECT 1\nFROM t;")
    assert read("\x1b[A\r", history=history) == "SELECT 1\nFROM t;"


def test_the_prompt_shows_the_transaction() -> None:
    assert prompt_text("{database}{transaction}> ", Status("a.db")) == "a.db> "
    assert (
        prompt_text("{database}{transaction}> ", Status("a.db", in_transaction=True)) == "a.db*> "
    )
    assert prompt_text("{nothing} {mode}", Status(mode="csv")) == "{nothing} csv"


def test_the_toolbar_loses_the_least_important_first() -> None:
    status = Status("music.db", in_transaction=True, changes=3, readonly=False, last_seconds=0.25)
    full = "".join(text for _, text in toolbar(status, 80, hint="press F1"))
    assert full == " music.db │ in transaction, 3 rows changed │ box │ 250 ms │ press F1"
    small = "".join(text for _, text in toolbar(status, 45, unicode=False))
    assert small == " music.db | in transaction, 3 rows changed"
    for width in range(10, 90):
        assert len("".join(text for _, text in toolbar(status, width))) <= max(width, 11)


def test_the_argument_being_typed_is_set_off() -> None:
    from kvsh.complete import Signature

    line = signature_line(Signature("substr(text, start [, length])", 1), 80)
    assert ("toolbar.key", " start [") in line
    assert "".join(text for _, text in line) == " substr(text, start [, length])"


def test_durations_are_for_people() -> None:
    shown = [duration(s) for s in (0.00004, 0.0123, 2.5, 75, 3700)]
    assert shown == ["40 us", "12.3 ms", "2.50 s", "1 min 15 s", "1 h 1 min"]


def test_the_line_after_ctrl_c_or_ctrl_d_on_a_dumb_terminal_is_a_new_one() -> None:
    """The next prompt stood behind the ^C."""

    class Interrupted(io.StringIO):
        def readline(self, *_: Any) -> str:
            raise KeyboardInterrupt

    for source, ending in ((Interrupted(), KeyboardInterrupt), (io.StringIO(), EOFError)):
        output = io.StringIO()
        editor = PlainEditor(is_complete, lambda: "db> ", source=source, output=output)
        with pytest.raises(ending):
            editor.read()
        assert output.getvalue() == "db> \n"
