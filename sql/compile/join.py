"""The levels of a SELECT's plan, one behind the other, as a batch loop and the clauses of one comprehension.

A first level that is scanned by column takes in what follows as long as that is looked up for a batch at once
(`probed`); from the first level on that is looked up row by row, the others are clauses (`levels`), or begin a loop of
their own over what was looked up for many rows (`batched`).
"""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING

from sql.compile.batched import batched_level, late_level
from sql.compile.by_column import ColumnScan, column_scan
from sql.compile.clauses import split_clauses
from sql.compile.computed import with_computed
from sql.compile.levels import LevelCompiler
from sql.compile.module import Lines
from sql.compile.plans import gives_few, is_cut, is_plain, may_end
from sql.compile.probed import probed_level, reduce_tables
from sql.compile.projection import STREAM_FAN_OUT, skip_count, top_count
from sql.expressions import ColumnRef, Expression, Literal
from sql.plan import WorkRelation
from sql.plan.operators import HashLookup, Level, RowidLookup, SelectPlan, TableScan
from sql.plan.walk import references_in, walk, walk_flat

if TYPE_CHECKING:
    from sql.compile.blocks import BlockCompiler

_FEW = range(1001)
LATER_ROWS = 1000.0
"""Rows before a level up to which its hash table is asked for by each of them, and so made for the first one only."""


class Join:
    """A join as source: the first level's batch loop (or ""), and the clauses of all levels.

    `row`: the row variable if a single relation's batches are scanned; `scan`: if one is scanned by column;
    `single`: at most one row, or no more than fit into a list; `few`: a handful of them; `streams`: they come batch by batch; `taken`: they are
    those that LIMIT and OFFSET let through; `wanted`: how many rows are, where LIMIT counts them as they come."""

    __slots__ = (
        "clauses",
        "fan_out",
        "few",
        "header",
        "row",
        "scan",
        "single",
        "streams",
        "taken",
        "wanted",
    )

    def __init__(
        self,
        header: str,
        clauses: str,
        row: str | None,
        fan_out: float,
        single: bool = False,
        few: bool = False,
    ) -> None:
        self.header = header
        self.clauses = clauses
        self.row = row
        self.fan_out = fan_out
        self.few = few
        self.scan: ColumnScan | None = None
        self.taken = False
        self.wanted = ""
        self.streams = bool(header) and not few and fan_out <= STREAM_FAN_OUT
        self.single = single or (not header and clauses.startswith("for _ in ("))


class JoinCompiler:
    """Makes the join of one plan; statements that stand before it go to `body`.

    `header`, `listed`: what there is so far, the clauses level by level; `scan`: the first level by column; `alone`:
    whether nothing but that binds anything yet; `fan_out`: joined rows for each of those that the header gives."""

    def __init__(self, compiler: BlockCompiler, plan: SelectPlan, body: Lines) -> None:
        self.compiler = compiler
        self.plan = plan
        self.body = body
        self.constant = self._constant()
        self.levels = LevelCompiler(compiler, _uses(plan), body)
        self.header = ""
        self.listed: list[list[str]] = []
        self.scan: ColumnScan | None = None
        self.single = False
        self.alone = True
        self.fan_out = 1.0

    def made(self) -> Join:
        """The whole join."""
        plan, levels = self.plan, self.levels
        if not plan.levels:
            rows = f"1 if {self.constant} else 0" if self.constant else "1"
            return Join("", f"for _ in ({rows},) if _", None, 1.0)
        first, *others = plan.levels
        levels.first = first.relation.source
        levels.hoists = isinstance(first.access, TableScan)
        levels.proved = _proved(plan)
        levels.in_order = (
            plan.ordered or plan.grouped or plan.presorted > 0 or plan.first_row or plan.windowed
        )
        self._limit()
        levels.asked = self.compiler.times
        if self.compiler.analysis is None:
            reduce_tables(levels, plan.levels)
        self._begin(first)
        reducing = {id(level) for those in levels.reducing.values() for level in those}
        for before, level in zip(plan.levels, others, strict=False):
            levels.makes_later = before.rows <= LATER_ROWS
            levels.asked = before.rows * self.compiler.times
            if id(level) in reducing:
                self._add_conditions(levels.filters(level.filters))
            else:
                self._add(level)
        return self._end()

    def _constant(self) -> str:
        """The variable of the conditions that no row decides, "" if there are none."""
        compiler = self.compiler
        constant = " and ".join(compiler.scalar.true(each) for each in self.plan.constant)
        if not constant:
            return ""
        # A name of its own: the condition may hold `:=`, which no iterable may.
        name = f"h{compiler.module.number()}"
        self.body.add(f"{name} = {constant}")
        return name

    def _limit(self) -> None:
        """Tell the levels how many rows LIMIT lets through, where it counts them as they come."""
        compiler, levels, block = self.compiler, self.levels, self.plan.block
        if self.plan.levels[-1].topmost:
            assert block.limit is not None
            offset = "0" if block.offset is None else compiler.scalar.value(block.offset)
            levels.topmost = f"h{compiler.module.number()}"
            count = compiler.call(top_count, compiler.scalar.value(block.limit), offset)
            self.body.add(f"{levels.topmost} = {count}")
        levels.may_end = may_end(self.plan)
        if not is_cut(self.plan):
            first, *others = self.plan.levels
            if self.plan.first_row and not others and not first.filters and not first.left:
                levels.take = "1"
            return
        limit = block.limit
        assert limit is not None
        offset = "0" if block.offset is None else compiler.scalar.value(block.offset)
        if isinstance(limit, Literal) and limit.value.__class__ is int and offset == "0":
            levels.cut = str(top_count(limit.value, 0))
        else:
            levels.cut = f"h{compiler.module.number()}"
            count = compiler.call(top_count, compiler.scalar.value(limit), offset)
            self.body.add(f"{levels.cut} = {count}")
        if is_plain(self.plan):
            levels.take = levels.cut
            if block.offset is not None:
                levels.skip = f"h{compiler.module.number()}"
                self.body.add(f"{levels.skip} = {compiler.call(skip_count, offset)}")

    def _begin(self, first: Level) -> None:
        """The first level."""
        levels, constant = self.levels, self.constant
        self.scan = scan = column_scan(levels, first)
        if scan is not None and len(self.plan.levels) == 1 and not constant:
            self.scan = scan = with_computed(levels, self.plan.block, scan)
        if scan is None:
            self.header, clauses, source = levels.header(first)
            self.single = source.single
        else:
            self.header, clauses = scan.header, scan.clauses
        if constant and not self.header:
            clauses = [f"for _ in (1,) if {constant}", *clauses]
        self.header = _only_if(constant, self.header) if self.header else ""
        self.listed = [clauses]

    def _add_conditions(self, conditions: list[str]) -> None:
        """Conditions behind the levels that there are."""
        if self.scan is not None and self.alone:
            self.scan.filters += conditions
            self.listed = [self.scan.clauses]
        else:
            self.listed[-1] += conditions

    def _add(self, level: Level) -> None:
        """One more level."""
        levels = self.levels
        if self.scan is not None and self.alone:
            probed = probed_level(levels, self.scan, level)
            if probed is not None:
                self._add_probed(*probed)
                return
        self.alone = False
        late = None
        is_hashed = isinstance(level.access, HashLookup)
        if level.batched and is_hashed:
            late = late_level(levels, level, self.header, self.listed)
        elif level.batched:
            late = batched_level(levels, level, self.header, self.listed)
        if late is not None:
            self.header, self.listed, self.fan_out = late[0], [late[1]], 1.0
        else:
            self.listed.append(levels.inner(level))
        if level.exists is None:
            self.fan_out *= max(level.fan_out, 1.0)

    def _add_probed(self, scan: ColumnScan, clauses: list[str]) -> None:
        """A level that the scan looks up, and what is left of it row by row."""
        self.scan = scan
        self.header, self.listed = _only_if(self.constant, scan.header), [scan.clauses]
        self.alone = not any(clause.startswith("for ") for clause in clauses)
        if self.alone:
            self._add_conditions(clauses)
        else:
            self.listed.append(clauses)

    def _end(self) -> Join:
        """What there is to know of the join behind it."""
        plan, levels = self.plan, self.levels
        first, *others = plan.levels
        row = None
        if not others and self.header and self.scan is None:
            clause = split_clauses(self.listed[0][0])[0]
            row = clause.split(" in ", 1)[0].removeprefix("for ")
            row = None if "," in row else row
        single = self.single and all(map(_at_most_one, others))
        few = gives_few(first) and self.fan_out <= STREAM_FAN_OUT
        limit = plan.block.limit
        if levels.taken and isinstance(limit, Literal) and limit.value in _FEW:
            few = True
        if isinstance(first.relation, WorkRelation) and self.fan_out <= STREAM_FAN_OUT:
            few = single = True  # what comes of a batch of the queue goes to the queue
        made = Join(self.header, levels.joined(self.listed), row, self.fan_out, single, few)
        made.scan = self.scan if self.alone else None
        made.taken = levels.taken
        if levels.cut and not levels.taken and not few:
            made.wanted, made.streams = levels.cut, False
        return made


def _at_most_one(level: Level) -> bool:
    """Whether a level finds one row at most for each before."""
    if level.exists is not None:
        return True
    return isinstance(level.access, RowidLookup) and not level.access.equality.many


def _uses(plan: SelectPlan) -> Counter[tuple[int, int]]:
    """How often a block speaks of a relation's column: the query, and the planner where it adds conditions."""
    block = plan.block
    asked = {id(each) for each in (*block.where, *[on for item in block.items for on in item.on])}
    added: list[Expression] = []
    for level in plan.levels:
        local = level.access.local if isinstance(level.access, HashLookup) else ()
        added += [each for each in (*level.filters, *local) if id(each) not in asked]
    nodes = chain(references_in(block), *map(walk, added))
    return Counter((node.source, node.column) for node in nodes if isinstance(node, ColumnRef))


def _proved(plan: SelectPlan) -> Counter[tuple[int, int]]:
    """How often conditions that no row is asked for, since a range or a look-up proves them, speak of the columns of the
    relation that it finds: the last one that they speak of."""
    block, levels = plan.block, plan.levels
    asked = {id(each) for level in levels for each in (*level.filters, *level.on)}
    asked |= {id(each) for each in plan.constant}
    place = {level.relation.source: number for number, level in enumerate(levels)}
    found: Counter[tuple[int, int]] = Counter()
    for condition in (*block.where, *[on for item in block.items for on in item.on]):
        if id(condition) in asked:
            continue
        nodes = [node for node in walk_flat(condition) if isinstance(node, ColumnRef)]
        last = max([place.get(node.source, -1) for node in nodes], default=-1)
        if last >= 0 and not isinstance(levels[last].access, HashLookup):
            own = levels[last].relation.source
            found.update([(own, node.column) for node in nodes if node.source == own])
    return found


def _only_if(condition: str, header: str) -> str:
    """A loop that runs if the condition, where there is one, holds."""
    head, iterable = header[:-1].split(" in ", 1)
    return f"{head} in ({iterable}) if {condition} else ():" if condition else header
