"""DEFAULT values of columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sql.compile import compile_values
from sql.parse import parse_expression

if TYPE_CHECKING:
    from sql.context import Context
    from sql.dml.records import TableRecords


def default_value(ctx: Context, records: TableRecords, place: int) -> Any:
    """The value of a column's DEFAULT now; NULL without one."""
    text = records.table.columns[place].default
    if text is None:
        return None
    return compile_values([[parse_expression(text)]], records.env)(ctx)[0][0]
