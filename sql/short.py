"""Short queries: one access to one table that finds a few rows, and columns of them.

They are what programs ask most often, some microseconds of work each, of which the general way (a context, the
plan's checks, functions and batches) would be more than half.  Once a session keeps a reader, such a query is
made *ready* for it: a function from the parameters' values to the rows that knows the reader's trees.  It is
good for as long as that reader is: nothing that was looked at when it was made can change before.

What such a function can't say in a few steps (a range that goes on in the next leaf, values of other kinds) it
leaves to the plan's code, by giving None.  It decides nothing: what is looked up, and in which order, is the
planner's choice.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from btree import Transaction, key_parts
from sql.collations import comparing
from sql.expressions import (
    ROWID,
    Affinity,
    Arithmetic,
    ColumnRef,
    Expression,
    InList,
    Literal,
    Parameter,
    SlotRef,
)
from sql.plan import Block, Compound, Select, TableRelation
from sql.plan.operators import (
    PRESENT,
    Bound,
    KeyPath,
    KeyRange,
    Level,
    RowidLookup,
    RowidRange,
    SelectPlan,
    TableScan,
    TreeEnd,
)
from sql.run.arithmetic import OPERATORS
from sql.run.ranges import UNBOUND, rowid_of
from sql.run.short import (
    ByRowid,
    Fetch,
    KeysOf,
    Operand,
    Pick,
    Ready,
    Rows,
    Short,
    Values,
    all_of,
    fetching,
    first_within,
    from_above,
    from_below,
    picking,
    present,
    run_of,
    tree_end,
    unbound,
    within,
)
from sql.values import compared_as

if TYPE_CHECKING:
    from sql.collations import Own
    from sql.optimise.planner import Planner
    from sql.plan import ResultColumn

ReadyQuery = tuple[Ready, tuple["ResultColumn", ...]]
"""A query that is ready, and its columns."""

_COUNT_MAX = 64
"""Rows that LIMIT may let through; more are the business of scans."""
_ROWIDS_MAX = 256
"""The same of a range of row ids, those that are missing included."""


class _NotShort(Exception):
    """The query is none, or not of these types."""


def short_query(
    block: Block, planner: Planner, types: tuple[type, ...], collations: Own | None
) -> Short | None:
    """The short query that a query with parameters of these types comes to; None if it is none."""
    try:
        return _Maker(planner, types, collations).made(block)
    except _NotShort:
        return None


class _Maker:
    """Makes the short query of one block."""

    def __init__(self, planner: Planner, types: tuple[type, ...], collations: Own | None) -> None:
        self.planner = planner
        self.types = types
        self.collations = collations

    def made(self, block: Block) -> Short:
        if isinstance(block, Compound):
            return self._chained(block)
        if not isinstance(block, Select) or block.windows or block.distinct or block.having:
            raise _NotShort
        plan = self.planner.plan(block)
        if isinstance(plan, SelectPlan) and plan.ends:
            return self._ends(block, plan.ends)
        if not isinstance(plan, SelectPlan) or len(plan.levels) != 1 or plan.constant:
            raise _NotShort
        level = plan.levels[0]
        if not isinstance(level.relation, TableRelation):
            raise _NotShort
        if level.filters or level.left or level.exists is not None or level.by_column:
            raise _NotShort
        if block.order and not plan.ordered:
            raise _NotShort
        if block.keys is not None:
            return self._count(block, level) if _counts_rows(block) else self._edge(plan, level)
        match level.access:
            case RowidLookup():
                return self._by_rowid(block, level)
            case KeyRange():
                return self._by_key(block, level)
            case RowidRange() as access:
                return self._by_rowids(block, level, access)
            case TableScan(reverse=reverse) if (
                block.limit is not None and not level.relation.table.without_rowid
            ):
                return self._by_rowids(block, level, RowidRange(None, None, reverse))
        raise _NotShort

    def _chained(self, block: Compound) -> Short:
        """UNION ALL of short queries."""
        if block.operator != "UNION ALL" or block.order or block.limit is not None:
            raise _NotShort
        left, right = self.made(block.left), self.made(block.right)

        def ready(transaction: Transaction) -> Ready:
            first, second = left.ready(transaction), right.ready(transaction)

            def rows(values: Values) -> Rows | None:
                found = first(values)
                if found is None:
                    return None
                others = second(values)
                return None if others is None else found + others

            return rows

        return Short(ready)

    # -- parts of a query ------------------------------------------------------------------------------

    def _operand(
        self, expression: Any, affinity: Affinity | None = None, collation: str = "BINARY"
    ) -> Operand:
        """The value that an index is asked for: a literal, or a parameter that affinity leaves as it is."""
        if isinstance(expression, Literal):
            return self._constant(expression.value, affinity, collation)
        if isinstance(expression, Arithmetic) and affinity is not Affinity.TEXT:
            return self._distance(expression)
        if not isinstance(expression, Parameter) or expression.index >= len(self.types):
            raise _NotShort
        kind = self.types[expression.index]
        is_number = kind is int or kind is float
        if kind is type(None) or (affinity is Affinity.TEXT and is_number):
            raise _NotShort
        if kind is str and affinity not in (None, Affinity.NONE, Affinity.BLOB, Affinity.TEXT):
            raise _NotShort
        fold = comparing(collation, self.collations) if kind is str else None
        value = itemgetter(expression.index)
        return value if fold is None else lambda values: fold(value(values))

    def _constant(self, value: Any, affinity: Affinity | None, collation: str) -> Operand:
        if value is None:
            raise _NotShort
        if affinity not in (None, Affinity.BLOB):
            value = compared_as(value, affinity)
        fold = comparing(collation, self.collations)
        constant = value if fold is None else fold(value)
        return lambda values: constant

    def _distance(self, sum_of: Arithmetic) -> Operand:
        """An integer more or less than another: what lies about a value is asked for so."""
        if sum_of.op not in ("+", "-"):
            raise _NotShort
        left, right = self._number(sum_of.left), self._number(sum_of.right)
        combine = OPERATORS[sum_of.op]
        return lambda values: combine(left(values), right(values))

    def _bound(self, bound: Bound | None, collation: str = "BINARY") -> tuple[Operand, bool]:
        """A range's bound, and whether it is inclusive."""
        if bound is None:
            return unbound, True
        if bound is PRESENT:
            return present, False
        return self._operand(bound.expression, bound.affinity, collation), bound.inclusive

    def _limits(self, block: Select) -> Callable[[Values], tuple[int, int]]:
        """How many rows OFFSET leaves out, and where LIMIT ends: 0 where it is beyond what is short."""
        offset = self._number(block.offset) if block.offset is not None else lambda values: 0
        limit = self._number(block.limit)

        def limits(values: Values) -> tuple[int, int]:
            skip, count = offset(values), limit(values)
            return (skip, skip + count) if skip >= 0 < count <= _COUNT_MAX - skip else (0, 0)

        if isinstance(block.limit, Literal) and not isinstance(block.offset, Parameter):
            fixed = limits(())
            return lambda values: fixed
        return limits

    def _number(self, expression: Expression | None) -> Operand:
        if isinstance(expression, Literal) and expression.value.__class__ is int:
            number = expression.value
            return lambda values: number
        if isinstance(expression, Parameter) and self.types[expression.index :][:1] == (int,):
            return itemgetter(expression.index)
        raise _NotShort

    # -- by row id -------------------------------------------------------------------------------------

    def _by_rowid(self, block: Select, level: Level) -> Short:
        access, relation = level.access, level.relation
        assert isinstance(access, RowidLookup) and isinstance(relation, TableRelation)
        if not {*self.types} <= {int}:
            raise _NotShort
        limits = None if block.limit is None else self._limits(block)
        places, width = _places(block, relation), len(relation.table.columns)
        fetch = Fetch(relation.table.tree_id, places, picking(places, width))
        value = access.equality.value
        if access.equality.many:
            if not isinstance(value, InList) or len(value.items) > _COUNT_MAX:
                raise _NotShort
            if any(isinstance(i, Literal) and i.value.__class__ is not int for i in value.items):
                raise _NotShort
            operands = [*map(self._operand, value.items)]
            return self._by_some(fetch, operands, limits, access.reverse)
        operand = self._operand(value)
        if isinstance(value, Literal) and value.value.__class__ is not int:
            raise _NotShort
        if isinstance(value, Parameter) and len(self.types) == 1 and limits is None:
            return ByRowid(fetch.tree_id, places, width)
        return self._by_some(fetch, [operand], limits)

    def _by_some(
        self,
        fetch: Fetch,
        operands: list[Operand],
        limits: Callable[[Values], tuple[int, int]] | None,
        reverse: bool = False,
    ) -> Short:
        """The rows of some row ids, in their order."""
        types = self.types
        number, columns, pick = fetch

        def ready(transaction: Transaction) -> Ready:
            tree = transaction.tree(number)

            def rows(values: Values) -> Rows | None:
                if tuple(map(type, values)) != types:
                    return None
                wanted = {operand(values) for operand in operands}
                found = tree.get_many(sorted(wanted, reverse=reverse), columns)
                if None in found:
                    found = [row for row in found if row is not None]
                if limits is not None:
                    skip, end = limits(values)
                    if not end:
                        return None
                    found = found[skip:end]
                return found if pick is None else [*map(pick, found)]

            return rows

        return Short(ready)

    def _by_rowids(self, block: Select, level: Level, access: RowidRange) -> Short:
        """A range of row ids."""
        relation = level.relation
        assert isinstance(relation, TableRelation)
        low, low_inclusive = self._bound(access.low)
        high, high_inclusive = self._bound(access.high)
        limits = None if block.limit is None else self._limits(block)
        number = relation.table.tree_id
        pick = picking(_places(block, relation), len(relation.table.columns))
        types, reverse = self.types, access.reverse

        def ready(transaction: Transaction) -> Ready:
            tree = transaction.tree(number)

            def rows(values: Values) -> Rows | None:
                if tuple(map(type, values)) != types:
                    return None
                start, end = low(values), high(values)
                start = None if start is UNBOUND else rowid_of(start)
                end = None if end is UNBOUND else rowid_of(end)
                if start is None:
                    if low is not unbound:
                        return None
                elif not low_inclusive:
                    start += 1
                if end is None:
                    if high is not unbound:
                        return None
                elif high_inclusive:
                    end += 1
                if limits is not None:
                    skip, count = limits(values)
                    if not count:
                        return None
                    found = tree.few_rows(start, end, count, pick, reverse=reverse)
                    return found[skip:] if skip and found else found
                if start is None or end is None or end - start > _ROWIDS_MAX:
                    return None
                return tree.few_rows(start, end, _ROWIDS_MAX, pick, reverse=reverse)

            return rows

        return Short(ready)

    # -- by an index -----------------------------------------------------------------------------------

    def _by_key(self, block: Select, level: Level) -> Short:
        access, relation = level.access, level.relation
        assert isinstance(access, KeyRange) and isinstance(relation, TableRelation)
        path = access.path
        if path.clustered and len(access.equal) == len(path.parts) and block.limit is None:
            return self._by_primary_key(block, relation, access)
        if path.clustered or relation.table.without_rowid or access.prefix is not None:
            raise _NotShort
        prefix = self._prefix(access)
        is_equal = access.low is None and access.high is None
        if access.covering:
            fetch = None
            positions = dict(path.positions)
            pick = picking([positions[place] for place in _outputs(block, relation)], -1)
        else:
            places = _places(block, relation)
            pick = picking(places, len(relation.table.columns))
            fetch = Fetch(relation.table.tree_id, places, pick)
        if block.limit is not None:
            return self._first(self._keys(access), self._limits(block), pick, fetch, path)
        if access.low not in (None, PRESENT) and access.high is not None:
            return self._first(
                self._keys(access), lambda values: (0, sys.maxsize), pick, fetch, path
            )
        if not is_equal or access.reverse or not access.equal:
            raise _NotShort
        return self._equal(path.tree_id, prefix, pick, fetch)

    def _by_primary_key(self, block: Select, relation: TableRelation, access: KeyRange) -> Short:
        """The row of a WITHOUT ROWID table by its key."""
        key, number, types = self._prefix(access), access.path.tree_id, self.types
        pick = picking(_places(block, relation), len(relation.table.columns))

        def ready(transaction: Transaction) -> Ready:
            tree = transaction.tree(number)

            def rows(values: Values) -> Rows | None:
                if tuple(map(type, values)) != types:
                    return None
                row = tree.get(key(values))
                if row is None:
                    return []
                return [row if pick is None else pick(row)]

            return rows

        return Short(ready)

    def _prefix(self, access: KeyRange) -> Operand:
        """The parts of an index's key that are given, as a tuple; the values themselves where they are it."""
        operands = []
        for equality, part in zip(access.equal, access.path.parts, strict=False):
            if equality.many or equality.null_safe:
                raise _NotShort
            operands.append(self._operand(equality.value, equality.affinity, part.collation))
        if len(operands) == len(self.types) == 1 and isinstance(operands[0], itemgetter):
            return lambda values: values
        if not operands:
            return lambda values: ()
        return lambda values: tuple([operand(values) for operand in operands])

    def _equal(self, number: int, prefix: Operand, pick: Pick | None, fetch: Fetch | None) -> Short:
        """All keys that begin with `prefix`, or the rows that they lead to."""
        types = self.types

        def ready(transaction: Transaction) -> Ready:
            tree = transaction.tree(number)
            if fetch is not None:
                return fetching(tree, prefix, types, fetch.rows(transaction))

            def keys(values: Values) -> Rows | None:
                if tuple(map(type, values)) != types:
                    return None
                found = tree.prefixed(prefix(values))
                return found if found is None or pick is None else [*map(pick, found)]

            return keys

        return Short(ready)

    def _keys(self, access: KeyRange) -> KeysOf:
        """What gives the first keys of a range of an index, or None where there are less."""
        collation = access.path.part(len(access.equal)).collation
        low, low_inclusive = self._bound(access.low, collation)
        high, high_inclusive = self._bound(access.high, collation)
        prefix, reverse = self._prefix(access), access.reverse
        if access.equal and access.low is None and access.high is None:
            return partial(run_of, prefix=prefix, reverse=reverse)
        has_both = access.low not in (None, PRESENT) and access.high is not None
        if reverse and not access.equal and access.low in (None, PRESENT):
            with_null = access.low is None
            return partial(from_above, high=high, inclusive=high_inclusive, with_null=with_null)
        if not reverse and not access.equal and access.high is None:
            return partial(from_below, low=low, inclusive=low_inclusive)
        return partial(
            within if has_both else first_within,
            prefix=prefix,
            low=low,
            high=high,
            low_inclusive=low_inclusive,
            high_inclusive=high_inclusive,
            reverse=reverse,
        )

    def _first(
        self,
        keys_of: KeysOf,
        limits: Callable[[Values], tuple[int, int]],
        pick: Pick | None,
        fetch: Fetch | None,
        path: KeyPath,
    ) -> Short:
        """As many keys of a range as LIMIT lets through, or their rows."""
        types, number, at = self.types, path.tree_id, path.key_start

        def ready(transaction: Transaction) -> Ready:
            index = transaction.tree(number)
            if fetch is None:
                keys, fetched = keys_of(index, pick), None
            else:
                keys, fetched = keys_of(index, None), fetch.rows(transaction)

            def rows(values: Values) -> Rows | None:
                if tuple(map(type, values)) != types:
                    return None
                skip, count = limits(values)
                found = keys(values, count) if count else None
                if found is None:
                    return None
                if skip:
                    found = found[skip:]
                if fetched is not None:
                    return fetched([*key_parts(found, at)])
                return [*found]

            return rows

        return Short(ready)

    def _ends(self, block: Select, ends: Sequence[TreeEnd]) -> Short:
        """Ends of trees, and how many rows there are."""
        slots = []
        for output in block.outputs:
            if not isinstance(output, SlotRef) or output.source != block.aggregate_source:
                raise _NotShort
            slots.append(output.slot)
        if block.order or block.limit is not None or self.types:
            raise _NotShort

        def ready(transaction: Transaction) -> Ready:
            values_of = [
                tree_end(
                    transaction.tree(end.tree_id),
                    end.name,
                    of_index=end.path is not None,
                    nullable=end.nullable,
                )
                for end in ends
            ]
            wanted = [values_of[slot] for slot in slots]
            return lambda values: None if values else [tuple([value() for value in wanted])]

        return Short(ready)

    def _count(self, block: Select, level: Level) -> Short:
        """How many rows an index has for a value, or between two."""
        access = level.access
        if not isinstance(access, KeyRange) or access.prefix is not None:
            raise _NotShort
        types, number = self.types, access.path.tree_id
        if access.low is None and access.high is None and access.equal:
            prefix = self._prefix(access)
            keys_of: KeysOf = partial(all_of, prefix=prefix)
        elif access.low not in (None, PRESENT) and access.high is not None:
            keys_of = self._keys(access)
        else:
            raise _NotShort

        def ready(transaction: Transaction) -> Ready:
            keys = keys_of(transaction.tree(number), None)

            def rows(values: Values) -> Rows | None:
                if tuple(map(type, values)) != types:
                    return None
                found = keys(values, sys.maxsize)
                return None if found is None else [(len(found),)]

            return rows

        return Short(ready)

    def _edge(self, plan: SelectPlan, level: Level) -> Short:
        """min() or max() of a column that an index has in order, or of the row ids."""
        block, access, relation = plan.block, level.access, level.relation
        if not plan.first_row or block.limit is not None or block.order:
            raise _NotShort
        assert isinstance(relation, TableRelation)
        if isinstance(access, TableScan):
            table, call = relation.table, block.aggregates[0]
            column = call.arguments[0]
            is_rowid = isinstance(column, ColumnRef) and column.column in (ROWID, table.rowid_alias)
            if not is_rowid or table.without_rowid or block.bare or call.where is not None:
                raise _NotShort
            return self._ends(block, (TreeEnd(table.tree_id, call.name),))
        if not isinstance(access, KeyRange) or not access.covering or access.path.clustered:
            raise _NotShort
        positions = dict(access.path.positions)
        columns = [*block.aggregates[0].arguments, *block.bare]
        places = []
        for output in block.outputs:
            if not isinstance(output, SlotRef) or output.source != block.aggregate_source:
                raise _NotShort
            column = columns[output.slot]
            if not isinstance(column, ColumnRef) or column.source != relation.source:
                raise _NotShort
            places.append(positions[column.column])
        keys_of = self._keys(access)
        pick = picking(places, -1)
        types, number = self.types, access.path.tree_id
        assert pick is not None

        def ready(transaction: Transaction) -> Ready:
            keys = keys_of(transaction.tree(number), pick)

            def rows(values: Values) -> Rows | None:
                if tuple(map(type, values)) != types:
                    return None
                found = keys(values, 1)
                return [*found] if found else None

            return rows

        return Short(ready)


def _counts_rows(block: Select) -> bool:
    """Whether all that is asked is how many rows there are."""
    if block.keys or block.order or block.limit is not None or len(block.aggregates) != 1:
        return False
    (call,), outputs = block.aggregates, block.outputs
    return (
        call.name == "count"
        and not (call.arguments or call.distinct or call.order)
        and call.where is None
        and len(outputs) == 1
        and isinstance(outputs[0], SlotRef)
        and outputs[0].source == block.aggregate_source
    )


def _outputs(block: Select, relation: TableRelation) -> list[int]:
    """The columns of the table that are all that is asked for."""
    columns = []
    for output in block.outputs:
        if not isinstance(output, ColumnRef) or output.source != relation.source:
            raise _NotShort
        columns.append(output.column)
    return columns


def _places(block: Select, relation: TableRelation) -> list[int]:
    """The places in the table's rows of all that is asked for."""
    alias = relation.table.rowid_alias
    places = [alias if column == ROWID else column for column in _outputs(block, relation)]
    if None in places:
        raise _NotShort
    return places  # type: ignore[return-value]
