"""Random triggers and foreign keys over many rows, and statements that write some or all of them.

Where rows are many, what follows them is done statement by statement and in bulk as long as nobody can tell; so the
order of what is noted in `log`, counters by `changes()`, rows that other rows take with them and errors half-way are what
is looked at."""

from __future__ import annotations

import re
from random import Random

TABLES = {"p": ("id", "a", "b", "c"), "q": ("id", "p", "n", "s"), "r": ("k", "q", "v")}
COMPARED = (*TABLES, "tot", "log")
_BEFORE_ORDER = re.compile(r"^(UPDATE(?: OR \w+)?|DELETE FROM) (\w+)")
_INDEXED = ("p(a)", "p(b, a)", "p(c)", "q(p)", "q(n)", "q(p) WHERE n > 2", "r(q)", "r(v)")
_EVENTS = ("INSERT", "UPDATE", "DELETE")


class Cascades:
    """One run's definitions and statements."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.rows = self.random.choice((5, 60, 700, 2500))

    def one_of(self, *items: str) -> str:
        return self.random.choice(items)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    # -- definitions -----------------------------------------------------------------------------

    def definitions(self) -> list[str]:
        has_keys = self.chance(0.5)
        made = ["PRAGMA foreign_keys = ON"] if has_keys else []
        if self.chance(0.3):
            made.append("PRAGMA recursive_triggers = ON")
        to_p, to_q = (
            (f"REFERENCES {table}(id){self.actions()}" if has_keys else "") for table in "pq"
        )
        options = self.one_of("", "", "", " WITHOUT ROWID")
        made += [
            f"CREATE TABLE p(id INTEGER PRIMARY KEY, a INT, b TEXT{self.one_of('', ' COLLATE NOCASE')},"
            f" c{self.one_of('', ' UNIQUE', ' DEFAULT 7')}){options}",
            f"CREATE TABLE q(id INTEGER PRIMARY KEY, p {to_p}, n INT DEFAULT 0, s)",
            f"CREATE TABLE r(k INTEGER PRIMARY KEY, q INT {to_q},"
            f" v{self.one_of(' CHECK(v <> 13)', '', ' NOT NULL', ' UNIQUE')})",
            "CREATE TABLE tot(g PRIMARY KEY, n, s)",
            "CREATE TABLE log(n INTEGER PRIMARY KEY, w, x, y)",
        ]
        for number in range(self.random.randrange(3)):
            unique = self.one_of("", "", "", "UNIQUE ")
            made.append(f"CREATE {unique}INDEX i{number} ON {self.random.choice(_INDEXED)}")
        return made + [
            self.trigger(number) for number in range(self.random.choice((0, 1, 1, 2, 3)))
        ]

    def actions(self) -> str:
        return self.one_of(
            *("", " ON DELETE CASCADE", " ON DELETE SET NULL", " ON DELETE SET DEFAULT"),
            *(" ON DELETE RESTRICT", " ON DELETE CASCADE ON UPDATE CASCADE", " ON UPDATE SET NULL"),
        ) + self.one_of("", "", " DEFERRABLE INITIALLY DEFERRED")  # fmt: skip

    def trigger(self, number: int) -> str:
        table, event = self.random.choice("pppqqr"), self.random.choice(_EVENTS)
        sides = {"INSERT": ("NEW",), "UPDATE": ("OLD", "NEW"), "DELETE": ("OLD",)}[event]

        def of_row() -> str:
            return f"{self.random.choice(sides)}.{self.random.choice(TABLES[table])}"

        bodies = [
            self.body(f"{table}{event}{number}", table, of_row(), of_row())
            for _ in range(self.random.choice((1, 1, 2, 3)))
        ]
        when = self.one_of(
            "", "", f" WHEN {of_row()} % 2", f" WHEN {of_row()} > 50", f" WHEN {of_row()} IS NOT {of_row()}"
        )  # fmt: skip
        columns = f" OF {self.random.choice(TABLES[table])}" if event == "UPDATE" else ""
        if self.chance(0.7):
            columns = ""
        timing = self.one_of("AFTER", "AFTER", "AFTER", "BEFORE")
        body = "; ".join(bodies)
        return (
            f"CREATE TRIGGER g{number} {timing} {event}{columns} ON {table}{when} BEGIN {body}; END"
        )

    def body(self, name: str, table: str, x: str, y: str) -> str:
        other = self.random.choice(list(TABLES))
        key, *columns = TABLES[other]
        column = self.random.choice(columns)
        raised = self.one_of("IGNORE", "ABORT, 'no'", "FAIL, 'no'")
        return self.one_of(
            *[f"INSERT INTO log(w, x, y) VALUES('{name}', {x}, {y})"] * 3,
            f"INSERT INTO log(w, x, y) SELECT 'c', count(*), {x} FROM {other}",
            "INSERT INTO log(w) VALUES(changes())",
            f"UPDATE log SET y = {x} WHERE n = (SELECT max(n) FROM log)",
            f"UPDATE {other} SET {column} = {x} WHERE {key} = {y}",
            f"UPDATE q SET n = coalesce(n, 0) + 1 WHERE {self.one_of('id', 'p')} = {x}",
            f"UPDATE p SET a = a + 1 WHERE id = {x} % 10",
            f"DELETE FROM {other} WHERE {key} = {x}",
            f"DELETE FROM r WHERE q = {x}",
            f"INSERT OR IGNORE INTO tot VALUES({x}, 0, '')",
            f"INSERT INTO tot VALUES({x}, 1, '') ON CONFLICT(g) DO UPDATE SET n = n + 1, s = s || {y}",
            f"INSERT OR REPLACE INTO tot VALUES({x}, {y}, 'r')",
            f"INSERT INTO r(q, v) VALUES({x}, {y})",
            f"INSERT INTO q(p, n) SELECT id, 5 FROM p WHERE id = {x}",
            f"UPDATE tot SET n = (SELECT count(*) FROM {table}) WHERE g = {x}",
            f"SELECT RAISE({raised}) WHERE {x} = {self.one_of('5', '77', '500')}",
        )

    # -- statements ------------------------------------------------------------------------------

    def value(self) -> str:
        number = str(self.random.randrange(self.rows))
        letter = f"'{self.random.choice('abAB')}{self.random.randrange(9)}'"
        return self.one_of(
            number, number, str(self.random.randrange(20)), "NULL", letter, "2.5", "x'01'", f"'{number}'"
        )  # fmt: skip

    def insert(self, table: str, first: int, count: int, verb: str = "INSERT") -> str:
        values = {
            "p": ("i", f"i % {self.one_of('3', '10', '50')}", self.one_of("'b' || (i % 9)", "i", "NULL"),
                  self.one_of("i", "i % 1000", "NULL", "i * 2")),
            "q": ("i", self.one_of("i", "i % 50", "NULL", "i / 2", "1"), "i % 5",
                  self.one_of("NULL", "i", "'x'")),
            "r": ("i", self.one_of("i", "i / 3", "NULL"), self.one_of("i", "i + 20", "i % 7")),
        }[table]  # fmt: skip
        where = " WHERE i % 3" if self.chance(0.2) else ""
        return (
            f"{verb} INTO {table} WITH RECURSIVE s(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM s"
            f" LIMIT {count}) SELECT {', '.join(values)} FROM s{where}"
        )

    def statements(self) -> list[str]:
        rows = self.rows
        filled = [self.insert("p", 1, rows), self.insert("q", 1, rows)]
        return [
            *filled,
            self.insert("r", 1, max(1, rows // 2)),
            *(self.statement() for _ in range(14)),
        ]

    def statement(self) -> str:
        rows = self.rows
        table = self.random.choice("pppqqr")
        key, *columns = TABLES[table]
        column = self.random.choice(columns)
        where = self.one_of(
            *(f"{key} % 3 = 1", f"{key} BETWEEN {self.value()} AND {self.value()}", f"{key} > {rows // 2}"),
            *(f"{column} = {self.value()}", f"{key} IN (SELECT id FROM p WHERE a = 2)"),
            *(f"{key} = {self.random.randrange(rows + 1)}", f"{column} IS NOT NULL", "1"),
        )  # fmt: skip
        roll = self.random.random()
        if roll < 0.3:
            verb = self.one_of("UPDATE", "UPDATE", "UPDATE OR IGNORE", "UPDATE OR REPLACE")
            new = self.one_of(self.value(), f"{column} + 1", key, f"{key} + 1")
            return f"{verb} {table} SET {column} = {new} WHERE {where}"
        if roll < 0.36:
            return (
                f"UPDATE {table} SET {key} = {key} + {self.one_of('0', '1', '5000')} WHERE {where}"
            )
        if roll < 0.6:
            return f"DELETE FROM {table} WHERE {where}"
        if roll < 0.85:
            verb = self.one_of(
                "INSERT", "INSERT", "INSERT OR IGNORE", "INSERT OR REPLACE", "REPLACE"
            )
            first = self.random.choice((1, rows, rows // 2, rows + 1, 2 * rows))
            return self.insert(table, first, self.random.choice((1, rows // 2 + 1, rows)), verb)
        if roll < 0.9:
            row, other = (f"({self.random.randrange(rows * 2)}, {self.value()})" for _ in range(2))
            upsert = f" ON CONFLICT DO UPDATE SET {column} = excluded.{column}"
            return f"INSERT INTO {table}({key}, {column}) VALUES{row}, {other}{upsert}"
        if roll < 0.95:
            return f"INSERT INTO {table}({column}) VALUES({self.value()})"
        return self.one_of(
            "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT s", "ROLLBACK TO s", "RELEASE s"
        )


def in_key_order(statement: str) -> str:
    """The statement as sqlite3 is told it: in the order of the rows' keys, which is kvsh's."""
    return _BEFORE_ORDER.sub(r"\1 \2 NOT INDEXED", statement)
