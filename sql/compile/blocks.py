"""Query blocks as functions of the generated module.

Every block becomes `def q<N>(<free rows>)` that returns batches: lists of output tuples.  Free rows are
the row variables of enclosing blocks that it refers to.  A SELECT is a join (one comprehension, see
`levels`), then grouping, windows, projection, DISTINCT, ORDER BY and LIMIT, each a stage over batches.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, assert_never

from msgspec.structs import replace

from sql.compile.batched import batched_level
from sql.compile.by_column import ColumnScan, column_scan
from sql.compile.groups import GroupCompiler, split_clauses
from sql.compile.levels import Binding, LevelCompiler, variables_in
from sql.compile.module import Lines, Module
from sql.compile.scalar import ScalarCompiler, is_simple
from sql.compile.subqueries import SubqueryCompiler
from sql.compile.unpacking import unpacked
from sql.expressions import ROWID, ColumnRef, Compare, Expression, Literal, SlotRef
from sql.functions import FunctionRegistry
from sql.optimise.planner import Planner
from sql.plan import (
    Block,
    Compound,
    DerivedRelation,
    OuterJoin,
    Recursive,
    Select,
    SortKey,
    TableRelation,
    Values,
    WindowCall,
    width,
)
from sql.plan.operators import KeyRange, Level, SelectPlan, TableScan
from sql.plan.walk import free_references, references, walk_block
from sql.run import joins, sorting, stages, windows
from sql.values import sort_key

if TYPE_CHECKING:
    from sql.run.analysis import Analysis

NULL, INTEGER, REAL, TEXT, BLOB = 1, 2, 4, 8, 16
NUMBER = INTEGER | REAL
EXTRA_SCOPES = 1_000_000
"""Source numbers from here on are rows of an enclosing trigger or upsert."""

_FEW = range(1001)

FEW_ROWS = 32.0
"""Rows of a look-up up to which they are gathered in one list."""

STREAM_FAN_OUT = 64.0
"""Joined rows per outer row from which a join streams instead of filling a list per batch."""


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
        self.repeats = 1.0  # about how often a correlated subquery of the present block runs
        self.widths: dict[str, int] = {}  # of the rows of a scanned relation, by variable
        self.analysis: Analysis | None = None
        self.cte_uses: Counter[int] = Counter()
        self.scalar = ScalarCompiler(
            self.resolve,
            self._subquery,
            module.constants,
            once=module.once,
            functions=functions,
            parameter_kinds=parameter_kinds,
        )
        self.subqueries = SubqueryCompiler(self)
        self._compiled: dict[tuple[int, tuple[str, ...]], tuple[str, list[str]]] = {}
        self._kept: list[Block] = []  # so that ids stay unique
        self._shared: dict[int, str] = {}

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

    def _call(self, function: Callable[..., Any], *arguments: str) -> str:
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
        free = self.free_variables(block)
        key = (id(block), tuple(free))
        known = self._compiled.get(key)
        if known is None:
            self._kept.append(block)
            match block:
                case Select():
                    name = self._select(block, free)
                case Values():
                    name = self._values(block, free)
                case Compound():
                    name = self._compound(block, free)
                case OuterJoin():
                    name = self._outer_join(block, free)
                case Recursive():
                    name = self._recursive(block, free)
                case _:
                    assert_never(block)
            known = self._compiled[key] = (name, free)
        return known

    def derived(self, relation: DerivedRelation) -> str:
        """The batches of a derived relation; a CTE that is used more than once is kept."""
        query, free = self.block(relation.block)
        call = f"{query}({', '.join(free)})"
        if free or relation.shared is None or self.cte_uses[relation.shared] < 2:
            return call
        name = self._shared.get(relation.shared)
        if name is None:
            name = self._shared[relation.shared] = f"m{self.module.number()}"
            function = Lines()
            function.add(f"{name}_ = None")
            function.add(f"def {name}():")
            function.depth = 1
            function.add(f"nonlocal {name}_")
            function.add(f"if {name}_ is None: {name}_ = list({call})")
            function.add(f"return {name}_")
            self.module.add(function)
        return f"{name}()"

    def _function(self, free: list[str]) -> tuple[str, Lines]:
        name = f"q{self.module.number()}"
        function = Lines()
        function.add(f"def {name}({', '.join(free)}):")
        function.depth = 1
        return name, function

    def _define(self, free: list[str], body: Lines) -> str:
        name, function = self._function(free)
        function.extend(body)
        self.module.add(function)
        return name

    # -- SELECT ----------------------------------------------------------------------------------

    def _select(self, block: Select, free: list[str]) -> str:
        plan = self.planner.plan(block, self.repeats if free else 1.0)
        assert isinstance(plan, SelectPlan)
        plan = without_scan_order(plan)
        outer, self.repeats = self.repeats, rows_tried(plan) * (self.repeats if free else 1.0)
        try:
            return self._select_planned(plan, free)
        finally:
            self.repeats = outer

    def _select_planned(self, plan: SelectPlan, free: list[str]) -> str:
        block = plan.block
        if block.keys is not None:
            groups = self._groups(plan, free)
            row = f"g{block.aggregate_source}"
            conditions = [f"if {self.scalar.true(condition)}" for condition in block.having]
            clauses = " ".join([f"for {row} in {groups}({', '.join(free)})", *conditions])
            joined = Join("", clauses, None, 1.0)
            body = Lines()
        else:
            body = Lines()
            joined = self._join(plan, body)
        if block.windows:
            clauses = self._windows(block, joined, body, free)
            body = Lines()
            joined = Join("", clauses, None, 1.0)
        return self._projected(plan, joined, body, free)

    def _join(self, plan: SelectPlan, body: Lines) -> Join:
        """The levels of the join as a header and clauses."""
        block = plan.block
        constant = " and ".join(self.scalar.true(condition) for condition in plan.constant)
        if constant:
            # A name of its own: the condition may hold `:=`, which no iterable may.
            name = f"h{self.module.number()}"
            body.add(f"{name} = {constant}")
            constant = name
        if not plan.levels:
            return Join(
                "", f"for _ in ({f'1 if {constant} else 0' if constant else '1'},) if _", None, 1.0
            )
        needed: dict[int, set[int]] = {}
        for node in walk_block(block):
            if isinstance(node, ColumnRef):
                needed.setdefault(node.source, set()).add(node.column)
        levels = LevelCompiler(self, needed, body)
        first, *others = plan.levels
        if _is_cut(plan):
            assert block.limit is not None
            offset = "0" if block.offset is None else self.scalar.value(block.offset)
            levels.take = f"h{self.module.number()}"
            count = self._call(top_count, self.scalar.value(block.limit), offset)
            body.add(f"{levels.take} = {count}")
        scan = column_scan(levels, first)
        if scan is None:
            header, clauses, source = levels.header(first)
            single = source.single
        else:
            header, clauses, single = scan.header, scan.clauses, False
        if constant:
            if header:
                head, iterable = header[:-1].split(" in ", 1)
                header = f"{head} in ({iterable}) if {constant} else ():"
            else:
                clauses = [f"for _ in (1,) if {constant}", *clauses]
        listed = [clauses]
        fan_out = 1.0
        for level in others:
            if level.batched:
                header, clauses = batched_level(levels, level, header, listed)
                listed, fan_out = [clauses], 1.0
            else:
                listed.append(levels.inner(level))
            if level.exists is None:
                fan_out *= max(level.fan_out, 1.0)
        row = None
        if not others and header and scan is None:
            row = split_clauses(clauses[0])[0].split(" in ", 1)[0].removeprefix("for ")
            row = None if "," in row else row
        single = single and all(self._at_most_one(level) for level in others)
        made = Join(header, levels.joined(listed), row, fan_out, single)
        made.scan = None if others else scan
        made.few = _gives_few(first) and fan_out <= STREAM_FAN_OUT
        if levels.take and isinstance(block.limit, Literal) and block.limit.value in _FEW:
            made.few = True
        return made

    def _at_most_one(self, level: Level) -> bool:
        from sql.plan.operators import RowidLookup

        if level.exists is not None:
            return True
        return isinstance(level.access, RowidLookup) and not level.access.equality.many

    def _projected(self, plan: SelectPlan, joined: Join, body: Lines, free: list[str]) -> str:
        block = plan.block
        outputs = [self.scalar.value(output) for output in block.outputs]
        order = () if plan.ordered else block.order
        if order and joined.row is not None and not block.distinct:
            late = self._projected_late(plan, joined, outputs, body, free)
            if late is not None:
                return late
        columns, passes = self._order(order, block.outputs)
        element = self._element(outputs, columns, plan)
        rows = self._rows_function(joined, element, body, free, [*outputs, *columns])
        call = f"{rows}({', '.join(free)})"
        if block.distinct:
            call = self._distinct(call, block.outputs, len(outputs) if columns else None)
        return self._ordered(call, passes, block, len(outputs), bool(columns), free)

    def _projected_late(
        self, plan: SelectPlan, joined: Join, outputs: list[str], body: Lines, free: list[str]
    ) -> str | None:
        """ORDER BY of one relation's rows as they are, and the projection behind it.

        No tuple is made but those that are given out, and a LIMIT's rows are found without any.  None
        where a key is more than a column: it might cost more than its tuple does, twice."""
        block, row = plan.block, joined.row
        assert row is not None
        if not all(is_simple(self.scalar.value(key.expression)) for key in block.order):
            return None
        passes = []
        for key in reversed(block.order):
            source = self.sort_key_source(key)
            plain = re.fullmatch(rf"{row}\[(\d+)\]", source)
            if plain is not None:
                function = self.module.constants.name(itemgetter(int(plain[1])), "column")
            elif variables_in(source) == [row]:
                made = Lines()
                function = f"key{self.module.number()}"
                made.add(f"def {function}({row}): return {source}")
                self.module.add(made)
            else:
                return None
            passes.append(f"({function}, {key.descending})")
        element = self._element(outputs, [], plan)
        rows = self._rows_function(joined, row, body, free)
        call = f"{rows}({', '.join(free)})"
        source = self.sort_key_source(block.order[0])
        behind = f"{source} < last" if block.order[0].descending else f"last < {source}"
        nearer = f"lambda rows, last: [{row} for {row} in rows if not {behind}]"
        call = self._sorted(call, f"({', '.join(passes)},)", block, nearer)
        if element != row:
            stage = Lines()
            stage.add(f"for rows in {call}:")
            stage.add(f"    yield {self.unpacked(f'[{element} for {row} in rows]')}")
            return self._define(free, stage)
        return self._define_call(free, call)

    def unpacked(self, source: str) -> str:
        """The source with rows unpacked by its loop where that pays."""
        return unpacked(source, self.widths)

    def _define_call(self, free: list[str], call: str) -> str:
        body = Lines()
        body.add(f"return {call}")
        return self._define(free, body)

    def _element(self, outputs: list[str], columns: list[str], plan: SelectPlan) -> str:
        """The output tuple's source; a whole row stands for itself."""
        if not columns and len(plan.levels) == 1 and plan.block.keys is None:
            level = plan.levels[0]
            relation = level.relation
            if isinstance(relation, TableRelation) and not plan.block.windows:
                binding = self.bindings[relation.source]
                count = len(relation.table.columns)
                whole = [f"{binding.row}[{place}]" for place in range(count)]
                if outputs == whole and binding.positions is None:
                    return binding.row
        return f"({''.join(f'{source}, ' for source in [*outputs, *columns])})"

    def _rows_function(
        self,
        joined: Join,
        element: str,
        body: Lines,
        free: list[str],
        values: Sequence[str] = (),
    ) -> str:
        """The function that gives the join's rows, as batches of `element`, a tuple of `values`."""
        listed = ""
        if joined.scan is not None and joined.scan.is_whole:
            listed = joined.scan.rows(values)
        if joined.header and joined.few:
            # A list, not a generator: a handful of rows is handed over at once.
            body.add("out = []")
            body.add(joined.header)
            body.add(f"    out += {self.unpacked(f'[{element} {joined.clauses}]')}")
            body.add("return [out] if out else []")
        elif joined.header and joined.fan_out <= STREAM_FAN_OUT:
            body.add(joined.header)
            if element == joined.row and len(split_clauses(joined.clauses)) == 1:
                body.add(f"    out = {joined.clauses.split(' in ', 1)[1]}")
                body.add("    if out: yield out")
            elif listed:
                body.add(f"    yield {listed}")
            else:
                body.add(f"    out = {self.unpacked(f'[{element} {joined.clauses}]')}")
                body.add("    if out: yield out")
        elif joined.header or not joined.single:
            if joined.header:
                clauses = f"{joined.header[:-1]} {joined.clauses}"
                if " if " in joined.header:  # a conditional iterable needs its brackets
                    head, iterable = joined.header[:-1].split(" in ", 1)
                    clauses = f"{head} in ({iterable}) {joined.clauses}"
            else:
                clauses = joined.clauses
            body.add(f"return {self._call(stages.batched, f'({element} {clauses})', 'check')}")
        else:
            body.add(f"out = [{element} {joined.clauses}]")
            body.add("return [out] if out else []")
        return self._define(free, body)

    # -- stages ----------------------------------------------------------------------------------

    def sort_key_source(self, key: SortKey) -> str:
        """A comparable stand-in for the key's value, direction left aside."""
        source = self.scalar.value(key.expression)
        kinds = self.scalar.kinds(key.expression)
        fold = self.scalar.folding(key.collation)
        if fold is not None and kinds & TEXT:
            source = f"{self.module.function(fold)}({source})"
        plain = bool(kinds) and (not kinds & ~NUMBER or kinds in (TEXT, BLOB))
        if key.nulls_first == key.descending and kinds & NULL:
            first, name = self.scalar.named(source)
            return f"({first} is None, {self._call(sort_key, name)})"
        return source if plain else self._call(sort_key, source)

    def _order(
        self, order: Sequence[SortKey], outputs: Sequence[Expression]
    ) -> tuple[list[str], str]:
        """Columns to append to the output tuple to sort by, and the source of the passes."""
        columns: list[str] = []
        places: list[tuple[int, bool]] = []
        spelled = {self.scalar.value(output): place for place, output in enumerate(outputs)}
        for key in order:
            source = self.sort_key_source(key)
            place = spelled.get(source)
            if place is None:
                place = spelled[source] = len(outputs) + len(columns)
                columns.append(source)
            places.append((place, key.descending))
        return columns, self.passes(places)

    def passes(self, places: Sequence[tuple[int, bool]]) -> str:
        """The passes that sort tuples by places and directions: a constant's name, "" for none."""
        if not places:
            return ""
        # One pass a key: comparing bare values in several passes beats comparing tuples in one.
        passes = tuple((itemgetter(place), descending) for place, descending in reversed(places))
        return self.module.constants.name(passes, "passes")

    def _distinct(self, call: str, outputs: Sequence[Expression], width_: int | None) -> str:
        folds = [self.scalar.folding(self._collation(output)) for output in outputs]
        if not any(folds):
            if width_ is None:
                return self._call(stages.distinct_rows, call, "ctx")
            key: Any = itemgetter(slice(0, width_))
        else:
            key = folded_key(folds)
        name = self.module.constants.name(key, "key")
        return self._call(stages.distinct_keys, call, name, "ctx")

    def _collation(self, output: Expression) -> str:
        from sql.bind.typing import collation_of

        return collation_of(output)

    def _ordered(
        self,
        call: str,
        passes: str,
        block: Select | Values | Compound | OuterJoin | Recursive,
        width_: int,
        strip: bool,
        free: list[str],
    ) -> str:
        """ORDER BY and LIMIT over the batches of `call`; the function of the whole block."""
        call = self._sorted(call, passes, block)
        if strip:
            call = self._call(stages.stripped, call, str(width_))
        return self._define_call(free, call)

    def _sorted(
        self,
        call: str,
        passes: str,
        block: Select | Values | Compound | OuterJoin | Recursive,
        nearer: str = "None",
    ) -> str:
        """The call with ORDER BY and LIMIT around it."""
        limit = None if block.limit is None else self.scalar.value(block.limit)
        offset = "0" if block.offset is None else self.scalar.value(block.offset)
        if passes and limit is not None:
            count = self._call(top_count, limit, offset)
            limits = ["check", "ctx.memory_limit_bytes", nearer]
            call = self._call(top_or_all, call, passes, count, *limits)
        elif passes:
            call = self._call(
                sorting.sorted_batches, call, passes, "check", "ctx.memory_limit_bytes"
            )
        if limit is not None:
            call = self._call(stages.limited, call, limit, offset)
        return call

    # -- grouping --------------------------------------------------------------------------------

    def _groups(self, plan: SelectPlan, free: list[str]) -> str:
        """The function that gives the list of the groups' tuples."""
        block = plan.block
        assert block.keys is not None
        if plan.count_tree is not None:
            body = Lines()
            body.add(f"return [(len({self.module.tree(plan.count_tree)}),)]")
            return self._define(free, body)
        body = Lines()
        joined = self._join(plan, body)
        grouping = GroupCompiler(self, block)
        if plan.first_row:
            return self._first_row(plan, joined, body, free)
        if block.keys:
            loops, depth = self._loops(joined)
            body.extend(grouping.grouped(loops, depth, joined))
        else:
            body.extend(grouping.everything(joined))
        return self._define(free, body)

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
        clauses = joined.clauses
        if joined.header:
            body.add(joined.header)
            body.add(f"    for row in ({row} {clauses}): return [row]")
        else:
            body.add(f"for row in ({row} {clauses}): return [row]")
        body.add(f"return [{nothing}]")
        return self._define(free, body)

    # -- windows ---------------------------------------------------------------------------------

    def _windows(self, block: Select, joined: Join, body: Lines, free: list[str]) -> str:
        """The clause that gives the window stage's rows."""
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
        rows = self._rows_function(joined, element, body, free, columns)
        computed = self._call(
            windows.window_rows,
            f"{rows}({', '.join(free)})",
            self.module.constants.name(tuple(specs), "windows"),
            f"({''.join(f'{offset}, ' for offset in offsets)})",
            str(count),
            "check",
        )
        return f"for g{block.window_source} in {computed}"

    def _window(
        self, call: WindowCall, place: Callable[[str], int], offsets: list[str]
    ) -> windows.WindowSpec:
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
                place(self.sort_key_source(key)),
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
            tuple(place(self.sort_key_source(key)) for key in call.partition),
            ordering,
            frame.unit,
            frame.start,
            frame.end,
            bounds[0],
            bounds[1],
            frame.exclude,
            self.scalar.folding(call.collation),
        )

    # -- other blocks ----------------------------------------------------------------------------

    def _values(self, block: Values, free: list[str]) -> str:
        rows = [
            f"({''.join(f'{self.scalar.value(item)}, ' for item in row)})" for row in block.rows
        ]
        return self._with_order(f"([{', '.join(rows)}],)", block, free)

    def _with_order(
        self, call: str, block: Values | Compound | OuterJoin | Recursive, free: list[str]
    ) -> str:
        """ORDER BY and LIMIT of a block whose rows sort keys see as slots."""
        count = width(block)
        places: list[tuple[int, bool]] = []
        columns: list[str] = []
        for key in block.order:
            source = self.sort_key_source(key)
            slot = key.expression.slot if isinstance(key.expression, SlotRef) else None
            if slot is not None and source == self.scalar.value(key.expression):
                places.append((slot, key.descending))
            else:
                places.append((count + len(columns), key.descending))
                columns.append(source)
        if columns:
            row = f"g{block.source if isinstance(block, (Compound, Recursive)) else 0}"
            rows = f"[(*{row}, {', '.join(columns)}) for {row} in batch]"
            call = f"({rows} for batch in {call})"
        return self._ordered(call, self.passes(places), block, count, bool(columns), free)

    def _arm(self, block: Block) -> str:
        query, free = self.block(block)
        return f"{query}({', '.join(free)})"

    def _compound(self, block: Compound, free: list[str]) -> str:
        left, right = self._arm(block.left), self._arm(block.right)
        if block.operator == "UNION ALL":
            call = self._call(stages.chained, left, right)
        else:
            folds = [self.scalar.folding(collation) for collation in block.collations]
            key = self.module.constants.name(folded_key(folds), "key") if any(folds) else "None"
            name = block.operator
            merged = f"sorted_after={bool(block.order)}"
            arguments = [repr(name), left, right, key, merged, "ctx=ctx"]
            call = self._call(stages.set_operation, *arguments)
        return self._with_order(call, block, free)

    def _outer_join(self, block: OuterJoin, free: list[str]) -> str:
        left, right = self._arm(block.left), self._arm(block.right)
        a, b = f"r{block.left_source}", f"r{block.right_source}"
        self.bindings[block.left_source] = Binding(a, f"k{block.left_source}")
        self.bindings[block.right_source] = Binding(b, f"k{block.right_source}")
        left_key = right_key = "None"
        for condition in block.on:
            keys = self._equality(condition, block.left_source, block.right_source)
            if keys is not None:
                left_key, right_key = f"lambda {a}: {keys[0]}", f"lambda {b}: {keys[1]}"
                break
        conditions = " and ".join(self.scalar.true(condition) for condition in block.on) or "True"
        call = self._call(
            joins.outer_joined,
            left,
            right,
            f"lambda {a}, {b}: {conditions}",
            left_key,
            right_key,
            str(block.left_width),
            str(block.right_width),
            str(block.full),
            "ctx",
        )
        return self._with_order(call, block, free)

    def _equality(self, condition: Expression, left: int, right: int) -> tuple[str, str] | None:
        """Sources of both sides of `left column = right column`, as hash keys."""
        if not isinstance(condition, Compare) or condition.op != "=":
            return None
        sides = (
            self.scalar.operand(condition.left, condition.left_affinity, condition.collation)[0],
            self.scalar.operand(condition.right, condition.right_affinity, condition.collation)[0],
        )
        if references(condition.left) == {left} and references(condition.right) == {right}:
            return sides
        if references(condition.left) == {right} and references(condition.right) == {left}:
            return sides[1], sides[0]
        return None

    def _recursive(self, block: Recursive, free: list[str]) -> str:
        work = f"work{block.number}"
        self.module.setup.setdefault(work, "[[]]")
        initial = self._arm(block.initial)
        steps = ", ".join(f"lambda: {self._arm(step)}" for step in block.steps)
        order = "None"
        if block.order:
            keys = []
            for key in block.order:
                source = self.sort_key_source(key)
                keys.append(self._call(descending_key, source) if key.descending else source)
            row = f"g{block.source}"
            order = f"lambda {row}: ({''.join(f'{key}, ' for key in keys)})"
        call = self._call(
            joins.recursive,
            initial,
            f"[{steps}]",
            work,
            "check",
            f"distinct={self.module.function(same) if block.distinct else 'None'}",
            f"order={order}",
            f"one_by_one={len(block.steps) > 1}",
        )
        limit = None if block.limit is None else self.scalar.value(block.limit)
        if limit is not None:
            offset = "0" if block.offset is None else self.scalar.value(block.offset)
            call = self._call(stages.limited, call, limit, offset)
        body = Lines()
        body.add(f"return {call}")
        return self._define(free, body)


class Join:
    """A join as source: the first level's batch loop (or ""), and the clauses of all levels.

    `row`: the row variable if a single relation's batches are scanned; `scan`: if one is scanned by column;
    `single`: at most one row."""

    __slots__ = ("clauses", "fan_out", "few", "header", "row", "scan", "single")

    def __init__(
        self, header: str, clauses: str, row: str | None, fan_out: float, single: bool = False
    ) -> None:
        self.header = header
        self.clauses = clauses
        self.row = row
        self.fan_out = fan_out
        self.few = False
        self.scan: ColumnScan | None = None
        self.single = single or (not header and clauses.startswith("for _ in ("))


def without_scan_order(plan: SelectPlan) -> SelectPlan:
    """ORDER BY x, rowid of a table that is scanned: sorts are stable, so that x alone will do."""
    block = plan.block
    if plan.ordered or len(plan.levels) != 1 or len(block.order) < 2 or block.keys is not None:
        return plan
    level, last = plan.levels[0], block.order[-1]
    relation, column = level.relation, last.expression
    if (
        block.windows
        or last.descending
        or not isinstance(relation, TableRelation)
        or relation.table.without_rowid
        or level.access != TableScan()
        or not isinstance(column, ColumnRef)
        or column.source != relation.source
        or column.column not in (ROWID, relation.table.rowid_alias)
    ):
        return plan
    return replace(plan, block=replace(block, order=block.order[:-1]))


def _is_cut(plan: SelectPlan) -> bool:
    """Whether LIMIT counts the entries of the only level as they come."""
    block = plan.block
    if block.limit is None or len(plan.levels) != 1 or block.keys is not None:
        return False
    level = plan.levels[0]
    return (
        not level.filters
        and not level.left
        and not block.windows
        and not block.distinct
        and (plan.ordered or not block.order)
    )


def _gives_few(level: Level) -> bool:
    """Whether a level is a look-up by index that is expected to find a handful of rows."""
    access = level.access
    return (
        isinstance(access, KeyRange)
        and len(access.equal) > 0
        and not any(equality.many for equality in access.equal)
        and level.fan_out <= FEW_ROWS
    )


def rows_tried(plan: SelectPlan) -> float:
    """About how many rows reach a level's last condition, which is where subqueries stand."""
    return max([1.0, *(2.0 * level.rows for level in plan.levels)])


def folded_key(folds: Sequence[Callable[[Any], Any] | None]) -> Callable[[Any], Any]:
    """The key function of rows whose columns compare under collations."""

    def key(row: Any) -> tuple[Any, ...]:
        return tuple(
            [
                value if fold is None else fold(value)
                for value, fold in zip(row, folds, strict=False)
            ]
        )

    return key


def same(row: Any) -> Any:
    return row


def descending_key(key: Any) -> Any:
    return sorting.Descending(key)


def top_count(limit: Any, offset: Any) -> int:
    """How many rows LIMIT and OFFSET need sorted; -1 for all."""
    count = stages.limit_of(limit, missing=-1)
    return count if count < 0 else count + stages.limit_of(offset, missing=0)


def top_or_all(
    batches: Any,
    passes: Any,
    count: int,
    check: Callable[[], None],
    memory_limit_bytes: int,
    nearer: Callable[[Any, Any], Any] | None = None,
) -> Any:
    """The first `count` rows in order, or all of them when that is not few."""
    if 0 <= count <= 100_000:
        return sorting.in_batches(sorting.top_rows(batches, passes, count, check, nearer), check)
    return sorting.sorted_batches(batches, passes, check, memory_limit_bytes)
