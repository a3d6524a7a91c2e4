"""The scan of a table as lists of values per column, where not all of its columns are wanted.

    for b1_2, b1_4 in by_column(t5, check, (2, 4)):
        v = [c1_2 for c1_2, c1_4 in zip(b1_2, b1_4) if c1_4 < 500]

Variables of relation 1: `c1_2` a value of column 2, `k1` a rowid; `b1_2` and `b1_k` the lists they are from.
No row is touched, so that what is not asked for costs nothing, neither memory nor decoding; and what is done
to a whole column is one call: `sum(b1_2)`, `list(zip(b1_k, b1_3))`.  A LIKE on a column of texts stands
before the loop and looks at a batch's texts at once (`text_filters`), other conditions on the table's own columns do
so at a batch's codes, or at what is remembered of it (`coded`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from itertools import count
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from sql.compile.accesses import Binding
from sql.compile.coded import SHARE_MAX, Decided, decided_conditions
from sql.compile.text_filters import match_condition, matching_columns
from sql.expressions import ROWID, Expression, InSubquery
from sql.optimise.shares import Shares
from sql.plan import TableRelation
from sql.plan.operators import Level, RowidRange, TableScan
from sql.run import coded
from sql.run.columns import as_they_lie, by_column, few_by_column, span_by_column
from sql.run.computed import Computed, ComputedTest
from sql.run.masks import RowTest
from sql.run.probes import MembersOf

if TYPE_CHECKING:
    from sql.compile.blocks import BlockCompiler
    from sql.compile.levels import LevelCompiler

ROWS_MIN = 2000
"""Rows of a table from which on it is scanned by column: a small one is in memory as rows in any case."""

_VALUE = re.compile(r"\b(?:c\d+_\d+|[kri]\d+)\b")


class ColumnScan(Struct):
    """A scan as a header, which binds lists of values, and clauses, which go through them.

    `columns`: the lists that `batches` consist of, by the variables of their values; `lists`: those that the header
    binds, by the variables of the clauses; `settled`: expressions that nothing behind the header looks at;
    `tested`, `passing`: the variables that tests look at, and these as clauses; `source`: the batches before any of
    their rows are left out; `stored`: the whole scan's batches for who takes columns as they lie in pages; `found`: the
    lists that come of probes; `selection`: what `coded.selected` is called with for `batches`, if it is."""

    number: int
    batches: str
    columns: dict[str, str]
    filters: list[str]
    lists: dict[str, str]
    settled: list[Expression]
    tests: str = "()"
    tested: list[str] = []
    passing: str = ""
    probes: str = ""
    found: dict[str, str] = {}
    source: str = ""
    stored: str = ""
    selection: list[str] = []

    @property
    def header(self) -> str:
        """The loop over batches."""
        return f"for {''.join(f'{name}, ' for name in self.lists.values())} in {self.batches}:"

    @property
    def clauses(self) -> list[str]:
        """The loop over a batch's values, and conditions."""
        return [loop_over(list(self.lists), list(self.lists.values())), *self.filters]

    @property
    def is_whole(self) -> bool:
        """Whether the clauses have no conditions: what the lists hold is what there is."""
        return not self.filters

    def list_of(self, source: str) -> str:
        """The list of all values of a source that is a plain column; "" of any other."""
        return self.lists.get(source, "")

    def variables(self, source: str) -> list[str]:
        """The scan's variables that a source mentions."""
        used = set(_VALUE.findall(source))
        return [name for name in self.lists if name in used]

    def loop(self, *sources: str) -> str:
        """The `for` clause over the columns that the sources use."""
        names = self.variables(" ".join(sources)) or [next(iter(self.lists))]
        return loop_over(names, [self.lists[name] for name in names])

    def rows(self, values: Sequence[str]) -> str:
        """A list of tuples of plain columns, "" if one of the values is more than that."""
        lists = [self.lists.get(value, "") for value in values]
        return f"list(zip({', '.join(lists)}))" if lists and all(lists) else ""

    def conditions(self) -> str:
        """The conditions of the clauses as one expression."""
        return " and ".join(f"({clause.removeprefix('if ')})" for clause in self.clauses[1:])


def loop_over(names: Sequence[str], lists: Sequence[str]) -> str:
    """The `for` clause that binds names to the values of lists."""
    if len(names) == 1:
        return f"for {names[0]} in {lists[0]}"
    return f"for {', '.join(names)} in zip({', '.join(lists)})"


def column_scan(levels: LevelCompiler, level: Level) -> ColumnScan | None:
    """The first level of a join by column; None if it is no whole scan of a larger table, or if it wants
    whole rows anyway."""
    relation = level.relation
    if (
        not isinstance(relation, TableRelation)
        or not isinstance(level.access, TableScan | RowidRange)
        or level.access.reverse
        or level.left
        or levels.take
    ):
        return None
    compiler = levels.compiler
    number, table = relation.source, relation.table
    wanted = sorted(levels.needed.get(number, set()))
    if not wanted or len([column for column in wanted if column >= 0]) == len(table.columns):
        return None
    if not compiler.planner.statistics.is_for_columns(table.tree_id):
        return None
    # The keys are at hand as a list: nothing need be picked out of rows, or decoded, for their column.
    alias = table.rowid_alias
    wanted = sorted({ROWID if column == alias else column for column in wanted})
    compiler.bindings[number] = Binding(f"r{number}", f"k{number}", by_column=True, alias=alias)
    filters, text = list(level.filters), None
    for condition in filters:
        text = match_condition(condition, number, compiler.scalar)
        if text is not None:
            filters.remove(condition)
            break
    columns = {
        f"k{number}" if column == ROWID else f"c{number}_{column}": (
            f"b{number}_{'k' if column == ROWID else column}"
        )
        for column in wanted
    }
    tree = levels.module.tree(table.tree_id)
    scanned = f"{tree}, check, {tuple(wanted)}"
    if isinstance(level.access, RowidRange):
        bounds = ", ".join(levels.bounds(level.access.low, level.access.high))
        call = f"{levels.module.function(span_by_column)}({scanned}, {bounds}"
    else:
        scanning = few_by_column if levels.may_end else by_column
        call = f"{levels.module.function(scanning)}({scanned}"
    stored = f"{call}, stored=True)"
    scan = ColumnScan(number, f"{call})", columns, [], columns, [])
    if text is not None:
        found = levels.module.once(text.source)
        place = wanted.index(text.column)
        used = bool(levels.beyond(number, [condition]) & {text.column})
        scan.batches = levels.call(matching_columns, stored, str(place), found, str(used))
    else:
        scan.stored = stored
        decided = decided_conditions(levels, relation, filters)
        if decided.conditions:
            _decide(levels, scan, decided)
            filters = [each for each in filters if all(each is not one for one in scan.settled)]
            scan = _selected(levels, scan)
        scan, filters = _by_sets(levels, scan, relation, filters)
    scan.filters = levels.filters(tuple(filters))
    if compiler.analysis is not None:
        scan.batches = _timed(levels, level, scan.batches)
        hit = levels.module.constants.name(compiler.analysis.hit, "hit")
        scan.filters.append(f"if {hit}({compiler.analysis.number(level)})")
    return scan


def _by_sets(
    levels: LevelCompiler, scan: ColumnScan, relation: TableRelation, filters: list[Expression]
) -> tuple[ColumnScan, list[Expression]]:
    """The scan cut to the rows whose value in a column is, or is not, in the set of a subquery that stands alone, where
    that leaves few; and the conditions that are left."""
    left = []
    for condition in filters:
        member = None
        if isinstance(condition, InSubquery):
            shares = Shares(levels.compiler.planner, {relation.source: relation})
            if shares.of_all([condition]) <= SHARE_MAX:
                member = levels.compiler.subqueries.member(condition)
        if member is None or member[0] not in scan.columns:
            left.append(condition)
            continue
        value, word, among = member
        probe = f"h{levels.module.number()}"
        levels.body.add(f"{probe} = {levels.call(MembersOf, among, str(word == 'in'))}")
        scan = with_probe(levels, scan, value, probe, condition, {})
    return scan, left


def _decide(levels: LevelCompiler, scan: ColumnScan, decided: Decided) -> None:
    """Have the scan's batches cut to the rows that meet the conditions."""
    names = list(scan.columns)
    tests = []
    used = list(dict.fromkeys(each.variable for each in decided.coded))
    for value in used:
        conditions = "".join(
            f"({each.operator!r}, {each.value}), "
            for each in decided.coded
            if each.variable == value
        )
        tests.append(levels.call(coded.Test, str(names.index(value)), f"({conditions})"))
    for called in decided.called:
        key = levels.module.constants.name(called.key, "key")
        place = str(names.index(called.variable))
        made = levels.call(Computed, key, place, f"{called.known}.of_column")
        decide = f"lambda b: bytes([1 if {called.test} else 0 for x in b])"
        tests.append(levels.call(ComputedTest, made, decide))
        used.append(called.variable)
    binding = levels.compiler.bindings[scan.number]
    for each in decided.own:
        values = list(dict.fromkeys(map(binding.column, each.columns)))
        lists = [scan.columns[value] for value in values]
        test = " ".join(levels.filters((each.condition,))).removeprefix("if ")
        loop = loop_over(values, lists)
        key = levels.module.constants.name(each.key, "key")
        places = "".join(f"{names.index(value)}, " for value in values)
        outside = "".join(f"p[{index}], " for index in each.parameters)
        decide = f"lambda {', '.join(lists)}: bytes([1 if {test} else 0 {loop}])"
        tests.append(levels.call(RowTest, key, f"({places})", decide, f"({outside})"))
        used += values
    scan.tests = levels.module.once(f"({''.join(f'{test}, ' for test in tests)})")
    scan.tested = list(dict.fromkeys(used))
    scan.settled += decided.conditions
    scan.passing = " ".join(levels.filters(tuple(scan.settled)))


def _one_by_one(levels: LevelCompiler, scan: ColumnScan, value: str) -> str:
    """A function that gives of all rows that pass the tests one value, or, "n", their places."""
    lists = {
        name: scan.columns[name] for name in dict.fromkeys([value, *scan.tested]) if name != "n"
    }
    if value == "n":
        lists = {"n": f"{levels.module.function(count)}()", **lists}
    loop = loop_over(list(lists), list(lists.values()))
    source = f"lambda {', '.join(scan.columns.values())}: [{value} {loop} {scan.passing}]"
    return levels.module.once(source)


def with_probe(
    levels: LevelCompiler,
    scan: ColumnScan,
    key: str,
    probe: str,
    settled: Expression,
    found: dict[str, str],
) -> ColumnScan:
    """The scan with a look-up of all values of a column (`key`) by a probe, and what it finds among its lists."""
    scan = replace(
        scan,
        probes=f"{scan.probes}({list(scan.columns).index(key)}, {probe}), ",
        settled=[*scan.settled, settled],
        found={**scan.found, **found},
    )
    return _selected(levels, scan)


def _selected(levels: LevelCompiler, scan: ColumnScan) -> ColumnScan:
    """The scan's batches cut to the rows that are wanted, its lists to those that are left: what nothing
    else speaks of need not be picked."""
    binding = levels.compiler.bindings[scan.number]
    beyond = levels.beyond(scan.number, scan.settled)
    still = {binding.column(column) for column in beyond}
    names = list(scan.columns)
    wanted = [name for name in names if name in still]
    places = "".join(f"{names.index(name)}, " for name in wanted)
    # If it is none, there are numbers that nobody reads, as many as rows.
    given = wanted if wanted or scan.found else names[:1]
    lists = {name: scan.columns[name] for name in given} | scan.found
    source = scan.source or scan.stored or scan.batches
    arguments = [source, scan.tests, "None", f"({scan.probes})", f"({places})"]
    if scan.tested:
        alone = len(wanted) == 1 and not scan.probes
        arguments[2] = _one_by_one(levels, scan, wanted[0] if alone else "n")
    return replace(
        scan,
        source=source,
        batches=levels.call(coded.selected, *arguments),
        lists=lists,
        selection=arguments,
    )


def also_tested(compiler: BlockCompiler, scan: ColumnScan, value: str, test: str) -> ColumnScan:
    """The scan's batches without rows that fail one more test, a call that lacks the place of the column that the
    variable `value` is of.  It need not be able to tell: somebody asks the rows again."""
    if value not in scan.columns or compiler.analysis is not None:
        return scan
    arguments = scan.selection
    if not arguments:
        if not scan.stored:
            return scan
        places = "".join(f"{place}, " for place in range(len(scan.columns)))
        arguments = [scan.stored, "()", "None", "()", f"({places})"]
    source, tests, *others = arguments
    test = test.format(place=list(scan.columns).index(value))
    arguments = [source, f"({test}, *{tests})" if tests != "()" else f"({test}, )", *others]
    return replace(scan, batches=compiler.call(coded.selected, *arguments), selection=arguments)


def as_it_lies(compiler: BlockCompiler, scan: ColumnScan, listed: Collection[str]) -> ColumnScan:
    """A scan of which nothing is left out with its columns as they lie in pages, for who goes through them once, but for
    those that are to be lists."""
    if not scan.is_whole or not scan.stored or scan.selection or compiler.analysis is not None:
        return scan
    places = [place for place, name in enumerate(scan.lists.values()) if name in listed]
    batches = compiler.call(as_they_lie, scan.stored, str((*places,)))
    return replace(scan, batches=batches)


def _timed(levels: LevelCompiler, level: Level, batches: str) -> str:
    analysis = levels.compiler.analysis
    assert analysis is not None
    timed = levels.module.constants.name(analysis.timed, "timed")
    return f"{timed}({analysis.number(level)}, {batches})"
