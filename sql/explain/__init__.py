"""EXPLAIN: a plan as a tree, with measurements, in SQLite's words, or as the code that it became.

`explain(compiled, mode, ctx)` gives column names and rows for a result; modes are `tree`, `analyze`
(runs the query), `query plan` and `code`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sql.explain.expressions import expression_text

if TYPE_CHECKING:
    from sql.compile import CompiledQuery
    from sql.context import Context

__all__ = ["explain", "expression_text"]

Rows = list[tuple[Any, ...]]


def explain(compiled: CompiledQuery, mode: str, ctx: Context) -> tuple[tuple[str, ...], Rows]:
    """(column names, rows) of the plan of `compiled`.  ValueError for an unknown mode."""
    match mode:
        case "tree":
            from sql.explain.nodes import drawn, estimate_text
            from sql.explain.tree import PlanTree

            root = PlanTree(compiled.planner, compiled.block).node()
            return ("plan",), [(line + estimate_text(node),) for line, node in drawn(root)]
        case "analyze":
            from sql.explain.analyze import analyzed

            return ("plan",), [(line,) for line in analyzed(compiled, ctx)]
        case "query plan":
            from sql.explain.query_plan import query_plan

            rows = query_plan(compiled.planner, compiled.block)
            return ("id", "parent", "notused", "detail"), rows
        case "code":
            return ("code",), [(line,) for line in compiled.source.splitlines()]
        case _:
            raise ValueError(f"no such mode of EXPLAIN: {mode}")
