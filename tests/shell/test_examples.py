"""Every example that the help gives works when it is pasted."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from kvsh.commands import COMMANDS
from kvsh.commands.settings import TOPICS
from kvsh.commands.syntax import SYNTAX, said_of
from tests.shell.conftest import Shell
from tests.shell.running import kvsh

EXAMPLES = {command.name: command.example for command in COMMANDS.values()}
FOR_PEOPLE = {".edit", ".undo"}
"""They need a terminal; the tests of the editor and of undo try them."""
BEFORE = {
    "commit": "begin",
    "rollback": "begin",
    ".page": ".checkpoint",
    ".fd": ".fs genre SELECT 1;",
}
TABLES = """
CREATE TABLE people (name TEXT, city TEXT);
INSERT INTO people VALUES ('Ada', 'Oslo'), ('Grace', 'Rome');
CREATE INDEX people_by_city ON people (city);
CREATE TABLE stock (item TEXT PRIMARY KEY, n INT);
INSERT INTO stock VALUES ('nut', 2), ('bolt', 20);
ALTER TABLE track ADD COLUMN genre TEXT;
"""


def example_in(text: str) -> str:
    """What follows `example:`, to the text's end."""
    return text.partition("example:")[2].strip()


def outcome(shell: Shell, script: str) -> str:
    """What it prints, without an error."""
    out = shell(script)
    assert shell.err.getvalue().count("error:") == 0, shell.err.getvalue()
    assert shell.environment.last_error is None
    return out


@pytest.mark.parametrize("name", sorted(set(EXAMPLES) - FOR_PEOPLE))
def test_a_commands_example(shell: Shell, tmp_path: Path, name: str) -> None:
    (tmp_path / "people.csv").write_text("name,age\nAda,36\n")
    (tmp_path / "load.sql").write_text("SELECT 'loaded';\n")
    shutil.copy(tmp_path / "app.db", tmp_path / "broken.db")
    example = EXAMPLES[name]
    if name == ".watch":
        example = example.replace("2s", "1ms --times 2")
    if name in BEFORE:
        outcome(shell, BEFORE[name])
    out = outcome(shell, example)
    if name == ".read":
        assert out == "loaded\n"


@pytest.mark.parametrize("word", sorted(SYNTAX))
def test_a_statements_example(shell: Shell, tmp_path: Path, word: str) -> None:
    outcome(shell, TABLES)
    example = example_in(SYNTAX[word])
    assert example.endswith(";")
    if word == "create":
        example = f"DROP TABLE people;\n{example}"
    outcome(shell, example)


@pytest.mark.parametrize("topic", sorted(set(TOPICS) - {"keys"}))
def test_a_topics_example(shell: Shell, topic: str) -> None:
    example = example_in(TOPICS[topic])
    assert example
    outcome(shell, example)


def test_the_first_steps(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("name,city\nAda,Oslo\nGrace,Rome\n")
    steps = shell(".help").partition("To begin with:\n")[2].partition("\n\n")[0].splitlines()
    assert len(steps) == 4
    for step in steps:
        outcome(shell, re.split(r" {3,}", step.strip())[0])
    assert shell("SELECT value FROM kv WHERE key = 'greeting';") == "hello\n"


def test_the_usage_of_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "load.sql").write_text("CREATE TABLE t (a);\n")
    usage = kvsh("--help").out
    lines = re.findall(r"^  (kvsh.*?)(?: {2,}.*)?$", usage, re.MULTILINE)
    assert lines == [
        "kvsh app.db",
        'kvsh app.db "SELECT count(*) FROM t"',
        'kvsh app.db put user:1 "Ada"',
        "kvsh app.db < load.sql",
        "kvsh",
    ]
    script = "CREATE TABLE t (a);\n"
    assert kvsh("app.db", stdin=script, cwd=tmp_path) == (0, "", "")
    assert kvsh("app.db", "SELECT count(*) FROM t", cwd=tmp_path) == (0, "0\n", "")
    assert kvsh("app.db", "put", "user:1", "Ada", cwd=tmp_path) == (0, "", "")
    assert kvsh("-f", "load.sql", cwd=tmp_path) == (0, "", "")


def test_calls_of_functions_name_functions_that_there_are(shell: Shell) -> None:
    from kvsh.complete.words import FUNCTIONS

    known = set(shell("SELECT DISTINCT name FROM pragma_function_list;").split())
    assert known
    assert set(FUNCTIONS) - known <= {"cast", "raise"}
    for name in FUNCTIONS:
        assert (said_of(name) or "").strip()
