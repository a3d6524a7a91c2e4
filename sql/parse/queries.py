"""SELECT, VALUES, compounds, WITH, FROM and windows.

Trees are sqlglot's: a compound is a left-deep `Union` / `Intersect` / `Except` whose top carries ORDER
BY, LIMIT and WITH.  A comma is a `Join` without kind; CROSS JOIN has kind CROSS and `cross_order`, as it
forbids reordering.  A parenthesised join is a `Subquery` around its first relation with the rest as
`joins`; where it has an alias it is a `Subquery` of `SELECT *`.

Source: parse.y of SQLite 3.40.
"""

from __future__ import annotations

import sqlglot.expressions as exp

from sql.parse.cursor import IDENTIFIERS_OR_STRINGS, NAMES
from sql.parse.expressions import ExpressionParser
from sql.parse.lexer import JOIN_WORDS

_COMPOUNDS = {"UNION": exp.Union, "INTERSECT": exp.Intersect, "EXCEPT": exp.Except}
_FRAME_UNITS = frozenset(("ROWS", "RANGE", "GROUPS"))
COMPOUND_TERMS_MAX = 500


class QueryParser(ExpressionParser):
    """Productions of `select`."""

    __slots__ = ()

    def starts_query(self, place: int) -> bool:
        kind = self.kinds[place]
        if kind == "WITH":
            following = self.kinds[place + 1]
            return following in NAMES
        return kind == "SELECT" or kind == "VALUES"

    def query(self) -> exp.Expression:
        """`[WITH ...] SELECT ... [UNION ...] [ORDER BY] [LIMIT]`."""
        self.enter()
        with_ = self.with_clause() if self.kinds[self.index] == "WITH" else None
        node = self._compound()
        if with_ is not None:
            node.set("with_", with_)
        self.nesting -= 1
        return node

    def with_clause(self) -> exp.With:
        self.expect("WITH")
        recursive = self.accept("RECURSIVE")
        tables = [self._common_table()]
        while self.accept(","):
            tables.append(self._common_table())
        return exp.With(expressions=tables, recursive=recursive)

    def _common_table(self) -> exp.CTE:
        name = self.name_tree()
        columns = self._column_trees() if self.kinds[self.index] == "(" else None
        self.expect("AS")
        materialized: bool | None = None
        if self.accept("MATERIALIZED"):
            materialized = True
        elif self.accept("NOT"):
            self.expect("MATERIALIZED")
            materialized = False
        self.expect("(")
        if not self.starts_query(self.index):
            self.unexpected()
        query = self.query()
        self.expect(")")
        alias = exp.TableAlias(this=name, columns=columns)
        return exp.CTE(this=query, alias=alias, materialized=materialized)

    def _column_trees(self) -> list[exp.Identifier]:
        self.expect("(")
        found = [self._column_tree()]
        while self.accept(","):
            found.append(self._column_tree())
        self.expect(")")
        return found

    def _column_tree(self) -> exp.Identifier:
        """A column's name; SQLite's grammar takes, and ignores, COLLATE and a direction after it."""
        return self.name_tree()

    def _compound(self) -> exp.Expression:
        node = self._arm()
        terms = 1
        while True:
            operator = self.kinds[self.index]
            kind = _COMPOUNDS.get(operator)
            if kind is None:
                return node
            place = self.index
            self.index += 1
            distinct = not (operator == "UNION" and self.accept("ALL"))
            words = operator if distinct else "UNION ALL"
            if node.args.get("order") is not None:
                self.fail(f"ORDER BY clause should come after {words} not before", place)
            if node.args.get("limit") is not None:
                self.fail(f"LIMIT clause should come after {words} not before", place)
            if self.kinds[self.index] not in ("SELECT", "VALUES"):
                self.unexpected()
            arm = self._arm()
            terms += 1
            if terms > COMPOUND_TERMS_MAX:
                self.fail("too many terms in compound SELECT", place)
            joined = kind(this=node, expression=arm, distinct=distinct)
            for clause in ("order", "limit", "offset"):
                moved = arm.args.get(clause)
                if moved is not None:
                    arm.set(clause, None)
                    joined.set(clause, moved)
            node = joined

    def _arm(self) -> exp.Expression:
        if self.kinds[self.index] == "VALUES":
            return self.values_list()
        return self._select()

    def values_list(self) -> exp.Values:
        self.expect("VALUES")
        rows = [self._values_row()]
        while self.accept(","):
            rows.append(self._values_row())
        return exp.Values(expressions=rows)

    def _values_row(self) -> exp.Tuple:
        self.expect("(")
        row = exp.Tuple(expressions=self.expression_list())
        self.expect(")")
        return row

    def _select(self) -> exp.Select:
        self.expect("SELECT")
        kinds = self.kinds
        args: dict[str, object] = {}
        if self.accept("DISTINCT"):
            args["distinct"] = exp.Distinct()
        else:
            self.accept("ALL")
        args["expressions"] = self.result_columns()
        if self.accept("FROM"):
            args["from_"], args["joins"] = self.from_clause()
        if self.accept("WHERE"):
            args["where"] = exp.Where(this=self.expression())
        if kinds[self.index] == "GROUP":
            self.index += 1
            self.expect("BY")
            args["group"] = exp.Group(expressions=self.expression_list())
        if self.accept("HAVING"):
            args["having"] = exp.Having(this=self.expression())
        if self._starts_windows():
            args["windows"] = self._named_windows()
        args.update(self.order_and_limit())
        return exp.Select(**args)

    def order_and_limit(self) -> dict[str, exp.Expression]:
        found: dict[str, exp.Expression] = {}
        if self.kinds[self.index] == "ORDER":
            self.index += 1
            self.expect("BY")
            found["order"] = self.sort_terms()
        if self.accept("LIMIT"):
            first = self.expression()
            if self.accept("OFFSET"):
                found["offset"] = exp.Offset(expression=self.expression())
            elif self.accept(","):
                found["offset"] = exp.Offset(expression=first)
                first = self.expression()
            found["limit"] = exp.Limit(expression=first)
        return found

    def sort_terms(self) -> exp.Order:
        terms = [self._sort_term()]
        while self.accept(","):
            terms.append(self._sort_term())
        return exp.Order(expressions=terms)

    def _sort_term(self) -> exp.Ordered:
        term = self.expression()
        descending = False
        if not self.accept("ASC"):
            descending = self.accept("DESC")
        nulls_first: bool | None = None
        if self.accept("NULLS"):
            if self.accept("FIRST"):
                nulls_first = True
            else:
                self.expect("LAST")
                nulls_first = False
        return exp.Ordered(this=term, desc=descending, nulls_first=nulls_first)

    # Result columns

    def result_columns(self) -> list[exp.Expression]:
        found = [self._result_column()]
        while self.accept(","):
            found.append(self._result_column())
        return found

    def _result_column(self) -> exp.Expression:
        place = self.index
        kinds = self.kinds
        kind = kinds[place]
        if kind == "*":
            self.index += 1
            star = exp.Star()
            star.meta["start"] = self.starts[place]
            return star
        if kinds[place + 1] == "." and kinds[place + 2] == "*" and kind in NAMES:
            self.index += 3
            return exp.Column(this=exp.Star(), table=self.identifier(place))
        node = self.expression()
        # SQLite's name of an unaliased column runs up to the next token, comments included.
        text = self.text[self.starts[place] : self.starts[self.index]].strip(" \t\n\r\f")
        kind = kinds[self.index]
        if kind == "AS":
            self.index += 1
            alias = self.name_tree()
        elif kind in IDENTIFIERS_OR_STRINGS and not self._is_window_word():
            self.index += 1
            alias = self.identifier(self.index - 1)
        else:
            node.meta["text"] = text
            return node
        return exp.Alias(this=node, alias=alias)

    # FROM

    def from_clause(self) -> tuple[exp.From, list[exp.Join]]:
        first, joins = self._joined()
        return exp.From(this=first), joins

    def _joined(self) -> tuple[exp.Expression, list[exp.Join]]:
        """Relations and joins from left to right."""
        first = self._relation()
        place, condition = self.index, self.kinds[self.index]
        if self._join_condition({}):
            self.fail(f"a JOIN clause is required before {condition}", place)
        joins: list[exp.Join] = []
        while True:
            operator = self._join_operator()
            if operator is None:
                return first, joins
            right = self._relation()
            self._join_condition(operator)
            joins.append(exp.Join(this=right, **operator))

    def _join_condition(self, join: dict[str, object]) -> bool:
        if self.accept("ON"):
            join["on"] = self.expression()
        elif self.accept("USING"):
            join["using"] = self._column_trees()
        else:
            return False
        return True

    def _join_operator(self) -> dict[str, object] | None:
        kind = self.kinds[self.index]
        if kind == ",":
            self.index += 1
            return {}
        if kind == "JOIN":
            self.index += 1
            return {"kind": "INNER"}
        if kind not in JOIN_WORDS:
            return None
        place = self.index
        words: list[str] = []
        while self.kinds[self.index] != "JOIN":
            if len(words) == 3 or self.kinds[self.index] not in NAMES:
                self.unexpected()
            words.append(self.text[self.starts[self.index] : self.ends[self.index]])
            self.index += 1
        self.index += 1
        return self._join_type(words, place)

    def _join_type(self, words: list[str], place: int) -> dict[str, object]:
        """Any order and repetition of the words, as SQLite takes them."""
        said = {word.upper() for word in words}
        outer = said & {"LEFT", "RIGHT", "FULL"}
        inner = said & {"INNER", "CROSS"}
        if said - JOIN_WORDS or (inner and (outer or "OUTER" in said)) or said == {"OUTER"}:
            self.fail(f"unknown join type: {' '.join(words)}", place)
        if "OUTER" in said and not outer:
            self.fail(f"unknown join type: {' '.join(words)}", place)
        args: dict[str, object] = {}
        if "NATURAL" in said:
            args["method"] = "NATURAL"
        if "FULL" in said or {"LEFT", "RIGHT"} <= said:
            args["side"] = "FULL"
        elif outer:
            args["side"] = outer.pop()
        if "CROSS" in said:
            args["kind"] = "CROSS"
            args["cross_order"] = True
        elif outer or "OUTER" in said:
            args["kind"] = "OUTER"
        else:
            args["kind"] = "INNER"
        if args.get("side") is not None:
            args["kind"] = "OUTER"
        return args

    def _relation(self) -> exp.Expression:
        if self.kinds[self.index] == "(":
            return self._parenthesised_relation()
        place = self.index
        first = self.name_tree()
        args: dict[str, object] = {}
        if self.accept("."):
            args["db"] = first
            first = self.name_tree()
        this: exp.Expression = first
        if self.kinds[self.index] == "(":
            self.index += 1
            arguments = [] if self.kinds[self.index] == ")" else self.expression_list()
            self.expect(")")
            this = exp.Anonymous(this=first.this, expressions=arguments)
            this.meta["start"] = self.starts[place]
        alias = self.table_alias()
        if alias is not None:
            args["alias"] = alias
        table = exp.Table(this=this, **args)
        table.meta["start"] = self.starts[place]
        hint = self.index_hint() if this is first else None
        if hint is not None:
            table.meta["indexed_by"] = hint
        return table

    def table_alias(self) -> exp.TableAlias | None:
        kind = self.kinds[self.index]
        if kind == "AS":
            self.index += 1
            return exp.TableAlias(this=self.name_tree())
        if kind not in IDENTIFIERS_OR_STRINGS or self._is_window_word():
            return None
        self.index += 1
        return exp.TableAlias(this=self.identifier(self.index - 1))

    def index_hint(self) -> str | bool | None:
        """INDEXED BY: the name; NOT INDEXED: False."""
        if self.accept("INDEXED"):
            self.expect("BY")
            return self.name()
        if self.accept("NOT"):
            self.expect("INDEXED")
            return False
        return None

    def _parenthesised_relation(self) -> exp.Expression:
        self.expect("(")
        self.enter()
        if self.starts_query(self.index):
            query = self.query()
            self.expect(")")
            self.nesting -= 1
            return exp.Subquery(this=query, alias=self.table_alias())
        first, joins = self._joined()
        self.expect(")")
        self.nesting -= 1
        alias = self.table_alias()
        if alias is not None and not joins:
            first.set("alias", alias)
            return first
        if alias is not None:
            select = exp.Select(expressions=[exp.Star()], from_=exp.From(this=first), joins=joins)
            return exp.Subquery(this=select, alias=alias)
        if not joins:
            return first
        if isinstance(first, exp.Subquery):
            first.set("joins", [*(first.args.get("joins") or []), *joins])
            return first
        return exp.Subquery(this=first, joins=joins)

    # Windows

    def _starts_windows(self) -> bool:
        """WINDOW is a keyword only in front of `name AS`."""
        return (
            self.kinds[self.index] == "WINDOW"
            and self.kinds[self.index + 1] in NAMES
            and self.kinds[self.index + 2] == "AS"
        )

    def _is_window_word(self) -> bool:
        """Whether WINDOW, FILTER or OVER is a keyword here and so no alias, by SQLite's rules."""
        kind = self.kinds[self.index]
        if kind == "WINDOW":
            return self._starts_windows()
        if (kind != "OVER" and kind != "FILTER") or self.kinds[self.index - 1] != ")":
            return False
        following = self.kinds[self.index + 1]
        return following == "(" or (kind == "OVER" and following in NAMES)

    def _named_windows(self) -> list[exp.Window]:
        self.expect("WINDOW")
        found = [self._named_window()]
        while self.accept(","):
            found.append(self._named_window())
        return found

    def _named_window(self) -> exp.Window:
        name = self.name_tree()
        self.expect("AS")
        self.expect("(")
        return exp.Window(this=name, **self._window_body())

    def over(self, call: exp.Expression) -> exp.Expression:
        """What follows OVER: a window's name, or a definition in parentheses."""
        if self.accept("("):
            return exp.Window(this=call, over="OVER", **self._window_body())
        node = exp.Window(this=call, over="OVER", alias=self.name_tree())
        node.meta["bare"] = True  # the named window as it is, with its frame
        return node

    def _window_body(self) -> dict[str, object]:
        args: dict[str, object] = {}
        kind = self.kinds[self.index]
        if kind in NAMES and not (
            (kind == "PARTITION" and self.kinds[self.index + 1] == "BY") or kind in _FRAME_UNITS
        ):
            args["alias"] = self.name_tree()
        if self.accept("PARTITION"):
            self.expect("BY")
            args["partition_by"] = self.expression_list()
        if self.accept("ORDER"):
            self.expect("BY")
            args["order"] = self.sort_terms()
        unit = self.accept_one_of(_FRAME_UNITS)
        if unit is not None:
            args["spec"] = self._frame(unit)
        self.expect(")")
        return args

    def _frame(self, unit: str) -> exp.WindowSpec:
        args: dict[str, object] = {"kind": unit}
        if self.accept("BETWEEN"):
            args["start"], args["start_side"] = self._frame_bound("PRECEDING")
            self.expect("AND")
            args["end"], args["end_side"] = self._frame_bound("FOLLOWING")
        else:
            args["start"], args["start_side"] = self._frame_bound("PRECEDING")
        if self.accept("EXCLUDE"):
            args["exclude"] = self._exclusion()
        return exp.WindowSpec(**args)

    def _frame_bound(self, outwards: str) -> tuple[str | exp.Expression, str | None]:
        """A bound, and the side it lies on; what is unbounded is so `outwards`."""
        if self.accept("CURRENT"):
            self.expect("ROW")
            return "CURRENT ROW", None
        if self.accept("UNBOUNDED"):
            self.expect(outwards)
            return "UNBOUNDED", outwards
        bound = self.expression()
        side = self.accept_one_of(_SIDES)
        if side is None:
            self.unexpected()
        return bound, side

    def _exclusion(self) -> str:
        if self.accept("NO"):
            self.expect("OTHERS")
            return "NO OTHERS"
        if self.accept("CURRENT"):
            self.expect("ROW")
            return "CURRENT ROW"
        if self.accept("GROUP"):
            return "GROUP"
        self.expect("TIES")
        return "TIES"


_SIDES = frozenset(("PRECEDING", "FOLLOWING"))
