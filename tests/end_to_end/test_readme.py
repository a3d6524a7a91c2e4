"""The README's examples run, and print what it says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.end_to_end.program import ROOT, kvsh, lines

README = (ROOT / "README.md").read_text("utf-8")
PROMPT = "library.db> "


def block_under(heading: str, language: str) -> str:
    """The first block in a language under a heading."""
    section = README.split(f"\n## {heading}\n", 1)[1]
    found = re.search(rf"^```{language}\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


def test_the_session_goes_as_it_is_shown(tmp_path: Path) -> None:
    first, *shown = block_under("A session", "console").splitlines()
    assert first == "$ kvsh library.db"
    typed = [line.removeprefix(PROMPT) for line in shown if line.startswith(PROMPT)]
    printed = [line for line in shown if not line.startswith(PROMPT)]
    assert typed.pop() == ".help"
    script = "\n".join([".mode box", *typed])
    assert lines(tmp_path / "library.db", stdin=script) == printed
    assert len(typed) > 5 and len(printed) > 8


def test_each_way_in_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("load.sql").write_text("CREATE TABLE IF NOT EXISTS book (title);")
    commands = 0
    expected: list[str] = []
    printed: list[str] = []
    for line in block_under("Three ways in", "console").splitlines():
        if not line.startswith("$ "):
            expected.append(line)
            continue
        program, *words = shlex.split(line.removeprefix("$ "), comments=True)
        assert program == "kvsh"
        commands += 1
        if "<" in words:
            place = words.index("<")
            found = lines(*words[:place], stdin=Path(words[place + 1]).read_text())
        else:
            found = lines(*words)
        if words[1:2] == ["get"]:
            printed += found
    assert printed == expected
    assert commands == 6


def test_an_error_is_shown_as_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = block_under("Three ways in", "text")
    statement = told.splitlines()[1].strip()
    Path("load.sql").write_text(f"CREATE TABLE book (title);\n\n{statement}\n")
    done = kvsh("app.db", "-f", "load.sql")
    assert (done.returncode, done.stderr.decode()) == (1, told)


def test_the_program_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines("app.db", "CREATE TABLE book (id INTEGER PRIMARY KEY, title TEXT)")
    names: dict[str, object] = {}
    exec(compile(block_under("From Python", "python"), "README.md", "exec"), names)
    assert lines("app.db", "SELECT title FROM book") == ["Persuasion"]
    assert lines("app.db", "scan --keys") == ["user:1", "user:2"]
