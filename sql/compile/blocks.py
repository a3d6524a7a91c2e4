"""Query blocks as functions of the generated module.

Every block becomes `def q<N>(<free rows>)` that returns batches: lists of output tuples.  Free rows are
the row variables of enclosing blocks that it refers to.  A SELECT is a join (one comprehension, see
`levels` and `by_column`), then grouping (`groups`), windows, and projection with DISTINCT, ORDER BY and
LIMIT (`projection`), each a stage over batches; other blocks are in `arms`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, assert_never

from msgspec.structs import replace

from btree import CollectorPaused
from sql.compile.accesses import Binding, variables_in
from sql.compile.clauses import split_clauses
from sql.compile.join import Join, JoinCompiler
from sql.compile.module import Lines, Module
from sql.compile.plans import (
    FEW_ROWS,
    cut_share,
    rows_seen,
    rows_tried,
    without_scan_order,
)
from sql.compile.projection import ProjectionCompiler
from sql.compile.scalar import ScalarCompiler
from sql.compile.subqueries import SubqueryCompiler
from sql.compile.unpacking import unpacked
from sql.expressions import (
    INTEGER,
    REAL,
    ColumnRef,
    SlotRef,
)
from sql.functions import FunctionRegistry
from sql.optimise.planner import Planner
from sql.plan import (
    Block,
    Compound,
    DerivedRelation,
    OuterJoin,
    Recursive,
    Select,
    Values,
    WindowCall,
)
from sql.plan.operators import SelectPlan, TreeEnd
from sql.plan.walk import cte_uses, free_references
from sql.run import ranges
from sql.run.sorting import in_batches

if TYPE_CHECKING:
    from sql.compile.arms import ArmsCompiler
    from sql.run import windows
    from sql.run.analysis import Analysis

NUMBER = INTEGER | REAL
MANY_ROWS = 20_000
"""Rows that are grouped from which on there may be as many groups: the garbage collector rests, and nothing is sorted
that need not be."""
EXTRA_SCOPES = 1_000_000
"""Source numbers from here on are rows of an enclosing trigger or upsert."""

_FUNCTION = re.compile(r"q\d+")


class BlockCompiler:
    """Compiles the blocks of one statement into one module."""

    def __init__(
        self,
        module: Module,
        planner: Planner,
        functions: FunctionRegistry,
        parameter_kinds: Sequence[int] | None,
    ) -> None:
        self.module = module
        self.planner = planner
        self.bindings: dict[int, Binding] = {}
        self.times = 1.0  # about how often the present block runs
        self.repeats = 1.0  # about how often a correlated subquery of the present block runs
        self.widths: dict[str, int] = {}  # of the rows of a scanned relation, by variable
        self.analysis: Analysis | None = None
        self.root: Block | None = None  # the whole query
        self.scalar = ScalarCompiler(
            self.resolve,
            self._subquery,
            module.constants,
            once=module.once,
            functions=functions,
            parameter_kinds=parameter_kinds,
        )
        self.subqueries = SubqueryCompiler(self)
        self.projection = ProjectionCompiler(self)
        self._compiled: dict[tuple[int, tuple[str, ...]], tuple[str, list[str]]] = {}
        self._kept: list[Block] = []  # so that ids stay unique
        self._shared: dict[int, tuple[str, Block]] = {}
        self._cte_uses: Counter[int] | None = None

    def release(self) -> None:
        """Let go of the parts, which refer to the compiler, when the code is made.

        Else the planner, and with it a transaction and all nodes that it reads, would stay until the garbage
        collector comes to its oldest generation."""
        del self.scalar, self.subqueries, self.projection

    # -- names -----------------------------------------------------------------------------------

    def resolve(self, e: ColumnRef | SlotRef) -> str:
        """The source of a column's or slot's value."""
        if isinstance(e, SlotRef):
            return f"g{e.source}[{e.slot}]"
        binding = self.bindings.get(e.source)
        if binding is None:
            if e.source < EXTRA_SCOPES:
                raise AssertionError(f"{e.table}.{e.name} is not in scope here")
            row, key = f"xr{e.source}", f"xk{e.source}"
            self.module.setup.setdefault(row, f"ctx.outer_rows[{e.source}][1]")
            self.module.setup.setdefault(key, f"ctx.outer_rows[{e.source}][0]")
            binding = self.bindings[e.source] = Binding(row, key)
        return binding.column(e.column)

    def _subquery(self, e: Any) -> str:
        return self.subqueries.source(e)

    def call(self, function: Callable[..., Any], *arguments: str) -> str:
        return f"{self.module.function(function)}({', '.join(arguments)})"

    def free_variables(self, block: Block) -> list[str]:
        """The row variables of enclosing blocks that the block refers to."""
        names: set[str] = set()
        for reference in free_references(block):
            names.update(variables_in(self.resolve(reference)))
        return sorted(names)

    # -- blocks ----------------------------------------------------------------------------------

    def block(self, block: Block) -> tuple[str, list[str]]:
        """The name of the block's function, and the variables that it has to be called with."""
        # What is compiled first is the whole query, unless rows around it are in scope already.
        free = self.free_variables(block) if self._kept or self.bindings else []
        key = (id(block), tuple(free))
        known = self._compiled.get(key)
        if known is None:
            self._kept.append(block)
            match block:
                case Select():
                    name = self._select(block, free)
                case Values():
                    name = self._arms().values(block, free)
                case Compound():
                    name = self._arms().compound(block, free)
                case OuterJoin():
                    name = self._arms().outer_join(block, free)
                case Recursive():
                    name = self._arms().recursive(block, free)
                case _:
                    assert_never(block)
            known = self._compiled[key] = (name, free)
        return known

    def _arms(self) -> ArmsCompiler:
        from sql.compile.arms import ArmsCompiler  # as groups and windows: few queries have any

        return ArmsCompiler(self)

    def derived(self, relation: DerivedRelation) -> str:
        """The batches of a derived relation; a CTE that is used more than once is kept."""
        query, free = self.block(relation.block)
        call = f"{query}({', '.join(free)})"
        if free or relation.shared is None or not self._used_again(relation.shared):
            return call
        name, kept = self._shared.get(relation.shared, ("", relation.block))
        if kept is not relation.block and kept != relation.block:
            return call  # it has been told a condition
        if not name:
            name = f"m{self.module.number()}"
            self._shared[relation.shared] = name, relation.block
            function = Lines()
            function.add(f"{name}_ = None")
            function.add(f"def {name}():")
            function.depth = 1
            function.add(f"nonlocal {name}_")
            function.add(f"if {name}_ is None: {name}_ = list({call})")
            function.add(f"return {name}_")
            self.module.add(function)
        return f"{name}()"

    def _used_again(self, cte: int) -> bool:
        """Whether a CTE stands in the query's FROM clauses more than once."""
        if self._cte_uses is None:
            self._cte_uses = Counter() if self.root is None else cte_uses(self.root)
        return self._cte_uses[cte] > 1

    def _function(self, free: list[str]) -> tuple[str, Lines]:
        name = f"q{self.module.number()}"
        function = Lines()
        function.add(f"def {name}({', '.join(free)}):")
        function.depth = 1
        return name, function

    def define(self, free: list[str], body: Lines) -> str:
        name, function = self._function(free)
        function.extend(body)
        self.module.add(function)
        return name

    # -- SELECT ----------------------------------------------------------------------------------

    def _select(self, block: Select, free: list[str]) -> str:
        plan = self.planner.plan(block, self.repeats if free else 1.0)
        assert isinstance(plan, SelectPlan)
        plan = without_scan_order(plan)
        runs, self.times = self.times, self.repeats if free else 1.0
        times = self.times * cut_share(self.planner, plan)
        seen = rows_seen(plan) * times
        outer, self.repeats = self.repeats, max(1.0, rows_tried(plan) * times)
        remembers, self.scalar.remembers = self.scalar.remembers, seen >= FEW_ROWS
        computed, self.scalar.computed = self.scalar.computed, []
        try:
            return self._select_planned(plan, free)
        finally:
            self.repeats, self.times, self.scalar.remembers = outer, runs, remembers
            self.scalar.computed = computed

    def _select_planned(self, plan: SelectPlan, free: list[str]) -> str:
        block = plan.block
        if block.keys is not None:
            from sql.compile.groups import GroupCompiler

            row = f"g{block.aggregate_source}"
            conditions = [f"if {self.scalar.true(condition)}" for condition in block.having]
            having = " and ".join(condition.removeprefix("if ") for condition in conditions)
            if self.analysis is None and GroupCompiler(self, block).takes_having(having):
                groups, conditions = self._groups(plan, free, having), []
            else:
                groups = self._groups(plan, free)
            rows = f"{groups}({', '.join(free)})"
            if block.keys:
                batches = rows if plan.grouped else self.call(in_batches, rows, "check")
                rows, header = "rows", f"for rows in {batches}:"
            else:
                header = ""
            clauses = " ".join([f"for {row} in {rows}", *conditions])
            joined = Join(header, clauses, row if header else None, 1.0, single=not header)
            body = Lines()
        else:
            body = Lines()
            joined = self._join(plan, body)
            if joined.taken:  # LIMIT and OFFSET have been seen to
                plan = replace(plan, block=replace(block, limit=None, offset=None))
        if block.windows:
            computed = self._windows(plan, joined, body, free)
            body = Lines()
            header = f"for rows in {self.call(in_batches, computed, 'check')}:"
            joined = Join(header, f"for g{block.window_source} in rows", None, 1.0)
        return self.projection.projected(plan, joined, body, free)

    def _join(self, plan: SelectPlan, body: Lines) -> Join:
        return JoinCompiler(self, plan, body).made()

    def unpacked(self, source: str) -> str:
        """The source with rows unpacked by its loop where that pays."""
        return unpacked(source, self.widths)

    def define_call(self, free: list[str], call: str) -> str:
        name, _, arguments = call.partition("(")
        if _FUNCTION.fullmatch(name) and arguments == f"{', '.join(free)})":
            return name  # it would be a function that does nothing but call this one
        body = Lines()
        body.add(f"return {call}")
        return self.define(free, body)

    def with_order(
        self, call: str, block: Values | Compound | OuterJoin | Recursive, free: list[str]
    ) -> str:
        """The function of a block's rows under its ORDER BY and LIMIT."""
        return self.projection.with_order(call, block, free)

    # -- grouping --------------------------------------------------------------------------------

    def _groups(self, plan: SelectPlan, free: list[str], having: str = "") -> str:
        """The function that gives the list of the groups' tuples, which meet the condition `having`; of a plan that is
        `grouped` it gives batches of them, one after the other."""
        block = plan.block
        assert block.keys is not None
        if plan.count_tree is not None:
            body = Lines()
            body.add(f"return [(len({self.module.tree(plan.count_tree)}),)]")
            return self.define(free, body)
        if plan.ends:
            body = Lines()
            body.add(f"return [({''.join([f'{self._end(end)}, ' for end in plan.ends])})]")
            return self.define(free, body)
        body = Lines()
        joined = self._join(plan, body)
        if plan.first_row:
            return self._first_row(plan, joined, body, free)
        if block.keys:
            from sql.compile.groups import GroupCompiler

            loops, depth = self._loops(joined)
            groups = GroupCompiler(self, block)
            if plan.grouped:
                body.extend(groups.one_by_one(loops, depth, joined, having))
                return self.define(free, body)
            many = rows_seen(plan) >= MANY_ROWS
            cut = bool(block.order) and block.limit is not None and not block.windows
            in_order = not many or not cut or plan.ordered
            grouped = groups.grouped(loops, depth, joined, having, in_order=in_order)
            if many:
                body.add(f"with {self.call(CollectorPaused)}:")
                body.depth = 1
            body.extend(grouped)
        else:
            from sql.compile.totals import TotalsCompiler

            body.extend(TotalsCompiler(self, block).everything(joined))
        return self.define(free, body)

    def _end(self, end: TreeEnd) -> str:
        """The value of an aggregate that is an end of a tree."""
        tree = self.module.tree(end.tree_id)
        if not end.name:
            return f"len({tree})"
        least = str(end.name == "min")
        if end.path is None:
            return self.call(ranges.rowid_end, tree, least)
        return self.call(ranges.index_end, tree, least, str(end.nullable))

    def _loops(self, joined: Join) -> tuple[Lines, int]:
        """The join as nested loop statements."""
        loops = Lines()
        if joined.header:
            loops.add(joined.header)
            loops.depth += 1
        for clause in split_clauses(joined.clauses):
            loops.add(f"{clause}:")
            loops.depth += 1
        return loops, loops.depth

    def _first_row(self, plan: SelectPlan, joined: Join, body: Lines, free: list[str]) -> str:
        """min() or max() of rows that come in its order: the first one decides."""
        block = plan.block
        call = block.aggregates[0]
        element = [self.scalar.value(call.arguments[0])]
        element += [self.scalar.value(item) for item in block.bare]
        row = f"({''.join(f'{item}, ' for item in element)})"
        nothing = f"({'None, ' * len(element)})"
        loops, depth = self._loops(joined)
        body.extend(loops)
        body.add(f"{'    ' * depth}return [{row}]")
        body.add(f"return [{nothing}]")
        return self.define(free, body)

    # -- windows ---------------------------------------------------------------------------------

    def _windows(self, plan: SelectPlan, joined: Join, body: Lines, free: list[str]) -> str:
        """The call that gives the window stage's rows."""
        from sql.run import windows

        block = plan.block
        columns = [self.scalar.value(item) for item in block.window_inputs]
        count = len(columns)

        def place(source: str) -> int:
            if source not in columns[count:]:
                columns.append(source)
            return columns.index(source, count)

        specs = []
        offsets: list[str] = []
        for call in block.windows:
            specs.append(self._window(call, place, offsets))
        element = f"({''.join(f'{column}, ' for column in columns)})"
        rows = self.projection.rows_function(joined, element, body, free, columns)
        return self.call(
            windows.window_rows,
            f"{rows}({', '.join(free)})",
            self.module.constants.name(tuple(specs), "windows"),
            f"({''.join(f'{offset}, ' for offset in offsets)})",
            str(count),
            "ctx",
            *(["in_order=True"] if plan.windowed else []),
        )

    def _window(
        self, call: WindowCall, place: Callable[[str], int], offsets: list[str]
    ) -> windows.WindowSpec:
        from sql.run import windows

        frame = call.frame
        bounds = []
        for expression in (frame.start_offset, frame.end_offset):
            if expression is None:
                bounds.append(-1)
            else:
                bounds.append(len(offsets))
                offsets.append(self.scalar.value(expression))
        ordering = tuple(
            windows.OrderPlace(
                place(self.projection.sort_key_source(key)),
                place(self.scalar.value(key.expression)),
                key.descending,
                key.nulls_first,
            )
            for key in call.order
        )
        return windows.WindowSpec(
            call.name,
            call.function,
            tuple(map(place, self.scalar.arguments(call.function, call.arguments))),
            -1 if call.where is None else place(f"(1 if {self.scalar.true(call.where)} else 0)"),
            tuple(place(self.projection.sort_key_source(key)) for key in call.partition),
            ordering,
            frame.unit,
            frame.start,
            frame.end,
            bounds[0],
            bounds[1],
            frame.exclude,
            self.scalar.folding(call.collation),
        )
