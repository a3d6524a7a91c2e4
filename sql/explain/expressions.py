"""Bound expressions written back as SQL for people to read.

Names are the tables' aliases and columns; parentheses stand only where precedence needs them
(https://www.sqlite.org/lang_expr.html#operators_and_parse_affecting_attributes); affinities and
collations that the binder added are left out.  Slots of a grouping or window stage are spelled by
whoever knows what they stand for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import assert_never

from sql.expressions import (
    And,
    Arithmetic,
    Call,
    Case,
    Cast,
    Collate,
    ColumnRef,
    Compare,
    Exists,
    Expression,
    InList,
    InSubquery,
    Literal,
    Match,
    Not,
    Or,
    Parameter,
    Raise,
    ScalarSubquery,
    SlotRef,
    Truth,
    Unary,
)

Subquery = Exists | InSubquery | ScalarSubquery
SlotText = Callable[[SlotRef], str]
SubqueryText = Callable[[Subquery], str]

_OR, _AND, _NOT, _EQUALITY, _ORDER, _BITS, _SUM, _PRODUCT, _CONCAT, _UNARY, _ATOM = range(1, 12)
_ARITHMETIC = {
    "||": _CONCAT,
    "*": _PRODUCT,
    "/": _PRODUCT,
    "%": _PRODUCT,
    "+": _SUM,
    "-": _SUM,
    "&": _BITS,
    "|": _BITS,
    "<<": _BITS,
    ">>": _BITS,
}
TEXT_MAX = 60
"""Characters of a literal that are shown."""


def literal_text(value: object) -> str:
    """A value as a SQL literal, long ones cut."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value[: TEXT_MAX // 2].hex()}{'...' if len(value) > TEXT_MAX // 2 else ''}'"
    if isinstance(value, str):
        shown = value if len(value) <= TEXT_MAX else value[:TEXT_MAX] + "..."
        return "'" + shown.replace("'", "''").replace("\n", "\\n") + "'"
    return str(value)


def _unknown_slot(slot: SlotRef) -> str:
    return f"#{slot.slot + 1}"


def _unknown_subquery(node: Subquery) -> str:
    return "(subquery)"


class ExpressionWriter:
    """Writes expressions; `slot` spells a stage's values, `subquery` names a subquery."""

    def __init__(
        self, slot: SlotText = _unknown_slot, subquery: SubqueryText = _unknown_subquery
    ) -> None:
        self.slot = slot
        self.subquery = subquery
        self.qualified = True
        self.aliases: dict[int, str] = {}  # of relations, by source number

    def text(self, node: Expression, outer: int = 0) -> str:
        """The node's SQL, in parentheses if it binds less tightly than `outer`."""
        source, level = self._written(node)
        return f"({source})" if level < outer else source

    def listed(self, nodes: Iterable[Expression], separator: str = ", ") -> str:
        return separator.join(self.text(node) for node in nodes)

    def all_of(self, nodes: Iterable[Expression]) -> str:
        """Conditions joined by AND."""
        parts = list(nodes)
        return " and ".join(self.text(node, _AND if len(parts) > 1 else 0) for node in parts)

    def column(self, node: ColumnRef) -> str:
        name = node.name or "rowid"
        table = self.aliases.get(node.source, node.table)
        return f"{table}.{name}" if table and self.qualified else name

    def _written(self, node: Expression) -> tuple[str, int]:
        match node:
            case Literal():
                return literal_text(node.value), _ATOM
            case Parameter():
                return f"?{node.index + 1}", _ATOM
            case ColumnRef():
                return self.column(node), _ATOM
            case SlotRef():
                return self.slot(node), _ATOM
            case Unary():
                return f"{node.op}{self.text(node.operand, _ATOM)}", _UNARY
            case Arithmetic():
                level = _ARITHMETIC.get(node.op, _CONCAT)
                left, right = self.text(node.left, level), self.text(node.right, level + 1)
                return f"{left} {node.op} {right}", level
            case Compare():
                level = _EQUALITY if node.op in ("=", "<>", "IS", "IS NOT") else _ORDER
                left, right = self.text(node.left, level), self.text(node.right, level + 1)
                if node.op in ("IS", "IS NOT") and node.right == Literal(None):
                    return f"{left} {node.op.lower()} null", level
                return f"{left} {node.op.lower()} {right}", level
            case And():
                return " and ".join(self.text(item, _AND) for item in node.items), _AND
            case Or():
                return " or ".join(self.text(item, _OR) for item in node.items), _OR
            case Not():
                return f"not {self.text(node.operand, _NOT)}", _NOT
            case Truth():
                word = "is not" if node.negated else "is"
                value = "true" if node.value else "false"
                return f"{self.text(node.operand, _EQUALITY)} {word} {value}", _EQUALITY
            case InList():
                word = "not in" if node.negated else "in"
                operand = self.text(node.operand, _EQUALITY)
                return f"{operand} {word} ({self._items(node.items)})", _EQUALITY
            case InSubquery():
                operands = self.listed(node.operands)
                operand = operands if len(node.operands) == 1 else f"({operands})"
                word = "not in" if node.negated else "in"
                return f"{operand} {word} {self.subquery(node)}", _EQUALITY
            case Exists():
                return f"{'not ' if node.negated else ''}exists {self.subquery(node)}", _NOT
            case ScalarSubquery():
                return self.subquery(node), _ATOM
            case Case():
                return self._case(node), _ATOM
            case Cast():
                return f"cast({self.text(node.operand)} as {node.type_name})", _ATOM
            case Match():
                return self._match(node), _EQUALITY
            case Call():
                return f"{node.name}({self.listed(node.arguments)})", _ATOM
            case Collate():
                return f"{self.text(node.operand, _UNARY)} collate {node.collation}", _UNARY
            case Raise():
                message = "" if node.message is None else f", {self.text(node.message)}"
                return f"raise({node.action}{message})", _ATOM
            case _:
                assert_never(node)

    def _items(self, items: tuple[Expression, ...]) -> str:
        if len(items) <= 8:
            return self.listed(items)
        return f"{self.listed(items[:6])}, ... {len(items)} values"

    def _case(self, node: Case) -> str:
        whens = " ".join(
            f"when {self.text(when)} then {self.text(then)}" for when, then in node.whens
        )
        otherwise = "" if node.otherwise is None else f" else {self.text(node.otherwise)}"
        return f"case {whens}{otherwise} end"

    def _match(self, node: Match) -> str:
        word = f"not {node.op.lower()}" if node.negated else node.op.lower()
        operand = self.text(node.operand, _EQUALITY)
        pattern = self.text(node.pattern, _EQUALITY + 1)
        escape = "" if node.escape is None else f" escape {self.text(node.escape, _ATOM)}"
        return f"{operand} {word} {pattern}{escape}"


def expression_text(node: Expression) -> str:
    """A bound expression as SQL to read."""
    return ExpressionWriter().text(node)
