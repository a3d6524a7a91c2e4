"""The nodes of queries and expressions as they are written: what the parser makes and the binder reads.

A node has what it is about (`this`), a second operand (`expression`), a list (`expressions`), and whatever else its
kind knows by name (`args`: `SELECT`'s clauses, a column's table).  `start` and `end` are its place in the text, where the
parser notes one.  Which parts a kind has is told in `sql.parse`.

Nodes don't know what they stand in, so that one may stand in several trees, and nothing changes a node that has been
handed on: who wants another one takes a `copy`, which shares the parts.

The kinds are named as sqlglot names its own, of which these are the ones that SQLite's grammar needs.
"""

from __future__ import annotations

from typing import Any, Self, TypeVar

_Kind = TypeVar("_Kind", bound="Expression")


class Expression:
    __slots__ = ("args", "end", "expression", "expressions", "start", "this")

    def __init__(
        self,
        this: Any = None,
        expression: Any = None,
        expressions: list[Any] | None = None,
        **args: Any,
    ) -> None:
        self.this = this
        self.expression = expression
        self.expressions = [] if expressions is None else expressions
        self.args = args
        self.start: int | None = None
        self.end: int | None = None

    def set(self, part: str, value: Any) -> None:
        if part in ("this", "expression", "expressions"):
            setattr(self, part, value)
        else:
            self.args[part] = value

    def copy(self) -> Self:
        """Another node of the same parts."""
        made = self.__class__(self.this, self.expression, self.expressions, **self.args)
        made.start, made.end = self.start, self.end
        return made

    # What it is called

    @property
    def name(self) -> str:
        """The name that it is, or that what it is about is; else empty."""
        return _spelled(self.this)

    @property
    def alias(self) -> str:
        alias = self.args.get("alias")
        return alias.name if isinstance(alias, TableAlias) else _spelled(alias)

    # What stands below it

    def children(self) -> list[Expression]:
        found = list(self.expressions)
        for part in (self.this, self.expression, *self.args.values()):
            if isinstance(part, Expression):
                found.append(part)
            elif isinstance(part, list):
                found += part
        return found

    def walk(self) -> list[Expression]:
        """The node and all below it, level by level."""
        found: list[Expression] = [self]
        for node in found:  # which grows meanwhile
            found += node.children()
        return found

    def find_all(self, *kinds: type[_Kind]) -> list[_Kind]:
        return [node for node in self.walk() if isinstance(node, kinds)]

    def find(self, *kinds: type[_Kind]) -> _Kind | None:
        return next(iter(self.find_all(*kinds)), None)

    def meaning(self) -> str:
        """What trees that say the same have in common: places, and letters' case outside of strings, don't count."""
        return repr(_meaning(self))

    def __repr__(self) -> str:
        parts = {
            "this": self.this,
            "expression": self.expression,
            "expressions": self.expressions or None,
            **self.args,
        }
        said = ", ".join(f"{name}={part!r}" for name, part in parts.items() if part is not None)
        return f"{type(self).__name__}({said})"


def _spelled(part: Any) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, (Identifier, Literal)):
        return str(part.this)
    return "*" if isinstance(part, Star) else ""


_NOT_MEANT = frozenset(("quote", "quoted", "text"))


def _meaning(part: Any) -> Any:
    if isinstance(part, list):
        return [_meaning(item) for item in part]
    if not isinstance(part, Expression):
        return part.lower() if isinstance(part, str) else part
    if isinstance(part, Literal):
        return Literal, part.this, part.is_string
    args = {
        name: _meaning(value)
        for name, value in sorted(part.args.items())
        if value is not None and name not in _NOT_MEANT
    }
    parts = _meaning(part.this), _meaning(part.expression), _meaning(part.expressions)
    return type(part), *parts, args


# Names and constants


class Identifier(Expression):
    """`this`: the name; `quoted`, and by which `quote`."""

    __slots__ = ()


class Column(Expression):
    """`this`: an Identifier or a Star; `table`, `db`: Identifiers.  `tree_key`: the key of the table's tree is meant."""

    __slots__ = ()


class Star(Expression):
    __slots__ = ()

    @property
    def name(self) -> str:
        return "*"


class Literal(Expression):
    """`this`: the digits or the string, which `is_string` tells."""

    __slots__ = ()

    @property
    def is_string(self) -> bool:
        return bool(self.args["is_string"])


class HexString(Expression):
    __slots__ = ()


class Null(Expression):
    __slots__ = ()


class Boolean(Expression):
    __slots__ = ()


class Placeholder(Expression):
    """A parameter: `this` as written, None for `?`; its number from 0 on in `index`."""

    __slots__ = ()


class Tuple(Expression):
    __slots__ = ()


# Operators


class Unary(Expression):
    """By itself a plus."""

    __slots__ = ()


class Neg(Unary):
    __slots__ = ()


class BitwiseNot(Unary):
    __slots__ = ()


class Not(Unary):
    __slots__ = ()


class Binary(Expression):
    __slots__ = ()


class And(Binary):
    __slots__ = ()


class Or(Binary):
    __slots__ = ()


class EQ(Binary):
    __slots__ = ()


class NEQ(Binary):
    __slots__ = ()


class LT(Binary):
    __slots__ = ()


class LTE(Binary):
    __slots__ = ()


class GT(Binary):
    __slots__ = ()


class GTE(Binary):
    __slots__ = ()


class Is(Binary):
    __slots__ = ()


class NullSafeEQ(Binary):
    __slots__ = ()


class NullSafeNEQ(Binary):
    __slots__ = ()


class BitwiseAnd(Binary):
    __slots__ = ()


class BitwiseOr(Binary):
    __slots__ = ()


class BitwiseLeftShift(Binary):
    __slots__ = ()


class BitwiseRightShift(Binary):
    __slots__ = ()


class Add(Binary):
    __slots__ = ()


class Sub(Binary):
    __slots__ = ()


class Mul(Binary):
    __slots__ = ()


class Div(Binary):
    __slots__ = ()


class Mod(Binary):
    __slots__ = ()


class DPipe(Binary):
    __slots__ = ()


class JSONExtract(Binary):
    __slots__ = ()


class JSONExtractScalar(Binary):
    __slots__ = ()


class Like(Binary):
    __slots__ = ()


class Glob(Binary):
    __slots__ = ()


class RegexpLike(Binary):
    __slots__ = ()


class Match(Binary):
    __slots__ = ()


class Escape(Binary):
    __slots__ = ()


class Collate(Binary):
    __slots__ = ()


class Between(Expression):
    """`low`, `high`."""

    __slots__ = ()


class In(Expression):
    """Of a list in `expressions`, a Subquery in `query`, or a Table in `field`."""

    __slots__ = ()


class Exists(Expression):
    __slots__ = ()


class Case(Expression):
    """`this`: what is compared, if anything; `ifs`; `default`."""

    __slots__ = ()


class If(Expression):
    """A branch of CASE: `this` and what is `true` then."""

    __slots__ = ()


class Cast(Expression):
    """`type`: as written."""

    __slots__ = ()


class Command(Expression):
    """RAISE: the action in `this`, the message in `expression`."""

    __slots__ = ()


# Calls


class Anonymous(Expression):
    """A call: the name as spelled in `this`, arguments in `expressions`."""

    __slots__ = ()


class Distinct(Expression):
    __slots__ = ()


class Filter(Expression):
    __slots__ = ()


class Window(Expression):
    """`this`: the call or, where it is defined, the name; `alias`: the window it begins from, which `bare` says it is as it
    stands; `partition_by`, `order`, `spec`."""

    __slots__ = ()


class WindowSpec(Expression):
    """A frame: `kind`, `start`, `start_side`, `end`, `end_side`, `exclude`."""

    __slots__ = ()


# Queries


class Select(Expression):
    """`with_`, `distinct`, `from_`, `joins`, `where`, `group`, `having`, `windows`, `order`, `limit`, `offset`; `row_by_row`: it
    finds the rows of a change, so that it has no aggregates and no windows."""

    __slots__ = ()


class SetOperation(Expression):
    """`this` and `expression`, `distinct`; `with_`, `order`, `limit`, `offset`."""

    __slots__ = ()


class Union(SetOperation):
    __slots__ = ()


class Intersect(SetOperation):
    __slots__ = ()


class Except(SetOperation):
    __slots__ = ()


class Values(Expression):
    __slots__ = ()


class Subquery(Expression):
    """`this`: the query, or the first relation of a join with the others in `joins`; `alias`."""

    __slots__ = ()


class With(Expression):
    __slots__ = ()


class CTE(Expression):
    """`this`: the query; `alias`; `materialized`."""

    __slots__ = ()


class TableAlias(Expression):
    """`this`: an Identifier; `columns`."""

    __slots__ = ()


class From(Expression):
    __slots__ = ()


class Join(Expression):
    """`method`, `side`, `kind`, `cross_order`; `on` or `using`."""

    __slots__ = ()


class Table(Expression):
    """`this`: an Identifier or a call; `db`, `alias`, `joins`; `indexed_by`: an index's name, False for none."""

    __slots__ = ()


class Where(Expression):
    __slots__ = ()


class Group(Expression):
    __slots__ = ()


class Having(Expression):
    __slots__ = ()


class Order(Expression):
    __slots__ = ()


class Ordered(Expression):
    """`desc`, `nulls_first`."""

    __slots__ = ()


class Limit(Expression):
    __slots__ = ()


class Offset(Expression):
    __slots__ = ()


class Alias(Expression):
    """A result column: `this` under the name `alias`."""

    __slots__ = ()


def to_identifier(name: str, *, quoted: bool = False) -> Identifier:
    return Identifier(name, quoted=quoted)


def column(name: str | Identifier, table: Identifier | None = None) -> Column:
    this = to_identifier(name) if isinstance(name, str) else name
    return Column(this, table=table)
