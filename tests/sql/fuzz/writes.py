"""Random schemas and random writing statements, run in kvsh's SQL layer and in sqlite3.

A run is made from one seed and is as long as asked for.  Tables get constraints of all kinds, indexes,
triggers and foreign keys, views INSTEAD OF triggers; statements insert a few rows or many, update, delete and
upsert, mostly with values that collide, in transactions and savepoints, between them ALTER TABLE and indexes.  Rowids at the end of 64 bits are left out, where both engines choose at random.
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
STRICT_TYPES = ["INTEGER", "TEXT", "REAL", "BLOB", "ANY", "INT"]
ACTIONS = ["", "CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT", "NO ACTION"]


class Fuzz:
    """One run's statements, from `statements()`."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.keys = Random(seed)  # apart, so that seeds keep their other statements
        self.columns: dict[str, list[str]] = {}
        self.generated: dict[str, list[str]] = {}
        self.uniques: dict[str, list[str]] = {}
        self.indexes = 0
        self.added = 0

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
        for _ in range(self.random.randint(0, 4)):
            made.append(self.index(self.random.choice(names)))
        made.append("CREATE TABLE log(n INTEGER PRIMARY KEY, what, x, y)")
        for number in range(self.random.choice([0, 0, 1, 2, 4])):
            made.append(self.trigger(number, self.random.choice(names)))
        if self.chance(0.3):
            made += self.view(self.random.choice(names))
        return made

    def view(self, table: str) -> list[str]:
        """A view that writes go through to its table."""
        columns = self.columns[table]
        first, *others = columns
        values = ", ".join(f"NEW.{column}" for column in columns)
        changes = ", ".join(f"{column} = NEW.{column}" for column in others)
        where = self.one_of("", f" WHERE {first} IS NOT NULL")
        made = [
            f"CREATE VIEW w AS SELECT {', '.join(columns)} FROM {table}{where}",
            f"CREATE TRIGGER wi INSTEAD OF INSERT ON w BEGIN"
            f" INSERT INTO {table}({', '.join(columns)}) VALUES({values}); END",
            f"CREATE TRIGGER wu INSTEAD OF UPDATE ON w BEGIN"
            f" UPDATE {table} SET {changes} WHERE {first} IS OLD.{first}; END",
            f"CREATE TRIGGER wd INSTEAD OF DELETE ON w BEGIN"
            f" DELETE FROM {table} WHERE {first} = OLD.{first}; END",
        ]
        self.columns["w"], self.generated["w"], self.uniques["w"] = columns, [], []
        return made

    def table(self, name: str) -> str:
        columns, parts, generated = [], [], []
        uniques: list[str] = []
        clustered = self.chance(0.25)
        strict = self.chance(0.1)
        has_key = clustered or self.chance(0.7)
        is_collated = clustered and self.keys.random() < 0.4
        key_conflict = ""
        for number in range(self.random.randint(2, 4)):
            column = "abcd"[number]
            columns.append(column)
            kind = self.random.choice(STRICT_TYPES if strict else TYPES)
            text = column
            if number == 0 and has_key and not clustered and self.chance(0.6):
                parts.append(f"{column} INTEGER PRIMARY KEY{self.random.choice(ON_CONFLICTS)}")
                uniques.append(column)
                continue
            text += f" {kind}"
            if number == 0 and has_key:
                key_conflict = self.random.choice(ON_CONFLICTS)
                text += "" if is_collated else f" PRIMARY KEY{key_conflict}"
                uniques.append(column)
                if kind == "INTEGER" and not clustered and self.chance(0.3):
                    text += " AUTOINCREMENT"
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
            # sqlite3 finds no INTEGER PRIMARY KEY for a REAL, not for 1.0 either.
            if self.chance(0.15) and self.columns and kind != "REAL":
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
            parts.append(
                f"g {self.one_of('ANY', 'TEXT') if strict else self.one_of('', 'TEXT')} AS ({columns[-1]} || 'g') {kind}"
            )
            generated.append("g")
        if is_collated:
            key = self.keys.sample(columns, self.keys.randint(1, 2))
            collations = ("", " COLLATE NOCASE", " COLLATE RTRIM", " COLLATE BINARY")
            uniques[0] = ", ".join(key)
            key = [f"{column}{self.keys.choice(collations)}" for column in key]
            parts.append(f"PRIMARY KEY ({', '.join(key)}){key_conflict}")
        if self.chance(0.2):
            pair = ", ".join(self.random.sample(columns, 2))
            parts.append(f"UNIQUE({pair}){self.random.choice(ON_CONFLICTS)}")
        self.columns[name], self.generated[name] = columns, generated
        self.uniques[name] = uniques
        options = ["WITHOUT ROWID"] * clustered + ["STRICT"] * strict
        return f"CREATE TABLE {name}({', '.join(parts)}) {', '.join(options)}".rstrip()

    def index(self, table: str) -> str:
        number, self.indexes = self.indexes, self.indexes + 1
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
        if self.chance(0.1):
            other = self.random.choice(list(self.columns))
            found = f"SELECT {self.random.choice(self.columns[other])} FROM {other}"
            return self.one_of(f"{column} IN ({found})", f"{column} NOT IN ({found} WHERE 0)")
        if self.chance(0.1):
            return f"({self.condition(table)} {self.one_of('AND', 'OR')} {self.condition(table)})"
        if self.chance(0.1):
            return self.one_of(
                f"{column} IN ({self.value()}, {self.value()}, 2)",
                f"{column} BETWEEN {self.value()} AND {self.value()}",
                f"{column} LIKE '%a%'",
                f"{column} IS NOT NULL",
            )
        operator = self.one_of("=", "<", ">", "IS", "<>", ">=")
        return f"{column} {operator} {self.value()}"

    def statement(self) -> str:
        table = self.random.choice(list(self.columns))
        kind = self.random.random()
        if kind < 0.5:
            return self.insert(table)
        if kind < 0.74:
            return self.update(table)
        if kind < 0.88:
            where = f" WHERE {self.condition(table)}" if self.chance(0.9) else ""
            return f"DELETE FROM {table}{where}{self.returning(table)}"
        if kind < 0.92:
            return self.query(table)
        if kind < 0.95:
            return self.one_of("BEGIN", "COMMIT", "ROLLBACK", "COMMIT", "BEGIN IMMEDIATE", "END")
        if kind < 0.98:
            name = self.one_of("s", "s", "u")
            return self.one_of(f"SAVEPOINT {name}", f"RELEASE {name}", f"ROLLBACK TO {name}")
        return self.alteration(table)

    def returning(self, table: str) -> str:
        if (
            self.chance(0.88) or table == "w"
        ):  # sqlite3 returns NULL for what a view's UPDATE leaves as it is
            return ""
        column = self.random.choice(self.columns[table])
        return self.one_of(" RETURNING *", f" RETURNING {column} AS r, typeof({column}), 1 + 1")

    def query(self, table: str) -> str:
        column, other = (
            self.random.choice(self.columns[table]),
            self.random.choice(self.columns[table]),
        )
        where = self.condition(table)
        return self.one_of(
            f"SELECT count(*), count({column}), min({other}) FROM {table} WHERE {where}",
            f"SELECT {column}, {other} FROM {table} WHERE {where}",
            f"SELECT count(*) FROM {table} AS x JOIN {table} AS y ON x.{column} = y.{other}",
        )

    def alteration(self, table: str) -> str:
        """A change of the schema; what follows does not depend on whether it is refused."""
        column = self.random.choice(self.columns[table])
        self.added += 1
        default = self.one_of(
            "", " DEFAULT 7", " DEFAULT 'x'", " NOT NULL DEFAULT 1", " NOT NULL", " UNIQUE"
        )
        return self.one_of(
            f"ALTER TABLE {table} ADD COLUMN n{self.added} {self.random.choice(TYPES)}{default}",
            f"ALTER TABLE {table} ADD COLUMN n{self.added} AS ({column} || 'n')",
            f"ALTER TABLE {table} DROP COLUMN {column}",
            f"ALTER TABLE {table} RENAME COLUMN {column} TO z{self.added}",
            f"ALTER TABLE {table} RENAME TO x{self.added}",
            self.index(table) if table != "w" else "DROP VIEW w",
            f"DROP INDEX i{self.random.randint(0, 4)}",
            f"CREATE TABLE c{self.added} AS SELECT * FROM {table} WHERE {self.condition(table)}"
            f" ORDER BY {', '.join(self.columns[table])}",
            "REINDEX",
            f"DROP TRIGGER r{self.random.randint(0, 3)}",
            f"DROP TABLE {table}",
        )

    def insert(self, table: str) -> str:
        columns = self.columns[table]
        listed = ""
        if self.chance(0.3):
            columns = self.random.sample(columns, self.random.randint(1, len(columns)))
            listed = f"({', '.join(columns)})"
        many = self.random.choice([1, 1, 2, 3, 9, 20])
        rows = ", ".join(self.row(len(columns)) for _ in range(many))
        source = f"VALUES{rows}"
        if self.chance(0.02):
            return f"INSERT{self.random.choice(CONFLICTS)} INTO {table} DEFAULT VALUES"
        if self.chance(0.1):
            other = self.random.choice(list(self.columns))
            picked = [self.random.choice(self.columns[other]) for _ in columns]
            order = ", ".join(self.columns[other])
            source = f"SELECT {', '.join(picked)} FROM {other} WHERE true ORDER BY {order}"
            if self.chance(0.3):
                source = (
                    f"WITH q AS (SELECT * FROM {other}) {source.replace(f'FROM {other}', 'FROM q')}"
                )
        upsert = ""
        if self.chance(0.2) and table != "w":
            target = ""
            if self.uniques[table] and self.chance(0.7):
                target = f"({self.random.choice(self.uniques[table])})"
            if self.chance(0.5):
                upsert = f" ON CONFLICT{target} DO NOTHING"
            else:
                changed = self.random.choice(self.columns[table])
                value = self.one_of("excluded." + changed, f"{changed} + 1", self.value())
                upsert = f" ON CONFLICT{target} DO UPDATE SET {changed} = {value}"
                if self.chance(0.3):
                    upsert += f" WHERE {table}.{changed} IS NOT {self.value()}"
        if not upsert and self.chance(0.05):
            return f"REPLACE INTO {table}{listed} {source}{self.returning(table)}"
        return (
            f"INSERT{self.random.choice(CONFLICTS)} INTO {table}{listed} {source}"
            f"{upsert}{self.returning(table)}"
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
        conflict = self.random.choice(CONFLICTS)
        if self.chance(0.06):
            columns = ", ".join(self.random.sample(self.columns[table], 2))
            settings = [
                f"({columns}) = ({self.value()}, {self.random.choice(self.columns[table])})"
            ]
        source = ""
        other = self.random.choice([name for name in self.columns if name != table] or ["log"])
        if self.chance(0.1) and other != "log":
            # One row alone: of several that match, any may be taken.
            found = self.random.choice(self.columns[other])
            source = f" FROM (SELECT max({found}) AS m, count(*) AS k FROM {other}) AS f"
            settings[0] = f"{settings[0].split(' = ')[0]} = {self.one_of('f.m', 'f.k')}"
            if settings[0].startswith("("):
                settings[0] = settings[0].split(" = ")[0] + " = (f.m, f.k)"
            if where:
                where = f" WHERE {table}.{self.random.choice(self.columns[table])} <> f.k"
        return f"UPDATE{conflict} {table} SET {', '.join(settings)}{source}{where}{self.returning(table)}"

    def statements(self, count: int) -> list[str]:
        """Definitions and `count` statements."""
        return [*self.definitions(), *[self.statement() for _ in range(count)]]
