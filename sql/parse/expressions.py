"""Expressions by precedence climbing, with SQLite's levels.

From loose to tight: OR; AND; NOT; = == <> != IS IN LIKE GLOB REGEXP MATCH BETWEEN ISNULL NOTNULL; < <= > >=;
ESCAPE; & | << >>; + -; * / %; || -> ->>; COLLATE; ~ and unary + -.  A postfix test (ISNULL, IN (...),
NOT NULL) ends an operand, so that `x IN (1) || 2` is `(x IN (1)) || 2` and `b > 'x' NOT IN (1)` is
`(b > 'x') NOT IN (1)`, as SQLite's LALR grammar has it.  sqlglot's own parser groups these differently, and takes
much that is no SQLite, so only its trees are used here.

Chains of operators and of signs are loops; parentheses, calls and subqueries recurse, up to a limit that
raises `parser stack overflow`.  A tree that is higher than 1,000 is refused as SQLite refuses it; chains of AND
and OR count as one level whatever their length.

Source: parse.y of SQLite 3.40, https://www.sqlite.org/lang_expr.html
"""

from __future__ import annotations

from collections.abc import Callable

import sqlglot.expressions as exp

from sql.parse.cursor import IDENTIFIERS, IDENTIFIERS_OR_STRINGS, NAMES, Cursor
from sql.parse.lexer import JOIN_WORDS

OR, AND, NOT, EQUAL, ORDER, BITS, SUM, PRODUCT, CONCAT, COLLATE = range(1, 11)
HEIGHT_MAX = 1000

_Binary = Callable[..., exp.Expression]

# Kind of token -> (level, node); the right operand binds one level tighter.
_BINARY: dict[str, tuple[int, _Binary]] = {
    "OR": (OR, exp.Or),
    "AND": (AND, exp.And),
    "=": (EQUAL, exp.EQ),
    "<>": (EQUAL, exp.NEQ),
    "<": (ORDER, exp.LT),
    "<=": (ORDER, exp.LTE),
    ">": (ORDER, exp.GT),
    ">=": (ORDER, exp.GTE),
    "&": (BITS, exp.BitwiseAnd),
    "|": (BITS, exp.BitwiseOr),
    "<<": (BITS, exp.BitwiseLeftShift),
    ">>": (BITS, exp.BitwiseRightShift),
    "+": (SUM, exp.Add),
    "-": (SUM, exp.Sub),
    "*": (PRODUCT, exp.Mul),
    "/": (PRODUCT, exp.Div),
    "%": (PRODUCT, exp.Mod),
    "||": (CONCAT, exp.DPipe),
    "->": (CONCAT, exp.JSONExtract),
    "->>": (CONCAT, exp.JSONExtractScalar),
}
_MATCHES: dict[str, _Binary] = {
    "LIKE": exp.Like,
    "GLOB": exp.Glob,
    "REGEXP": exp.RegexpLike,
    "MATCH": exp.Match,
}
# Operators with a shape of their own, all but COLLATE on the level of `=`.
_LEVELS = {kind: level for kind, (level, _) in _BINARY.items()}
_LEVELS.update(dict.fromkeys(("IS", "IN", "BETWEEN", "ISNULL", "NOTNULL", *_MATCHES), EQUAL))
_LEVELS["COLLATE"] = COLLATE
_AFTER_NOT = frozenset(("IN", "BETWEEN", "NULL", *_MATCHES))
_PREFIX_NODES: dict[str, _Binary] = {
    "-": exp.Neg,
    "+": exp.Unary,
    "~": exp.BitwiseNot,
    "NOT": exp.Not,
}
_PREFIXES = frozenset(_PREFIX_NODES)
_ENDS = frozenset((",", ")", ""))  # of an expression, whatever its operators
_CURRENT = frozenset(("CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP"))
_NAMED = (IDENTIFIERS | JOIN_WORDS) - {"ID"}
_RAISES = frozenset(("ROLLBACK", "ABORT", "FAIL"))


def negated(negate: bool, node: exp.Expression) -> exp.Expression:
    return exp.Not(this=node) if negate else node


class ExpressionParser(Cursor):
    """Productions of `expr`.  Queries, windows and lists of sort terms are the subclass's."""

    __slots__ = ()

    def query(self) -> exp.Expression:
        raise NotImplementedError

    def over(self, call: exp.Expression) -> exp.Expression:
        raise NotImplementedError

    def sort_terms(self) -> exp.Order:
        raise NotImplementedError

    def starts_query(self, place: int) -> bool:
        raise NotImplementedError

    # Operators

    def expression(self, level_min: int = OR) -> exp.Expression:
        """An expression of operators of at least `level_min`."""
        kinds = self.kinds
        kind = kinds[self.index]
        if (kind == "NUMBER" or kind == "STRING") and kinds[self.index + 1] in _ENDS:
            self.height = 1
            self.index += 1
            return self._literal(self.index - 1, kind)  # lists of them are the longest of texts
        if kind in _PREFIXES:
            left = self._prefixed()
        else:
            left = self._primary()
        while True:
            kind = kinds[self.index]
            level = _LEVELS.get(kind)
            if level is None:
                if kind != "NOT" or level_min > EQUAL:
                    return left
            elif level < level_min:
                return left
            else:
                binary = _BINARY.get(kind)
                if binary is not None:
                    self.index += 1
                    height = self.height
                    right = self.expression(level + 1)
                    if height > self.height:
                        self.height = height
                    left = binary[1](this=left, expression=right)
                    if level > AND:
                        self._grow()
                    continue
            left = self._special(kind, left)

    def _grow(self) -> None:
        self.height += 1
        if self.height > self.height_highest:
            self.height_highest = self.height
            if self.height > HEIGHT_MAX:
                self.fail(f"Expression tree is too large (maximum depth {HEIGHT_MAX})")

    def _prefixed(self) -> exp.Expression:
        """A run of signs and NOTs.  What follows the last NOT binds as loosely as NOT does."""
        start = self.index
        last_not = -1
        while self.kinds[self.index] in _PREFIXES:
            if self.kinds[self.index] == "NOT":
                last_not = self.index
            self.index += 1
        if last_not < 0:
            end = self.index
            node = self._primary()
        else:
            end = self.index = last_not + 1
            node = self.expression(NOT)
        for place in range(end - 1, start - 1, -1):
            node = _PREFIX_NODES[self.kinds[place]](this=node)
            self._grow()
        return node

    def _special(self, kind: str, left: exp.Expression) -> exp.Expression:
        """COLLATE, and the tests that are not plain binary operators."""
        place = self.index
        self.index += 1
        if kind == "COLLATE":
            self.identifier_or_string()
            self._grow()
            return exp.Collate(this=left, expression=self.identifier(self.index - 1))
        if kind == "ISNULL" or kind == "NOTNULL":
            self._grow()
            return negated(kind == "NOTNULL", exp.Is(this=left, expression=exp.Null()))
        negate = kind == "NOT"
        if negate:
            kind = self.kinds[self.index]
            if kind not in _AFTER_NOT:
                self.unexpected()
            self.index += 1
            if kind == "NULL":
                self._grow()
                return exp.Not(this=exp.Is(this=left, expression=exp.Null()))
        height = self.height
        if kind == "IS":
            node = self._is(left)
        elif kind == "BETWEEN":
            low = self.expression(NOT)
            height = max(height, self.height)
            self.expect("AND")
            high = self.expression(ORDER)
            node = exp.Between(this=left, low=low, high=high)
        elif kind == "IN":
            node = self._in(left, place)
        else:
            pattern = self.expression(ORDER)
            node = _MATCHES[kind](this=left, expression=pattern)
            if self.accept("ESCAPE"):
                height = max(height, self.height)
                node = exp.Escape(this=node, expression=self.expression(ORDER))
        if height > self.height:
            self.height = height
        self._grow()
        node.meta["start"] = self.starts[place]
        node.meta["end"] = self.ends[place]
        if negate and isinstance(node, exp.Boolean):  # x NOT IN ()
            return exp.Boolean(this=True)
        return negated(negate, node)

    def _is(self, left: exp.Expression) -> exp.Expression:
        negate = self.accept("NOT")
        if self.accept("DISTINCT"):
            self.expect("FROM")
            right = self.expression(ORDER)
            if negate:
                return exp.NullSafeEQ(this=left, expression=right)
            return exp.NullSafeNEQ(this=left, expression=right)
        right = self.expression(ORDER)
        return negated(negate, exp.Is(this=left, expression=right))

    def _in(self, left: exp.Expression, place: int) -> exp.Expression:
        """What follows IN: a list, a subquery, a table or a table-valued function."""
        if not self.accept("("):
            return exp.In(this=left, field=self._in_table())
        self.enter()
        if self.starts_query(self.index):
            found: exp.Expression = exp.In(this=left, query=exp.Subquery(this=self.query()))
        elif self.kinds[self.index] == ")":
            found = exp.Boolean(this=False)  # SQLite drops the operand, whatever it is
        else:
            found = exp.In(this=left, expressions=self.expression_list())
        self.expect(")")
        self.nesting -= 1
        return found

    def _in_table(self) -> exp.Table:
        first = self.name_tree()
        schema = None
        if self.accept("."):
            schema, first = first, self.name_tree()
        this: exp.Expression = first
        if self.accept("("):
            arguments = [] if self.kinds[self.index] == ")" else self.expression_list()
            self.expect(")")
            this = exp.Anonymous(this=first.this, expressions=arguments)
        return exp.Table(this=this, db=schema) if schema is not None else exp.Table(this=this)

    def expression_list(self) -> list[exp.Expression]:
        found = [self.expression()]
        height = self.height
        while self.kinds[self.index] == ",":
            self.index += 1
            found.append(self.expression())
            if self.height > height:
                height = self.height
        self.height = height
        return found

    # Operands

    def _primary(self) -> exp.Expression:
        place = self.index
        kind = self.kinds[place]
        self.index = place + 1
        self.height = 1
        if kind == "ID":
            return self._name_or_call(place)
        if kind == "NUMBER":
            return self._literal(place, kind)
        if kind == "STRING":
            if self.kinds[place + 1] == ".":
                return self._qualified(place)
            return self._literal(place, kind)
        if kind == "(":
            return self._parenthesised(place)
        if kind == "NULL":
            return exp.Null()
        if kind == "PARAMETER":
            return self.parameter(place)
        if kind == "BLOB":
            return exp.HexString(this=self.values[place])
        special = _PRIMARIES.get(kind)
        if special is not None:
            return special(self, place)
        if kind in _NAMED:
            return self._name_or_call(place)
        self.index = place
        self.unexpected()

    def _literal(self, place: int, kind: str) -> exp.Literal:
        node = exp.Literal(this=self.values[place], is_string=kind == "STRING")
        node.meta["start"] = self.starts[place]
        node.meta["end"] = self.ends[place]
        return node

    def _name_or_call(self, place: int) -> exp.Expression:
        following = self.kinds[place + 1]
        if following == "(" and self.kinds[place] not in JOIN_WORDS:
            return self._call(place)
        if following == ".":
            return self._qualified(place)
        node = self.identifier(place)
        value = node.this
        if len(value) < 6 and not node.args["quoted"]:
            lowered = value.lower()
            if lowered == "true" or lowered == "false":
                return exp.Boolean(this=lowered == "true")
        return exp.Column(this=node)

    def _qualified(self, place: int) -> exp.Column:
        """`table.column` or `schema.table.column`."""
        parts = [self.identifier(place)]
        while len(parts) < 3 and self.accept("."):
            if self.kinds[self.index] == "*":
                self.unexpected()
            parts.append(self.name_tree())
        if len(parts) == 2:
            return exp.Column(this=parts[1], table=parts[0])
        return exp.Column(this=parts[2], table=parts[1], db=parts[0])

    def _parenthesised(self, place: int) -> exp.Expression:
        """A subquery, a row value, or an expression whose parentheses add nothing to the tree."""
        self.enter()
        if self.starts_query(self.index):
            node: exp.Expression = exp.Subquery(this=self.query())
            node.meta["start"] = self.starts[place]
        else:
            node = self.expression()
            if self.kinds[self.index] == ",":
                height = self.height
                self.index += 1
                items = [node, *self.expression_list()]
                self.height = max(height, self.height)
                node = exp.Tuple(expressions=items)
                node.meta["start"] = self.starts[place]
        self.expect(")")
        self.nesting -= 1
        return node

    def _call(self, place: int) -> exp.Expression:
        """A function call with DISTINCT, ORDER BY, FILTER and OVER; `place` is its name's token."""
        self.index = place + 2
        self.enter()
        arguments: list[exp.Expression] = []
        kind = self.kinds[self.index]
        if kind == "*":
            self.index += 1
            arguments.append(exp.Star())
        elif kind != ")":
            distinct = self.accept("DISTINCT")
            if not distinct:
                self.accept("ALL")
            if self.kinds[self.index] != ")":
                arguments = self.expression_list()
            if distinct:
                arguments = [exp.Distinct(expressions=arguments)]
            if self.accept_words("ORDER", "BY"):
                arguments.append(self.sort_terms())
        self.expect(")")
        self.nesting -= 1
        self._grow()
        node: exp.Expression = exp.Anonymous(this=self.values[place], expressions=arguments)
        node.meta["start"] = self.starts[place]
        node.meta["end"] = self.ends[place]
        if self.kinds[self.index] == "FILTER" and self.kinds[self.index + 1] == "(":
            self.index += 2
            self.expect("WHERE")
            condition = self.expression()
            self.expect(")")
            node = exp.Filter(this=node, expression=exp.Where(this=condition))
            node.meta["start"] = self.starts[place]
        if self.kinds[self.index] == "OVER" and (
            self.kinds[self.index + 1] == "(" or self.kinds[self.index + 1] in NAMES
        ):
            self.index += 1
            node = self.over(node)
            node.meta["start"] = self.starts[place]
        return node

    def _cast(self, place: int) -> exp.Expression:
        self.expect("(")
        self.enter()
        operand = self.expression()
        self.expect("AS")
        text = self.type_name()
        self.expect(")")
        self.nesting -= 1
        self._grow()
        node = exp.Cast(this=operand, to=exp.DataType(this=exp.DType.USERDEFINED, kind=text))
        node.meta["type"] = text
        node.meta["start"] = self.starts[place]
        return node

    def type_name(self) -> str:
        """`VARCHAR(10)`, `UNSIGNED BIG INT`, `DECIMAL(10, 2)`: as written; empty where there is none."""
        place = self.index
        while self.kinds[self.index] in IDENTIFIERS_OR_STRINGS:
            self.index += 1
        if self.index > place and self.accept("("):
            self._signed_number()
            if self.accept(","):
                self._signed_number()
            self.expect(")")
        return self.slice_from(place)

    def _signed_number(self) -> None:
        if self.kinds[self.index] in ("+", "-"):
            self.index += 1
        self.expect("NUMBER")

    def _case(self, place: int) -> exp.Expression:
        self.enter()
        base = None if self.kinds[self.index] == "WHEN" else self.expression()
        height = self.height
        branches = []
        while self.accept("WHEN"):
            condition = self.expression()
            height = max(height, self.height)
            self.expect("THEN")
            branches.append(exp.If(this=condition, true=self.expression()))
            height = max(height, self.height)
        if not branches:
            self.unexpected()
        default = self.expression() if self.accept("ELSE") else None
        self.expect("END")
        self.nesting -= 1
        self.height = max(height, self.height)
        self._grow()
        return exp.Case(this=base, ifs=branches, default=default)

    def _exists(self, place: int) -> exp.Expression:
        self.expect("(")
        self.enter()
        if not self.starts_query(self.index):
            self.unexpected()
        node = exp.Exists(this=self.query())
        self.expect(")")
        self.nesting -= 1
        self.height = 2
        return node

    def _raise(self, place: int) -> exp.Expression:
        self.expect("(")
        if self.accept("IGNORE"):
            node = exp.Command(this="IGNORE")
        else:
            action = self.accept_one_of(_RAISES)
            if action is None:
                self.unexpected()
            self.expect(",")
            if self.kinds[self.index] not in NAMES:
                self.unexpected()
            message = exp.Literal(this=self.values[self.index], is_string=True)
            self.index += 1
            node = exp.Command(this=action, expression=message)
        self.expect(")")
        node.meta["start"] = self.starts[place]
        return node

    def _current(self, place: int) -> exp.Expression:
        node = exp.Anonymous(this=self.kinds[place].lower(), expressions=[])
        node.meta["start"] = self.starts[place]
        return node


_PRIMARIES: dict[str, Callable[[ExpressionParser, int], exp.Expression]] = {
    "CASE": ExpressionParser._case,
    "CAST": ExpressionParser._cast,
    "EXISTS": ExpressionParser._exists,
    "RAISE": ExpressionParser._raise,
    **dict.fromkeys(_CURRENT, ExpressionParser._current),
}
