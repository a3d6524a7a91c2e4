"""Fixtures of more than one file of tests of `sql`."""

from __future__ import annotations

from typing import Any

import pytest

from sql.dml import indexing

pytest.register_assert_rewrite("tests.sql.one_by_one")


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the indexes that have been filled from their tables since the test began."""
    names: list[str] = []
    fill = indexing.fill_index

    def noted(session: Any, ctx: Any, of: Any, index: Any) -> None:
        names.append(index.name)
        fill(session, ctx, of, index)

    monkeypatch.setattr(indexing, "fill_index", noted)
    return names
