"""Templates made of random expressions, where those of `statements` are fixed: what they are asked of is the same.

Values of columns go through arithmetic, texts, CASE and functions; conditions are nested; queries join, group, order,
number and combine rows in every way that has one answer only.  Sums are of columns whose values are alike in size, so that
they do not depend on the order of the rows; `RETURNING` shows columns as they are (sqlite3 3.40 compares them under
other affinities); and where tables are large, rows that are met by others are few."""

from __future__ import annotations

import random

from tests.sql.sequences.statements import Table, letter

SMALL = 400
"""Rows up to which every pair of two tables may be looked at."""


class Grammar:
    """Expressions over the columns of tables, each with its alias."""

    def __init__(self, rng: random.Random, *tables: tuple[str, Table]) -> None:
        self.rng = rng
        self.tables = list(tables)

    def one_of(self, *items: str) -> str:
        return self.rng.choice(items)

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    # -- values ----------------------------------------------------------------------------------

    def column(self, letters: str = "iabcde", of: int | None = None) -> str:
        """A column of one of these letters, if there is one; of the table of that number."""
        alias, table = self.rng.choice(self.tables) if of is None else self.tables[of]
        return f"{alias}.{table.column(self.rng, letters)}"

    def number(self, depth: int = 1) -> str:
        column = self.column("iace") if self.chance(0.8) else self.column()
        if depth <= 0 or self.chance(0.4):
            return column
        text = self.column("b")
        return self.one_of(
            *(f"{column} + {{n}}", f"{column} * 2", f"{column} % 7", f"-{column}", f"abs({column})"),
            *(f"coalesce({column}, {{n}})", f"CAST({column} AS INTEGER)", f"round({column}, 1)"),
            *(f"{column} / 3", f"{column} / {{n}}", f"{column} * 1.5", f"{column} % {{n}}"),
            *(f"({column} & 15)", f"~{column}", f"{column} << 1", f"sign({column})"),
            *(f"{self.number(depth - 1)} - {self.number(depth - 1)}", f"({column} > {{a}})"),
            f"(CASE WHEN {self.condition(0)} THEN {column} ELSE {{n}} END)",
            *(f"iif({column} IS NULL, {{n}}, {column})", f"nullif({column}, {{a}})"),
            *(f"max({column}, {{n}})", f"min({column}, {self.column('ace')})"),
            *(f"CAST({column} AS REAL)", f"length({text})", f"instr({text}, 'a')", f"unicode({text})"),
        )  # fmt: skip

    def text(self) -> str:
        column = self.column("b") if self.chance(0.7) else self.column()
        return self.one_of(
            *(column, f"upper({column})", f"lower({column})", f"{column} || 'x'", f"trim({column})"),
            *(f"substr({column}, 1, 2)", f"substr({column}, -2)", f"substr({column}, {{n}}, 3)"),
            *(f"replace({column}, 'a', 'zz')", f"typeof({column})", f"quote({column})"),
            *(f"hex({column})", f"ifnull({column}, 'none')", f"CAST({column} AS TEXT)"),
            *(f"rtrim({column})", f"printf('%s-%d', {column}, {self.column()})"),
            f"{column} || {self.column()}",
        )  # fmt: skip

    def value(self) -> str:
        roll = self.rng.random()
        return self.column() if roll < 0.35 else self.number() if roll < 0.7 else self.text()

    def place(self, column: str) -> str:
        """A value to compare the column with; now and then one of any kind."""
        return "{k}" if self.chance(0.12) else f"{{{letter(column.split('.')[1])}}}"

    # -- conditions ------------------------------------------------------------------------------

    def condition(self, depth: int = 1) -> str:
        if depth > 0 and self.chance(0.3):
            inner = self.condition(depth - 1)
            if self.chance(0.2):
                return f"NOT ({inner})"
            return f"({inner} {self.one_of('AND', 'AND', 'OR')} {self.condition(depth - 1)})"
        column, other = self.column(), self.column()
        place, more = self.place(column), self.place(column)
        operator = self.one_of("=", "=", "<", ">", "<=", ">=", "<>", "IS", "IS NOT")
        negated = self.one_of("", "", "NOT ")
        items = ", ".join(self.place(column) for _ in range(self.rng.choice((0, 1, 2, 3, 5))))
        pattern = self.one_of("'b%'", "'a*1'", "'%e%'", "'A*'", "'_e'", "'éc%'", "{b}")
        return self.one_of(
            *[f"{column} {operator} {place}"] * 5,
            f"{column} {negated}BETWEEN {place} AND {more}",
            f"{column} {negated}IN ({items})",
            f"{column} IS {negated}NULL",
            f"{self.column('b')} {negated}{self.one_of('LIKE', 'GLOB')} {pattern}",
            f"{self.number(0)} {operator} {self.number(depth)}",
            f"{self.number(depth)} {operator} {{{self.one_of('a', 'n', 'c', 'k')}}}",
            f"{self.text()} {self.one_of('=', '<', '>=', '<>')} {self.place(self.column('b'))}",
            f"({column}, {other}) {self.one_of('=', '<', '>=', 'IS', '<>')} ({place}, {self.place(other)})",
            f"{column} {self.one_of('=', '<', '>')} {place} COLLATE {self.one_of('NOCASE', 'RTRIM', 'BINARY')}",
            f"{column} {self.one_of('', 'IS NOT TRUE', 'IS TRUE', 'IS FALSE')}",
            f"typeof({column}) {self.one_of('=', '<>')} '{self.one_of('integer', 'text', 'real', 'null', 'blob')}'",
        )

    def aggregate(self, *, distinct: bool = True) -> str:
        where = f" FILTER (WHERE {self.condition(0)})" if self.chance(0.15) else ""
        made = self.one_of(
            *("count(*)", "count(*)", f"count({self.value()})", f"avg({self.column('iac')})"),
            *(f"total({self.column('iac')})", f"total({self.column('iac')} * 2)"),
            *(f"min({self.value()})", f"max({self.value()})", f"max({self.value()})"),
            *(f"count(DISTINCT {self.value()})", f"total(DISTINCT {self.column('ia')})") * distinct,
        )  # fmt: skip
        return made + where

    def order(self, keys: str) -> str:
        """ORDER BY that leaves no ties, and perhaps a LIMIT."""
        directions = ("", " DESC", " COLLATE NOCASE", " DESC NULLS LAST", " NULLS LAST")
        terms = [
            self.value() + self.rng.choice(directions) for _ in range(self.rng.choice((0, 1, 1, 2)))
        ]
        limit = self.one_of("", " LIMIT {n}", " LIMIT {n} OFFSET {n}", " LIMIT 5 OFFSET {i}")
        return f" ORDER BY {', '.join([*terms, keys])}{limit}"

    def few(self, of: int) -> str:
        """A condition that few rows of a table meet."""
        alias = self.tables[of][0]
        return self.one_of(
            f"{alias}.id BETWEEN {{i}} AND {{i}} AND {alias}.id % 50 = {{n}}",
            f"{alias}.id IN ({{i}}, {{i}}, {{i}})",
            f"{alias}.id = {{i}}",
        )


def keys_of(alias: str, table: Table) -> str:
    return ", ".join(f"{alias}.{part}" for part in table.key.split(", "))


def query(rng: random.Random, t: Table, u: Table) -> str:
    """A query of `t`, or of both."""
    kinds = (plain, plain, grouped, grouped, joined, joined, nested, windowed, combined)
    return rng.choice(kinds)(rng, t, u)


def plain(rng: random.Random, t: Table, u: Table) -> str:
    made = Grammar(rng, ("x", t))
    outputs = ", ".join(made.value() for _ in range(rng.choice((1, 1, 2, 3))))
    if made.chance(0.15):
        return f"SELECT DISTINCT {outputs} FROM {t.name} AS x WHERE {made.condition()}"
    text = f"SELECT {outputs} FROM {t.name} AS x WHERE {made.condition(rng.randrange(3))}"
    return text + made.order(keys_of("x", t)) if made.chance(0.6) else text


def grouped(rng: random.Random, t: Table, u: Table) -> str:
    made = Grammar(rng, ("x", t))
    keys = [made.one_of(made.value(), made.column()) for _ in range(rng.choice((0, 1, 1, 2)))]
    outputs = [*keys, *(made.aggregate() for _ in range(rng.choice((1, 1, 2, 3))))]
    text = f"SELECT {', '.join(outputs)} FROM {t.name} AS x"
    if made.chance(0.6):
        text += f" WHERE {made.condition(rng.randrange(2))}"
    if keys:
        text += f" GROUP BY {', '.join(keys)}"
        if made.chance(0.3):
            operator = made.one_of(">", "<", "=", "<>")
            text += f" HAVING {made.aggregate()} {operator} {{{made.one_of('n', 'a', 'c')}}}"
    return text


def joined(rng: random.Random, t: Table, u: Table) -> str:
    made = Grammar(rng, ("x", t), ("y", u))
    kind = made.one_of(
        "JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN"
    )
    one, other = made.column("aied", 0), made.column("aied", 1)
    ways = [f"y.id = {one}", f"x.id = {other}", "x.id = y.id", f"y.id = {one} + {{n}}"]
    if max(t.rows, u.rows) < SMALL:
        ways += [f"{one} = {other}", f"{made.column('b', 0)} = {made.column('b', 1)}"]
        ways += [f"{one} < {other} AND x.id = y.id", f"{made.column(of=0)} IS {made.column(of=1)}"]
    on = made.one_of(*ways) + (f" AND {made.condition(0)}" if made.chance(0.3) else "")
    source = f"{t.name} AS x {kind} {u.name} AS y ON {on}"
    keys = f"{keys_of('x', t)}, {keys_of('y', u)}"
    if kind in ("JOIN", "LEFT JOIN") and made.chance(0.15):
        made.tables.append(("z", t))
        source += (
            f" {made.one_of('JOIN', 'LEFT JOIN')} {t.name} AS z ON z.id = {made.column('iad')}"
        )
        keys += f", {keys_of('z', t)}"
    if made.chance(0.4):
        key = [made.column()] if made.chance(0.6) else []
        outputs = ", ".join([*key, *(made.aggregate() for _ in range(rng.choice((1, 2))))])
        by = f" GROUP BY {key[0]}" if key else ""
        return f"SELECT {outputs} FROM {source} WHERE {made.condition()}{by}"
    where = made.condition()
    if t.rows > SMALL:
        where = f"{made.few(1 if kind == 'RIGHT JOIN' else 0)} AND {where}"
    outputs = ", ".join(made.value() for _ in range(rng.choice((1, 2, 3))))
    order = made.order(keys) if made.chance(0.5) else ""
    return f"SELECT {outputs}, {keys} FROM {source} WHERE {where}{order}"


def nested(rng: random.Random, t: Table, u: Table) -> str:
    """A query with a subquery."""
    made, inner = Grammar(rng, ("x", t)), Grammar(rng, ("y", u))
    keys = keys_of("x", t)
    is_small = max(t.rows, u.rows) < SMALL
    few = "" if is_small else f" AND {made.few(0)}"
    column, within = inner.column("aied"), inner.condition(0)
    correlation = made.one_of(
        f"{column} = {made.column('iaed')}",
        "y.id = x.id",
        f"y.id = {made.column('iad')}",
        f"{column} = {made.column('iaed')} AND {within}",
        f"y.id < x.id AND {within}",
    )
    negated = made.one_of("", "NOT ")
    rows = f"({made.column()}, {made.column()}) {negated}IN (SELECT {inner.column('iace')}, {inner.column('iace')}"
    return made.one_of(
        f"SELECT {keys}, (SELECT {inner.aggregate()} FROM {u.name} AS y WHERE {correlation})"
        f" FROM {t.name} AS x WHERE {made.condition(0)}{few}",
        f"SELECT {keys}, {made.column()} FROM {t.name} AS x"
        f" WHERE {negated}EXISTS (SELECT 1 FROM {u.name} AS y WHERE {correlation}){few}",
        f"SELECT {keys}, {made.column()} FROM {t.name} AS x"
        f" WHERE {made.column()} {negated}IN (SELECT {inner.column()} FROM {u.name} AS y WHERE {within})",
        f"SELECT {keys} FROM {t.name} AS x WHERE {made.column()} {made.one_of('=', '<', '>', '>=')}"
        f" (SELECT {made.one_of('min', 'max')}({inner.column()}) FROM {u.name} AS y WHERE {within})",
        f"SELECT {keys} FROM {t.name} AS x WHERE {rows} FROM {u.name} AS y WHERE {within}){few}",
        f"SELECT q.g, q.m, x.id FROM (SELECT {column} AS g, max(y.id) AS m FROM {u.name} AS y"
        f" WHERE {within} GROUP BY {column}) AS q JOIN {t.name} AS x ON x.id = q.m WHERE {made.condition(0)}",
        f"SELECT {made.aggregate()}, {made.aggregate()} FROM (SELECT * FROM {t.name} AS x"
        f" WHERE {made.condition(0)} ORDER BY {keys} LIMIT {{i}}) AS x",
    )


def windowed(rng: random.Random, t: Table, u: Table) -> str:
    made = Grammar(rng, ("x", t))
    keys = keys_of("x", t)
    frame = made.one_of(
        *("", "", " ROWS BETWEEN 2 PRECEDING AND CURRENT ROW", " GROUPS 1 PRECEDING"),
        " ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
        " ROWS BETWEEN CURRENT ROW AND 3 FOLLOWING",
        " ROWS BETWEEN 3 PRECEDING AND 1 PRECEDING EXCLUDE TIES",
    )
    call = made.one_of(
        *(made.aggregate(distinct=False), "row_number()", "rank()", "dense_rank()", "ntile(4)"),
        *("percent_rank()", "cume_dist()", f"lag({made.value()})", f"first_value({made.value()})"),
        *(f"lead({made.value()}, {{n}}, {{a}})", f"last_value({made.value()})"),
        f"nth_value({made.value()}, 2)",
    )
    if call.startswith(("min(", "max(")):  # whose FILTER sqlite3 forgets in a moving frame
        call = call.partition(" FILTER")[0]
    partition = f"PARTITION BY {made.value()} " if made.chance(0.6) else ""
    order = f"ORDER BY {made.column()}{made.one_of('', ' DESC')}, {keys}"
    text = (
        f"SELECT {keys}, {call} OVER ({partition}{order}{frame}) AS w FROM {t.name} AS x"
        f" WHERE {made.condition()}"
    )
    if made.chance(0.3):
        return f"SELECT * FROM ({text}) WHERE w {made.one_of('=', '<', '>')} {{{made.one_of('n', 'a')}}}"
    return text


def combined(rng: random.Random, t: Table, u: Table) -> str:
    """A compound, or a query over a CTE."""
    made, other = Grammar(rng, ("x", t)), Grammar(rng, ("y", u))
    if made.chance(0.3):
        return made.one_of(
            f"WITH q AS (SELECT {made.column()} AS p, {made.value()} AS r FROM {t.name} AS x"
            f" WHERE {made.condition()}) SELECT count(*), count(q.p), count(DISTINCT q.r),"
            f" (SELECT count(*) FROM q WHERE p IS NOT NULL) FROM q",
            f"WITH RECURSIVE q(n, l) AS (SELECT {{i}}, 0 UNION SELECT {other.column()}, l + 1"
            f" FROM q JOIN {u.name} AS y ON y.id = q.n WHERE l < 9) SELECT * FROM q",
        )
    count = rng.choice((1, 1, 2))
    one, two = [
        ", ".join(arm.one_of(arm.column(), arm.value()) for _ in range(count))
        for arm in (made, other)
    ]
    operator = made.one_of("UNION", "UNION", "UNION ALL", "EXCEPT", "INTERSECT")
    text = (
        f"SELECT {one} FROM {t.name} AS x WHERE {made.condition()} {operator}"
        f" SELECT {two} FROM {u.name} AS y WHERE {other.condition()}"
    )
    if made.chance(0.3):
        text += " ORDER BY " + ", ".join(f"{n + 1}{made.one_of('', ' DESC')}" for n in range(count))
    return text


# -- changes ----------------------------------------------------------------------------------------


def change(rng: random.Random, t: Table, u: Table) -> str:
    """An INSERT, UPDATE or DELETE of `t`."""
    made, other = Grammar(rng, (t.name, t)), Grammar(rng, ("y", u))
    where = made.one_of(
        made.condition(0),
        made.condition(),
        f"{made.condition()} AND {t.name}.id % 3 = 0",
        f"{t.name}.id BETWEEN {{i}} AND {{i}}",
        f"{t.name}.id IN (SELECT y.id FROM {u.name} AS y WHERE {other.condition(0)})",
        f"{t.name}.id = {{k}}",
    )
    returning = f" RETURNING {made.column()}, *" if made.chance(0.15) else ""
    others = t.others()
    columns = rng.sample(others, min(len(others), rng.choice((1, 1, 2, 3))))
    roll = rng.random()
    if roll < 0.45:
        verb = made.one_of("UPDATE", "UPDATE", "UPDATE OR IGNORE", "UPDATE OR REPLACE")
        sets = ", ".join(f"{column} = {_new(made, column)}" for column in columns)
        return f"{verb} {t.name} SET {sets} WHERE {where}{returning}"
    if roll < 0.55 and t.name != u.name:
        return (
            f"UPDATE {t.name} SET {columns[0]} = f.m FROM (SELECT id AS k, max({other.column()}) AS m"
            f" FROM {u.name} AS y WHERE {other.condition(0)} GROUP BY id) AS f WHERE f.k = {t.name}.id"
        )
    if roll < 0.7:
        return f"DELETE FROM {t.name} WHERE {where} AND {t.name}.id % 4 = {{n}}{returning}"
    last = others[-1]
    upsert = made.one_of(
        f" ON CONFLICT DO UPDATE SET {last} = excluded.{last}",
        f" ON CONFLICT DO UPDATE SET {last} = {_new(made, last)}",
        " ON CONFLICT DO NOTHING",
    )
    if roll < 0.85:
        upsert = made.one_of(
            upsert,
            f" ON CONFLICT(id) DO UPDATE SET {last} = excluded.{last} WHERE {made.condition(0)}",
            f" ON CONFLICT(id) DO UPDATE SET {last} = excluded.{last} ON CONFLICT DO NOTHING",
        )
        rows = ", ".join([f"({t.row})"] * rng.choice((1, 1, 2, 20)))
        return f"INSERT INTO {t.name} VALUES{rows}{upsert}{returning}"
    verb = made.one_of("INSERT", "INSERT", "INSERT OR IGNORE", "REPLACE")
    picked = ", ".join(_copied(other, column) for column in t.columns)
    return (
        f"{verb} INTO {t.name}({t.listed}) SELECT {picked} FROM {u.name} AS y"
        f" WHERE {other.condition()} ORDER BY {keys_of('y', u)} LIMIT {made.one_of('5', '300', '3000')}"
        f"{upsert if verb == 'INSERT' else ''}"
    )


def _new(made: Grammar, column: str) -> str:
    """A new value of a column."""
    kind = letter(column)
    if kind == "i":
        return made.one_of(f"{made.tables[0][0]}.id + {{n}}", "{i}")
    if made.chance(0.4):
        return f"{{{kind}}}"
    return made.number() if kind in "ace" else made.text() if kind == "b" else made.value()


def _copied(made: Grammar, column: str) -> str:
    """A value for a column that is made of another table's row."""
    kind = letter(column)
    if kind == "i":
        return made.one_of("y.id", "y.id + {n}", "y.id * 2")
    return made.number() if kind in "ace" else made.text() if kind == "b" else made.value()
