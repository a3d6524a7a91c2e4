"""sqlglot is imported for its trees, `sqlglot.expressions`, and for no more until somebody asks it for more.

The package's own code imports the parser, the generator and the dialects besides, and looks for installed packages
that bring others: 27 of the 64 ms that its import takes.  `import_trees` makes the very module that an import makes,
but leaves that code until the module is asked for something that it does not have (`_TreesAlone`): by a program that
uses sqlglot itself, by trees that are written as text, before another module of the package is imported.

Hence `import sqlglot.expressions as exp` in our modules: `from sqlglot import exp` asks the package.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from threading import RLock
from types import ModuleType
from typing import Any

_PACKAGE = "sqlglot"

_running = RLock()
"""Held by who imports the trees, or runs the package's own code."""


def import_trees() -> None:
    """Import sqlglot's trees; nothing if sqlglot is there."""
    with _running:
        if _PACKAGE in sys.modules or not sys.meta_path:
            return
        spec = find_spec(_PACKAGE)
        if spec is None or spec.loader is None:
            return  # who imports it next is told so
        first = sys.meta_path[0]
        finder = _Trees(spec, first)
        # In its place: other threads that go through the list would miss a finder if one before it were taken out.
        sys.meta_path[0] = finder
        try:
            import_module(_PACKAGE)
        finally:
            sys.meta_path[sys.meta_path.index(finder)] = first


class _Trees:
    """Finds the package and loads it, so that it is imported under the lock that Python has for it.  All else is found by
    the finder that it stands in for."""

    def __init__(self, spec: ModuleSpec, instead: Any) -> None:
        self._spec = spec
        self._loader = spec.loader
        self._instead = instead
        spec.loader = self  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._instead, name)

    def find_spec(self, name: str, *where: Any) -> ModuleSpec | None:
        if name == _PACKAGE:
            return self._spec
        found: ModuleSpec | None = self._instead.find_spec(name, *where)
        return found

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None  # as Python makes them

    def exec_module(self, module: ModuleType) -> None:
        """Load the trees, and leave the package's own code for later."""
        self._spec.loader = module.__loader__ = self._loader
        vars(module)["exp"] = import_module(f"{_PACKAGE}.expressions")
        module.__class__ = _TreesAlone
        del module.__path__


class _TreesAlone(ModuleType):
    """The package with no more than its trees.  Python asks a package for `__path__` before it imports one of its
    modules, so that these find the package as they would otherwise."""

    def __getattr__(self, name: str) -> Any:
        # Where another thread runs the package's code, it may wait for the module that asks for the path here.
        if _running.acquire(blocking=name != "__path__"):
            try:
                _complete(self)
            finally:
                _running.release()
        elif self.__spec__ is not None:
            return self.__spec__.submodule_search_locations
        return ModuleType.__getattribute__(self, name)

    def __dir__(self) -> list[str]:
        with _running:
            _complete(self)
        return list(ModuleType.__dir__(self))


def _complete(module: ModuleType) -> None:
    """Run the package's own code; nothing if that has been done, or is under way in this thread."""
    spec = module.__spec__
    if "__path__" in vars(module) or spec is None or spec.loader is None:
        return
    module.__path__ = spec.submodule_search_locations or []
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del module.__path__  # the next who asks tries again
        raise
    module.__class__ = ModuleType
