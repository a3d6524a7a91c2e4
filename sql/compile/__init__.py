"""Plans compiled to Python source: comprehensions over whole leaves, no interpretation per row."""

from sql.compile.query import (
    CompiledQuery,
    compile_row_function,
    compile_values,
    prepare_select,
)

__all__ = ["CompiledQuery", "compile_row_function", "compile_values", "prepare_select"]
