"""Importing what a process's first statement needs: the parser with sqlglot, the compiler.

That makes some ten thousand functions and classes, and what an import makes stays: the garbage collector, which
goes through them again and again meanwhile, finds nothing.  Without it a first statement takes 68 ms instead
of 74.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module

from btree import CollectorPaused
from sql.library import import_trees

_LONG_CHARACTERS = 1 << 14


def planning(text: str) -> AbstractContextManager[None]:
    """Around what makes trees of a statement's text: of a long one without collections, half of whose time they take."""
    return CollectorPaused() if len(text) > _LONG_CHARACTERS else nullcontext()


def load(module: str) -> None:
    """Import a module, without collections meanwhile; nothing if it is there."""
    if module not in sys.modules:
        with CollectorPaused():
            import_trees()
            import_module(module)


def load_planner() -> None:
    """Import what a first query needs, so that it need not wait for that."""
    for module in ("sql.parse.grammar", "sql.compile.blocks", "sql.compile.query", "sql.short"):
        load(module)
