"""Random expressions over the columns that a query sees, subqueries included."""

from __future__ import annotations

import random
from typing import Any

from tests.sql.fuzz.tables import COLUMNS, quoted, value

Scope = list[tuple[str, str]]
"""Aliases of FROM, each with its table."""

ANY = "irtmjd"
FUNCTIONS = (
    ("abs", 1),
    ("length", 1),
    ("upper", 1),
    ("lower", 1),
    ("typeof", 1),
    ("coalesce", 2),
    ("ifnull", 2),
    ("nullif", 2),
    ("max", 2),
    ("min", 3),
    ("substr", 2),
    ("substr", 3),
    ("trim", 1),
    ("ltrim", 2),
    ("rtrim", 2),
    ("instr", 2),
    ("replace", 3),
    ("quote", 1),
    ("hex", 1),
    ("iif", 3),
    ("sign", 1),
    ("round", 1),
    ("round", 2),
    ("unicode", 1),
    ("floor", 1),
    ("sqrt", 1),
    ("mod", 2),
    ("soundex", 1),
    ("json_valid", 1),
    ("likely", 1),
)
FORMATS = (
    "%d",
    "%5.2f",
    "%s|",
    "%-6s|",
    "%05d",
    "%x",
    "%g",
    "%,d",
    "%q",
    "%Q",
    "%c",
    "%!.3s",
    "%+d",
    "%%%e",
)
PATHS = ("$", "$.a", "$.b", "$.b.c", "$[0]", "$[1][0]", "$.b[1]", "$.b[#-1]", "$.b[0].a", "$.x")
MODIFIERS = (
    "+1 day",
    "-1 month",
    "+13 months",
    "start of month",
    "start of year",
    "start of day",
    "weekday 0",
    "+2.5 hours",
    "-90 minutes",
    "+1 year",
    "unixepoch",
    "julianday",
    "auto",
    "+00:30",
)
TIMES = ("%Y-%m-%d", "%H:%M:%f", "%j %W %w", "%s", "%J", "%d.%m.%Y", "%%%S")


class Expressions:
    """Makes random expressions.  With `parameters` a list, some literals become numbered parameters and their
    values join the list."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.depth = 0
        self.aliases = 0
        self.columns: dict[str, dict[str, str]] = dict(COLUMNS)
        self.parameters: list[Any] | None = None
        self.constants = True  # whether conditions may be without any column

    def literal(self, kinds: str = "nirtb") -> str:
        made = value(self.rng, kinds)
        if self.parameters is None or self.rng.random() < 0.5:
            return quoted(made)
        self.parameters.append(made)
        return f"?{len(self.parameters)}"

    def one_of(self, *items: str) -> str:
        return self.rng.choice(items)

    def tables(self) -> list[str]:
        """What FROM may name."""
        return [name for name in self.columns if not name.startswith(("derived", "json"))]

    # -- values ----------------------------------------------------------------------------------

    def column(self, scope: Scope, kinds: str = ANY, others: str = "nirtb") -> str:
        """A column `alias.name` of the scope, of one of `kinds` if there is one, else a literal."""
        found = [
            f"{alias}.{name}"
            for alias, table in scope
            for name, kind in self.columns[table].items()
            if kind in kinds
        ]
        return self.rng.choice(found) if found else self.literal(others)

    def value(self, scope: Scope, depth: int = 2) -> str:
        rng = self.rng
        roll = rng.random()
        if depth <= 0 or roll < 0.4:
            return self.column(scope) if rng.random() < 0.75 and scope else self.literal()
        if roll < 0.58:
            op = rng.choice(("+", "-", "*", "/", "%", "||", "&", "|", "<<", ">>"))
            return f"({self.value(scope, depth - 1)} {op} {self.value(scope, depth - 1)})"
        if roll < 0.7:
            name, count = rng.choice(FUNCTIONS)
            arguments = ", ".join(self.value(scope, depth - 1) for _ in range(count))
            return f"{name}({arguments})"
        if roll < 0.73:
            count = rng.randrange(1, 4)
            formats = self.one_of(*FORMATS) + self.one_of("", *FORMATS)
            arguments = ", ".join(self.value(scope, depth - 1) for _ in range(count))
            return f"{self.one_of('printf', 'format')}('{formats}', {arguments})"
        if roll < 0.77:
            return self.json(scope)
        if roll < 0.81:
            return self.time(scope)
        if roll < 0.87:
            return self.case(scope, depth)
        if roll < 0.9:
            return f"CAST({self.value(scope, depth - 1)} AS {rng.choice(('INTEGER', 'REAL', 'TEXT', 'NUMERIC', 'BLOB'))})"
        if roll < 0.93:
            return f"({self.condition(scope, depth - 1)})"
        if roll < 0.96:
            return f"({rng.choice('-+~')} {self.value(scope, depth - 1)})"
        return self.scalar_subquery(scope)

    def case(self, scope: Scope, depth: int) -> str:
        otherwise = f" ELSE {self.value(scope, depth - 1)}" if self.rng.random() < 0.6 else ""
        if self.rng.random() < 0.3:
            whens = " ".join(
                f"WHEN {self.value(scope, 0)} THEN {self.value(scope, depth - 1)}"
                for _ in range(self.rng.randrange(1, 3))
            )
            return f"CASE {self.value(scope, 0)} {whens}{otherwise} END"
        return (
            f"CASE WHEN {self.condition(scope, depth - 1)} THEN {self.value(scope, depth - 1)}"
            f"{otherwise} END"
        )

    def json(self, scope: Scope) -> str:
        """A JSON function on a document, or one that makes JSON of what is no blob."""
        rng = self.rng
        documents = [
            f"{alias}.{name}"
            for alias, table in scope
            for name, kind in self.columns[table].items()
            if kind == "j"
        ]
        if not documents or rng.random() < 0.2:
            made = [self.column(scope, "irt", "nirt") for _ in range(2)]
            return self.one_of(
                f"json_array({made[0]}, {made[1]})",
                f"json_object('k', {made[0]}, 'l', {made[1]})",
                f"json_quote({made[0]})",
                f"json_valid({self.value(scope, 0)})",
            )
        document, path = rng.choice(documents), rng.choice(PATHS)
        item = self.literal("nirt")
        return self.one_of(
            f"json_extract({document}, '{path}')",
            f"json_extract({document}, '{path}', '{rng.choice(PATHS)}')",
            f"({document} -> '{path}')",
            f"({document} ->> '{path}')",
            f"({document} ->> {rng.choice(('0', '1', chr(39) + 'a' + chr(39)))})",
            f"json_array_length({document})",
            f"json_array_length({document}, '{path}')",
            f"json_type({document})",
            f"json_type({document}, '{path}')",
            f"json({document})",
            f"json_set({document}, '{path}', {item})",
            f"json_insert({document}, '{path}', {item})",
            f"json_replace({document}, '{path}', json({document}))",
            f"json_remove({document}, '{path}')",
            f'json_patch({document}, \'{{"a": null, "z": [1]}}\')',
        )

    def time(self, scope: Scope) -> str:
        """A date or time function on a day, a number or anything."""
        rng = self.rng
        moment = self.column(scope, "d") if rng.random() < 0.7 else self.column(scope)
        modifiers = "".join(f", '{rng.choice(MODIFIERS)}'" for _ in range(rng.randrange(3)))
        if rng.random() < 0.3:
            return f"strftime('{rng.choice(TIMES)}', {moment}{modifiers})"
        name = self.one_of("date", "time", "datetime", "julianday", "unixepoch")
        return f"{name}({moment}{modifiers})"

    # -- conditions ------------------------------------------------------------------------------

    def condition(self, scope: Scope, depth: int = 2) -> str:
        rng = self.rng
        roll = rng.random()
        if depth > 0 and roll < 0.25:
            op = rng.choice(("AND", "OR"))
            return f"({self.condition(scope, depth - 1)} {op} {self.condition(scope, depth - 1)})"
        if depth > 0 and roll < 0.3:
            return f"NOT {self.condition(scope, depth - 1)}"
        if roll < 0.55:
            op = rng.choice(("=", "=", "<", "<=", ">", ">=", "<>", "IS", "IS NOT", "=="))
            if rng.random() < 0.1:
                op = self.one_of("IS DISTINCT FROM", "IS NOT DISTINCT FROM")
            left = self.column(scope) if scope else self.literal()
            right = self.literal() if rng.random() < 0.6 else self.value(scope, depth - 1)
            collate = rng.choice(("", "", "", "", " COLLATE NOCASE", " COLLATE RTRIM"))
            return f"{left} {op} {right}{collate}"
        if roll < 0.6:
            return self.rows(scope)
        if roll < 0.68:
            low, high = self.value(scope, 0), self.value(scope, 0)
            negated = rng.choice(("", " NOT"))
            return f"{self.column(scope)}{negated} BETWEEN {low} AND {high}"
        if roll < 0.76:
            negated = rng.choice(("", "", " NOT"))
            least = 0 if self.constants else 1
            items = ", ".join(self.literal() for _ in range(rng.randrange(least, 5)))
            return f"{self.column(scope)}{negated} IN ({items})"
        if roll < 0.85:
            return self.pattern(scope)
        if roll < 0.91:
            tested = self.value(scope, depth - 1) if self.constants else self.column(scope)
            tests = ("IS NULL", "IS NOT NULL", "IS TRUE", "IS NOT FALSE", "ISNULL", "NOTNULL")
            return f"{tested} {rng.choice(tests)}"
        if self.depth < 2 and roll < 0.95:
            return self.exists(scope)
        if self.depth < 2 and roll < 0.99:
            return self.in_subquery(scope)
        return self.value(scope, 0) if self.constants else self.column(scope)

    def rows(self, scope: Scope) -> str:
        """A comparison of row values, or IN of some."""
        rng = self.rng
        left = f"({self.column(scope)}, {self.column(scope)})"
        if rng.random() < 0.5:
            op = rng.choice(("=", "<", "<=", ">", ">=", "<>", "IS", "IS NOT"))
            return f"{left} {op} ({self.value(scope, 0)}, {self.value(scope, 0)})"
        negated = rng.choice(("", "", "NOT "))
        # Numbers alone: with a NULL beside it sqlite3 leaves a text as it is that it would else convert.
        left = f"({self.column(scope, 'ir', 'nir')}, {self.column(scope, 'ir', 'nir')})"
        if rng.random() < 0.5 or self.depth >= 2:
            items = ", ".join(f"({self.literal()}, {self.literal()})" for _ in range(3))
            return f"{left} {negated}IN (VALUES {items})"
        self.depth += 1
        source, inner = self._inner(scope)
        text = (
            f"{left} {negated}IN (SELECT {self.column(inner)}, {self.column(inner)} FROM {source}"
            f" WHERE {self.correlation(inner, scope)})"
        )
        self.depth -= 1
        return text

    def pattern(self, scope: Scope) -> str:
        rng = self.rng
        negated = rng.choice(("", "", "NOT "))
        tested = self.column(scope, "tmjd")
        roll = rng.random()
        if roll < 0.3:
            patterns = ("a*", "*b*", "[a-b]*", "?b*", "*c", "[^a]*", "*[]]*", "Ä*", "")
            return f"{tested} {negated}GLOB '{rng.choice(patterns)}'"
        if roll < 0.4:
            return f"{tested} {negated}LIKE {self.column(scope, 'tm')}"
        if roll < 0.55:
            patterns = ("a!%", "%!_", "!!%", "z!%%", "!a%", "%!", "x_y")
            return f"{tested} {negated}LIKE '{rng.choice(patterns)}' ESCAPE '!'"
        patterns = ("a%", "%b%", "%c", "_b%", "abc", "A%", "%", "10%", "%ä", "a_c", "2024-%", "")
        return f"{tested} {negated}LIKE '{rng.choice(patterns)}'"

    # -- subqueries ------------------------------------------------------------------------------

    def _inner(self, scope: Scope) -> tuple[str, Scope]:
        table = self.rng.choice(self.tables())
        self.aliases += 1
        alias = f"s{self.aliases}"
        return f"{table} AS {alias}", [(alias, table)]

    def correlation(self, inner: Scope, scope: Scope) -> str:
        if not scope or self.rng.random() < 0.4:
            return self.condition(inner, 1)
        op = self.rng.choice(("=", "=", "=", "<", ">="))
        return f"{self.column(inner)} {op} {self.column(scope)}"

    def scalar_subquery(self, scope: Scope) -> str:
        if self.depth >= 2:
            return self.literal()
        self.depth += 1
        source, inner = self._inner(scope)
        kind = self.rng.choice(("count(*)", "max", "min", "sum", "total", "limited"))
        shown = kind if kind == "count(*)" else f"{kind}({self.column(inner)})"
        if kind == "limited":
            shown = self.column(inner)
            tail = f" ORDER BY 1{self.one_of('', ' DESC')} LIMIT 1{self.one_of('', ' OFFSET 1')}"
            text = f"(SELECT {shown} FROM {source} WHERE {self.correlation(inner, scope)}{tail})"
            self.depth -= 1
            return text
        text = f"(SELECT {shown} FROM {source} WHERE {self.correlation(inner, scope)})"
        self.depth -= 1
        return text

    def exists(self, scope: Scope) -> str:
        self.depth += 1
        source, inner = self._inner(scope)
        negated = self.rng.choice(("", "NOT "))
        text = f"{negated}EXISTS (SELECT 1 FROM {source} WHERE {self.correlation(inner, scope)})"
        self.depth -= 1
        return text

    def in_subquery(self, scope: Scope) -> str:
        self.depth += 1
        source, inner = self._inner(scope)
        negated = self.rng.choice(("", "NOT "))
        text = (
            f"{self.column(scope)} {negated}IN (SELECT {self.column(inner)} FROM {source}"
            f" WHERE {self.correlation(inner, scope)})"
        )
        self.depth -= 1
        return text
