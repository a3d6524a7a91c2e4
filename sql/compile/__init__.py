"""Plans compiled to Python source: comprehensions over whole leaves, no interpretation per row."""

from sql.compile.changes import CompiledChange, calls_program, compile_change, expects_many
from sql.compile.query import (
    CompiledQuery,
    bind_to_row,
    compile_bound_row,
    compile_row_function,
    compile_rows_function,
    compile_values,
    compile_values_of_rows,
    compile_values_of_sets,
    plan_select,
    prepare_select,
)
from sql.compile.row_code import RowCode, RowScope

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
