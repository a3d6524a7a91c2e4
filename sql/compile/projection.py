"""What becomes of a join's rows: output tuples in batches, DISTINCT, ORDER BY and LIMIT, as code.

Each is a stage over batches, a call around a call.  Where LIMIT cuts what ORDER BY sorts, the last row that
still counts is told to the rows' source, which leaves out what lies behind it before a tuple is made of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from sql.collations import nocase_fold
from sql.compile.accesses import variables_in
from sql.compile.by_column import also_tested, as_it_lies
from sql.compile.clauses import split_clauses
from sql.compile.module import Lines
from sql.compile.plans import TRIED
from sql.compile.scalar import is_simple
from sql.expressions import BLOB, INTEGER, NULL, REAL, TEXT, Expression, SlotRef
from sql.plan import Compound, OuterJoin, Recursive, Select, SortKey, TableRelation, Values, width
from sql.plan.operators import HashLookup, SelectPlan
from sql.plan.walk import SUBQUERIES, walk_flat
from sql.run import coded, sorting, stages
from sql.run.presorted import presorted
from sql.values import sort_key

if TYPE_CHECKING:
    from sql.compile.blocks import BlockCompiler
    from sql.compile.join import Join

NUMBER = INTEGER | REAL

Place = int | sorting.NullsApart

STREAM_FAN_OUT = 64.0
"""Joined rows per outer row from which a join streams instead of filling a list per batch."""


class Sieve(NamedTuple):
    """What leaves out rows behind the last one (`end`) that a LIMIT lets through.

    `lines` set `end`; `guard`: whether they may be asked for; `condition`: whether a row is to be kept; `known`: by
    the source of a value, or of a sort key, how it is spelled once the condition has been asked."""

    lines: list[str]
    guard: str
    condition: str
    known: dict[str, str]


class ProjectionCompiler:
    """Makes the stages behind a join, or behind the rows of another block."""

    def __init__(self, compiler: BlockCompiler) -> None:
        self.compiler = compiler
        self.module = compiler.module
        self.scalar = compiler.scalar

    def projected(self, plan: SelectPlan, joined: Join, body: Lines, free: list[str]) -> str:
        block = plan.block
        order = () if plan.ordered else block.order
        repeats = self.compiler.repeats
        self.compiler.repeats = asked = max(1.0, repeats / TRIED)
        if order and self._asks_behind_limit(block):
            self.compiler.repeats = min(asked, self.compiler.planner.limit_of(block) or asked)
        outputs = [self.scalar.value(output) for output in block.outputs]
        self.compiler.repeats = repeats
        if order and joined.row is not None and not block.distinct:
            late = self._projected_late(plan, joined, outputs, body, free)
            if late is not None:
                return late
        if order and self._asks_behind_limit(block):
            return self._asked_behind_limit(plan, joined, outputs, body, free)
        if not order:  # a sort goes through values that lie beside each other in less time
            self._take_as_it_lies(joined, outputs)
        self._presort(joined, block, order)
        columns, passes, own = self._order(order, outputs, all_rows=block.limit is None)
        element = self._element(outputs, columns, plan)
        values = [*outputs, *columns]
        distinct = None
        if block.distinct:
            distinct, key = self._distinct(block.outputs, bool(columns))
            if distinct is stages.distinct_values:
                element, values = outputs[0], []
        sieve = self._sieve(joined, plan, outputs, own) if order else None
        if sieve is not None:
            self._leave_out_behind(joined, block.order[0])
        near = (
            ""
            if sieve is None
            else self._element(
                [sieve.known.get(source, source) for source in outputs],
                [sieve.known.get(source, source) for source in columns],
                plan,
            )
        )
        rows = self.rows_function(joined, element, body, free, values, sieve=sieve, near=near)
        call = _called(rows, free, sieve)
        if _gives_wanted(joined, block) and distinct is None:
            return self.compiler.define_call(free, call)
        if distinct is not None:
            call = self.compiler.call(distinct, call, *key, "ctx")
        call = self._sorted(call, passes, block, sieve, plan.presorted)
        if columns:
            call = self.compiler.call(stages.stripped, call, str(len(outputs)))
        return self.compiler.define_call(free, call)

    def _take_as_it_lies(self, joined: Join, outputs: Sequence[str]) -> None:
        """Have a scan by column hand over arrays where rows are made of them at once, but for what rows have twice."""
        scan = joined.scan
        if scan is not None and joined.streams and joined.header == scan.header:
            twice = {scan.list_of(output) for output in outputs if outputs.count(output) > 1}
            joined.scan = scan = as_it_lies(self.compiler, scan, twice)
            joined.header = scan.header

    def _presort(self, joined: Join, block: Select, order: Sequence[SortKey]) -> None:
        """Have a scan by column hand over sorted runs, where all of its rows are sorted by one of its numbers."""
        scan = joined.scan
        if scan is None or not scan.is_whole or not joined.streams or len(order) != 1:
            return
        if block.limit is not None or block.distinct or block.windows or block.keys is not None:
            return
        (key,) = order
        source, kinds = self.scalar.value(key.expression), self.scalar.kinds(key.expression)
        if source in scan.lists and kinds & NUMBER and not kinds & ~(NUMBER | NULL):
            head, batches = joined.header[:-1].split(" in ", 1)
            place = str(list(scan.lists).index(source))
            ways = str(key.descending), str(key.nulls_first)
            sorted_runs = self.compiler.call(presorted, batches, place, *ways)
            joined.header = f"{head} in {sorted_runs}:"

    def _sieve(
        self, joined: Join, plan: SelectPlan, outputs: Sequence[str] = (), own: str = ""
    ) -> Sieve | None:
        """The sieve of the most significant key, which is in the row's tuple as `own`, or among the outputs; None
        where there is no LIMIT, or rows come in the order of that key."""
        block = plan.block
        if plan.presorted or block.limit is None or block.distinct or not joined.streams:
            return None
        key = block.order[0]
        value = self.scalar.value(key.expression)
        kinds = self.scalar.kinds(key.expression)
        bare = kinds & ~NULL
        folded = self.scalar.folding(key.collation) is not None and kinds & TEXT
        plain = bool(bare) and (not bare & ~NUMBER or bare in (TEXT, BLOB)) and not folded
        if is_simple(value) and not (plain and kinds & NULL):
            source = self.sort_key_source(key)
            behind = f"{source} < end" if key.descending else f"end < {source}"
            return Sieve(["end = last[0]"], "last", f"not {behind}", {})
        if not plain:
            return None
        # The key is computed once, and given a name that the row's tuple has it by.
        first, name = self.scalar.named(value)
        known = {
            source: name
            for source, output in zip(outputs, block.outputs, strict=False)
            if output == key.expression
        }
        if not kinds & NULL:
            known[own] = name
            behind = f"{first} < end" if key.descending else f"end < {first}"
            return Sieve(["end = last[0]"], "last", f"not {behind}", known)
        # NULLs are told first: of the pair that a key is then, the value is compared with the last one's.
        behind = f"{name} < end" if key.descending else f"end < {name}"
        is_value = str(key.nulls_first != key.descending)
        known[own] = f"({name} is {'not ' if is_value == 'True' else ''}None, {name})"
        condition = f"({first} is None or not {behind})"
        if not key.nulls_first:
            condition = f"({first} is not None and not {behind})"
        return Sieve(["end = last[0][1]"], f"last and last[0][0] is {is_value}", condition, known)

    def _leave_out_behind(self, joined: Join, key: SortKey) -> None:
        """Have a scan by column leave out most rows that a sieve would, before there are values of theirs: those that
        lie behind by the most significant key, if that is one of the table's numbers."""
        scan = joined.scan
        if scan is None or joined.header != scan.header:
            return
        kinds = self.scalar.kinds(key.expression)
        if not kinds & NUMBER or kinds & ~(NUMBER | NULL):
            return
        test = self.compiler.call(coded.Foremost, "{place}", "last", str(key.descending))
        scan = also_tested(self.compiler, scan, self.scalar.value(key.expression), test)
        joined.scan, joined.header = scan, scan.header

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
            plain = re.fullmatch(r"(\w+)\[(\d+)\]", source)
            if plain is not None and plain[1] == row:
                function = self.module.constants.name(itemgetter(int(plain[2])), "column")
            elif variables_in(source) == [row]:
                made = Lines()
                function = f"key{self.module.number()}"
                made.add(f"def {function}({row}): return {source}")
                self.module.add(made)
            else:
                return None
            passes.append(f"({function}, {key.descending})")
        element = self._element(outputs, [], plan)
        sieve = self._sieve(joined, plan)
        rows = self.rows_function(joined, row, body, free, sieve=sieve, near=row)
        keys = f"({', '.join(passes)},)"
        call = self._sorted(_called(rows, free, sieve), keys, block, sieve, plan.presorted)
        if element != row:
            stage = Lines()
            stage.add(f"for rows in {call}:")
            stage.add(f"    yield {self.compiler.unpacked(f'[{element} for {row} in rows]')}")
            return self.compiler.define(free, stage)
        return self.compiler.define_call(free, call)

    def _asks_behind_limit(self, block: Select) -> bool:
        """Whether outputs ask subqueries that ORDER BY does not, and LIMIT picks from the rows: it is then asked for those
        that are given out, and no others."""
        if block.limit is None or block.distinct or block.windows:
            return False
        if any(
            part.__class__ in SUBQUERIES
            for key in block.order
            for part in walk_flat(key.expression)
        ):
            return False
        return any(
            part.__class__ in SUBQUERIES for output in block.outputs for part in walk_flat(output)
        )

    def _asked_behind_limit(
        self, plan: SelectPlan, joined: Join, outputs: list[str], body: Lines, free: list[str]
    ) -> str:
        """ORDER BY and LIMIT of tuples of what the outputs are made of, and the projection behind them."""
        block = plan.block
        names = [name for name in variables_in(" ".join(outputs)) if name not in free]
        columns, passes, own = self._order(block.order, names, all_rows=False)
        sieve = self._sieve(joined, plan, (), own)
        if sieve is not None:
            self._leave_out_behind(joined, block.order[0])
        known = {} if sieve is None else sieve.known
        element = f"({''.join(f'{each}, ' for each in [*names, *columns])})"
        near = f"({''.join(f'{known.get(each, each)}, ' for each in [*names, *columns])})"
        rows = self.rows_function(
            joined, element, body, free, [*names, *columns], sieve=sieve, near=near
        )
        call = self._sorted(_called(rows, free, sieve), passes, block, sieve, plan.presorted)
        stage = Lines()
        stage.add(f"for rows in {call}:")
        target = f"({''.join(f'{each}, ' for each in [*names, *['_'] * len(columns)])})"
        made = f"[{self._element(outputs, [], plan)} for {target} in rows]"
        stage.add(f"    yield {self.compiler.unpacked(made)}")
        return self.compiler.define(free, stage)

    def _element(self, outputs: list[str], columns: list[str], plan: SelectPlan) -> str:
        """The output tuple's source; a whole row stands for itself."""
        block = plan.block
        if not columns and block.keys and not block.windows:
            row = f"g{block.aggregate_source}"
            count = len(block.keys) + len(block.aggregates) + len(block.bare)
            if outputs == [f"{row}[{place}]" for place in range(count)]:
                return row
        if block.keys is None and not block.windows:
            for whole in self._whole_rows(plan):
                if outputs == whole:
                    name = whole[0].removesuffix("[0]")
                    if not columns:
                        return name
                    return f"(*{name}, {''.join(f'{source}, ' for source in columns)})"
        return f"({''.join(f'{source}, ' for source in [*outputs, *columns])})"

    def _whole_rows(self, plan: SelectPlan) -> Iterator[list[str]]:
        """For each table of a join whose rows are at hand as they are stored, all of their columns."""
        for level in plan.levels:
            relation = level.relation
            if not isinstance(relation, TableRelation) or level.exists is not None:
                continue
            binding = self.compiler.bindings[relation.source]
            if binding.positions is None and not isinstance(level.access, HashLookup):
                yield [f"{binding.row}[{place}]" for place in range(len(relation.table.columns))]

    def rows_function(
        self,
        joined: Join,
        element: str,
        body: Lines,
        free: list[str],
        values: Sequence[str] = (),
        *,
        sieve: Sieve | None = None,
        near: str = "",
    ) -> str:
        """The function that gives the join's rows, as batches of `element`, a tuple of `values`.

        With a `sieve` it takes one more argument: a list, in which `top_rows` leaves the key of the last row
        that counts so far; `near` is the element behind the sieve."""
        listed = ""
        if joined.scan is not None and joined.scan.is_whole:
            listed = joined.scan.rows(values) or joined.scan.list_of(element)
        if joined.header and joined.few:
            # A list, not a generator: a handful of rows is handed over at once.
            body.add("out = []")
            body.add(joined.header)
            body.add(f"    out += {self.compiler.unpacked(f'[{element} {joined.clauses}]')}")
            body.add("return [out] if out else []")
        elif joined.streams:
            body.add(joined.header)
            if sieve is not None:
                few = self.compiler.unpacked(f"[{near} {joined.clauses} if {sieve.condition}]")
                body.add(f"    if {sieve.guard}:")
                for line in sieve.lines:
                    body.add(f"        {line}")
                body.add(f"        out = {few}")
                body.add("        if out: yield out")
                body.add("        continue")
            if element == joined.row and len(split_clauses(joined.clauses)) == 1:
                body.add(f"    out = {joined.clauses.split(' in ', 1)[1]}")
                body.add("    if out: yield out")
            elif listed:
                body.add(f"    yield {listed}")
            else:
                body.add(f"    out = {self.compiler.unpacked(f'[{element} {joined.clauses}]')}")
                body.add("    if out: yield out")
        elif joined.header or not joined.single:
            if joined.header:
                head, iterable = joined.header[:-1].split(" in ", 1)
                if ":=" in iterable:  # which no comprehension's iterable may hold
                    body.add(f"batches = {iterable}")
                    iterable = "batches"
                elif " if " in iterable:  # a conditional iterable needs its brackets
                    iterable = f"({iterable})"
                clauses = f"{head} in {iterable} {joined.clauses}"
            else:
                clauses = joined.clauses
            made = f"({element} {clauses})"
            if joined.wanted:
                rows = self.compiler.call(stages.first_batch, made, "check", joined.wanted)
            else:
                rows = self.compiler.call(stages.batched, made, "check")
            body.add(f"return {rows}")
        else:
            body.add(f"out = [{element} {joined.clauses}]")
            body.add("return [out] if out else []")
        return self.compiler.define(free if sieve is None else [*free, "last"], body)

    def sort_key_source(self, key: SortKey) -> str:
        """A comparable stand-in for the key's value, direction left aside."""
        source, plain = self._compared(key)
        last = key.nulls_first == key.descending
        if self.scalar.kinds(key.expression) & NULL and (plain or last):
            # What is NULL is told first; values are compared where they all compare with each other.
            first, name = self.scalar.named(source)
            value = name if plain else self.compiler.call(sort_key, name)
            return f"({first} is {'' if last else 'not '}None, {value})"
        return source if plain else self.compiler.call(sort_key, source)

    def _compared(self, key: SortKey) -> tuple[str, bool]:
        """The source of what stands for the key's value under its collation, and whether such values, NULL left
        aside, all compare with each other."""
        source = self.scalar.value(key.expression)
        kinds = self.scalar.kinds(key.expression)
        fold = self.scalar.folding(key.collation)
        if fold is not None and kinds & TEXT:
            call = f"{self.module.function(fold)}({source})"
            if fold is nocase_fold and kinds == TEXT and is_simple(source):
                call = f"({source}.lower() if {source}.isascii() else {call})"  # most are ASCII
            source = call
        bare = kinds & ~NULL
        return source, bool(bare) and (not bare & ~NUMBER or bare in (TEXT, BLOB))

    def _order(
        self, order: Sequence[SortKey], outputs: Sequence[str], *, all_rows: bool
    ) -> tuple[list[str], str, str]:
        """Columns to append to a tuple of `outputs` to sort by, the source of the passes, and that of the most
        significant key.  `all_rows`: LIMIT does not pick the first few of them."""
        columns: list[str] = []
        places: list[tuple[Place, bool]] = []
        spelled = {output: place for place, output in enumerate(outputs)}
        for key in order:
            source, plain = self._compared(key)
            apart = plain and all_rows and bool(self.scalar.kinds(key.expression) & NULL)
            if not apart:
                source = self.sort_key_source(key)
            place = spelled.get(source)
            if place is None:
                place = spelled[source] = len(outputs) + len(columns)
                columns.append(source)
            last = key.nulls_first == key.descending
            places.append((sorting.NullsApart(place, last) if apart else place, key.descending))
        most = places[0][0] if places else -1
        own = next((source for source, at in spelled.items() if at == most), "")
        return columns, self.passes(places), own

    def passes(self, places: Sequence[tuple[Place, bool]]) -> str:
        """The passes that sort tuples by places and directions: a constant's name, "" for none."""
        if not places:
            return ""
        # One pass a key: comparing bare values in several passes beats comparing tuples in one.
        passes = tuple(
            (itemgetter(place) if isinstance(place, int) else place, descending)
            for place, descending in reversed(places)
        )
        return self.module.constants.name(passes, "passes")

    def _distinct(
        self, outputs: Sequence[Expression], extra: bool
    ) -> tuple[Callable[..., Any], list[str]]:
        """The stage that gives each row once, and the name of its key function if it takes one.

        `extra`: rows go on behind their outputs."""
        folds = [self.scalar.folding(self._collation(output)) for output in outputs]
        if any(folds):
            key: Any = folded_key(folds)
        elif extra:
            key = itemgetter(slice(0, len(outputs)))
        else:
            return stages.distinct_values if len(outputs) == 1 else stages.distinct_rows, []
        return stages.distinct_keys, [self.module.constants.name(key, "key")]

    def _collation(self, output: Expression) -> str:
        from sql.bind.typing import collation_of

        return collation_of(output)

    def _sorted(
        self,
        call: str,
        passes: str,
        block: Select | Values | Compound | OuterJoin | Recursive,
        sieve: Sieve | None = None,
        presorted: int = 0,
    ) -> str:
        """The call (with a `sieve` a function that makes it) with ORDER BY and LIMIT around it; `presorted`: of how many
        keys rows come in order."""
        limit = None if block.limit is None else self.scalar.value(block.limit)
        offset = "0" if block.offset is None else self.scalar.value(block.offset)
        if passes and limit is not None:
            count = self.compiler.call(top_count, limit, offset)
            limits = ["check", "ctx.memory_limit_bytes"]
            if presorted:
                limits.append(f"presorted={presorted}")
            top = top_or_all if sieve is None else top_sieved
            call = self.compiler.call(top, call, passes, count, *limits)
        elif passes:
            call = self.compiler.call(
                sorting.sorted_batches, call, passes, "check", "ctx.memory_limit_bytes"
            )
        if limit is not None:
            call = self.compiler.call(stages.limited, call, limit, offset)
        return call

    def with_order(
        self, call: str, block: Values | Compound | OuterJoin | Recursive, free: list[str]
    ) -> str:
        """ORDER BY and LIMIT of a block whose rows sort keys see as slots."""
        count = width(block)
        places: list[tuple[Place, bool]] = []
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
        call = self._sorted(call, self.passes(places), block)
        if columns:
            call = self.compiler.call(stages.stripped, call, str(count))
        return self.compiler.define_call(free, call)


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


def top_count(limit: Any, offset: Any) -> int:
    """How many rows LIMIT and OFFSET need sorted; -1 for all."""
    count = stages.limit_of(limit, missing=-1)
    return count if count < 0 else count + stages.limit_of(offset, missing=0)


def skip_count(offset: Any) -> int:
    """How many rows OFFSET leaves out."""
    return stages.limit_of(offset, missing=0)


def _gives_wanted(joined: Join, block: Select) -> bool:
    """Whether a join gives one batch of as many rows as LIMIT lets through."""
    wanted = joined.wanted
    one_batch = wanted.isdigit() and int(wanted) <= stages.BATCH_ROWS
    return one_batch and block.offset is None and bool(joined.header or not joined.single)


def _called(rows: str, free: list[str], sieve: Sieve | None) -> str:
    """The call of a function of rows; of one with a sieve as a function of the list that it takes."""
    if sieve is not None:
        return f"lambda last: {rows}({', '.join([*free, 'last'])})"
    return f"{rows}({', '.join(free)})"


def top_or_all(
    batches: Any,
    passes: Any,
    count: int,
    check: Callable[[], None],
    memory_limit_bytes: int,
    last: list[Any] | None = None,
    presorted: int = 0,
) -> Any:
    """The first `count` rows in order, or all of them when that is not few."""
    if 0 <= count <= 100_000:
        rows = sorting.top_rows(batches, passes, count, check, last, presorted)
        return sorting.in_batches(rows, check)
    return sorting.sorted_batches(batches, passes, check, memory_limit_bytes)


def top_sieved(
    make: Callable[[list[Any]], Any],
    passes: Any,
    count: int,
    check: Callable[[], None],
    memory_limit_bytes: int,
) -> Any:
    """The same of rows whose source leaves out what can't be among them."""
    last: list[Any] = []
    return top_or_all(make(last), passes, count, check, memory_limit_bytes, last)
