"""The join of a SELECT as the clauses of one comprehension.

Every level of the plan becomes `for <variables> in <iterable>` and `if <condition>` clauses; put one
behind the other they are the body of a list comprehension, a generator expression or nested loops:

    for r1 in rows  if r1[2] > 5  for r2 in (get_t7(r1[0]),)  if r2 is not None

How one relation is read is `sql/compile/accesses.py`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec.structs import replace

from sql.compile.accesses import AccessCompiler, Binding, Source, variables_in
from sql.compile.beforehand import computed_before
from sql.compile.found_rows import found_by_columns
from sql.compile.hashed import hashed, source_of
from sql.compile.module import Lines
from sql.compile.text_filters import match_condition, row_filter
from sql.expressions import (
    ROWID,
    ColumnRef,
    Expression,
    InSubquery,
)
from sql.plan import (
    DerivedRelation,
    RowRelation,
    TableRelation,
    WorkRelation,
    width,
)
from sql.plan.operators import (
    HashLookup,
    KeyRange,
    Level,
    RowidUnion,
)
from sql.plan.walk import walk
from sql.run import ranges

if TYPE_CHECKING:
    from sql.compile.blocks import BlockCompiler

FEW_MATCHES = 16.0
CLAUSES_MAX = 14
"""`for` clauses of one comprehension; Python nests at most 20 loops."""


class LevelCompiler(AccessCompiler):
    """Makes the clauses of one SELECT's levels."""

    def __init__(
        self, compiler: BlockCompiler, uses: Counter[tuple[int, int]], body: Lines
    ) -> None:
        super().__init__(compiler, uses)
        self.body = body  # statements at the start of the block's function
        self.hoists = (
            False  # whether sets of subqueries are made beforehand: of a join that scans a table
        )
        self.asked = 1.0  # how many rows look a level up, in all runs of the block
        self.makes_later = False  # whether a hash table may be asked for by each row before
        # Levels, by the relation whose hash table is cut to what has a match in them.
        self.reducing: dict[int, list[Level]] = {}

    def beyond(self, number: int, expressions: Iterable[Expression]) -> set[int]:
        """The columns of a relation that the block speaks of elsewhere than in those of its expressions."""
        uses = Counter(
            node.column
            for expression in expressions
            for node in walk(expression)
            if isinstance(node, ColumnRef) and node.source == number
        )
        return {
            column
            for column in self.needed.get(number, set())
            if self.uses[number, column] > uses[column]
        }

    # -- levels ----------------------------------------------------------------------------------

    def header(self, level: Level) -> tuple[str, list[str], Source]:
        """The first level: the `for keys, rows in ...` header ("" for none) and its clauses."""
        found = found_by_columns(self, level)
        source = self._bound(level)
        if found:
            source, level = Source(found, [], []), replace(level, filters=())
        if level.left or source.batches is None:
            clauses = self._counted(level, self._clauses(level, source))
            return "", clauses, source
        clauses = self._scanned(level, source)
        if isinstance(level.relation, (TableRelation, DerivedRelation)) and not source.covering:
            binding = self.compiler.bindings[level.relation.source]
            self.compiler.widths[binding.row] = self._width(level, binding)
        batches = source.batches
        analysis = self.compiler.analysis
        if analysis is not None:
            number = analysis.number(level)
            batches = f"{self.module.constants.name(analysis.timed, 'timed')}({number}, {batches})"
            clauses.append(f"if {self.module.constants.name(analysis.hit, 'hit')}({number})")
        return f"for keys, rows in {batches}:", clauses, source

    def _scanned(self, level: Level, source: Source) -> list[str]:
        """The clauses of a scan in batches; a LIKE of a text column filters the whole batch."""
        loop = self._batch_clause(level, source)
        row = f"r{level.relation.source}"
        if loop == f"for {row} in rows":
            for condition in level.filters:
                matching = self._text_filter(condition, level.relation.source)
                if not matching:
                    continue
                others = self.filters(
                    tuple(other for other in level.filters if other is not condition)
                )
                if not others:
                    return [f"for {row} in {matching}(rows)"]
                if not any(":=" in other for other in others):
                    return [f"for {row} in {matching}([{row} {loop} {' '.join(others)}])"]
        return [loop, *self.filters(level.filters)]

    def _text_filter(self, condition: Expression, number: int) -> str:
        """The variable of a function that filters batches by the condition, "" if it is no such."""
        text = match_condition(condition, number, self.scalar)
        if text is None:
            return ""
        return self.module.once(self.call(row_filter, text.source, str(text.column)))

    def inner(self, level: Level) -> list[str]:
        """A later level's clauses."""
        return self._counted(level, self._clauses(level, self._bound(level)))

    def _counted(self, level: Level, clauses: list[str]) -> list[str]:
        """EXPLAIN ANALYZE: the clauses with counters in them."""
        analysis = self.compiler.analysis
        if analysis is None:
            return clauses
        number = analysis.number(level)
        if level.exists is not None:
            tried = self.module.constants.name(analysis.tried, "tried")
            hit = self.module.constants.name(analysis.hit, "hit")
            return [f"if {tried}({number})", *clauses, f"if {hit}({number})"]
        head, iterable = clauses[0].split(" in ", 1)
        timed = self.module.constants.name(analysis.timed, "timed")
        hit = self.module.constants.name(analysis.hit, "hit")
        return [
            f"{head} in {timed}({number}, lambda: {iterable})",
            *clauses[1:],
            f"if {hit}({number})",
        ]

    def joined(self, clauses: list[list[str]]) -> str:
        """All levels' clauses as one source, cut into functions where they are too many."""
        flat: list[str] = []
        loops = 0
        for place, level in enumerate(clauses):
            loops += sum(clause.startswith("for ") for clause in level)
            if loops > CLAUSES_MAX and place:
                flat.append(self._chunk(clauses[place:]))
                break
            flat += level
        return " ".join(flat)

    def _chunk(self, clauses: list[list[str]]) -> str:
        """The remaining levels as a generator function's rows."""
        inner = self.joined(clauses)
        made: list[str] = []
        for level in clauses:
            for clause in level:
                match = re.match(r"for (.+?) in ", clause)
                if match is not None:
                    made += variables_in(match[1])
        targets = f"({', '.join(dict.fromkeys(made))},)"
        free = [name for name in variables_in(inner) if name not in made]
        name = f"j{self.module.number()}"
        function = Lines()
        function.add(f"def {name}({', '.join(free)}):")
        function.depth = 1
        function.add(f"return ({targets} {inner})")
        self.module.add(function)
        return f"for {targets} in {name}({', '.join(free)})"

    def filters(self, conditions: tuple[Expression, ...]) -> list[str]:
        """An `if` clause for each condition."""
        return [f"if {self._true(condition)}" for condition in conditions]

    def _true(self, condition: Expression) -> str:
        if isinstance(condition, InSubquery):
            member = self.compiler.subqueries.member(condition)
            if member is not None:
                value, word, among = member
                if self.hoists:
                    # A call per row would cost as much again as the test.
                    name = f"h{self.module.number()}"
                    self.body.add(f"{name} = {among}")
                    among = name
                return f"({value} {word} {among})"
        return self.scalar.true(condition)

    def _batch_clause(self, level: Level, source: Source) -> str:
        row, key = self.wanted(level, source)
        if row and key:
            return f"for {key}, {row} in zip(keys, rows)"
        if row:
            return f"for {row} in {'keys' if source.covering else 'rows'}"
        return f"for {key or '_'} in keys"

    def wanted(self, level: Level, source: Source) -> tuple[str, str]:
        """The variables of row and key that anything refers to; "" where nothing does."""
        number = level.relation.source
        if source.covering:
            return f"i{number}", ""
        columns = self.needed.get(number, set())
        row = f"r{number}" if any(column >= 0 for column in columns) else ""
        key = f"k{number}" if ROWID in columns else ""
        return row, key

    def _clauses(self, level: Level, source: Source) -> list[str]:
        if source.batches is not None:
            row, key = self.wanted(level, source)
            if row and key:
                loop = self.loop(f"{key}, {row}", self.call(ranges.entries_of, source.batches))
            elif row and not source.covering:
                rows = source.rows or self.call(ranges.rows_of, source.batches)
                loop = self.loop(row, rows)
            else:
                name = row or key or f"k{level.relation.source}"
                loop = self.loop(name, self.call(ranges.keys_of, source.batches))
            wanted = [name for name in (key, row) if name]
            source = Source(None, [loop], wanted or [f"k{level.relation.source}"])
        return self.matched(level, source)

    def matched(self, level: Level, source: Source) -> list[str]:
        """The clauses of a source that is ready, with the level's conditions."""
        if source.proved:
            level = replace(
                level,
                on=tuple([each for each in level.on if each not in source.proved]),
                filters=tuple([each for each in level.filters if each not in source.proved]),
            )
        level, source = computed_before(self, level, source)
        if level.exists is not None:
            return [self._exists(level, source), *self.filters(level.filters)]
        if not level.left:
            return [*source.clauses, *self.filters(level.filters)]
        return [*self._left(level, source), *self.filters(level.filters)]

    def _exists(self, level: Level, source: Source) -> str:
        """A semi-join's level, or an anti-join's: a condition."""
        word = "if" if level.exists else "if not"
        if not source.variables and not level.on and source.clauses[0].startswith("if "):
            return f"{word} ({source.clauses[0][3:]})"
        if source.lookup and not level.on:
            return f"{word} ({source.lookup.replace('%s', '')} is not None)"
        clauses = [*source.clauses, *self.filters(level.on)]
        found = f"True {' '.join(clauses)}"
        # A list where matches are few: a generator costs more to start, but ends at the first of many.
        return f"{word} [{found}]" if level.fan_out <= FEW_MATCHES else f"{word} any({found})"

    def _left(self, level: Level, source: Source) -> list[str]:
        """A LEFT join's level: its matches, or else one row of NULLs."""
        relation = level.relation
        binding = self.compiler.bindings[relation.source]
        names = source.variables or [binding.row]
        nulls = []
        for name in names:
            if name == binding.key:
                nulls.append("None")
            else:
                count = self._width(level, binding)
                nulls.append(self.module.constants.name((None,) * count, "nulls"))
        target = ", ".join(names)
        element = target if len(names) == 1 else f"({target})"
        empty = nulls[0] if len(names) == 1 else f"({', '.join(nulls)})"
        if source.lookup and not level.on:
            return [self.loop(target, f"({source.lookup.replace('%s', f', {empty}')},)")]
        if source.matches and not level.on:
            return [self.loop(target, source.matches.replace("%s", f", ({empty},)"))]
        conditions = [f"if {self.scalar.true(condition)}" for condition in level.on]
        matches = f"[{element} {' '.join([*source.clauses, *conditions])}]"
        return [self.loop(target, f"({matches} or ({empty},))")]

    def _width(self, level: Level, binding: Binding) -> int:
        if binding.positions is not None:
            return max(binding.positions.values(), default=0) + 1
        relation = level.relation
        match relation:
            case TableRelation():
                return len(relation.table.columns)
            case RowRelation():
                return len(relation.provider.table.columns)
            case DerivedRelation():
                return width(relation.block)
            case WorkRelation():
                return relation.width

    # -- accesses --------------------------------------------------------------------------------

    def binding(self, level: Level) -> Binding:
        """The variables that the relation's rows will have."""
        number, access = level.relation.source, level.access
        inner = access.access if isinstance(access, HashLookup) else access
        if isinstance(inner, KeyRange) and inner.covering and not inner.path.clustered:
            return Binding(f"i{number}", f"k{number}", dict(inner.path.positions))
        if isinstance(inner, RowidUnion) and inner.covering:
            assert isinstance(level.relation, TableRelation)
            alias = level.relation.table.rowid_alias
            places = {ROWID: 0} if alias is None else {ROWID: 0, alias: 0}
            return Binding(f"i{number}", f"k{number}", places)
        return Binding(f"r{number}", f"k{number}")

    @contextmanager
    def readable(self, level: Level) -> Iterator[None]:
        """While it lasts the relation's columns can be compiled: to learn about a value, not to use its source."""
        bindings, number = self.compiler.bindings, level.relation.source
        before = bindings.get(number)
        bindings[number] = self.binding(level)
        try:
            yield
        finally:
            if before is None:
                del bindings[number]
            else:
                bindings[number] = before

    def _bound(self, level: Level) -> Source:
        """Bind the relation's variables, and turn its access into code."""
        relation = level.relation
        number = relation.source
        access = level.access
        binding = self.binding(level)
        # Bounds are compiled before the relation's own variables mean anything; hash keys after.
        if isinstance(access, HashLookup):
            return source_of(self, level, hashed(self, level))
        source = self.access(relation, access, level)
        self.compiler.bindings[number] = binding
        return source
