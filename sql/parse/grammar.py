"""The top of the grammar: which statement a text is, and SQLite's limits on nesting.

A parser is made for each text, so any number of threads may parse at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import sqlglot.expressions as exp
from msgspec.structs import replace

from sql.errors import SqlSyntaxError
from sql.parse.cursor import NAMES
from sql.parse.definitions import DefinitionParser
from sql.parse.statements import (
    Analyze,
    Attach,
    Begin,
    Commit,
    Detach,
    Empty,
    Explain,
    ObjectName,
    Pragma,
    Query,
    Reindex,
    Release,
    Rollback,
    Savepoint,
    Statement,
    Vacuum,
)

_CHANGES = frozenset(("INSERT", "REPLACE", "UPDATE", "DELETE"))
_MODES = frozenset(("DEFERRED", "IMMEDIATE", "EXCLUSIVE"))
_EXPLAINED = _CHANGES | {"SELECT", "VALUES", "WITH"}

# Trees this high or deep need more of Python's stack than its default of 1,000 frames, here and in the
# recursions of the layers above.  Python-to-Python calls take none of C's stack.
_FLAT_HEIGHT_MAX = 40
_FLAT_NESTING_MAX = 12
_RECURSION_LIMIT = 20_000


def parse_statement(text: str) -> Statement:
    parser = Grammar(text)
    try:
        statement = parser.whole()
    except RecursionError as error:
        if raise_recursion_limit():  # whoever asked was deep already: in views over views
            return parse_statement(text)
        raise SqlSyntaxError("parser stack overflow") from error
    if parser.height_highest > _FLAT_HEIGHT_MAX or parser.nesting_deepest > _FLAT_NESTING_MAX:
        raise_recursion_limit()
    return statement


def raise_recursion_limit() -> bool:
    """Let trees be high and blocks deep; False if they may be already."""
    if sys.getrecursionlimit() >= _RECURSION_LIMIT:
        return False
    sys.setrecursionlimit(_RECURSION_LIMIT)
    return True


def parse_expression(text: str) -> exp.Expression:
    parser = Grammar(text)
    try:
        node = parser.expression()
    except RecursionError as error:
        if raise_recursion_limit():
            return parse_expression(text)
        raise SqlSyntaxError("parser stack overflow") from error
    if parser.kinds[parser.index] != "":
        parser.unexpected()
    return node


class Grammar(DefinitionParser):
    """Productions of `ecmd` and of the small statements."""

    __slots__ = ()

    def whole(self) -> Statement:
        """One statement, and nothing but semicolons after it."""
        while self.accept(";"):
            pass
        if self.kinds[self.index] == "":
            return Empty(text=self.text)
        statement = self.statement()
        if self.kinds[self.index] != "":
            self.expect(";")
            while self.accept(";"):
                pass
            # An opened comment at the very end is none to SQLite's tokenizer, but is one to programs that look for more.
            if self.kinds[self.index] != "" and self.text[self.starts[self.index] :] != "/*":
                self.fail("only one statement at a time can be executed")
        if self.parameters:
            statement = replace(statement, parameter_names=tuple(self.parameters))
        return statement

    def statement(self) -> Statement:
        place = self.index
        kind = self.kinds[place]
        if kind == "SELECT" or kind == "VALUES":
            tree = self.query()
            return Query(text=self.slice_from(place), tree=tree)
        if kind in _CHANGES:
            return self.change(None, place)
        if kind == "WITH":
            return self._with_statement(place)
        production = _STATEMENTS.get(kind)
        if production is None:
            self.unexpected()
        return production(self)

    def _with_statement(self, place: int) -> Statement:
        with_ = self.with_clause()
        if self.kinds[self.index] in _CHANGES:
            return self.change(with_, place)
        if self.kinds[self.index] not in ("SELECT", "VALUES"):
            self.unexpected()
        tree = self._compound()
        tree.set("with_", with_)
        return Query(text=self.slice_from(place), tree=tree)

    def explain(self) -> Statement:
        self.expect("EXPLAIN")
        kind = self.kinds[self.index]
        following = self.kinds[self.index + 1] if kind else ""
        mode = "tree"
        if kind == "QUERY":
            self.index += 1
            self.expect("PLAN")
            mode = "query plan"
        elif kind == "ANALYZE" and following in _EXPLAINED:
            self.index += 1
            mode = "analyze"
        elif following in _EXPLAINED and self.accept_word("CODE"):
            mode = "code"
        elif kind == "EXPLAIN":
            self.unexpected()
        return Explain(text=self.text, mode=mode, statement=self.statement())

    # Transactions

    def begin(self) -> Begin:
        self.expect("BEGIN")
        mode = self.accept_one_of(_MODES)
        self._transaction()
        return Begin(text=self.text, mode=mode or "DEFERRED")

    def _transaction(self) -> None:
        if self.accept("TRANSACTION") and self.kinds[self.index] in NAMES:
            self.index += 1

    def commit(self) -> Commit:
        self.index += 1
        self._transaction()
        return Commit(text=self.text)

    def rollback(self) -> Rollback:
        self.expect("ROLLBACK")
        self._transaction()
        if not self.accept("TO"):
            return Rollback(text=self.text)
        return Rollback(text=self.text, savepoint=self._savepoint_name())

    def _savepoint_name(self) -> str:
        self.accept("SAVEPOINT")
        return self.name()

    def savepoint(self) -> Savepoint:
        self.expect("SAVEPOINT")
        return Savepoint(text=self.text, name=self.name())

    def release(self) -> Release:
        self.expect("RELEASE")
        return Release(text=self.text, name=self._savepoint_name())

    # The rest

    def pragma(self) -> Pragma:
        self.expect("PRAGMA")
        name = self.object_name()
        value = form = None
        if self.accept("="):
            form, value = "=", self._pragma_value()
        elif self.accept("("):
            form, value = "(", self._pragma_value()
            self.expect(")")
        return Pragma(text=self.text, name=name.name, schema=name.schema, value=value, form=form)

    def _pragma_value(self) -> str:
        sign = ""
        kind = self.kinds[self.index]
        if kind in ("+", "-"):
            sign = "-" if kind == "-" else ""
            self.index += 1
            if self.kinds[self.index] != "NUMBER":
                self.unexpected()
        elif kind not in NAMES and kind not in ("NUMBER", "ON", "DELETE", "DEFAULT"):
            self.unexpected()
        self.index += 1
        return sign + self.values[self.index - 1]

    def _optional_name(self) -> ObjectName | None:
        return self.object_name() if self.kinds[self.index] in NAMES else None

    def reindex(self) -> Reindex:
        self.expect("REINDEX")
        return Reindex(text=self.text, name=self._optional_name())

    def analyze(self) -> Analyze:
        self.expect("ANALYZE")
        return Analyze(text=self.text, name=self._optional_name())

    def vacuum(self) -> Vacuum:
        self.expect("VACUUM")
        schema = self.name() if self.kinds[self.index] in NAMES else None
        into = self.expression() if self.accept("INTO") else None
        return Vacuum(text=self.text, schema=schema, into=into)

    def attach(self) -> Attach:
        self.expect("ATTACH")
        self.accept("DATABASE")
        file = self.expression()
        self.expect("AS")
        name = self.expression()
        if self.accept("KEY"):
            self.expression()
        return Attach(text=self.text, file=file, name=name)

    def detach(self) -> Detach:
        self.expect("DETACH")
        self.accept("DATABASE")
        return Detach(text=self.text, name=self.expression())


_STATEMENTS: dict[str, Callable[[Grammar], Statement]] = {
    "ALTER": Grammar.alter,
    "ANALYZE": Grammar.analyze,
    "ATTACH": Grammar.attach,
    "BEGIN": Grammar.begin,
    "COMMIT": Grammar.commit,
    "CREATE": Grammar.create,
    "DETACH": Grammar.detach,
    "DROP": Grammar.drop,
    "END": Grammar.commit,
    "EXPLAIN": Grammar.explain,
    "PRAGMA": Grammar.pragma,
    "REINDEX": Grammar.reindex,
    "RELEASE": Grammar.release,
    "ROLLBACK": Grammar.rollback,
    "SAVEPOINT": Grammar.savepoint,
    "VACUUM": Grammar.vacuum,
}
