"""Ctrl-C is never lost, whatever moment it comes at."""

from __future__ import annotations

import io

import pytest

from kvsh.environment import Environment, Options
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
