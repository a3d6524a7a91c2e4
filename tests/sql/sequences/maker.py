"""Chooses the next step by what the oracle has by now: its tables, their columns and rows, open transactions."""

from __future__ import annotations

import random
import re

from tests.sql.sequences import grammar, statements
from tests.sql.sequences.pair import Pair
from tests.sql.sequences.statements import Table, letter, rendered
from tests.sql.sequences.steps import Do, Many, Raw, Script, Settings, Sql, Step

_TYPES = {
    "a": ("INTEGER", "INTEGER", "", "INT", "NUMERIC"),
    "b": ("TEXT", "TEXT", "", "TEXT COLLATE NOCASE", "VARCHAR(9) COLLATE RTRIM"),
    "c": ("REAL", "REAL", "", "NUMERIC", "DECIMAL(9, 2)"),
    "d": ("", "BLOB", "TEXT", "NUMERIC", "INTEGER"),
    "e": ("INTEGER", "", "TEXT", "REAL"),
}
_BEFORE_ORDER = re.compile(r"^(UPDATE(?: OR \w+)?|DELETE FROM) (\w+)")


def settings(rng: random.Random, rows_max: int) -> Settings:
    """How a sequence's file is opened; small pages for small tables, so that these are trees, too."""
    pages = (8192, 8192, 2048, 1024) if rows_max > 3000 else (8192, 2048, 512, 256)
    return Settings(
        page_bytes=rng.choice(pages),
        cache_bytes=rng.choice((64 << 10, 1 << 20, 2 << 20, 16 << 20, 256 << 20)),
        scans_once=rng.random() < 0.3,
        durability=rng.choice(("full", "normal", "off", "off")),
        shares_transactions=rng.random() < 0.6,
        isolation_level=rng.choice((None, "", "IMMEDIATE")),
    )


class Maker:
    """Makes steps for `pair`, tables of at most about `rows_max` rows."""

    def __init__(self, rng: random.Random, pair: Pair, rows_max: int) -> None:
        self.rng, self.pair, self.rows_max = rng, pair, rows_max
        self.templates: list[str] = []
        self.made = 0  # names
        self.queue: list[Step] = []
        self.keys_share = rng.choice((0.0, 0.05, 0.4))  # how many of the steps are about raw keys
        self.has_foreign_keys = rng.random() < 0.25

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    # -- what there is ---------------------------------------------------------------------------

    def tables(self, who: str = "a") -> list[Table]:
        """The tables as the connection sees them."""
        oracle = self.pair.oracle[who]
        found = []
        for schema in ("sqlite_master", "sqlite_temp_master") if who == "a" else ("sqlite_master",):
            for name, sql in oracle.execute(
                f"SELECT name, sql FROM {schema} WHERE type = 'table' AND name LIKE 't%' ORDER BY name"
            ).fetchall():
                columns = oracle.execute(f"PRAGMA table_info({name})").fetchall()
                key = [column[1] for column in sorted(columns, key=lambda c: c[5]) if column[5]]
                has_rowid = "WITHOUT ROWID" not in sql
                (rows,) = oracle.execute(f"SELECT count(*) FROM {name}").fetchone()
                names = tuple(column[1] for column in columns)
                if "id" in names:
                    found.append(
                        Table(
                            name, names, "rowid" if has_rowid else ", ".join(key), has_rowid, rows
                        )
                    )
        return found

    def named(self, kind: str) -> list[str]:
        """Names of all indexes, views or triggers that a statement made."""
        return [
            name
            for schema in ("sqlite_master", "sqlite_temp_master")
            for (name,) in self.pair.oracle["a"].execute(
                f"SELECT name FROM {schema} WHERE type = ? AND sql IS NOT NULL ORDER BY name",
                (kind,),
            )
        ]

    def new_name(self, prefix: str) -> str:
        self.made += 1
        return f"{prefix}{self.made}"

    # -- choosing --------------------------------------------------------------------------------

    def next(self) -> Step:
        """A step that makes sense by now."""
        if self.queue:
            return self.queue.pop(0)
        tables = self.tables()
        if not tables or (len(tables) < 4 and self.chance(0.03)):
            return self.new_table()
        if self.chance(self.keys_share):
            self.queue += [self.raw() for _ in range(self.rng.choice((0, 2, 8)))]
            return self.raw()
        if self.pair.oracle["a"].in_transaction and self.chance(0.06):
            return Sql(self.rng.choice(("COMMIT", "COMMIT", "ROLLBACK")))
        rng = self.rng
        roll = rng.random()
        if roll < 0.47:
            return self.query(tables)
        if roll < 0.70:
            return self.change(tables)
        if roll < 0.75:
            return self.bulk(rng.choice(tables))
        if roll < 0.83:
            return self.transaction()
        if roll < 0.88:
            return self.definition(tables)
        if roll < 0.93:
            return self.others()
        if roll < 0.96:
            return self.query(tables)
        return self.maintenance(tables)

    def query(self, tables: list[Table]) -> Step:
        if not self.templates or self.chance(0.25):
            self.templates.append(self.template(tables))
            if len(self.templates) > 30:
                self.templates.pop(self.rng.randrange(30))
        template = self.rng.choice(self.templates[-12:] if self.chance(0.7) else self.templates)
        step = self.use(template)
        is_ordered = template.startswith("SELECT") and "ORDER BY" in template.rpartition(")")[2]
        if is_ordered and not step.parameters and self.chance(0.1):
            return Do("hold", step.text)
        if self.chance(0.08):
            self.watch(template, tables)
        for _ in range(self.rng.choice((0, 0, 0, 1, 2, 4))):
            self.queue.append(self.use(template))
        return step

    def watch(self, template: str, tables: list[Table]) -> None:
        """Ask often between small changes: what is kept of columns and rows is carried over these."""
        for _ in range(4):
            self.queue += [self.use(template) for _ in range(self.rng.choice((1, 3)))]
            self.queue.append(self.change(tables))

    def template(self, tables: list[Table]) -> str:
        views = self.named("view")
        t, u = self.rng.choice(tables), self.rng.choice(tables)
        if views and self.chance(0.15):
            return f"SELECT * FROM {self.rng.choice(views)} WHERE id = {{i}}"
        return (grammar if self.chance(0.5) else statements).query(self.rng, t, u)

    def use(self, template: str, who: str = "a", lifted: float = 0.6) -> Sql:
        """The template's statement with values; `lifted`: how often these are parameters."""
        text, parameters = rendered(self.rng, template, self.rows_max, lifted=self.chance(lifted))
        return Sql(text, parameters, who, _in_key_order(text))

    def change(self, tables: list[Table]) -> Step:
        t, u = self.rng.choice(tables), self.rng.choice(tables)
        if self.chance(0.5):
            known = [one for one in self.templates if not one.startswith(("SELECT", "WITH"))]
            template = self.rng.choice(known) if known else statements.change(self.rng, t, u)
        else:
            source = grammar if self.chance(0.4) else statements
            template = source.change(self.rng, t, u)
            self.templates.insert(self.rng.randrange(len(self.templates) + 1), template)
        if self.chance(0.03):
            return Script(tuple(self.use(template, lifted=0.0).text for _ in range(20)))
        step = self.use(template)
        for _ in range(self.rng.choice((0, 0, 0, 1, 3))):
            self.queue.append(self.use(template))
        return step

    def bulk(self, t: Table) -> Step:
        rng = self.rng
        room = self.rows_max - t.rows
        kinds = "".join("I" if column == "id" else letter(column) for column in t.columns)
        count = rng.choice((3, 9, 40, 300, self.rows_max // 3, self.rows_max))
        if room > count or (room > 0 and self.chance(0.5)):
            count = min(count, max(room, 3))
            start = rng.choice((0, t.rows, rng.randrange(self.rows_max), self.rows_max // 2))
            verb = rng.choice(("INSERT", "INSERT OR REPLACE", "INSERT OR IGNORE", "INSERT"))
            places = ", ".join("?" * len(t.columns))
            upsert = ""
            if verb == "INSERT" and self.chance(0.4):
                x = rng.choice(t.others())
                upsert = f" ON CONFLICT DO UPDATE SET {x} = excluded.{x}"
            return Many(
                f"{verb} INTO {t.name} VALUES({places}){upsert}",
                kinds,
                rng.randrange(1 << 20),
                start,
                count,
            )
        x = rng.choice(t.others())
        many = Many("", "", rng.randrange(1 << 20), 0, rng.choice((2, 40, 500)))
        text, made = rng.choice(
            (
                (f"UPDATE {t.name} SET {x} = ? WHERE id = ?", letter(x) + "i"),
                (f"DELETE FROM {t.name} WHERE id = ?", "i"),
                (
                    f"UPDATE {t.name} SET {x} = ? WHERE {t.columns[-1]} = ?",
                    letter(x) + letter(t.columns[-1]),
                ),
                ("", ""),
                ("", ""),
            )
        )
        if text:
            return many._replace(text=text, kinds=made)
        others = self.tables()
        u = rng.choice(others)
        verb = rng.choice(("INSERT OR IGNORE", "REPLACE", "INSERT OR REPLACE"))
        picked = ", ".join(
            rng.choice(("id", "id + 7")) if column == "id" else u.column(rng, letter(column))
            for column in t.columns
        )
        text = (
            f"{verb} INTO {t.name} SELECT {picked} FROM {u.name} WHERE id > {{i}} ORDER BY {u.key}"
        )
        if self.chance(0.3):
            where = rng.choice(("id % 3 = {n}", "id < {i}", "id >= {i}", "1"))
            text = f"DELETE FROM {t.name} WHERE {where}"
        elif room < -self.rows_max:
            text = f"DELETE FROM {t.name}"
        return self.use(text)

    # -- transactions, other connections, what is no SQL -----------------------------------------

    def transaction(self) -> Step:
        rng = self.rng
        if not self.pair.oracle["a"].in_transaction:
            return Sql(
                rng.choice(("BEGIN", "BEGIN IMMEDIATE", "BEGIN", "SAVEPOINT s", "SAVEPOINT u"))
            )
        roll = rng.random()
        if roll < 0.3:
            return Sql("COMMIT") if self.chance(0.7) else Do("end", "commit")
        if roll < 0.42:
            return Sql("ROLLBACK") if self.chance(0.7) else Do("end", "rollback")
        name = rng.choice(("s", "s", "u"))
        verb = rng.choice(("SAVEPOINT", "SAVEPOINT", "RELEASE", "ROLLBACK TO", "ROLLBACK TO"))
        return Sql(f"{verb} {name}")

    def others(self) -> Step:
        """What another connection does: looks, in a snapshot or not, and now and then writes a little."""
        rng = self.rng
        who = rng.choice("bc")
        tables = self.tables(who)
        if not tables:
            return Do("contents", who=who)
        oracle = self.pair.oracle[who]
        roll = rng.random()
        if roll < 0.25:
            if oracle.in_transaction:
                return Sql(rng.choice(("COMMIT", "COMMIT", "ROLLBACK")), who=who)
            self.queue.append(Sql(f"SELECT count(*) FROM {tables[0].name}", who=who))
            return Sql("BEGIN", who=who)
        if roll < (0.6 if oracle.in_transaction else 0.35):
            return Do("contents", who=who)
        if roll < 0.75 or oracle.in_transaction or self.pair.oracle["a"].in_transaction:
            known = [
                one
                for one in self.templates
                if one.startswith(("SELECT", "WITH")) and "f(" not in one
            ]
            if known and self.chance(0.6):
                template = rng.choice(known)
            else:
                template = statements.query(rng, rng.choice(tables), rng.choice(tables)).replace(
                    "f(", "abs("
                )
            self.queue += [self.use(template, who) for _ in range(rng.randrange(3))]
            return self.use(template, who)
        t = rng.choice(tables)
        if roll < 0.9:
            return self.use(statements.change(rng, t, rng.choice(tables)), who)
        self.made += 1
        return Sql(
            rng.choice(
                (
                    f"CREATE INDEX i{self.made} ON {t.name}({rng.choice(t.columns)})",
                    f"ALTER TABLE {t.name} ADD COLUMN d{self.made} DEFAULT {rng.choice((7, 2.5))}",
                    f"DELETE FROM {t.name} WHERE id % 2",
                )
            ),
            who=who,
        )

    def raw(self) -> Step:
        rng = self.rng
        key = f"k{rng.randrange(rng.choice((6, 6, 200)))}"
        seed = rng.randrange(1 << 20)
        count = rng.choice((3, 50, min(4000, self.rows_max)))
        looks = (
            *[Raw("get", (key,))] * 6,
            Raw("scan", ("k", "l", self.chance(0.5), rng.choice((None, 5)))),
            Raw("scan", (key, "l", self.chance(0.5), 9)),
            Raw("count", ("k1", key)),
            Sql("SELECT * FROM kv WHERE key = ?", (key,)),
            Sql("SELECT key, length(value) FROM kv WHERE key > ? ORDER BY key LIMIT 5", (key,)),
            Sql("SELECT count(*), max(key) FROM kv"),
        )
        if not self.can_put() or self.chance(0.5):
            return rng.choice(looks)
        if self.chance(0.3):
            who = rng.choice("abc" if not self.pair.oracle["a"].in_transaction else "a")
            if not self.pair.oracle[who].in_transaction or who == "a":
                return self.keys_by_sql(who)
        return rng.choice(
            (
                Raw("put", (key, f"v{seed}")),
                Raw("put", (key, f"v{seed}" * rng.choice((1, 1, 300)))),
                Raw("delete", (key,)),
                Raw("update", (seed, count, "k")),
                Raw("puts", (seed, count, "k")),
            )
        )

    def keys_by_sql(self, who: str) -> Step:
        """A statement that writes keys; of the connection `c`, it is another process's."""
        template = self.rng.choice(
            (
                "INSERT OR REPLACE INTO kv VALUES('k' || {i}, 'x' || {i})",
                "INSERT INTO kv VALUES('k' || {n}, 'y') ON CONFLICT DO UPDATE SET value = value || 'z'",
                "DELETE FROM kv WHERE key = 'k' || {i}",
                "DELETE FROM kv WHERE key > 'k7'",
                "UPDATE kv SET value = value || 'u' WHERE key < 'k' || {n}",
                "REPLACE INTO kv SELECT key || '0', value FROM kv WHERE key BETWEEN 'k3' AND 'k' || {i}"
                " ORDER BY key LIMIT 99",
            )
        )
        return self.use(template, who)

    def can_put(self) -> bool:
        """Whether nobody is in the way; a transaction that raw keys do not join has begun to read by now, if only
        because it was asked for its tables."""
        if self.pair.settings.shares_transactions:
            return True
        return not self.pair.oracle["a"].in_transaction

    def maintenance(self, tables: list[Table]) -> Step:
        rng = self.rng
        is_free = not any(oracle.in_transaction for oracle in self.pair.oracle.values())
        roll = rng.random()
        if roll < 0.3:
            return Do("contents")
        if roll < 0.42:
            return Do("kill")
        if roll < 0.5:
            return Do("check", rng.choice(("a", "b", "c")))
        if roll < 0.62:
            return Do("function", str(rng.randrange(5)))
        if roll < 0.7:
            return Do("drain")
        if roll < 0.78:
            return Sql("REINDEX" if self.chance(0.5) else "ANALYZE", oracle="")
        if roll < 0.85:
            return Sql(
                rng.choice(
                    (
                        f"PRAGMA case_sensitive_like = {rng.randrange(2)}",
                        f"PRAGMA recursive_triggers = {rng.randrange(2)}",
                        f"PRAGMA user_version = {rng.randrange(9)}",
                        "PRAGMA user_version",
                        f"PRAGMA table_info({tables[0].name})",
                    )
                )
            )
        if not is_free:
            return Do("contents")
        if roll < 0.93:
            if self.has_foreign_keys:
                self.queue.append(Sql("PRAGMA foreign_keys = ON"))
            self.queue.append(Do("contents"))
            return Do("reopen")
        return rng.choice((Do("compact"), Do("checkpoint"), Sql("VACUUM", oracle="")))

    # -- definitions -----------------------------------------------------------------------------

    def new_table(self) -> Step:
        rng = self.rng
        name = self.new_name("t")
        letters = [one for one in "abcde" if self.chance(0.85)] or ["d"]
        texts = []
        for one in letters:
            text = f"{one} {rng.choice(_TYPES[one])}"
            if self.chance(0.08):
                text += " UNIQUE" if one == "e" else " DEFAULT 5"
            if self.chance(0.05):
                text += " NOT NULL"
            if one == "a" and self.chance(0.1):
                text += " CHECK(a <> 13)"
            texts.append(text)
        if self.has_foreign_keys and self.tables() and "a" in letters and self.chance(0.7):
            parents = [t for t in self.tables() if not t.name.startswith("tx") and self.has_id(t)]
            if parents:
                action = rng.choice(("CASCADE", "SET NULL", "NO ACTION", "RESTRICT"))
                texts[letters.index("a")] = f"a REFERENCES {parents[0].name}(id) ON DELETE {action}"
        if self.chance(0.1):
            texts.append(f"g AS ({letters[0]} || 'g') {rng.choice(('VIRTUAL', 'STORED'))}")
        kind = rng.random()
        options = ""
        if kind < 0.4:
            texts.insert(0, "id INTEGER PRIMARY KEY" + " AUTOINCREMENT" * self.chance(0.2))
        elif kind < 0.65:
            texts.insert(0, rng.choice(("id", "id INTEGER UNIQUE", "id INT")))
        else:
            options = " WITHOUT ROWID"
            if kind < 0.85:
                texts.insert(0, f"id {rng.choice(('INTEGER', 'INTEGER', '', 'TEXT'))} PRIMARY KEY")
            else:
                texts.insert(0, "id INTEGER")
                texts.append(f"PRIMARY KEY({letters[0]}, id)")
        temporary = ""
        if self.chance(0.1):
            temporary, name = "TEMP ", name.replace("t", "tx")
        definition = f"CREATE {temporary}TABLE {name}({', '.join(texts)}){options}"
        columns = ("id", *letters)
        kinds = "I" + "".join(letters)
        count = rng.choice((0, 5, 100, self.rows_max // 2, self.rows_max))
        fill = f"INSERT OR IGNORE INTO {name}({', '.join(columns)}) VALUES({', '.join('?' * len(columns))})"
        if count:
            self.queue.append(Many(fill, kinds, rng.randrange(1 << 20), 0, count))
        if self.chance(0.6):
            self.queue.append(Sql(self.index(name, columns)))
        return Sql(definition)

    def has_id(self, t: Table) -> bool:
        """Whether the table's primary key is its id, which others may refer to."""
        columns = self.pair.oracle["a"].execute(f"PRAGMA table_info({t.name})")
        return [column[1] for column in columns if column[5]] == ["id"]

    def index(self, table: str, columns: tuple[str, ...]) -> str:
        rng = self.rng
        parts = [
            rng.choice(columns) + rng.choice(("", "", " COLLATE NOCASE", " DESC"))
            for _ in range(rng.choice((1, 1, 2, 3)))
        ]
        if self.chance(0.12):
            parts[0] = rng.choice(
                (f"lower({columns[-1]})", f"{columns[-1]} || 'z'", f"abs({columns[0]})")
            )
        where = ""
        if self.chance(0.15):
            where = f" WHERE {rng.choice(columns)} {rng.choice(('> 5', 'IS NOT NULL', '< 300'))}"
        unique = ""
        if "e" in columns and self.chance(0.15):
            unique, parts = " UNIQUE", ["e"]
        return f"CREATE{unique} INDEX {self.new_name('i')} ON {table}({', '.join(parts)}){where}"

    def definition(self, tables: list[Table]) -> Step:
        rng = self.rng
        t, u = rng.choice(tables), rng.choice(tables)
        column = rng.choice(t.others())
        indexes, views, triggers = self.named("index"), self.named("view"), self.named("trigger")
        if not self.chance(0.7):
            one = rng.choice((indexes, views, triggers))
            kind = "INDEX" if one is indexes else "VIEW" if one is views else "TRIGGER"
            if one:
                return Sql(f"DROP {kind} {rng.choice(one)}")
        roll = rng.random()
        if roll < 0.35:
            return Sql(self.index(t.name, t.columns))
        if roll < 0.47:
            default = rng.choice((" DEFAULT 7", "", " DEFAULT 'x'", " NOT NULL DEFAULT 1.5"))
            return Sql(
                f"ALTER TABLE {t.name} ADD COLUMN {rng.choice('abcd')}{self.new_name('')}{default}"
            )
        if roll < 0.53:
            return Sql(f"ALTER TABLE {t.name} DROP COLUMN {column}")
        if roll < 0.6:
            return Sql(
                f"ALTER TABLE {t.name} RENAME COLUMN {column} TO {column[0]}{self.new_name('')}"
            )
        if roll < 0.64:
            return Sql(
                f"ALTER TABLE {t.name} RENAME TO {self.new_name('tx' if t.name[1] == 'x' else 't')}"
            )
        if roll < 0.7:
            return Sql(f"DROP TABLE {t.name}")
        if roll < 0.8:
            name = self.new_name("v")
            where = rng.choice(("", " WHERE id > 5", f" WHERE {column} IS NOT NULL"))
            temporary = "TEMP " * (t.name.startswith("tx") or self.chance(0.2))
            return Sql(
                f"CREATE {temporary}VIEW {name} AS SELECT id, {column} AS z FROM {t.name}{where}"
            )
        if roll < 0.85:
            name = self.new_name("t")
            if t.rows > self.rows_max * 2:
                return Sql(f"DELETE FROM {t.name}")
            return Sql(
                f"CREATE TABLE {name} AS SELECT * FROM {t.name} WHERE id % 2 ORDER BY {t.key}"
            )
        return self.trigger(t, u)

    def trigger(self, t: Table, u: Table) -> Step:
        rng = self.rng
        event = rng.choice(("INSERT", "UPDATE", "DELETE"))
        row = "OLD" if event == "DELETE" else "NEW"
        if t.name.startswith("tx") or u.name.startswith("tx"):
            return Sql("CREATE TABLE IF NOT EXISTS log(what, x)")
        body = rng.choice(
            (
                f"INSERT INTO log VALUES('{event}', {row}.id)",
                f"INSERT INTO log SELECT '{u.name}', count(*) FROM {u.name} WHERE id = {row}.id",
                f"UPDATE {u.name} SET {u.others()[-1]} = {row}.id WHERE id = {row}.id % 10"
                if u.name != t.name
                else f"INSERT INTO log VALUES('x', {row}.{rng.choice(t.columns)})",
            )
        )
        when = rng.choice((f" WHEN {row}.id % 2", "", f" WHEN {row}.id % 7 = 1"))
        timing = rng.choice(("BEFORE", "AFTER", "AFTER"))
        self.queue.append(
            Sql(
                f"CREATE TRIGGER {self.new_name('r')} {timing} {event} ON {t.name}{when} BEGIN {body}; END"
            )
        )
        return Sql("CREATE TABLE IF NOT EXISTS log(what, x)")


def _in_key_order(text: str) -> str | None:
    """What sqlite3 is told where the order of the rows may matter: that of their keys is kvsh's."""
    if not text.startswith(("UPDATE", "DELETE")) or " kv " in text or " AS f " in text:
        return None
    return _BEFORE_ORDER.sub(r"\1 \2 NOT INDEXED", text)
