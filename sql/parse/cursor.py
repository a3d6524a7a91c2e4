"""The place in the token stream, names, and syntax errors in SQLite's words.

A parser object lives for one statement.  Which tokens may be names follows SQLite's grammar: a *name* is an
identifier, a string, a join word, or one of the many keywords that fall back to identifiers.
"""

from __future__ import annotations

from typing import NoReturn

import sqlglot.expressions as exp

from sql.errors import SqlSyntaxError
from sql.parse.lexer import FALLBACK, JOIN_WORDS, tokens_of
from sql.parse.statements import ObjectName

IDENTIFIERS = FALLBACK | {"ID"}  # SQLite's `id`
IDENTIFIERS_OR_STRINGS = (IDENTIFIERS | {"STRING"}) - {"INDEXED"}  # SQLite's `ids`
NAMES = IDENTIFIERS | {"STRING"} | JOIN_WORDS  # SQLite's `nm`

NESTING_MAX = 120
PARAMETER_NUMBER_MAX = 250_000


class Cursor:
    """Tokens, and the index of the next one."""

    __slots__ = (
        "ends",
        "height",
        "height_highest",
        "index",
        "kinds",
        "nesting",
        "nesting_deepest",
        "parameters",
        "starts",
        "text",
        "values",
    )

    def __init__(self, text: str) -> None:
        tokens = tokens_of(text)
        self.text = text
        self.kinds = tokens.kinds
        self.values = tokens.values
        self.starts = tokens.starts
        self.ends = tokens.ends
        self.index = 0
        self.nesting = 0
        self.nesting_deepest = 0
        self.height = 0  # of the expression parsed last
        self.height_highest = 0
        self.parameters: list[str | None] = []

    # Errors

    def unexpected(self) -> NoReturn:
        """The next token can't stand here."""
        place = self.index
        if self.kinds[place] == "":
            raise SqlSyntaxError("incomplete input", offset=len(self.text))
        start = self.starts[place]
        token = self.text[start : self.ends[place]]
        if self.kinds[place] == "ILLEGAL":
            raise SqlSyntaxError(f'unrecognized token: "{token}"', offset=start, token=token)
        raise SqlSyntaxError(f'near "{token}": syntax error', offset=start, token=token)

    def fail(self, message: str, place: int | None = None) -> NoReturn:
        place = self.index if place is None else place
        token = self.text[self.starts[place] : self.ends[place]]
        raise SqlSyntaxError(message, offset=self.starts[place], token=token or None)

    def enter(self) -> None:
        """One level deeper in parentheses, calls or subqueries; pair with `self.nesting -= 1`."""
        self.nesting += 1
        if self.nesting > self.nesting_deepest:
            self.nesting_deepest = self.nesting
            if self.nesting > NESTING_MAX:
                self.fail("parser stack overflow")

    # Tokens

    def accept(self, kind: str) -> bool:
        if self.kinds[self.index] == kind:
            self.index += 1
            return True
        return False

    def expect(self, kind: str) -> None:
        if self.kinds[self.index] != kind:
            self.unexpected()
        self.index += 1

    def accept_words(self, *kinds: str) -> bool:
        """Take all of the tokens or none."""
        index = self.index
        for kind in kinds:
            if self.kinds[index] != kind:
                return False
            index += 1
        self.index = index
        return True

    def accept_word(self, word: str) -> bool:
        """Take an unquoted identifier that is no keyword of SQLite but means something here."""
        place = self.index
        if self.kinds[place] == "ID" and self.values[place].upper() == word:
            self.index += 1
            return True
        return False

    def accept_one_of(self, kinds: frozenset[str]) -> str | None:
        kind = self.kinds[self.index]
        if kind in kinds:
            self.index += 1
            return kind
        return None

    def slice_from(self, start_place: int) -> str:
        """The text from a token up to the one before the next."""
        if self.index == start_place:
            return ""
        return self.text[self.starts[start_place] : self.ends[self.index - 1]]

    # Names

    def name(self) -> str:
        if self.kinds[self.index] not in NAMES:
            self.unexpected()
        self.index += 1
        return self.values[self.index - 1]

    def identifier_or_string(self) -> str:
        if self.kinds[self.index] not in IDENTIFIERS_OR_STRINGS:
            self.unexpected()
        self.index += 1
        return self.values[self.index - 1]

    def object_name(self) -> ObjectName:
        """`name` or `schema.name`."""
        place = self.index
        first = self.name()
        if self.kinds[self.index] != ".":
            return ObjectName(first, None, self.starts[place], self.ends[place])
        self.index += 1
        place = self.index
        return ObjectName(self.name(), first, self.starts[place], self.ends[place])

    def names_in_parentheses(self) -> tuple[str, ...]:
        self.expect("(")
        found = [self.name()]
        while self.accept(","):
            found.append(self.name())
        self.expect(")")
        return tuple(found)

    def identifier(self, place: int) -> exp.Identifier:
        """The tree of the name at a token."""
        start = self.starts[place]
        quote = self.text[start]
        quoted = quote in "\"`['"
        node = exp.Identifier(this=self.values[place], quoted=quoted)
        meta = node.meta
        meta["start"] = start
        meta["end"] = self.ends[place]
        if quoted:
            meta["quote"] = quote
        return node

    def name_tree(self) -> exp.Identifier:
        self.name()
        return self.identifier(self.index - 1)

    # Parameters

    def parameter(self, place: int) -> exp.Placeholder:
        """Number the parameter at a token as SQLite does."""
        written = self.values[place]
        names = self.parameters
        if written == "?":
            names.append(None)
            index = len(names) - 1
        elif written[0] == "?":
            number = int(written[1:]) if len(written) < 8 else PARAMETER_NUMBER_MAX + 1
            if not 1 <= number <= PARAMETER_NUMBER_MAX:
                self.fail(f"variable number must be between ?1 and ?{PARAMETER_NUMBER_MAX}", place)
            index = number - 1
            names.extend([None] * (number - len(names)))
            names[index] = names[index] or written
        elif written in names:
            index = names.index(written)
        else:
            names.append(written)
            index = len(names) - 1
        if len(names) > PARAMETER_NUMBER_MAX:
            self.fail("too many SQL variables", place)
        node = exp.Placeholder(this=None if written == "?" else written)
        meta = node.meta
        meta["index"] = index
        meta["start"] = self.starts[place]
        meta["end"] = self.ends[place]
        return node
