"""A shell's environment on a small database, whose output is kept."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvsh.environment import Environment, Options

SETUP = """
CREATE TABLE track (trackid INTEGER PRIMARY KEY, name TEXT, genreid INT, price REAL);
CREATE INDEX track_name ON track(name);
CREATE INDEX track_genre ON track(genreid);
CREATE TABLE invoice (id INTEGER PRIMARY KEY, total REAL);
CREATE VIEW cheap AS SELECT * FROM track WHERE price < 1;
INSERT INTO track VALUES (1, 'One', 1, 0.99), (2, 'Two', 1, 1.99), (7, 'Seven', 2, NULL);
INSERT INTO invoice VALUES (1, 0.5), (2, 20);
put user:1 "Ada Lovelace"
put user:2 Grace
put session:9 x --ttl 1h
put visits 41
"""


class Shell:
    """An environment whose output is kept."""

    def __init__(self, path: Path | None) -> None:
        self.out = io.BytesIO()
        self.err = io.StringIO()
        text = None if path is None else str(path)
        self.environment = Environment(text, Options(), out=self.out, err=self.err)
        self.environment.source = "<test>"

    def __call__(self, text: str) -> str:
        """Run statements; what they print."""
        begin = self.out.tell()
        self.environment.execute(text)
        self.environment.target.flush()
        return self.out.getvalue()[begin:].decode()

    def error(self, text: str) -> str:
        """Run statements; what they complain of."""
        begin = self.err.tell()
        self(text)
        return self.err.getvalue()[begin:]


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KVSH_CONFIG", str(tmp_path / "settings" / "config.toml"))
    made = Shell(tmp_path / "app.db")
    made(SETUP)
    assert made.err.getvalue() == ""
    yield made
    made.environment.close()
