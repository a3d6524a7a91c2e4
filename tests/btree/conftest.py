"""The stores that tests of trees run on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from btree import open_memory, open_store


@pytest.fixture(params=["disk", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """An empty store in a file and one in memory, whose trees are whole at the end."""
    made = open_memory() if request.param == "memory" else open_store(tmp_path / "db")
    yield made
    assert made.check() == []
    made.close()
