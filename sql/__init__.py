"""SQL over the ordered trees of `btree`: sessions, results, errors.

The names below are imported when they are first used, so that `import sql` costs nothing and the raw
key space never waits for a parser.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sql.attaching import open_attached
    from sql.dump import (
        catalog_trees,
        copy_database,
        copy_tree,
        dump_statements,
        literal,
        literals,
        put_in_place,
    )
    from sql.errors import (
        CannotOpenError,
        ConstraintError,
        Interrupted,
        MisuseError,
        NotAuthorizedError,
        SqlError,
        SqlNameError,
        SqlSyntaxError,
        TooBigError,
    )
    from sql.expressions import SqlValue
    from sql.functions import Aggregate, Function, FunctionRegistry
    from sql.loading import load_planner
    from sql.maintenance import check_database
    from sql.mending import mend
    from sql.parse import is_complete, next_statement
    from sql.plan import ResultColumn
    from sql.result import Result
    from sql.schema import Column, Index, Schema, Table, Trigger, View, quoted
    from sql.session import Session
    from sql.session_plans import Parameters, Prepared
    from sql.typed_rows import TypedRows
    from sql.values import value_to_text

_MODULES = {
    "Aggregate": "sql.functions",
    "CannotOpenError": "sql.errors",
    "Column": "sql.schema",
    "ConstraintError": "sql.errors",
    "Function": "sql.functions",
    "FunctionRegistry": "sql.functions",
    "Index": "sql.schema",
    "Interrupted": "sql.errors",
    "MisuseError": "sql.errors",
    "NotAuthorizedError": "sql.errors",
    "Parameters": "sql.session_plans",
    "Prepared": "sql.session_plans",
    "Result": "sql.result",
    "ResultColumn": "sql.plan",
    "Schema": "sql.schema",
    "Session": "sql.session",
    "SqlError": "sql.errors",
    "SqlNameError": "sql.errors",
    "SqlSyntaxError": "sql.errors",
    "SqlValue": "sql.expressions",
    "Table": "sql.schema",
    "TooBigError": "sql.errors",
    "Trigger": "sql.schema",
    "TypedRows": "sql.typed_rows",
    "View": "sql.schema",
    "catalog_trees": "sql.dump",
    "check_database": "sql.maintenance",
    "copy_database": "sql.dump",
    "copy_tree": "sql.dump",
    "dump_statements": "sql.dump",
    "is_complete": "sql.parse",
    "literal": "sql.dump",
    "literals": "sql.dump",
    "put_in_place": "sql.dump",
    "load_planner": "sql.loading",
    "mend": "sql.mending",
    "next_statement": "sql.parse",
    "open_attached": "sql.attaching",
    "quoted": "sql.schema",
    "value_to_text": "sql.values",
}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module 'sql' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(module), name)
    return value


__all__ = [
    "Aggregate",
    "CannotOpenError",
    "Column",
    "ConstraintError",
    "Function",
    "FunctionRegistry",
    "Index",
    "Interrupted",
    "MisuseError",
    "NotAuthorizedError",
    "Parameters",
    "Prepared",
    "Result",
    "ResultColumn",
    "Schema",
    "Session",
    "SqlError",
    "SqlNameError",
    "SqlSyntaxError",
    "SqlValue",
    "Table",
    "TooBigError",
    "Trigger",
    "TypedRows",
    "View",
    "catalog_trees",
    "check_database",
    "copy_database",
    "copy_tree",
    "dump_statements",
    "is_complete",
    "literal",
    "literals",
    "load_planner",
    "mend",
    "next_statement",
    "open_attached",
    "put_in_place",
    "quoted",
    "value_to_text",
]
