"""Random data and random queries, for comparing the query compiler with sqlite3.

`make_tables` gives statements that build a few small tables whose columns hold everything from clean
integers to a mix of all kinds; `QueryMaker.query()` gives SELECTs over them whose result does not
depend on an order that SQL leaves open (or is compared as a set).
"""

from __future__ import annotations

import random

TEXTS = (
    "",
    "a",
    "A",
    "b",
    "abc",
    "ABC",
    "aBc ",
    "abd",
    "10",
    "2",
    " 7",
    "1e1",
    "x'y",
    "ä",
    "Ä",
    "z%_",
)


def literal(rng: random.Random, kinds: str = "nirtb") -> str:
    """A literal of one of `kinds`: n(ull) i(nteger) r(eal) t(ext) b(lob)."""
    kind = rng.choice(kinds)
    if kind == "n":
        return "NULL"
    if kind == "i":
        number = rng.choice((0, 1, 2, 3, 5, 7, 10, -1, -4, 100, rng.randrange(-20, 30)))
        return str(number)
    if kind == "r":
        return repr(rng.choice((0.0, 0.5, 1.0, 2.5, -1.5, 10.0, 3.25, 7.0)))
    if kind == "t":
        return "'" + rng.choice(TEXTS).replace("'", "''") + "'"
    return f"x'{rng.choice(('', '00', '61', '6162', '3130'))}'"


def make_tables(rng: random.Random, rows: int = 25) -> list[str]:
    """Statements that make t0..t3: typed columns, clean or mixed, with and without NULLs and indexes."""
    made = [
        "CREATE TABLE t0(id INTEGER PRIMARY KEY, a INTEGER, b INTEGER, c REAL, d TEXT)",
        "CREATE TABLE t1(a INT, b TEXT COLLATE NOCASE, c, d NUMERIC, e BLOB)",
        "CREATE TABLE t2(k TEXT, n INTEGER, v, w REAL NOT NULL, PRIMARY KEY (k, n)) WITHOUT ROWID",
        "CREATE TABLE t3(id INTEGER PRIMARY KEY, t0_id INTEGER, x INTEGER UNIQUE, y TEXT)",
    ]
    indexes = [
        "CREATE INDEX t0_a ON t0(a)",
        "CREATE INDEX t0_bd ON t0(b, d DESC)",
        "CREATE INDEX t0_expr ON t0(a + b)",
        "CREATE INDEX t1_b ON t1(b)",
        "CREATE INDEX t1_c ON t1(c, a)",
        "CREATE INDEX t1_part ON t1(d) WHERE d IS NOT NULL",
        "CREATE INDEX t2_v ON t2(v)",
        "CREATE INDEX t3_t0 ON t3(t0_id, y)",
        "CREATE INDEX t3_low ON t3(lower(y))",
    ]
    made += [index for index in indexes if rng.random() < 0.5]
    for number in range(rows):
        a, b = rng.randrange(8), rng.choice(("NULL", str(rng.randrange(5)), str(rng.randrange(5))))
        made.append(
            f"INSERT INTO t0 VALUES ({number + 1}, {a}, {b}, {rng.randrange(40) / 4!r}, {literal(rng, 't')})"
        )
        made.append(
            f"INSERT INTO t1 VALUES ({literal(rng, 'nii')}, {literal(rng, 'nttt')}, {literal(rng)},"
            f" {literal(rng, 'nirt')}, {literal(rng, 'nbt')})"
        )
        made.append(
            f"INSERT OR IGNORE INTO t2 VALUES ({literal(rng, 't')}, {rng.randrange(4)}, {literal(rng)}, {rng.randrange(9)})"
        )
        made.append(
            f"INSERT OR IGNORE INTO t3 VALUES ({number * 2}, {rng.choice(('NULL', str(rng.randrange(30))))},"
            f" {rng.choice(('NULL', str(rng.randrange(60))))}, {literal(rng, 'ntt')})"
        )
    return made


COLUMNS = {
    "t0": {"id": "i", "a": "i", "b": "i", "c": "r", "d": "t"},
    "t1": {"a": "i", "b": "t", "c": "m", "d": "m", "e": "m"},
    "t2": {"k": "t", "n": "i", "v": "m", "w": "r"},
    "t3": {"id": "i", "t0_id": "i", "x": "i", "y": "t"},
}


class QueryMaker:
    """Makes random SELECTs; `ordered` of the latest one says whether the order of its rows is fixed."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.depth = 0
        self.aliases = 0

    # -- expressions -----------------------------------------------------------------------------

    def column(self, scope: list[tuple[str, str]], kinds: str = "irtm") -> str:
        """A column `alias.name` of the scope, of one of `kinds` if there is one."""
        found = [
            f"{alias}.{name}"
            for alias, table in scope
            for name, kind in COLUMNS[table].items()
            if kind in kinds
        ]
        return self.rng.choice(found) if found else literal(self.rng)

    def value(self, scope: list[tuple[str, str]], depth: int = 2) -> str:
        rng = self.rng
        roll = rng.random()
        if depth <= 0 or roll < 0.45:
            return self.column(scope) if rng.random() < 0.75 and scope else literal(rng)
        if roll < 0.65:
            op = rng.choice(("+", "-", "*", "/", "%", "||", "&", "|", "<<", ">>"))
            return f"({self.value(scope, depth - 1)} {op} {self.value(scope, depth - 1)})"
        if roll < 0.75:
            name, count = rng.choice(
                (
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
                    ("trim", 1),
                    ("instr", 2),
                    ("quote", 1),
                    ("hex", 1),
                    ("iif", 3),
                    ("sign", 1),
                )
            )
            arguments = ", ".join(self.value(scope, depth - 1) for _ in range(count))
            return f"{name}({arguments})"
        if roll < 0.83:
            otherwise = f" ELSE {self.value(scope, depth - 1)}" if rng.random() < 0.6 else ""
            return (
                f"CASE WHEN {self.condition(scope, depth - 1)} THEN {self.value(scope, depth - 1)}"
                f"{otherwise} END"
            )
        if roll < 0.87:
            return f"CAST({self.value(scope, depth - 1)} AS {rng.choice(('INTEGER', 'REAL', 'TEXT', 'NUMERIC', 'BLOB'))})"
        if roll < 0.92:
            return f"({self.condition(scope, depth - 1)})"
        if roll < 0.95:
            return f"({rng.choice('-+~')} {self.value(scope, depth - 1)})"
        return self.scalar_subquery(scope)

    def condition(self, scope: list[tuple[str, str]], depth: int = 2) -> str:
        rng = self.rng
        roll = rng.random()
        if depth > 0 and roll < 0.25:
            op = rng.choice(("AND", "OR"))
            return f"({self.condition(scope, depth - 1)} {op} {self.condition(scope, depth - 1)})"
        if depth > 0 and roll < 0.3:
            return f"NOT {self.condition(scope, depth - 1)}"
        if roll < 0.6:
            op = rng.choice(("=", "=", "<", "<=", ">", ">=", "<>", "IS", "IS NOT"))
            left = self.column(scope) if scope else literal(rng)
            right = literal(rng) if rng.random() < 0.6 else self.value(scope, depth - 1)
            collate = rng.choice(("", "", "", "", " COLLATE NOCASE", " COLLATE RTRIM"))
            return f"{left} {op} {right}{collate}"
        if roll < 0.68:
            low, high = self.value(scope, 0), self.value(scope, 0)
            negated = rng.choice(("", " NOT"))
            return f"{self.column(scope)}{negated} BETWEEN {low} AND {high}"
        if roll < 0.78:
            negated = rng.choice(("", "", " NOT"))
            items = ", ".join(literal(rng) for _ in range(rng.randrange(5)))
            return f"{self.column(scope)}{negated} IN ({items})"
        if roll < 0.84:
            pattern = rng.choice(("a%", "%b%", "%c", "_b%", "abc", "A%", "%", "10%", "%ä", "a_c"))
            negated = rng.choice(("", "", "NOT "))
            return f"{self.column(scope, 'tm')} {negated}LIKE '{pattern}'"
        if roll < 0.86:
            pattern = rng.choice(("a*", "*b*", "[a-b]*", "?b*", "*c", "[^a]*"))
            return f"{self.column(scope, 'tm')} GLOB '{pattern}'"
        if roll < 0.91:
            return f"{self.value(scope, depth - 1)} {rng.choice(('IS NULL', 'IS NOT NULL', 'IS TRUE', 'IS NOT FALSE'))}"
        if self.depth < 2 and roll < 0.95:
            return self.exists(scope)
        if self.depth < 2 and roll < 0.99:
            return self.in_subquery(scope)
        return self.value(scope, 0)

    # -- subqueries ------------------------------------------------------------------------------

    def _inner(self, scope: list[tuple[str, str]]) -> tuple[str, list[tuple[str, str]]]:
        table = self.rng.choice(list(COLUMNS))
        self.aliases += 1
        alias = f"s{self.aliases}"
        return f"{table} AS {alias}", [(alias, table)]

    def correlation(self, inner: list[tuple[str, str]], scope: list[tuple[str, str]]) -> str:
        if not scope or self.rng.random() < 0.4:
            return self.condition(inner, 1)
        op = self.rng.choice(("=", "=", "=", "<", ">="))
        return f"{self.column(inner)} {op} {self.column(scope)}"

    def scalar_subquery(self, scope: list[tuple[str, str]]) -> str:
        if self.depth >= 2:
            return literal(self.rng)
        self.depth += 1
        source, inner = self._inner(scope)
        kind = self.rng.choice(("count(*)", "max", "min", "sum", "total"))
        shown = kind if kind == "count(*)" else f"{kind}({self.column(inner)})"
        text = f"(SELECT {shown} FROM {source} WHERE {self.correlation(inner, scope)})"
        self.depth -= 1
        return text

    def exists(self, scope: list[tuple[str, str]]) -> str:
        self.depth += 1
        source, inner = self._inner(scope)
        negated = self.rng.choice(("", "NOT "))
        text = f"{negated}EXISTS (SELECT 1 FROM {source} WHERE {self.correlation(inner, scope)})"
        self.depth -= 1
        return text

    def in_subquery(self, scope: list[tuple[str, str]]) -> str:
        self.depth += 1
        source, inner = self._inner(scope)
        negated = self.rng.choice(("", "NOT "))
        text = (
            f"{self.column(scope)} {negated}IN (SELECT {self.column(inner)} FROM {source}"
            f" WHERE {self.correlation(inner, scope)})"
        )
        self.depth -= 1
        return text

    # -- queries ---------------------------------------------------------------------------------

    def sources(self) -> tuple[str, list[tuple[str, str]]]:
        rng = self.rng
        count = rng.choice((1, 1, 1, 2, 2, 3))
        scope: list[tuple[str, str]] = []
        text = ""
        for place in range(count):
            table = rng.choice(list(COLUMNS))
            self.aliases += 1
            alias = f"r{self.aliases}"
            named = f"{table} AS {alias}"
            if rng.random() < 0.15:
                columns = ", ".join(COLUMNS[table])
                where = (
                    f" WHERE {self.condition([(table, table)], 1)}" if rng.random() < 0.5 else ""
                )
                named = f"(SELECT {columns} FROM {table}{where}) AS {alias}"
            scope.append((alias, table))
            if not place:
                text = named
                continue
            join = rng.choice(
                (
                    ",",
                    "JOIN",
                    "LEFT JOIN",
                    "JOIN",
                    "CROSS JOIN",
                    "LEFT JOIN",
                    "RIGHT JOIN",
                    "FULL JOIN",
                )
            )
            if join in ("RIGHT JOIN", "FULL JOIN") and rng.random() < 0.5:
                join = "JOIN"
            if join == ",":
                text += f", {named}"
                continue
            on = f"{self.column([scope[-1]])} = {self.column(scope[:-1])}"
            if rng.random() < 0.3:
                on += f" AND {self.condition(scope, 1)}"
            text += f" {join} {named} ON {on}"
        return text, scope

    def order_by(self, count: int) -> str:
        keys = []
        for position in range(1, count + 1):
            direction = self.rng.choice(("", "", " ASC", " DESC"))
            nulls = self.rng.choice(("", "", "", " NULLS LAST", " NULLS FIRST"))
            keys.append(f"{position}{direction}{nulls}")
        return " ORDER BY " + ", ".join(keys)

    def plain(self) -> tuple[str, int]:
        source, scope = self.sources()
        count = self.rng.randrange(1, 4)
        outputs = ", ".join(self.value(scope) for _ in range(count))
        distinct = self.rng.choice(("", "", "", "DISTINCT "))
        where = f" WHERE {self.condition(scope)}" if self.rng.random() < 0.75 else ""
        return f"SELECT {distinct}{outputs} FROM {source}{where}", count

    def aggregate(self, scope: list[tuple[str, str]]) -> str:
        rng = self.rng
        name = rng.choice(("count", "sum", "min", "max", "total", "avg", "count(*)"))
        if name == "count(*)":
            text = name
        elif name in ("sum", "total", "avg"):
            text = f"{name}({self.column(scope, 'irtm')})"
        else:
            distinct = rng.choice(("", "", "DISTINCT "))
            text = f"{name}({distinct}{self.value(scope, 1)})"
        if rng.random() < 0.15:
            text += f" FILTER (WHERE {self.condition(scope, 1)})"
        return text

    def grouped(self) -> tuple[str, int]:
        rng = self.rng
        source, scope = self.sources()
        where = f" WHERE {self.condition(scope, 1)}" if rng.random() < 0.5 else ""
        keys = [self.value(scope, 1) for _ in range(rng.choice((0, 1, 1, 2)))]
        keys = [key for key in keys if not key.lstrip("-(").replace(".", "").isdigit()]
        outputs = [*keys, *(self.aggregate(scope) for _ in range(rng.randrange(1, 4)))]
        having = f" HAVING {self.aggregate(scope)} {rng.choice('<>=')} {literal(rng, 'ir')}"
        text = f"SELECT {', '.join(outputs)} FROM {source}{where}"
        if keys:
            text += f" GROUP BY {', '.join(keys)}{having if rng.random() < 0.3 else ''}"
        return text, len(outputs)

    def compound(self) -> tuple[str, int]:
        parts = []
        count = self.rng.randrange(1, 3)
        for _ in range(self.rng.choice((2, 2, 3))):
            source, scope = self.sources()
            outputs = ", ".join(self.value(scope, 1) for _ in range(count))
            parts.append(f"SELECT {outputs} FROM {source} WHERE {self.condition(scope, 1)}")
        text = parts[0]
        for part in parts[1:]:
            text += f" {self.rng.choice(('UNION', 'UNION ALL', 'INTERSECT', 'EXCEPT'))} {part}"
        return text, count

    def query(self) -> tuple[str, bool]:
        """(text, whether its rows come in a fixed order)."""
        self.aliases = self.depth = 0
        text, count = self.rng.choice((self.plain, self.plain, self.grouped, self.compound))()
        if self.rng.random() < 0.6:
            text += self.order_by(count)
            if self.rng.random() < 0.4:
                text += f" LIMIT {self.rng.randrange(12)}"
                if self.rng.random() < 0.4:
                    text += f" OFFSET {self.rng.randrange(5)}"
            return text, True
        return text, False
