"""How a plan reads one relation, as source code: an `Access` becomes a `Source`.

A scan, a range or an equality of an index gives batches of entries; a look-up of one row gives clauses of
a comprehension.  Variables of relation 3: `r3` its row, `k3` its tree key, `i3` an index key that covers it.
No `:=` may stand in a comprehension's iterable, so such a source moves into a function of its own.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, assert_never

from msgspec import Struct

from sql.compile.module import Lines, Module
from sql.compile.plans import FEW_ROWS
from sql.compile.providers import leading_rows, provided_rows
from sql.expressions import (
    INTEGER,
    ROWID,
    Affinity,
    Call,
    Expression,
    InList,
    InSubquery,
)
from sql.plan import DerivedRelation, RowRelation, TableRelation, WorkRelation
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
from sql.run import arithmetic, ranges
from sql.run.lookups import index_batches, index_rows

if TYPE_CHECKING:
    from sql.compile.blocks import BlockCompiler


_VARIABLE = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\b([kriwgch]\d+|c\d+_\d+)\b""")
"""A variable, or a text, which may look like one inside."""
_LOOP = re.compile(r"\bfor ([kriwgch]\d+(?:, [kriwgch]\d+)*) in ")


def variables_in(source: str) -> list[str]:
    """Row variables that a source mentions, sorted."""
    return sorted({*_VARIABLE.findall(source)} - {""})


FIRST_FETCHED = 64
"""Rows of an index's entries that are fetched at first, where LIMIT may end them after an unknown number."""

_HEADS = ((ranges.key_span, ranges.head_span), (ranges.equal_span, ranges.head_equal))
"""What gives the keys of a range of an index, and what its first ones."""


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
    matches: str = ""  # of a list of rows: the same, where there is one at least
    proved: tuple[Expression, ...] = ()  # conditions that need not be asked of its rows


class AccessCompiler:
    """Makes the sources of one SELECT's relations."""

    def __init__(self, compiler: BlockCompiler, uses: Counter[tuple[int, int]]) -> None:
        self.compiler = compiler
        self.module: Module = compiler.module
        self.scalar = compiler.scalar
        self.needed: dict[int, set[int]] = {}  # the columns that the block reads, by relation
        for number, column in uses:
            self.needed.setdefault(number, set()).add(column)
        self.uses = uses  # how often the block speaks of a relation's column
        # How often in conditions that the relation's access proves, so that no row is asked.
        self.proved: Counter[tuple[int, int]] = Counter()
        self.first = -1  # the relation that the join begins with
        self.take = ""  # how many entries are wanted of the only level; "" for all
        self.topmost = (
            ""  # how many of a level's entries are wanted for each row before, see `Level`
        )
        self.cut = ""  # how many joined rows LIMIT lets through, "" for all
        self.may_end = False  # whether LIMIT may end the join before its last row
        self.skip = "0"  # how many of those OFFSET leaves out
        self.in_order = False  # whether rows have to come in the order of the accesses
        self.taken = False  # whether the access gives no more, and leaves those out

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
                return self._key_range(relation, access, level)
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
                leading = leading_rows(self, relation)
                if leading:
                    row = f"r{relation.source}"
                    return Source(None, [self.loop(row, leading)], [row])
                return self._row_batches(relation.source, provided_rows(self, relation, level))
            case WorkRelation():
                row = f"r{relation.source}"
                return Source(None, [f"for {row} in work{relation.number}[0]"], [row])
            case _:
                raise AssertionError("a stored table is scanned through its tree")

    def _row_batches(self, number: int, batches: str) -> Source:
        """Rows without keys, in batches."""
        return Source(self.call(ranges.row_batches, batches, "check"), [], [f"r{number}"])

    def _rowid(self, relation: TableRelation, access: RowidLookup) -> Source:
        number = relation.source
        get = self.module.method(relation.table.tree_id, "get")
        equality = access.equality
        if equality.many:
            reverse = ", reverse=True" if access.reverse else ""
            values = self._many(equality, "") + reverse
            return self._rowids(relation, self.call(ranges.rowids_of, values))
        columns = self.needed.get(number, set())
        row, key = f"r{number}", f"k{number}"
        names = [name for name, used in ((key, ROWID in columns), (row, True)) if used]
        assert not isinstance(equality.value, (InList, InSubquery))
        source, kinds = self.scalar.operand(equality.value, equality.affinity, "BINARY")
        if kinds != INTEGER:
            source = self.call(ranges.rowid_of, source)
        if ROWID not in columns:
            return self.found([row], f"{get}({source}%s)")
        clauses = [self.loop(key, f"({source},)"), f"for {row} in ({get}({key}),)"]
        return Source(None, [*clauses, f"if {row} is not None"], names, single=True)

    def _rowids(self, relation: TableRelation, rowids: str) -> Source:
        """The rows at row ids that the source gives."""
        number = relation.source
        if number == self.first and not self.may_end:
            getter = self.rows_getter(relation)
            return Source(self.call(ranges.rows_there, rowids, getter), [], [])
        get = self.module.method(relation.table.tree_id, "get")
        row, key = f"r{number}", f"k{number}"
        clauses = [self.loop(key, rowids), f"for {row} in ({get}({key}),)", f"if {row} is not None"]
        return Source(None, clauses, [key, row] if self._wants_rowid(number) else [row])

    def _wants_rowid(self, number: int) -> bool:
        return ROWID in self.needed.get(number, ())

    def rows_getter(self, relation: TableRelation, method: str = "get_many") -> str:
        """The source of what gives a table's rows by their keys, or by how these begin, of which the block's columns are wanted.

        Of a leaf that has just been read the others are then not made: see `btree.page_rows`."""
        get_many = self.module.method(relation.table.tree_id, method)
        number = relation.source
        columns = [
            column
            for column in sorted(self.needed.get(number, ()))
            if column >= 0 and self.uses[number, column] > self.proved[number, column]
        ]
        if len(columns) == len(relation.table.columns):
            return get_many
        partial = self.module.function(functools.partial)
        return self.module.once(f"{partial}({get_many}, columns={tuple(columns)})")

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

    def _key_range(self, relation: TableRelation, access: KeyRange, level: Level) -> Source:
        path = access.path
        if path.clustered and len(access.equal) == len(path.parts) and self._is_point(access):
            return self._clustered_point(relation, access)
        # Of a long run that LIMIT ends early no more is looked at than is asked for.
        gradual = (
            self.may_end
            and not self.take
            and relation.source == self.first
            and level.fan_out > FEW_ROWS
        )
        batches = self._key_batches(access, gradual, in_order=level.topmost)
        if level.topmost and not any(equality.many for equality in access.equal):
            batches = self._head(batches, self.topmost, "0", clustered=path.clustered)
        elif not level.topmost:
            batches = self._taken(batches, clustered=path.clustered)
        if path.clustered:
            return Source(batches, [], [])
        if access.covering:
            return Source(batches, [], [f"i{relation.source}"], covering=True)
        get_many = self.rows_getter(relation)
        if relation.table.without_rowid:
            source = self.call(ranges.fetched_clustered, batches, get_many, str(path.key_start))
        else:
            first = [self.cut or str(FIRST_FETCHED)] if self.may_end and not self.take else []
            source = self.call(ranges.fetched, batches, get_many, str(path.key_start), *first)
            equal = f"{self.module.function(ranges.equal_span)}("
            needed = self.needed.get(relation.source, set())
            if batches.startswith(equal) and needed and ROWID not in needed:
                span = batches[len(equal) : -1]
                table = self.module.tree(relation.table.tree_id)
                return Source(
                    self.call(index_batches, span, get_many),
                    [],
                    [],
                    rows=self.call(index_rows, span, table, get_many),
                )
            if isinstance(access.prefix, Call) and not access.equal and not self.in_order:
                start = self.scalar.operand(access.prefix, None, "BINARY")[0]
                scan = self.call(ranges.scan, self.module.tree(relation.table.tree_id), "check")
                source = self.call(ranges.started, start, f"lambda: {source}", f"lambda: {scan}")
        return Source(source, [], [])

    def _taken(self, batches: str, *, clustered: bool = False) -> str:
        """The batches, ended after as many entries as LIMIT lets through."""
        if not self.take:
            return batches
        self.taken = True
        return self._head(batches, self.take, self.skip, clustered=clustered)

    def _head(self, batches: str, count: str, skip: str, *, clustered: bool) -> str:
        if not clustered:
            for whole, first in _HEADS:
                span = f"{self.module.function(whole)}("
                if batches.startswith(span):
                    return self.call(first, count, skip, batches[len(span) : -1])
        return self.call(ranges.head, batches, count, skip)

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

    def _key_batches(
        self, access: KeyRange, gradual: bool = False, *, in_order: bool = False
    ) -> str:
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
        collation = path.part(len(access.equal)).collation
        reverse = str(access.reverse)
        if len(plain) == len(choices) and all(plain):
            prefix = f"({''.join(f'{part}, ' for part in plain)})"
            if access.prefix is not None:
                start = self.scalar.operand(access.prefix, None, collation)[0]
                return self.call(ranges.text_span, tree, "check", prefix, start, reverse)
            unbound = access.low is None and access.high is None
            if unbound and plain and not (access.reverse or path.clustered or gradual or in_order):
                return self.call(ranges.equal_span, tree, "check", prefix)
            bounds = self.bounds(access.low, access.high, collation)
            parts = [tree, "check", prefix, *bounds, reverse, *(["True"] if gradual else [])]
            return self.call(ranges.key_span, *parts)
        listed = f"({''.join(f'{choice}, ' for choice in choices)})"
        if access.prefix is not None:
            start = self.scalar.operand(access.prefix, None, collation)[0]
            return self.call(ranges.text_spans, tree, "check", listed, start, reverse)
        bounds = self.bounds(access.low, access.high, collation)
        further = [f"each={self.topmost}"] if in_order else []
        return self.call(
            ranges.spans, tree, "check", listed, *bounds, f"reverse={reverse}", *further
        )

    def _union(self, relation: TableRelation, access: RowidUnion) -> Source:
        parts = []
        values = []
        for part in access.parts:
            if isinstance(part, KeyRange):
                batches = self._key_batches(part)
                equal = f"{self.module.function(ranges.equal_span)}("
                if batches.startswith(equal):
                    span = batches[len(equal) : -1]
                    parts.append(self.call(ranges.rowids_prefixed, span))
                    continue
                keys = self.call(ranges.keys_of, batches)
                parts.append(f"[key[{part.path.key_start}] for key in {self.safe(keys)}]")
            elif isinstance(part, RowidRange):
                tree = self.module.tree(relation.table.tree_id)
                batches = self.call(ranges.span, tree, "check", *self.bounds(part.low, part.high))
                parts.append(self.call(ranges.keys_of, batches))
            elif part.equality.many:
                values.append(f"*{self._many(part.equality, '')}")
            else:
                assert not isinstance(part.equality.value, (InList, InSubquery))
                source = self.scalar.operand(part.equality.value, part.equality.affinity, "BINARY")
                values.append(source[0])
        if values:
            rowids = self.call(ranges.rowids_of, f"({', '.join(values)},)")
            if not parts:
                return self._rowids(relation, rowids)
            parts.append(rowids)
        listed = f"({', '.join(parts)},)"
        if access.covering:
            batches = self.call(ranges.union_keys, listed)
            return Source(batches, [], [f"i{relation.source}"], covering=True)
        return Source(self.call(ranges.union, listed, self.rows_getter(relation)), [], [])
