"""Plans compiled to Python source: comprehensions over whole leaves, no interpretation per row."""

from sql.compile.changes import CompiledChange, compile_change, expects_many
from sql.compile.query import (
    CompiledQuery,
    compile_row_function,
    compile_row_statement,
    compile_values,
    plan_select,
    prepare_select,
)

__all__ = [
    "CompiledChange",
    "CompiledQuery",
    "compile_change",
    "compile_row_function",
    "compile_row_statement",
    "compile_values",
    "expects_many",
    "plan_select",
    "prepare_select",
]
