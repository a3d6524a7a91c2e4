"""Templates of statements about the tables that there are.

In a template `{a}` stands for a value of the letter a (`values`); it becomes a literal or a parameter when
the template is used, and templates are used again and again."""

from __future__ import annotations

import random
import re
from typing import Any, NamedTuple

from tests.sql.sequences.values import quoted, value

_PLACE = re.compile(r"\{(\w)\}")


class Table(NamedTuple):
    """A table or view as it is now.  `key` are the columns that tell its rows apart."""

    name: str
    columns: tuple[str, ...]
    key: str
    has_rowid: bool
    rows: int

    @property
    def row(self) -> str:
        """Placeholders for a whole row."""
        return ", ".join(f"{{{letter(column)}}}" for column in self.columns)

    @property
    def listed(self) -> str:
        return ", ".join(self.columns)

    def others(self) -> list[str]:
        """Its columns but for the id."""
        return [column for column in self.columns if letter(column) != "i"] or ["id"]

    def column(self, rng: random.Random, letters: str) -> str:
        """A column of one of these letters, if there is one."""
        found = [column for column in self.columns if letter(column) in letters]
        return rng.choice(found or self.columns)


def letter(column: str) -> str:
    """The letter of a column's values: its name begins with it."""
    return column[0] if column[0] in "iabcde" else "d"


def rendered(
    rng: random.Random, template: str, rows: int, *, lifted: bool
) -> tuple[str, tuple[Any, ...]]:
    """The statement with values in its places: literals, or parameters if `lifted`."""
    parameters: list[Any] = []

    def place(match: re.Match[str]) -> str:
        made = value(rng, match[1], rows)
        if not lifted:
            return quoted(made)
        parameters.append(made)
        return "?"

    return _PLACE.sub(place, template), tuple(parameters)


def query(rng: random.Random, t: Table, u: Table) -> str:
    """A query of `t`, or of both."""
    k = t.key
    a, b, c = t.column(rng, "ae"), t.column(rng, "b"), t.column(rng, "c")
    x, y = rng.choice(t.columns), rng.choice(t.columns)
    v, w = f"{{{letter(x)}}}", f"{{{letter(y)}}}"
    ua = u.column(rng, "aei")
    op = rng.choice(("=", "<", ">", ">=", "<=", "<>", "IS"))
    by = ", ".join(f"y.{part}" for part in u.key.split(", "))
    return rng.choice(
        (
            f"SELECT * FROM {t.name} WHERE id = {{i}}",
            f"SELECT * FROM {t.name} WHERE id = {{i}}",
            f"SELECT {x}, {y} FROM {t.name} WHERE {k.split(', ')[0]} = {{i}}",
            f"SELECT * FROM {t.name} WHERE id IN ({{i}}, {{i}}, {{i}})",
            f"SELECT {x}, typeof({y}) FROM {t.name} WHERE {x} = {v}",
            f"SELECT {y} FROM {t.name} WHERE {x} = {v}",
            f"SELECT * FROM {t.name} WHERE {x} = {v} AND {y} = {w}",
            f"SELECT {k}, {x} FROM {t.name} WHERE {x} {op} {v} AND id BETWEEN {{i}} AND {{i}}",
            f"SELECT * FROM {t.name} WHERE id BETWEEN {{i}} AND {{i}} ORDER BY {k}",
            f"SELECT * FROM {t.name} WHERE id > {{i}} ORDER BY {k} LIMIT {{n}}",
            f"SELECT {x} FROM {t.name} WHERE id >= {{i}} ORDER BY id DESC, {k} LIMIT {{n}} OFFSET {{n}}",
            f"SELECT {k}, {x} FROM {t.name} WHERE {x} {op} {v} ORDER BY {x}, {k} LIMIT {{n}}",
            f"SELECT {x}, {k} FROM {t.name} ORDER BY {x} DESC, {k} LIMIT 5",
            f"SELECT {x}, {y} FROM {t.name} ORDER BY {x} COLLATE NOCASE, {y} DESC, {k} LIMIT {{n}} OFFSET {{n}}",
            f"SELECT {k} FROM {t.name} WHERE {x} {op} {v} ORDER BY {y}, {k}",
            f"SELECT count(*), count({x}), min({y}), max({y}) FROM {t.name}",
            f"SELECT count(*) FROM {t.name} WHERE {x} {op} {v}",
            f"SELECT count(*), total({c}), max(id) FROM {t.name} WHERE {x} {op} {v}",
            f"SELECT total({a} * 2 + {c}) FROM {t.name} WHERE {c} < {{c}} AND {a} >= {{a}}",
            f"SELECT min({x}) FROM {t.name} WHERE {x} {op} {v}",
            f"SELECT max(id) FROM {t.name}",
            f"SELECT {a}, count(*), total({c}), max(id) FROM {t.name} GROUP BY {a} HAVING count(*) > {{n}}",
            f"SELECT {b}, count(*) FROM {t.name} WHERE {x} {op} {v} GROUP BY {b} ORDER BY 2 DESC, 1 LIMIT 9",
            f"SELECT typeof({x}), count(*) FROM {t.name} GROUP BY 1",
            f"SELECT DISTINCT {x} FROM {t.name} WHERE {y} {op} {w}",
            f"SELECT DISTINCT {a}, {b} FROM {t.name} WHERE {x} {op} {v}",
            f"SELECT {b} FROM {t.name} WHERE {b} LIKE 'B%' AND {x} {op} {v}",
            f"SELECT count(*) FROM {t.name} WHERE {b} GLOB 'a*1?' OR {x} {op} {v}",
            f"SELECT x.id, y.id FROM {t.name} AS x JOIN {u.name} AS y ON y.id = x.{a} WHERE x.{x} {op} {v}",
            f"SELECT x.{x}, y.* FROM {t.name} AS x JOIN {u.name} AS y ON y.{ua} = x.id WHERE x.id = {{i}}",
            f"SELECT count(*), total(y.{ua}) FROM {t.name} AS x LEFT JOIN {u.name} AS y ON y.id = x.{x}"
            f" WHERE x.id < {{i}}",
            f"SELECT {k} FROM {t.name} WHERE id IN (SELECT {ua} FROM {u.name} WHERE id < {{i}})",
            f"SELECT count(*) FROM {t.name} WHERE EXISTS (SELECT 1 FROM {u.name} AS y WHERE y.{ua} = {t.name}.id)",
            f"SELECT count(*) FROM {t.name} WHERE id NOT IN (SELECT {ua} FROM {u.name} WHERE {ua} IS NOT NULL)",
            f"SELECT id, (SELECT {by} FROM {u.name} AS y WHERE y.{ua} = x.id ORDER BY {by} LIMIT 1)"
            f" FROM {t.name} AS x WHERE id BETWEEN {{i}} AND {{i}}"
            if "," not in by
            else f"SELECT count(*) FROM {u.name} WHERE id = {{i}}",
            f"SELECT id, row_number() OVER (PARTITION BY {a} ORDER BY {k}), total({c}) OVER (PARTITION BY {a})"
            f" FROM {t.name} WHERE {x} {op} {v}",
            f"SELECT id, lag({x}) OVER (ORDER BY {k}) FROM {t.name} WHERE id > {{i}} ORDER BY {k} LIMIT 9",
            f"SELECT {x} FROM {t.name} WHERE id < {{i}} UNION SELECT {x} FROM {t.name} WHERE {y} = {w}",
            f"SELECT id FROM {t.name} EXCEPT SELECT {ua} FROM {u.name}",
            f"WITH q AS (SELECT {a} AS g, max(id) AS m FROM {t.name} GROUP BY 1) SELECT count(*), total(m)"
            f" FROM q JOIN {u.name} AS y ON y.id = q.m WHERE g > {{a}}",
            f"SELECT f({x}), r.{y} FROM {t.name} AS r WHERE id = {{i}}",
            f"SELECT count(*) FROM {t.name} WHERE f({a}) = {{a}}",
            f"SELECT {k} FROM {t.name} WHERE {a} + 1 > {{a}} AND {b} IS NOT NULL ORDER BY {b}, {k} LIMIT {{n}}",
        )
    )


def condition(rng: random.Random, t: Table) -> tuple[str, bool]:
    """A condition of UPDATE and DELETE; whether many rows may meet it."""
    x = rng.choice(t.others())
    v = f"{{{letter(x)}}}"
    few = ("id = {i}", "id = {i}", "id IN ({i}, {i})", f"{x} = {v} AND id < {{i}}")
    many = (
        f"{x} = {v}",
        "id BETWEEN {i} AND {i}",
        "id % 10 = {n}",
        f"{x} > {v} AND id % 3 = 1",
        f"{x} >= {v}",
        "id > {i}",
        f"id IN (SELECT id FROM {t.name} WHERE {x} < {v})",
        "1",
    )
    if rng.random() < 0.6:
        return rng.choice(few), False
    return rng.choice(many), True


def change(rng: random.Random, t: Table, u: Table) -> str:
    """An INSERT, UPDATE or DELETE."""
    roll = rng.random()
    if roll < 0.42:
        return insert(rng, t)
    where, many = condition(rng, t)
    if roll < 0.9:
        return update(rng, t, u, where)
    if many and rng.random() < 0.6:
        where += " AND id % 4 = {n}"
    return f"DELETE FROM {t.name} WHERE {where}"


def insert(rng: random.Random, t: Table) -> str:
    """An INSERT of one row or of some."""
    verb = rng.choice(("INSERT", "INSERT", "INSERT", "INSERT OR REPLACE", "INSERT OR IGNORE"))
    verb = rng.choice((verb, verb, verb, "REPLACE", "INSERT OR FAIL", "INSERT OR ROLLBACK"))
    x = rng.choice(t.others())
    some = [c for c in t.columns if rng.random() < 0.8] or ["id"]
    places = ", ".join(f"{{{letter(c)}}}" for c in some)
    upsert = (
        f" ON CONFLICT DO UPDATE SET {x} = excluded.{x}",
        f" ON CONFLICT(id) DO UPDATE SET {x} = excluded.{x}",
        f" ON CONFLICT(id) DO UPDATE SET {x} = excluded.{x} WHERE {t.name}.{x} > {{{letter(x)}}}",
        f" ON CONFLICT(id) DO UPDATE SET {x} = {{{letter(x)}}}",
        " ON CONFLICT DO NOTHING",
    )
    return rng.choice(
        (
            f"{verb} INTO {t.name} VALUES({t.row})",
            f"{verb} INTO {t.name} VALUES({t.row})",
            f"{verb} INTO {t.name}({', '.join(some)}) VALUES({places})",
            f"INSERT INTO {t.name} VALUES({t.row})" + rng.choice(upsert),
            f"INSERT INTO {t.name} VALUES({t.row})" + rng.choice(upsert),
            f"{verb} INTO {t.name} VALUES" + ", ".join([f"({t.row})"] * rng.choice((2, 3, 12))),
            f"INSERT INTO {t.name}({', '.join(t.others())}) VALUES"
            f"({', '.join(f'{{{letter(c)}}}' for c in t.others())})",
            f"{verb} INTO {t.name} VALUES({t.row}) RETURNING *",
        )
    )


def update(rng: random.Random, t: Table, u: Table, where: str) -> str:
    """An UPDATE of one column or two."""
    x, y = rng.choice(t.others()), rng.choice(t.others())
    a, b, c = t.column(rng, "ae"), t.column(rng, "b"), t.column(rng, "c")
    verb = rng.choice(("UPDATE", "UPDATE", "UPDATE", "UPDATE OR IGNORE", "UPDATE OR REPLACE"))
    sets = rng.choice(
        (
            f"{x} = {{{letter(x)}}}",
            f"{x} = {{{letter(x)}}}",
            f"{x} = {{{letter(x)}}}, {y} = {{{letter(y)}}}" if x != y else f"{x} = {y}",
            f"{a} = {a} + 1",
            f"{c} = {c} + {{n}}, {b} = {{b}}",
            f"{b} = substr({b} || 'x', -9)",
            f"{x} = {y}, {y} = {x}" if x != y else f"{x} = NULL",
            f"{c} = {a} * 0.5",
            "id = id + {n}",
            f"{x} = (SELECT max(y.id) FROM {u.name} AS y WHERE y.id <= {t.name}.id)",
        )
    )
    if rng.random() < 0.1:
        return (
            f"UPDATE {t.name} SET {x} = f.m FROM (SELECT id AS k, max({u.column(rng, 'acd')}) AS m"
            f" FROM {u.name} GROUP BY id) AS f WHERE f.k = {t.name}.id AND {t.name}.id > {{i}}"
        )
    returning = f" RETURNING {x}, typeof({y})" if rng.random() < 0.05 else ""
    return f"{verb} {t.name} SET {sets} WHERE {where}{returning}"
