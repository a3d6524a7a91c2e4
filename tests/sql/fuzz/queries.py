"""Random SELECTs."""

from __future__ import annotations

from random import Random

from tests.sql.fuzz.expressions import Expressions, Scope
from tests.sql.fuzz.tables import COLUMNS, KEYS

Made = tuple[str, int]
"""A query's text and the number of its columns; 0 where it is not known."""

EACH = {"key": "m", "value": "m", "type": "t", "atom": "m"}
"""What json_each shows that does not depend on where a node stands in its text."""


class QueryMaker(Expressions):
    """Makes random SELECTs whose result does not depend on an order that SQL leaves open (or is compared as
    a set)."""

    def __init__(self, rng: Random) -> None:
        super().__init__(rng)
        self.arms: list[
            tuple[str, str]
        ] = []  # of compounds, as they stand there and without affinities

    # -- FROM ------------------------------------------------------------------------------------

    def sources(self) -> tuple[str, Scope]:
        rng = self.rng
        count = rng.choice((1, 1, 1, 2, 2, 3))
        kinds = [
            rng.choice((",", "JOIN", "LEFT JOIN", "JOIN", "CROSS JOIN", "LEFT JOIN"))
            if rng.random() < 0.8
            else rng.choice(("RIGHT JOIN", "FULL JOIN", "RIGHT OUTER JOIN", "INNER JOIN"))
            for _ in range(count)
        ]
        # sqlite3 takes a constant ON of an inner join for a condition on all rows, also where a RIGHT
        # or FULL JOIN follows and keeps rows without a match.
        around = self.constants
        constants = not any(kind.startswith(("RIGHT", "FULL")) for kind in kinds)
        scope: Scope = []
        text = ""
        for place in range(count):
            self.constants = True
            named, alias, table = self.source()
            self.constants = constants
            scope.append((alias, table))
            if not place:
                text = named
                continue
            join = kinds[place]
            if join == ",":
                text += f", {named}"
                continue
            shared = set(self.columns[table]) & set(self.columns[scope[0][1]])
            if place == 1 and shared and rng.random() < 0.15:
                if rng.random() < 0.3 and join not in ("CROSS JOIN",):
                    text += f" NATURAL {join} {named}"
                else:
                    text += f" {join} {named} USING ({rng.choice(sorted(shared))})"
                continue
            on = f"{self.column([scope[-1]])} = {self.column(scope[:-1])}"
            if rng.random() < 0.3:
                on += f" AND {self.condition(scope, 1)}"
            text += f" {join} {named} ON {on}"
        self.constants = around
        if scope[0][1] == "t4" and count == 1 and rng.random() < 0.4:
            self.columns["json_each"] = EACH
            path = self.one_of("", ", '$.b'", ", '$[1]'")
            function = self.one_of("json_each", "json_tree")
            text += f", {function}({scope[0][0]}.doc{path}) AS each1"
            scope.append(("each1", "json_each"))
        return text, scope

    def source(self) -> tuple[str, str, str]:
        """(text, alias, what `columns` calls it) of one term of FROM."""
        rng = self.rng
        table = rng.choice(self.tables())
        self.aliases += 1
        alias = f"r{self.aliases}"
        roll = rng.random()
        if roll < 0.12 and table in COLUMNS:
            columns = ", ".join(self.columns[table])
            where = f" WHERE {self.condition([(table, table)], 1)}" if rng.random() < 0.5 else ""
            return f"(SELECT {columns} FROM {table}{where}) AS {alias}", alias, table
        if roll < 0.22 and self.depth < 1:
            self.depth += 1
            text, count = rng.choice((self.plain, self.grouped, self.compound))()
            self.depth -= 1
            if count:
                return self.derived(text, count, alias)
        return f"{table} AS {alias}", alias, table

    def derived(self, text: str, count: int, alias: str) -> tuple[str, str, str]:
        """A subquery in FROM whose columns are called c1, c2, ..."""
        name = f"derived{alias}"
        self.columns[name] = {f"c{number}": "m" for number in range(1, count + 1)}
        names = ", ".join(self.columns[name])
        inner = self.named_columns(text, name)
        return f"({inner} SELECT {names} FROM {name}) AS {alias}", alias, name

    def named_columns(self, text: str, name: str) -> str:
        hint = self.one_of("", "", "MATERIALIZED ", "NOT MATERIALIZED ")
        return f"WITH {name}({', '.join(self.columns[name])}) AS {hint}({text})"

    # -- the parts of a query --------------------------------------------------------------------

    def order_by(self, count: int) -> str:
        keys = []
        for position in range(1, count + 1):
            direction = self.rng.choice(("", "", " ASC", " DESC"))
            nulls = self.rng.choice(("", "", "", " NULLS LAST", " NULLS FIRST"))
            if self.rng.random() < 0.05:
                keys.append(f"{position} COLLATE {self.one_of('NOCASE', 'RTRIM', 'binary')}")
            keys.append(f"{position}{direction}{nulls}")
        return " ORDER BY " + ", ".join(keys)

    def plain(self) -> Made:
        source, scope = self.sources()
        count = self.rng.randrange(1, 4)
        outputs = ", ".join(self.value(scope) for _ in range(count))
        if self.rng.random() < 0.05 and "json_each" not in dict(scope).values():
            outputs, count = "*", 0
        distinct = self.rng.choice(("", "", "", "DISTINCT "))
        where = f" WHERE {self.condition(scope)}" if self.rng.random() < 0.75 else ""
        return f"SELECT {distinct}{outputs} FROM {source}{where}", count

    def aggregate(self, scope: Scope) -> str:
        rng = self.rng
        name = rng.choice(
            ("count", "sum", "min", "max", "total", "avg", "count(*)", "group_concat")
        )
        if name == "count(*)":
            text = name
        elif name == "group_concat":  # its order is the plan's, its length is not
            text = f"length(group_concat({self.column(scope, 'irt')}, {self.literal('t')}))"
            if rng.random() < 0.3:
                return f"json_array_length(json_group_array({self.column(scope, 'irt', 'nirt')}))"
            return text
        elif name in ("sum", "total", "avg"):
            distinct = rng.choice(("", "", "", "DISTINCT "))
            text = f"{name}({distinct}{self.column(scope, 'irtm')})"
        else:
            distinct = rng.choice(("", "", "DISTINCT "))
            text = f"{name}({distinct}{self.value(scope, 1)})"
        if rng.random() < 0.15:
            text += f" FILTER (WHERE {self.condition(scope, 1)})"
        return text

    def grouped(self) -> Made:
        rng = self.rng
        source, scope = self.sources()
        where = f" WHERE {self.condition(scope, 1)}" if rng.random() < 0.5 else ""
        keys = [self.value(scope, 1) for _ in range(rng.choice((0, 1, 1, 2)))]
        keys = [
            key for key in keys if not key.lstrip("-(").replace(".", "").isdigit() and key[0] != "?"
        ]
        outputs = [*keys, *(self.aggregate(scope) for _ in range(rng.randrange(1, 4)))]
        having = f" HAVING {self.aggregate(scope)} {rng.choice('<>=')} {self.literal('ir')}"
        text = f"SELECT {', '.join(outputs)} FROM {source}{where}"
        if keys:
            text += f" GROUP BY {', '.join(keys)}{having if rng.random() < 0.3 else ''}"
        return text, len(outputs)

    def compound(self) -> Made:
        parts = []
        count = self.rng.randrange(1, 3)
        for _ in range(self.rng.choice((2, 2, 3))):
            if self.rng.random() < 0.1:
                row = ", ".join(self.literal() for _ in range(count))
                parts.append(f"VALUES ({row}), ({row})")
                continue
            source, scope = self.sources()
            values = [self.value(scope, 1) for _ in range(count)]
            outputs = f"SELECT {', '.join(values)} FROM {source} "
            bare = ", ".join(f"+({value})" for value in values)
            self.arms.append((outputs, f"SELECT {bare} FROM {source} "))
            parts.append(f"{outputs}WHERE {self.condition(scope, 1)}")
        text = parts[0]
        for part in parts[1:]:
            text += f" {self.rng.choice(('UNION', 'UNION ALL', 'INTERSECT', 'EXCEPT'))} {part}"
        return text, count

    def without_affinities(self, query: str) -> str:
        """The query that was made last, with no affinity or collation of a column in the arms of its compounds."""
        for arm, bare in reversed(self.arms):  # those around others come behind them
            query = query.replace(arm, bare)
        return query

    # -- WITH ------------------------------------------------------------------------------------

    def with_common(self) -> Made:
        """A query over one or two common table expressions."""
        definitions = []
        for number in range(self.rng.randrange(1, 3)):
            name = f"with{number}"
            self.depth += 1
            text, count = self.rng.choice((self.plain, self.grouped, self.compound))()
            self.depth -= 1
            if not count:
                continue
            self.columns[name] = {f"c{place}": "m" for place in range(1, count + 1)}
            definitions.append(self.named_columns(text, name).removeprefix("WITH "))
        text, count = self.rng.choice((self.plain, self.grouped, self.compound))()
        return (f"WITH {', '.join(definitions)} {text}" if definitions else text), count

    def recursive(self) -> Made:
        """A query over a recursive CTE: a series, or the tree that t3's parents make."""
        rng = self.rng
        limit = rng.randrange(2, 12)
        if rng.random() < 0.4:
            start = self.one_of(
                "SELECT 1, 0", "VALUES (2, 0), (4, 0)", "SELECT id, 0 FROM t0 WHERE a = 2"
            )
            step = (
                f"SELECT t3.id / 2, series.y + 1 FROM series JOIN t3 ON t3.t0_id = series.x"
                f" WHERE series.y < {limit}"
            )
            operator = "UNION"
        else:
            start = f"SELECT 1, {self.literal()}"
            grown = self.one_of("y || 'a'", "y + 1", "x * x", "coalesce(y, x) - 1", "y", "-y")
            step = f"SELECT x + 1, {grown} FROM series WHERE x < {limit}"
            operator = self.one_of("UNION", "UNION ALL")
            if rng.random() < 0.3:
                step = (
                    f"SELECT x + 1, y FROM series WHERE x < {limit % 5 + 1} {operator}"
                    f" SELECT x + 2, x FROM series WHERE x < {limit % 5 + 1}"
                )
        tail = self.one_of("", "", " ORDER BY 1", " ORDER BY 1 DESC, 2", " ORDER BY 2, 1")
        if tail and rng.random() < 0.5:
            tail += f" LIMIT {rng.randrange(1, 20)}{self.one_of('', ' OFFSET 2')}"
        self.columns["series"] = {"x": "i", "y": "m"}
        text, count = rng.choice((self.plain, self.grouped))()
        word = self.one_of("RECURSIVE ", "")
        return f"WITH {word}series(x, y) AS ({start} {operator} {step}{tail}) {text}", count

    # -- windows ---------------------------------------------------------------------------------

    def windowed(self) -> Made:
        """Window functions over one table, in orders that leave no ties where ties would show."""
        rng = self.rng
        table = rng.choice(list(KEYS))
        scope = [("w", table)]
        key = ", ".join(f"w.{name}{self.one_of('', ' DESC')}" for name in KEYS[table])
        where = f" WHERE {self.condition(scope, 1)}" if rng.random() < 0.5 else ""
        calls = [self.window_call(scope, key) for _ in range(rng.randrange(1, 4))]
        outputs = [*(f"w.{name}" for name in KEYS[table]), *calls]
        named = ""
        if any(" OVER named" in call for call in calls):
            named = f" WINDOW named AS ({self.partition(scope)}ORDER BY {key})"
        text = f"SELECT {', '.join(outputs)} FROM {table} AS w{where}{named}"
        if rng.random() < 0.15:
            value = self.column(scope, "irt")
            text = (
                f"SELECT {value}, count(*), sum(count(*)) OVER (ORDER BY {value}),"
                f" rank() OVER (ORDER BY count(*) DESC) FROM {table} AS w{where} GROUP BY {value}"
            )
            return text, 4
        return text, len(outputs)

    def partition(self, scope: Scope) -> str:
        if self.rng.random() < 0.5:
            return ""
        return f"PARTITION BY {self.column(scope)} "

    def window_call(self, scope: Scope, key: str) -> str:
        rng = self.rng
        partition = self.partition(scope)
        value = self.value(scope, 1)
        number = self.column(scope, "ir")
        direction = self.one_of("", " DESC", " NULLS LAST", " DESC NULLS FIRST")
        roll = rng.random()
        if roll < 0.2:  # functions of peers
            name = self.one_of("rank()", "dense_rank()", "percent_rank()", "cume_dist()")
            return f"{name} OVER ({partition}ORDER BY {value}{direction})"
        whole = f"({partition}ORDER BY {value}{direction}, {key}{self.frame('ROWS', 'GROUPS')})"
        where = f" FILTER (WHERE {self.condition(scope, 1)})" if rng.random() < 0.2 else ""
        if roll < 0.4:
            offset = self.one_of("", ", 2", ", 0", f", 1, {self.literal()}")
            name = self.one_of(
                "row_number()",
                f"ntile({rng.randrange(1, 6)})",
                f"lag({self.value(scope, 1)}{offset})",
                f"lead({self.value(scope, 1)}{offset})",
                f"first_value({self.value(scope, 1)})",
                f"last_value({self.value(scope, 1)})",
                f"nth_value({self.value(scope, 1)}, {rng.randrange(1, 5)})",
                f"group_concat(quote({self.column(scope)}), '-'){where}",
            )
            if rng.random() < 0.2:
                whole = "named"
            return f"{name} OVER {whole}"
        name = self.one_of("sum", "total", "avg", "min", "max", "count")
        argument = self.column(scope) if name in ("min", "max", "count") else number
        if name in ("min", "max"):  # sqlite3 forgets their FILTER where the frame's start moves
            where = ""
        call = f"{name}({argument}){where}"
        if rng.random() < 0.5:
            return f"{call} OVER {whole}"
        # Frames of peers: what is computed on them does not depend on their order.
        ordered = f"ORDER BY {number}{direction}"
        frame = self.frame("RANGE", "GROUPS") if rng.random() < 0.8 else ""
        return f"{call} OVER ({partition}{ordered}{frame})"

    def frame(self, *units: str) -> str:
        rng = self.rng
        if rng.random() < 0.3:
            return ""
        bounds = (
            "UNBOUNDED PRECEDING",
            "PRECEDING",
            "CURRENT ROW",
            "FOLLOWING",
            "UNBOUNDED FOLLOWING",
        )
        low = rng.randrange(4)
        high = rng.randrange(max(low, 1), 5)
        first, last = (
            f"{rng.randrange(4)} {bounds[place]}" if place in (1, 3) else bounds[place]
            for place in (low, high)
        )
        exclude = self.one_of("", "", "", " EXCLUDE CURRENT ROW", " EXCLUDE TIES", " EXCLUDE GROUP")
        unit = self.one_of(*units)
        if low <= 2 and rng.random() < 0.2:
            return f" {unit} {first}{exclude}"
        return f" {unit} BETWEEN {first} AND {last}{exclude}"

    # -- whole queries ---------------------------------------------------------------------------

    def query(self) -> tuple[str, bool]:
        """(text, whether its rows come in a fixed order); its parameters in `parameters`."""
        rng = self.rng
        self.aliases = self.depth = 0
        self.columns = dict(COLUMNS)
        self.arms = []
        self.parameters = [] if rng.random() < 0.2 else None
        kinds = (
            self.plain,
            self.plain,
            self.plain,
            self.grouped,
            self.grouped,
            self.compound,
            self.compound,
            self.windowed,
            self.with_common,
            self.recursive,
        )
        text, count = rng.choice(kinds)()
        if count and rng.random() < 0.6:
            text += self.order_by(count)
            if rng.random() < 0.4:
                text += f" LIMIT {rng.randrange(12)}"
                if rng.random() < 0.4:
                    text += f" OFFSET {rng.randrange(5)}"
            return text, True
        return text, False
