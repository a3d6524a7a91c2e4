"""The architecture's import rule: kvsh -> sql -> btree -> engine, and across packages only through
the package itself (`from btree import Tree`, never `from btree.node import Leaf`).  And its map:
every module is in docs/architecture.md, and none is longer than one can hold in the head.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("engine", "btree", "sql", "kvsh")  # from the bottom up

FILES = [path for layer in LAYERS for path in sorted((ROOT / layer).rglob("*.py"))]

LINES_MAX = 600

OPEN = {"btree.inspect"}
"""Modules that others may use whole: looking inside is all that this one is for."""


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path) for path in FILES}


def imported_modules(source: str) -> list[str]:
    """Every absolute module that the source imports, at any depth of the file; a module taken from
    its package by name (`from btree import node`) counts as the module."""
    modules = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, "imports are absolute"
            modules.append(node.module)
            offered = import_module(node.module).__all__ if node.module in LAYERS else ()
            inside = (
                f"{node.module}.{alias.name}" for alias in node.names if alias.name not in offered
            )
            modules += [name for name in inside if name in MODULES - OPEN]
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


def imported_at_once(body: list[ast.stmt]) -> Iterator[str]:
    """The modules that importing a file imports: those in functions wait, those for types never come."""
    for node in body:
        match node:
            case ast.If(test=ast.Name("TYPE_CHECKING")):
                continue
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(module=str(module)):
                names = {f"{module}.{alias.name}" for alias in node.names}
                yield from names & MODULES
                if names - MODULES:
                    yield module
            case ast.If() | ast.Try() | ast.ClassDef():
                yield from imported_at_once([*node.body, *getattr(node, "orelse", ())])


def cycle_among(imports: dict[str, set[str]]) -> list[str]:
    """Modules of which each imports, in the end, another of them; empty where imports are a hierarchy."""
    left = dict(imports)
    while free := [module for module, needs in left.items() if not needs & left.keys()]:
        for module in free:
            del left[module]
    return sorted(left)


def mapped(table: str) -> Iterator[tuple[str, str]]:
    """(folder, module) of each module that a map names; a row whose subject names a folder begins its modules."""
    folder = ""
    for subject, modules in re.findall(r"^\| (.*) \| (.*) \|$", table, re.MULTILINE):
        begun = re.search(r"`(\w+)/`", subject)
        folder = begun[1] if begun else folder
        yield from ((folder, module) for module in re.findall(r"`(\w+)`", modules))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down_and_through_the_front_door(path: Path) -> None:
    layer = path.relative_to(ROOT).parts[0]
    assert broken_rules(layer, path.read_text("utf-8")) == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    imports = {
        module_of(path): set(imported_at_once(ast.parse(path.read_text("utf-8")).body))
        for path in FILES
    }
    assert cycle_among(imports) == []


@pytest.mark.parametrize("layer", LAYERS)
def test_the_map_of_the_architecture_names_every_module(layer: str) -> None:
    text = (ROOT / "docs/architecture.md").read_text("utf-8")
    table = re.search(rf"^### {layer}:.*?(?=^##)", text, re.DOTALL | re.MULTILINE)
    assert table is not None
    named = Counter(mapped(table.group()))
    paths = [path.relative_to(ROOT / layer) for path in FILES if path.is_relative_to(ROOT / layer)]
    there = Counter((path.parent.name, path.stem) for path in paths if path.stem != "__init__")
    assert (there - named, named - there) == (Counter(), Counter())


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_fits_in_the_head(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= LINES_MAX, "look for its second idea"


def test_the_rule_itself_notices_what_it_forbids() -> None:
    assert broken_rules("engine", "import btree") == ["btree: points up"]
    assert broken_rules("sql", "def f():\n    from btree.node import Leaf") == [
        "btree.node: reaches inside btree"
    ]
    assert broken_rules("sql", "from btree import Tree\nfrom sql.errors import SqlError") == []
    assert broken_rules("sql", "from btree import Tree, node") == [
        "btree.node: reaches inside btree"
    ]
    assert cycle_among({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["a", "b", "c"]
    assert cycle_among({"a": {"b", "os"}, "b": {"c"}, "c": set()}) == []
    source = "import sql.errors\nfrom btree import Tree, node\ndef f():\n    import sql.plan"
    found = set(imported_at_once(ast.parse(source).body))
    assert found == {"sql.errors", "btree", "btree.node"}
