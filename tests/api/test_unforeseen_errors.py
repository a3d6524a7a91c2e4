"""Errors that no layer has foreseen: damage is looked for behind them, and at what price."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import kvsh
import sql


def bug(*_: Any) -> None:
    raise TypeError("a bug of ours")


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One more for each check of a database; where a statement is run there is a bug."""
    found: list[int] = []
    check = sql.check_database

    def counted(*arguments: Any) -> list[str]:
        found.append(1)
        return check(*arguments)

    monkeypatch.setattr(sql, "check_database", counted)
    monkeypatch.setitem(bug.__globals__, "__name__", "sql.imagined")
    monkeypatch.setattr("sql.session_writes.WriteStatement.run", bug)
    return found


def test_a_file_is_checked_once_behind_a_bug(tmp_path: Path, checks: list[int]) -> None:
    for _ in range(2):
        connection = kvsh.connect(tmp_path / "db", isolation_level=None)
        connection.execute("CREATE TABLE IF NOT EXISTS t(a)")
        for _ in range(3):
            with pytest.raises(TypeError, match="a bug of ours"):
                connection.execute("UPDATE t SET a = (SELECT 1)")
        connection.close()
    assert len(checks) == 2


def test_what_is_in_memory_is_not_checked(tmp_path: Path, checks: list[int]) -> None:
    connection = kvsh.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE t(a)")
    for _ in range(2):
        with pytest.raises(TypeError, match="a bug of ours"):
            connection.execute("UPDATE t SET a = (SELECT 1)")
    assert not checks
    connection.execute("ATTACH ? AS o", (str(tmp_path / "db"),))
    with pytest.raises(TypeError, match="a bug of ours"):
        connection.execute("UPDATE t SET a = (SELECT 1)")
    assert len(checks) == 1
