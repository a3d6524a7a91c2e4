"""What the documents point to is there: files and modules, headings, programs that `python -m` runs."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
PACKAGES = ("engine", "btree", "sql", "kvsh", "benchmarks", "tests")
_FILES = [
    path.relative_to(ROOT).as_posix() for name in PACKAGES for path in (ROOT / name).rglob("*")
]
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def headings(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    lines = re.findall(r"^#+ (.*)$", _FENCED.sub("", path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_are_named_exist(path: Path) -> None:
    """`engine/store.py`, `optimise/grouped.py`, `late.py`: by their whole path or its end."""
    named = re.findall(r"`((?:\w+/)*\w+\.py)(?:::\w+)?`", path.read_text())
    assert [
        name for name in named if not any(f"/{file}".endswith(f"/{name}") for file in _FILES)
    ] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    text = _FENCED.sub("", path.read_text())
    for target, anchor in re.findall(r"\]\(([^()\s#]*)(#[^()\s]*)?\)", text):
        if target.startswith("http"):
            continue
        found = path.parent / target if target else path
        assert found.exists(), target
        assert not anchor or anchor[1:] in headings(found), f"{target}{anchor}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_programs_that_are_named_can_be_run(path: Path) -> None:
    for name in re.findall(r"python -m ((?:" + "|".join(PACKAGES) + r")[\w.]*)", path.read_text()):
        name = name.rstrip(".")
        spec = find_spec(name)
        assert spec is not None, name
        assert spec.submodule_search_locations is None or find_spec(f"{name}.__main__"), name
