"""Random definitions: tables, indexes, views and triggers over each other, in main and temp, and ALTER TABLE in all its
forms, between rows that are written.  Names stand in every kind of quotes, and texts in double ones."""

from __future__ import annotations

from random import Random

TABLES = ("t", "u", "t", "u", "t", "u", "v", "w", '"x y"', "main.t", "temp.t", "temp.u", "main.v")
COLUMNS = ("a", "b", "c", "a", "b", "c", "d", "A", '"b c"', "[a]", "`b`", '"c"', '"from"')
VALUES = ("1", "2", "NULL", "'a'", "'B'", "0", "-1", "1.5", "x'00'", "'1'", '"a"', '"text"')
TYPES = ("INTEGER", "TEXT", "", "REAL", "VARCHAR(10)", "BLOB", "INT", "NUMERIC")
EVENTS = ("INSERT", "UPDATE", "DELETE", "UPDATE OF a", "UPDATE OF b, c")
STARTED = (
    "CREATE TABLE log (x)",
    "CREATE TABLE t (a, b, c)",
    "CREATE TABLE u (a INTEGER PRIMARY KEY, b UNIQUE, d)",
    "INSERT INTO t VALUES (1, 'a', 'text'), (2, 'b', NULL)",
    "INSERT INTO u VALUES (1, 2, 3), (5, 'text', 'a')",
)


class Definitions:
    """One run's statements."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def one_of(self, *items: str) -> str:
        return self.random.choice(items)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def table(self) -> str:
        return self.one_of(*TABLES)

    def column(self) -> str:
        return self.one_of(*COLUMNS)

    def value(self) -> str:
        return self.one_of(*VALUES)

    def expression(self, depth: int = 1, row: str = "") -> str:
        """`row`: what columns are qualified with."""
        leaf = self.value() if self.chance(0.3) else row + self.column()
        if depth == 0:
            return leaf
        part, other = self.expression(depth - 1, row), self.expression(depth - 1, row)
        return self.one_of(
            leaf,
            f"{part} + {other}",
            f"({part} || {other})",
            f"lower({part})",
            f"{part} COLLATE NOCASE",
            f"CASE WHEN {part} THEN {other} END",
            f"{part} IN ({self.value()}, {other})",
            f"coalesce({part}, {other})",
            f"{part} > {other}",
            f"{part} IS NULL",
            f"CAST({part} AS TEXT)",
        )

    def select(self, depth: int = 1) -> str:
        source = self.table() + self.one_of("", "", " AS x", " AS t")
        if depth and self.chance(0.3):
            source = self.one_of(
                f"{self.table()} JOIN {self.table()} AS y ON y.a = {self.column()}",
                f"({self.select(depth - 1)}) AS q",
                f"{self.table()} LEFT JOIN {self.table()} AS y USING (a)",
                f"{self.table()}, {self.table()} AS y",
            )
        shown = self.one_of(
            "*",
            self.expression(),
            f"{self.column()}, {self.column()} AS z",
            f"count(*), max({self.column()})",
            f"{self.one_of('x', 't', 'y', 'u')}.{self.column()}",
        )
        where = self.one_of(
            "",
            f" WHERE {self.expression()}",
            f" WHERE {self.column()} IN (SELECT {self.column()} FROM {self.table()})",
        )
        text = f"SELECT {shown} FROM {source}{where}"
        if depth and self.chance(0.1):
            text = f"WITH k({self.column()}) AS (SELECT {self.value()}) {text}"
        return f"{text} UNION {self.select(0)}" if depth and self.chance(0.1) else text

    # -- CREATE ----------------------------------------------------------------------------------

    def new_table(self) -> str:
        names = self.random.sample(("b", "c", "d", '"b c"', '"from"'), self.random.randint(0, 3))
        parts = [self.new_column(name) for name in ("a", *names)]
        if self.chance(0.15):
            parts.append(f"PRIMARY KEY ({', '.join(('a', *names))})")
        if self.chance(0.15):
            parts.append(f"UNIQUE ({self.one_of('a DESC', 'a, b')})")
        if self.chance(0.15):
            parts.append(f'CONSTRAINT "my check" CHECK ({self.expression(2)})')
        if self.chance(0.1):
            parts.append(f"FOREIGN KEY (a) REFERENCES {self.one_of('t', 'u')}({self.column()})")
        kind = self.one_of("", "", "TEMP ")
        options = self.one_of("", "", "", " WITHOUT ROWID", " STRICT")
        if self.chance(0.1):
            return f"CREATE {kind}TABLE {self.table()} AS {self.select()}"
        return f"CREATE {kind}TABLE {self.table()} ({', '.join(parts)}){options}"

    def new_column(self, name: str) -> str:
        choices = (
            " PRIMARY KEY",
            " NOT NULL",
            " UNIQUE",
            f" DEFAULT {self.one_of('1', '-5', 'abc', '(1 + 1)', chr(34) + 'a' + chr(34))}",
            f" CHECK ({self.expression()})",
            f" COLLATE {self.one_of('NOCASE', 'RTRIM')}",
            f" REFERENCES {self.one_of('t', 'u')}{self.one_of('', '(a)', '(b)')}",
        )
        wanted = "".join(choice for choice in choices if self.chance(0.12))
        if self.chance(0.08):
            wanted = f" AS ({self.expression()}) {self.one_of('', 'VIRTUAL', 'STORED')}"
        return f"{name} {self.one_of(*TYPES)}{wanted}"

    def new_index(self) -> str:
        key = self.one_of(
            self.one_of("a", "b", "c"),
            "a DESC, b COLLATE NOCASE",
            self.expression(),
            f"b, {self.expression()}",
        )
        where = self.one_of("", "", f" WHERE {self.expression()}")
        unique = self.one_of("", "", "UNIQUE ")
        return f"CREATE {unique}INDEX {self.one_of('i1', 'i2', 'i3')} ON {self.one_of('t', 'u', 'v')} ({key}){where}"

    def new_view(self) -> str:
        columns = self.one_of("", "", f"({self.column()})", "(p, q)")
        return f"CREATE {self.one_of('', '', 'TEMP ')}VIEW {self.one_of('v', 'w', 't')}{columns} AS {self.select()}"

    def new_trigger(self) -> str:
        event, timing = self.one_of(*EVENTS), self.one_of("BEFORE", "AFTER", "INSTEAD OF")
        row = "OLD." if event == "DELETE" else "NEW."
        written = self.one_of("t", "u")
        bodies = [
            f"INSERT INTO log VALUES ({self.expression(1, row)})",
            f"INSERT INTO {written} (a) {self.select(0)}",
            f"UPDATE {written} SET b = {self.expression()} WHERE {self.column()} = {row}{self.column()}",
            f"DELETE FROM {written} WHERE {self.column()} = {row}{self.column()}",
            f"INSERT INTO log SELECT {self.expression()} FROM {written}",
        ]
        body = "; ".join(self.random.sample(bodies, self.random.randint(1, 2)))
        when = self.one_of("", "", f" WHEN {self.expression(1, row)}")
        on = self.one_of("t", "u", "t", "u", "v", "w")
        name = self.one_of("r1", "r2", "r3")
        return f"CREATE {self.one_of('', '', 'TEMP ')}TRIGGER {name} {timing} {event} ON {on}{when} BEGIN {body}; END"

    # -- ALTER, DROP and rows --------------------------------------------------------------------

    def alteration(self) -> str:
        added = self.one_of(
            "",
            f" DEFAULT {self.value()}",
            " NOT NULL",
            " NOT NULL DEFAULT 1",
            " UNIQUE",
            f" CHECK ({self.expression()})",
            " REFERENCES t(a)",
            f" AS ({self.expression()})",
            " COLLATE NOCASE",
        )
        new = self.one_of("a", "b", "e", "f", '"b c"', '"from"', "text", "B")
        change = self.one_of(
            f"RENAME TO {self.one_of('t', 'u', 'x', 'z', 'v', chr(34) + 'x y' + chr(34))}",
            f"RENAME {self.one_of('', 'COLUMN ')}{self.column()} TO {new}",
            f"RENAME COLUMN {self.column()} TO {new}",
            f"DROP {self.one_of('', 'COLUMN ')}{self.column()}",
            f"ADD {self.one_of('', 'COLUMN ')}{new} {self.one_of(*TYPES)}{added}",
        )
        return f"ALTER TABLE {self.table()} {change}"

    def statement(self) -> str:
        roll = self.random.random()
        for share, make in (
            (0.14, self.new_table),
            (0.23, self.new_index),
            (0.32, self.new_view),
            (0.41, self.new_trigger),
            (0.67, self.alteration),
        ):
            if roll < share:
                return make()
        if roll < 0.73:
            kind = self.one_of("TABLE", "VIEW", "INDEX", "TRIGGER")
            return f"DROP {kind} {self.one_of(self.table(), 'i1', 'i2', 'r1', 'r2', 'v', 'w')}"
        if roll < 0.84:
            conflict = self.one_of("", "", " OR IGNORE", " OR REPLACE")
            return f"INSERT{conflict} INTO {self.table()} (a) VALUES ({self.random.randint(1, 9)})"
        if roll < 0.9:
            where = self.expression()
            return self.one_of(
                f"UPDATE {self.table()} SET {self.column()} = {self.value()} WHERE {where}",
                f"DELETE FROM {self.table()} WHERE {where}",
            )
        if roll < 0.96:
            return self.select()
        return self.one_of("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT s", "ROLLBACK TO s", "REINDEX")

    def statements(self, count: int) -> list[str]:
        return [*STARTED, *(self.statement() for _ in range(count))]
