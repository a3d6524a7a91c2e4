"""Text in, statements out: SQLite's grammar, yielding sqlglot's trees.

`parse_statement(text)` gives one of the dataclasses of `sql.parse.statements`; queries and
expressions inside are sqlglot trees in one canonical form, whatever sqlglot itself would have built:

- every call is `Anonymous(this=name as spelled, expressions=[...])`, `count(*)` with a `Star`,
  `f(DISTINCT x)` with a `Distinct`, `f(x ORDER BY y)` with an `Order` last; FILTER is `Filter(this,
  expression=Where)`, OVER is `Window`
- `IS` is `Is`, `IS NOT` is `Not(Is)`, `IS [NOT] DISTINCT FROM` is `NullSafeNEQ` / `NullSafeEQ`;
  `NOT LIKE` is `Not(Like)`, and so on; `x IN t` is `In(this, field=Table)`
- unary plus is a plain `Unary`, RAISE is `Command(this=action, expression=message)`; parentheses are
  not kept, a row value is a `Tuple`
- a parameter is a `Placeholder` with its 0-based number in `.meta["index"]`
- names and literals carry their place in the text in `.meta["start"]` and `.meta["end"]`, an unaliased
  result column its text in `.meta["text"]`, a `Cast` its type's text in `.meta["type"]`

Importing this package does not import sqlglot; the first parse does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sql.loading import load
from sql.parse.shape import lift_literals
from sql.parse.split import is_complete, next_statement

if TYPE_CHECKING:
    import sqlglot.expressions as exp

    from sql.parse.statements import Statement


def parse_statement(text: str) -> Statement:
    """The one statement in `text` (a trailing `;` may be there).  Raises `SqlSyntaxError`."""
    load("sql.parse.grammar")
    from sql.parse.grammar import parse_statement as parse

    return parse(text)


def parse_expression(text: str) -> exp.Expression:
    """The tree of one expression's text.  Raises `SqlSyntaxError`."""
    load("sql.parse.grammar")
    from sql.parse.grammar import parse_expression as parse

    return parse(text)


__all__ = [
    "is_complete",
    "lift_literals",
    "next_statement",
    "parse_expression",
    "parse_statement",
]
