"""Plans compiled to Python source: comprehensions over whole leaves, no interpretation per row.

The names below are imported when they are first used: a short query has a plan, but no code.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sql.compile.changes import CompiledChange, calls_program, compile_change, expects_many
    from sql.compile.query import CompiledQuery, plan_select, prepare_select
    from sql.compile.row_code import RowCode, RowScope
    from sql.compile.row_functions import (
        bind_to_row,
        compile_bound_row,
        compile_row_function,
        compile_rows_function,
        compile_values,
        compile_values_of_rows,
        compile_values_of_sets,
    )

_MODULES = {
    "CompiledChange": "changes",
    "CompiledQuery": "query",
    "RowCode": "row_code",
    "RowScope": "row_code",
    "bind_to_row": "row_functions",
    "calls_program": "changes",
    "compile_bound_row": "row_functions",
    "compile_change": "changes",
    "compile_row_function": "row_functions",
    "compile_rows_function": "row_functions",
    "compile_values": "row_functions",
    "compile_values_of_rows": "row_functions",
    "compile_values_of_sets": "row_functions",
    "expects_many": "changes",
    "plan_select": "query",
    "prepare_select": "query",
}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module 'sql.compile' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"sql.compile.{module}"), name)
    return value


__all__ = [
    "CompiledChange",
    "CompiledQuery",
    "RowCode",
    "RowScope",
    "bind_to_row",
    "calls_program",
    "compile_bound_row",
    "compile_change",
    "compile_row_function",
    "compile_rows_function",
    "compile_values",
    "compile_values_of_rows",
    "compile_values_of_sets",
    "expects_many",
    "plan_select",
    "prepare_select",
]
