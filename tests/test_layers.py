"""The architecture's import rule: kvsh -> sql -> btree -> engine, and across packages only through
the package itself (`from btree import Tree`, never `from btree.node import Leaf`).
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("engine", "btree", "sql", "kvsh")  # from the bottom up

FILES = [path for layer in LAYERS for path in sorted((ROOT / layer).rglob("*.py"))]


def imported_modules(source: str) -> list[str]:
    """Every absolute module that the source imports, at any depth of the file."""
    modules = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            modules.append(node.module)
    return modules


def broken_rules(layer: str, source: str) -> list[str]:
    """What `source`, a file of `layer`, imports against the rule."""
    broken = []
    for module in imported_modules(source):
        package, _, inside = module.partition(".")
        if package not in LAYERS or package == layer:
            continue
        if LAYERS.index(package) > LAYERS.index(layer):
            broken.append(f"{module}: points up")
        elif inside:
            broken.append(f"{module}: reaches inside {package}")
    return broken


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down_and_through_the_front_door(path: Path) -> None:
    layer = path.relative_to(ROOT).parts[0]
    assert broken_rules(layer, path.read_text("utf-8")) == []


def test_the_rule_itself_notices_what_it_forbids() -> None:
    assert broken_rules("engine", "import btree") == ["btree: points up"]
    assert broken_rules("sql", "def f():\n    from btree.node import Leaf") == [
        "btree.node: reaches inside btree"
    ]
    assert broken_rules("sql", "from btree import Tree\nfrom sql.errors import SqlError") == []
