"""Bound scalar expressions: names resolved to columns, SQLite's affinities and collations decided.

The binder builds these trees from sqlglot's; `sql.compile.scalar` turns them into Python source.
Every node is frozen and hashable, so that rules of the optimiser can compare and replace them.
Affinity and collation rules: https://www.sqlite.org/datatype3.html, sections 3, 4.2 and 7.
"""

from __future__ import annotations

import enum
from typing import Any

from msgspec import Struct

SqlValue = None | int | float | str | bytes
"""A value of a row: NULL, INTEGER (64 bits, signed), REAL (never NaN), TEXT, BLOB."""

NULL, INTEGER, REAL, TEXT, BLOB = 1, 2, 4, 8, 16
"""The bits of `btree.Kind`, of which masks of possible kinds are made."""

ANY_KIND = NULL | INTEGER | REAL | TEXT | BLOB

ROWID = -1
"""`ColumnRef.column` of a table's hidden rowid (the tree's key)."""


class Affinity(enum.IntEnum):
    """Affinities.  Those of columns are stored in the catalog, do not change.

    NONE is an expression's, also that of a subquery's column: unlike BLOB it takes on the other side's in a
    comparison."""

    NONE = -1
    BLOB = 0
    TEXT = 1
    NUMERIC = 2
    INTEGER = 3
    REAL = 4


class Literal(Struct, frozen=True):
    value: SqlValue


class Parameter(Struct, frozen=True):
    """The `index`-th (from 0) bound value of the statement, its lifted literals included."""

    index: int


class ColumnRef(Struct, frozen=True):
    """A column of one relation of the FROM clause (or of an enclosing query's: correlated).

    `source` numbers the relation instance, unique within the statement; `column` is the position in
    its row, or ROWID.  `kinds` is the mask of `btree.Kind` bits that the column may hold (all bits if
    unknown; NULL's bit is added for the nullable side of an outer join).  `converted`: its values have
    taken on its affinity, as a table's have; those of a compound's column have that of their own arm."""

    source: int
    column: int
    name: str
    table: str
    affinity: Affinity
    collation: str
    kinds: int
    converted: bool = True


class Unary(Struct, frozen=True):
    op: str  # - + ~
    operand: Expression


class Arithmetic(Struct, frozen=True):
    op: str  # + - * / % & | << >> ||
    left: Expression
    right: Expression


class Compare(Struct, frozen=True):
    """A comparison, after SQLite's rules chose which affinity to apply to which side (None: as it is)."""

    op: str  # = <> < <= > >= IS "IS NOT"
    left: Expression
    right: Expression
    left_affinity: Affinity | None = None
    right_affinity: Affinity | None = None
    collation: str = "BINARY"


class And(Struct, frozen=True):
    items: tuple[Expression, ...]


class Or(Struct, frozen=True):
    items: tuple[Expression, ...]


class Not(Struct, frozen=True):
    operand: Expression


class Truth(Struct, frozen=True):
    """`x IS [NOT] TRUE / FALSE`."""

    operand: Expression
    value: bool
    negated: bool


class InList(Struct, frozen=True):
    """`x IN (a, b)`; `affinity` is applied to the items' side when x has one."""

    operand: Expression
    items: tuple[Expression, ...]
    negated: bool = False
    affinity: Affinity | None = None
    collation: str = "BINARY"


class InSubquery(Struct, frozen=True):
    """`(x, y) IN (SELECT ...)`; `plan` is the query layer's; affinities per operand as for `=`."""

    operands: tuple[Expression, ...]
    plan: Any
    negated: bool
    left_affinities: tuple[Affinity | None, ...]
    right_affinities: tuple[Affinity | None, ...]
    collations: tuple[str, ...]


class Exists(Struct, frozen=True):
    plan: Any
    negated: bool = False


class ScalarSubquery(Struct, frozen=True):
    """First row, column `column`, else NULL.  Row values of subqueries use several, sharing `plan`."""

    plan: Any
    column: int = 0
    affinity: Affinity = Affinity.NONE
    collation: str = "BINARY"
    kinds: int = ANY_KIND


class Case(Struct, frozen=True):
    """Searched CASE; a base operand has been turned into comparisons by the binder, which keeps it in
    `base` evaluated once when it is not a plain column or constant."""

    whens: tuple[tuple[Expression, Expression], ...]
    otherwise: Expression | None


class Cast(Struct, frozen=True):
    operand: Expression
    affinity: Affinity
    type_name: str


class Match(Struct, frozen=True):
    """LIKE, GLOB, REGEXP, MATCH as operators (functions of the same name may be overridden by the user)."""

    op: str  # LIKE GLOB REGEXP MATCH
    operand: Expression
    pattern: Expression
    escape: Expression | None = None
    negated: bool = False


class Call(Struct, frozen=True):
    """A scalar function; `function` is a `sql.functions.Function`."""

    name: str
    arguments: tuple[Expression, ...]
    function: Any
    collation: str = "BINARY"


class Collate(Struct, frozen=True):
    operand: Expression
    collation: str


class SlotRef(Struct, frozen=True):
    """A value computed by the operator below (an aggregate, a window function, a group key): position
    `slot` of that operator's output row.  `source` is that operator's relation number.  A call's value brings no
    `collation` to a comparison."""

    source: int
    slot: int
    affinity: Affinity = Affinity.NONE
    collation: str | None = "BINARY"
    kinds: int = ANY_KIND


class Raise(Struct, frozen=True):
    """RAISE(action, message) in a trigger's body."""

    action: str  # IGNORE ROLLBACK ABORT FAIL
    message: Expression | None


Expression = (
    Literal
    | Parameter
    | ColumnRef
    | Unary
    | Arithmetic
    | Compare
    | And
    | Or
    | Not
    | Truth
    | InList
    | InSubquery
    | Exists
    | ScalarSubquery
    | Case
    | Cast
    | Match
    | Call
    | Collate
    | SlotRef
    | Raise
)
