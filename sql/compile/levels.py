"""The join of a SELECT as the clauses of one comprehension.

Every level of the plan becomes `for <variables> in <iterable>` and `if <condition>` clauses; put one
behind the other they are the body of a list comprehension, a generator expression or nested loops:

    for r1 in rows  if r1[2] > 5  for r2 in (get_t7(r1[0]),)  if r2 is not None

Variables of relation 3: `r3` its row, `k3` its tree key, `i3` an index key that covers it.
No `:=` may stand in a comprehension's iterable, so such a source moves into a function of its own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, assert_never

from msgspec import Struct

from sql.compile.hashed import hashed, source_of
from sql.compile.module import Lines, Module
from sql.compile.providers import provided_rows
from sql.compile.text_filters import match_condition, row_filter
from sql.expressions import (
    ROWID,
    Affinity,
    ColumnRef,
    Expression,
    InList,
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
    PRESENT,
    Access,
    Bound,
    Equality,
    HashLookup,
    KeyRange,
    Level,
    RowidLookup,
    RowidRange,
    RowidUnion,
    RowsScan,
    TableScan,
)
from sql.plan.walk import walk
from sql.run import arithmetic, ranges
from sql.run.lookups import index_rows

if TYPE_CHECKING:
    from sql.compile.blocks import BlockCompiler

NULL, INTEGER, TEXT = 1, 2, 8
FEW_MATCHES = 16.0
CLAUSES_MAX = 14
"""`for` clauses of one comprehension; Python nests at most 20 loops."""

_VARIABLE = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\b([kriwgch]\d+|c\d+_\d+)\b""")
"""A variable, or a text, which may look like one inside."""
_LOOP = re.compile(r"\bfor ([kriwgch]\d+(?:, [kriwgch]\d+)*) in ")


def variables_in(source: str) -> list[str]:
    """Row variables that a source mentions, sorted."""
    return sorted({*_VARIABLE.findall(source)} - {""})


class Binding(Struct):
    """How the columns of a relation instance are read."""

    row: str
    key: str
    positions: dict[int, int] | None = None  # of a covering index: column -> place in `row`
    by_column: bool = False  # each column in a variable of its own
    alias: int | None = None  # with `by_column`: the column that is the rowid

    def column(self, column: int) -> str:
        if self.by_column and column not in (ROWID, self.alias):
            return f"c{self.row[1:]}_{column}"
        if self.positions is not None:
            return f"{self.row}[{self.positions[column]}]"
        if column == ROWID or (self.by_column and column == self.alias):
            return self.key
        return f"{self.row}[{column}]"


class Source(Struct):
    """An access as code: `batches` an iterator of (keys, values), or else ready `clauses`."""

    batches: str | None
    clauses: list[str]
    variables: list[str]
    covering: bool = False
    single: bool = False  # at most one row
    rows: str = ""  # all rows, where they can be had without batches and keys
    lookup: str = ""  # of a single row: a call that gives it, or the default put at its `%s`


class LevelCompiler:
    """Makes the clauses of one SELECT's levels."""

    def __init__(
        self, compiler: BlockCompiler, uses: Counter[tuple[int, int]], body: Lines
    ) -> None:
        self.compiler = compiler
        self.module: Module = compiler.module
        self.scalar = compiler.scalar
        self.uses = uses  # how often the block speaks of a relation's column
        self.needed: dict[int, set[int]] = {}
        for number, column in uses:
            self.needed.setdefault(number, set()).add(column)
        self.body = body  # statements at the start of the block's function
        self.hoists = (
            False  # whether sets of subqueries are made beforehand: of a join that scans a table
        )
        self.first = -1  # the relation that the join begins with
        # Levels, by the relation whose hash table is cut to what has a match in them.
        self.reducing: dict[int, list[Level]] = {}
        self.take = ""  # how many entries are wanted of the only level; "" for all

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
        source = self._bound(level)
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
                    made += _VARIABLE.findall(match[1])
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
            source = Source(None, [loop], [name for name in (key, row) if name])
        return self.matched(level, source)

    def matched(self, level: Level, source: Source) -> list[str]:
        """The clauses of a source that is ready, with the level's conditions."""
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

    def loop(self, target: str, iterable: str) -> str:
        """A `for` clause."""
        return f"for {target} in {self.safe(iterable)}"

    def safe(self, source: str) -> str:
        """The source, or a call of a function that returns it, fit for a comprehension's iterable.

        What the source binds by loops of its own (a rowid that only finds the row, too) is no argument."""
        if ":=" not in source:
            return source
        own = {name for targets in _LOOP.findall(source) for name in variables_in(targets)}
        free = [variable for variable in variables_in(source) if variable not in own]
        name = f"e{self.module.number()}"
        function = Lines()
        function.add(f"def {name}({', '.join(free)}):")
        function.depth = 1
        function.add(f"return {source}")
        self.module.add(function)
        return f"{name}({', '.join(free)})"

    def call(self, function: Callable[..., object], *arguments: str) -> str:
        """The source of a call of a runtime function."""
        return f"{self.module.function(function)}({', '.join(arguments)})"

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
        return Binding(f"r{number}", f"k{number}")

    def _bound(self, level: Level) -> Source:
        """Bind the relation's variables, and turn its access into code."""
        relation = level.relation
        number = relation.source
        access = level.access
        binding = self.binding(level)
        # Bounds are compiled before the relation's own variables mean anything; hash keys after.
        if isinstance(access, HashLookup):
            return source_of(self, hashed(self, level))
        source = self.access(relation, access, level)
        self.compiler.bindings[number] = binding
        return source

    def access(
        self,
        relation: TableRelation | RowRelation | DerivedRelation | WorkRelation,
        access: Access,
        level: Level,
    ) -> Source:
        match access:
            case RowsScan():
                return self._rows(relation, level)
            case TableScan():
                assert isinstance(relation, TableRelation)
                tree = self.module.tree(relation.table.tree_id)
                reverse = ", True" if access.reverse else ""
                batches = self.call(ranges.scan, tree, f"check{reverse}")
                return Source(self._taken(batches), [], [])
            case RowidLookup():
                assert isinstance(relation, TableRelation)
                return self._rowid(relation, access)
            case RowidRange():
                assert isinstance(relation, TableRelation)
                tree = self.module.tree(relation.table.tree_id)
                batches = self.call(
                    ranges.span,
                    tree,
                    "check",
                    *self.bounds(access.low, access.high),
                    str(access.reverse),
                )
                return Source(self._taken(batches), [], [])
            case KeyRange():
                assert isinstance(relation, TableRelation)
                return self._key_range(relation, access)
            case RowidUnion():
                assert isinstance(relation, TableRelation)
                return self._union(relation, access)
            case HashLookup():
                raise AssertionError("a hash lookup inside a hash lookup")
            case _:
                assert_never(access)

    def _rows(
        self,
        relation: TableRelation | RowRelation | DerivedRelation | WorkRelation,
        level: Level,
    ) -> Source:
        match relation:
            case DerivedRelation():
                return self._row_batches(relation.source, self.compiler.derived(relation))
            case RowRelation():
                return self._row_batches(relation.source, provided_rows(self, relation, level))
            case WorkRelation():
                return self._row_batches(relation.source, f"(work{relation.number}[0],)")
            case _:
                raise AssertionError("a stored table is scanned through its tree")

    def _row_batches(self, number: int, batches: str) -> Source:
        """Rows without keys, in batches."""
        return Source(self.call(ranges.row_batches, batches, "check"), [], [f"r{number}"])

    def _rowid(self, relation: TableRelation, access: RowidLookup) -> Source:
        number = relation.source
        get = self.module.method(relation.table.tree_id, "get")
        columns = self.needed.get(number, set())
        row, key = f"r{number}", f"k{number}"
        equality = access.equality
        names = [name for name, used in ((key, ROWID in columns), (row, True)) if used]
        if equality.many:
            values = self._many(equality, "")
            reverse = ", reverse=True" if access.reverse else ""
            loop = self.loop(key, f"{self.call(ranges.rowids_of, values + reverse)}")
            return Source(
                None, [loop, f"for {row} in ({get}({key}),)", f"if {row} is not None"], names
            )
        assert not isinstance(equality.value, (InList, InSubquery))
        source, kinds = self.scalar.operand(equality.value, equality.affinity, "BINARY")
        if kinds != INTEGER:
            source = self.call(ranges.rowid_of, source)
        if ROWID not in columns:
            return self.found([row], f"{get}({source}%s)")
        clauses = [self.loop(key, f"({source},)"), f"for {row} in ({get}({key}),)"]
        return Source(None, [*clauses, f"if {row} is not None"], names, single=True)

    def found(self, names: list[str], lookup: str) -> Source:
        """A source of at most one row: what the call gives, None for nothing."""
        if len(names) == 1:
            name = names[0]
            clauses = [self.loop(name, f"({lookup.replace('%s', '')},)"), f"if {name} is not None"]
            return Source(None, clauses, names, single=True, lookup=lookup)
        pair = f"e{self.module.number()}"
        clauses = [
            self.loop(pair, f"({lookup.replace('%s', '')},)"),
            f"if {pair} is not None",
            f"for {', '.join(names)} in ({pair},)",
        ]
        return Source(None, clauses, names, single=True)

    def _many(self, equality: Equality, convert: str) -> str:
        """The values of `column IN (...)` as an iterable's source; `convert` folds them."""
        value = equality.value
        if isinstance(value, InSubquery):
            values = self.compiler.subqueries.column_values(value)
        elif isinstance(value, InList):
            values = f"({''.join(f'{self.scalar.value(item)}, ' for item in value.items)})"
        else:
            values = f"({self.scalar.value(value)},)"
        conversion = self._conversion(equality.affinity)
        if conversion and convert:
            folded = self.call(ranges.composed, conversion, convert)
            return self.call(ranges.distinct, values, self.module.once(folded))
        if conversion or convert:
            return self.call(ranges.distinct, values, conversion or convert)
        return self.call(ranges.distinct, values)

    def _conversion(self, affinity: Affinity | None) -> str:
        if affinity is None or affinity == Affinity.BLOB:
            return ""
        function = arithmetic.as_text if affinity == Affinity.TEXT else arithmetic.as_numeric
        return self.module.function(function)

    def bounds(self, low: Bound | None, high: Bound | None, collation: str = "BINARY") -> list[str]:
        """low, high, low inclusive, high inclusive."""
        name, ends = self.module.constants.name, []
        for bound in (low, high):
            if bound is None or bound is PRESENT:
                ends.append(name(ranges.PRESENT if bound else ranges.UNBOUND, "bound"))
            else:
                ends.append(self.scalar.operand(bound.expression, bound.affinity, collation)[0])
        return [*ends, *[str(bound is None or bound.inclusive) for bound in (low, high)]]

    def _key_range(self, relation: TableRelation, access: KeyRange) -> Source:
        path = access.path
        if path.clustered and len(access.equal) == len(path.parts) and self._is_point(access):
            return self._clustered_point(relation, access)
        batches = self._taken(self._key_batches(access), clustered=path.clustered)
        if path.clustered:
            return Source(batches, [], [])
        if access.covering:
            return Source(batches, [], [f"i{relation.source}"], covering=True)
        get_many = self.module.method(relation.table.tree_id, "get_many")
        if relation.table.without_rowid:
            source = self.call(ranges.fetched_clustered, batches, get_many, str(path.key_start))
        else:
            source = self.call(ranges.fetched, batches, get_many, str(path.key_start))
            equal = f"{self.module.function(ranges.equal_span)}("
            needed = self.needed.get(relation.source, set())
            if batches.startswith(equal) and needed and ROWID not in needed:
                span = batches[len(equal) : -1]
                table = self.module.tree(relation.table.tree_id)
                rows = self.call(index_rows, span, table)
                return Source(f"((None, {rows}),)", [], [], rows=rows)
        return Source(source, [], [])

    def _taken(self, batches: str, *, clustered: bool = False) -> str:
        """The batches, ended after as many entries as LIMIT lets through."""
        span = f"{self.module.function(ranges.key_span)}("
        if self.take and batches.startswith(span) and not clustered:
            return self.call(ranges.head_span, self.take, batches[len(span) : -1])
        return self.call(ranges.head, batches, self.take) if self.take else batches

    def _is_point(self, access: KeyRange) -> bool:
        return not any(equality.many or equality.null_safe for equality in access.equal)

    def _clustered_point(self, relation: TableRelation, access: KeyRange) -> Source:
        get = self.module.method(relation.table.tree_id, "get")
        number = relation.source
        row, key = f"r{number}", f"k{number}"
        parts = "".join(
            f"{self.equal_source(access, place)}, " for place in range(len(access.equal))
        )
        names = [key, row] if ROWID in self.needed.get(number, set()) else [row]
        if len(names) == 2:
            clauses = [self.loop(key, f"(({parts}),)"), f"for {row} in ({get}({key}),)"]
        else:
            clauses = [self.loop(row, f"({get}(({parts})),)")]
        return Source(None, [*clauses, f"if {row} is not None"], names, single=True)

    def equal_source(self, access: KeyRange, place: int) -> str:
        equality = access.equal[place]
        assert not isinstance(equality.value, (InList, InSubquery))
        collation = access.path.parts[place].collation
        return self.scalar.operand(equality.value, equality.affinity, collation)[0]

    def _key_batches(self, access: KeyRange) -> str:
        path = access.path
        tree = self.module.tree(path.tree_id)
        plain = []
        choices = []
        for place, equality in enumerate(access.equal):
            if equality.many:
                fold = self.scalar.folding(path.parts[place].collation)
                convert = "" if fold is None else self.module.constants.name(fold, "fold")
                choices.append(self._many(equality, convert))
                continue
            source = self.equal_source(access, place)
            nullable = not equality.null_safe and self.scalar.nullable(equality.value)
            choices.append(self.call(ranges.one, source) if nullable else f"({source},)")
            plain.append("" if nullable else source)
        collation = (
            path.parts[len(access.equal)].collation if len(access.equal) < len(path.parts) else ""
        )
        reverse = str(access.reverse)
        if len(plain) == len(choices) and all(plain):
            prefix = f"({''.join(f'{part}, ' for part in plain)})"
            if access.prefix is not None:
                start = self.scalar.operand(access.prefix, None, collation)[0]
                return self.call(ranges.text_span, tree, "check", prefix, start, reverse)
            unbound = access.low is None and access.high is None
            if unbound and plain and not access.reverse and not path.clustered:
                return self.call(ranges.equal_span, tree, "check", prefix)
            bounds = self.bounds(access.low, access.high, collation or "BINARY")
            return self.call(ranges.key_span, tree, "check", prefix, *bounds, reverse)
        listed = f"({''.join(f'{choice}, ' for choice in choices)})"
        if access.prefix is not None:
            start = self.scalar.operand(access.prefix, None, collation)[0]
            return self.call(ranges.text_spans, tree, "check", listed, start, reverse)
        bounds = self.bounds(access.low, access.high, collation or "BINARY")
        return self.call(ranges.spans, tree, "check", listed, *bounds, f"reverse={reverse}")

    def _union(self, relation: TableRelation, access: RowidUnion) -> Source:
        parts = []
        for part in access.parts:
            if isinstance(part, KeyRange):
                batches = self._key_batches(part)
                keys = self.call(ranges.keys_of, batches)
                parts.append(f"[key[{part.path.key_start}] for key in {self.safe(keys)}]")
            elif isinstance(part, RowidRange):
                tree = self.module.tree(relation.table.tree_id)
                batches = self.call(ranges.span, tree, "check", *self.bounds(part.low, part.high))
                parts.append(self.call(ranges.keys_of, batches))
            elif part.equality.many:
                parts.append(self.call(ranges.rowids_of, self._many(part.equality, "")))
            else:
                assert not isinstance(part.equality.value, (InList, InSubquery))
                source = self.scalar.operand(part.equality.value, part.equality.affinity, "BINARY")
                parts.append(self.call(ranges.rowids_of, f"({source[0]},)"))
        get_many = self.module.method(relation.table.tree_id, "get_many")
        return Source(self.call(ranges.union, f"({', '.join(parts)},)", get_many), [], [])
