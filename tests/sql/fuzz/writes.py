"""Random schemas and random writing statements, run in kvsh's SQL layer and in sqlite3.

A run is made from one seed and is as long as asked for.  Tables get constraints of all kinds, indexes,
triggers and foreign keys; statements insert a few rows or many, update, delete and upsert, mostly with
values that collide.  Rowids at the end of 64 bits are left out, where both engines choose at random.
"""

from __future__ import annotations

from random import Random

VALUES = [
    "NULL",
    "0",
    "1",
    "2",
    "3",
    "-1",
    "1.0",
    "2.5",
    "'1'",
    "'a'",
    "'A'",
    "'b'",
    "'x y'",
    "x'61'",
]
TYPES = ["INTEGER", "TEXT", "REAL", "", "NUMERIC", "BLOB", "INT"]
CONFLICTS = ["", "", "", " OR IGNORE", " OR REPLACE", " OR FAIL", " OR ABORT"]
ON_CONFLICTS = ["", "", "", "", " ON CONFLICT IGNORE", " ON CONFLICT REPLACE", " ON CONFLICT FAIL"]
ACTIONS = ["", "CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT", "NO ACTION"]


class Fuzz:
    """One run's statements, from `statements()`."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.columns: dict[str, list[str]] = {}
        self.generated: dict[str, list[str]] = {}
        self.uniques: dict[str, list[str]] = {}

    def one_of(self, *items: str) -> str:
        return self.random.choice(items)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    # -- definitions -----------------------------------------------------------------------------

    def definitions(self) -> list[str]:
        made = []
        if self.chance(0.4):
            made.append("PRAGMA foreign_keys = ON")
        if self.chance(0.3):
            made.append("PRAGMA recursive_triggers = ON")
        names = ["t0", "t1", "t2"][: self.random.randint(1, 3)]
        for name in names:
            made.append(self.table(name))
        for number in range(self.random.randint(0, 4)):
            made.append(self.index(number, self.random.choice(names)))
        made.append("CREATE TABLE log(n INTEGER PRIMARY KEY, what, x, y)")
        for number in range(self.random.choice([0, 0, 1, 2, 4])):
            made.append(self.trigger(number, self.random.choice(names)))
        return made

    def table(self, name: str) -> str:
        columns, parts, generated = [], [], []
        uniques: list[str] = []
        clustered = self.chance(0.25)
        has_key = clustered or self.chance(0.7)
        for number in range(self.random.randint(2, 4)):
            column = "abcd"[number]
            columns.append(column)
            kind = self.random.choice(TYPES)
            text = column
            if number == 0 and has_key and not clustered and self.chance(0.6):
                parts.append(f"{column} INTEGER PRIMARY KEY{self.random.choice(ON_CONFLICTS)}")
                uniques.append(column)
                continue
            text += f" {kind}"
            if number == 0 and has_key:
                text += f" PRIMARY KEY{self.random.choice(ON_CONFLICTS)}"
                uniques.append(column)
            elif self.chance(0.3):
                text += f" UNIQUE{self.random.choice(ON_CONFLICTS)}"
                uniques.append(column)
            if self.chance(0.2):
                text += f" NOT NULL{self.random.choice(ON_CONFLICTS)}"
            if self.chance(0.2):
                text += f" DEFAULT {self.one_of('1', '2', chr(39) + 'd' + chr(39))}"
            if self.chance(0.15):
                text += f" CHECK({column} <> 3)"
            if self.chance(0.15):
                text += " COLLATE NOCASE"
            if self.chance(0.15) and self.columns:
                parent = self.random.choice(list(self.columns))
                if self.uniques[parent]:
                    text += f" REFERENCES {parent}({self.random.choice(self.uniques[parent])})"
                    action = self.random.choice(ACTIONS)
                    text += f" ON DELETE {action}" if action else ""
                    action = self.random.choice(ACTIONS)
                    text += f" ON UPDATE {action}" if action else ""
                    text += " DEFERRABLE INITIALLY DEFERRED" if self.chance(0.3) else ""
            parts.append(text)
        if self.chance(0.2):
            kind = self.one_of("VIRTUAL", "STORED")
            parts.append(f"g {self.one_of('', 'TEXT')} AS ({columns[-1]} || 'g') {kind}")
            generated.append("g")
        if self.chance(0.2):
            pair = ", ".join(self.random.sample(columns, 2))
            parts.append(f"UNIQUE({pair}){self.random.choice(ON_CONFLICTS)}")
        self.columns[name], self.generated[name] = columns, generated
        self.uniques[name] = uniques
        return f"CREATE TABLE {name}({', '.join(parts)}){' WITHOUT ROWID' if clustered else ''}"

    def index(self, number: int, table: str) -> str:
        columns = [*self.columns[table], *self.generated[table]]
        keys = [
            self.random.choice(columns) + self.one_of("", "", " COLLATE NOCASE", " DESC")
            for _ in range(self.random.randint(1, 2))
        ]
        if self.chance(0.15):
            keys[0] = f"{self.random.choice(columns)} || 'e'"
        where = ""
        if self.chance(0.2):
            where = f" WHERE {self.random.choice(columns)} > 0"
        unique = " UNIQUE" if self.chance(0.4) else ""
        return f"CREATE{unique} INDEX i{number} ON {table}({', '.join(keys)}){where}"

    def trigger(self, number: int, table: str) -> str:
        event = self.one_of("INSERT", "UPDATE", "DELETE")
        timing = self.one_of("BEFORE", "AFTER")
        row = "OLD" if event == "DELETE" else "NEW"
        column = self.random.choice(self.columns[table])
        bodies = [
            f"INSERT INTO log(what, x, y) VALUES('{event}{number}', {row}.{column}, changes())"
        ]
        other = self.random.choice(list(self.columns))
        mine = self.random.choice(self.columns[other])
        kind = self.random.random()
        if kind < 0.15:
            bodies.append(f"DELETE FROM {other} WHERE {mine} = {row}.{column}")
        elif kind < 0.3:
            bodies.append(
                f"UPDATE{self.random.choice(CONFLICTS)} {other} SET {mine} = {row}.{column}"
                f" WHERE {self.random.choice(self.columns[other])} = 2"
            )
        elif kind < 0.4:
            bodies.append(f"INSERT OR IGNORE INTO {other}({mine}) VALUES({row}.{column})")
        elif kind < 0.5:
            raised = self.one_of("IGNORE", "ABORT, 'no'", "FAIL, 'no'")
            bodies.append(f"SELECT RAISE({raised}) WHERE {row}.{column} = 2")
        when = f" WHEN {row}.{column} IS NOT 1" if self.chance(0.3) else ""
        body = "; ".join(bodies)
        return f"CREATE TRIGGER r{number} {timing} {event} ON {table}{when} BEGIN {body}; END"

    # -- statements ------------------------------------------------------------------------------

    def value(self) -> str:
        if self.chance(0.2):
            return str(self.random.randint(0, 40))
        return self.random.choice(VALUES)

    def row(self, count: int) -> str:
        return f"({', '.join(self.value() for _ in range(count))})"

    def condition(self, table: str) -> str:
        column = self.random.choice(self.columns[table])
        operator = self.one_of("=", "<", ">", "IS", "<>", ">=")
        return f"{column} {operator} {self.value()}"

    def statement(self) -> str:
        table = self.random.choice(list(self.columns))
        kind = self.random.random()
        if kind < 0.55:
            return self.insert(table)
        if kind < 0.8:
            return self.update(table)
        if kind < 0.97:
            where = f" WHERE {self.condition(table)}" if self.chance(0.9) else ""
            returning = " RETURNING *" if self.chance(0.1) else ""
            return f"DELETE FROM {table}{where}{returning}"
        return self.one_of("BEGIN", "COMMIT", "ROLLBACK", "COMMIT")

    def insert(self, table: str) -> str:
        columns = self.columns[table]
        listed = ""
        if self.chance(0.3):
            columns = self.random.sample(columns, self.random.randint(1, len(columns)))
            listed = f"({', '.join(columns)})"
        many = self.random.choice([1, 1, 2, 3, 9, 20])
        rows = ", ".join(self.row(len(columns)) for _ in range(many))
        source = f"VALUES{rows}"
        if self.chance(0.1):
            other = self.random.choice(list(self.columns))
            picked = [self.random.choice(self.columns[other]) for _ in columns]
            order = ", ".join(self.columns[other])
            source = f"SELECT {', '.join(picked)} FROM {other} WHERE true ORDER BY {order}"
        upsert = ""
        if self.chance(0.2):
            target = ""
            if self.uniques[table] and self.chance(0.7):
                target = f"({self.random.choice(self.uniques[table])})"
            if self.chance(0.5):
                upsert = f" ON CONFLICT{target} DO NOTHING"
            else:
                changed = self.random.choice(self.columns[table])
                value = self.one_of("excluded." + changed, f"{changed} + 1", self.value())
                upsert = f" ON CONFLICT{target} DO UPDATE SET {changed} = {value}"
        returning = " RETURNING *" if self.chance(0.1) else ""
        return (
            f"INSERT{self.random.choice(CONFLICTS)} INTO {table}{listed} {source}"
            f"{upsert}{returning}"
        )

    def update(self, table: str) -> str:
        settings = []
        for column in self.random.sample(self.columns[table], self.random.randint(1, 2)):
            other = self.random.choice(self.columns[table])
            value = self.one_of(
                self.value(), self.value(), other, f"{other} + 1", f"{other} || 'u'"
            )
            settings.append(f"{column} = {value}")
        where = f" WHERE {self.condition(table)}" if self.chance(0.8) else ""
        returning = " RETURNING *" if self.chance(0.1) else ""
        conflict = self.random.choice(CONFLICTS)
        return f"UPDATE{conflict} {table} SET {', '.join(settings)}{where}{returning}"

    def statements(self, count: int) -> list[str]:
        """Definitions and `count` statements."""
        return [*self.definitions(), *[self.statement() for _ in range(count)]]
