"""Join order: which relation comes after which, and by which access, at what cost.

Dynamic programming over sets of relations for up to `DP_RELATIONS_MAX` of them, and one more where the join takes
long; greedy beyond that (the next relation is the one that leaves the fewest rows, connected ones first).  The
relation of a LEFT join, a semi-join or an anti-join comes after whatever its ON refers to; otherwise order is free.
Of two ways to join the same relations the dearer is kept, too, where its rows come in the order of a column that
others are joined by: those are then merged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from sql.expressions import ROWID, ColumnRef, Compare, Expression
from sql.optimise.access import Candidate
from sql.optimise.candidates import DEPENDENT, RelationAccesses
from sql.optimise.costs import (
    COLUMN_LOOKUP,
    COLUMN_ROW,
    COLUMN_ROWS_MIN,
    COLUMNS_SHARE,
    FETCHED_ROW,
    FILTER,
    HASH_UNIQUE_ROW,
    LATE_SHARE,
    PASSED_ROW,
    PREFIX,
    PREFIX_ROW,
    PROBED_ROW,
    SEEK,
    batched_cost,
    probe_cost,
    width_cost,
)
from sql.optimise.decorrelate import ANTI, SEMI
from sql.optimise.ordering import in_order
from sql.plan import SortKey, TableRelation
from sql.plan.operators import (
    Equality,
    HashLookup,
    KeyRange,
    RowidLookup,
    RowidRange,
    RowidUnion,
    TableScan,
)
from sql.plan.walk import references
from sql.run.lookups import GATHERED_MAX

if TYPE_CHECKING:
    from sql.optimise.planner import Planner
    from sql.plan import Select

DP_RELATIONS_MAX, DP_RELATIONS_LONG = 7, 8
LONG_COST = 1e7
"""What a join costs at least, as it is found greedily, for one of so many relations to be searched for at length (20 ms)."""
GREEDY_STARTS = 3
HAVING_SHARE = 0.02
"""The groups that meet a condition of HAVING."""
ORDERED_JOIN_RELATIONS_MAX = 6
_ONE_BY_ONE = (TableScan, RowidRange, RowidUnion)
"""Accesses that are made for each row before by itself."""
BATCHED_ROWS_MIN = 64.0
"""Rows from which on their look-ups are sorted and made at once."""


class Step(Struct, frozen=True):
    """A relation placed in the join order with its chosen access."""

    place: int
    candidate: Candidate


class State(Struct, frozen=True):
    """A partial join: which relations (by place), in which order, at what cost, giving how many rows.

    `order`: the column (source, number) whose values ascend in those rows."""

    steps: tuple[Step, ...]
    bound: frozenset[int]
    cost: float
    rows: float
    order: tuple[int, int] | None = None


class JoinOrder(RelationAccesses):
    """The search for the cheapest join of one SELECT's relations."""

    def __init__(self, planner: Planner, block: Select, repeats: float) -> None:
        super().__init__(planner, block, repeats)
        self._joining: frozenset[tuple[int, int]] | None = None
        self._share = 1.0  # of the joined rows, those that LIMIT lets through as they come

    def join_all(self, order: tuple[SortKey, ...] | None) -> State | None:
        """The cheapest join; where LIMIT ends it early, the one that is cheapest up to there."""
        self._share = 1.0
        best = self._join_all(order)
        wanted = None if best is None else self.rows_wanted(order, best.rows)
        if best is None or wanted is None or len(self.items) == 1 or 2 * wanted > best.rows:
            return best
        if self.block.keys == ():  # it is left to `SelectPlanner._worth`
            return best
        self._share = wanted / best.rows
        return self._join_all(order)

    def _join_all(self, order: tuple[SortKey, ...] | None) -> State | None:
        count = len(self.items)
        if count == 1:
            states = self._starts(0, order)
            return min(
                states,
                key=lambda state: self._early_cost(state, self.rows_wanted(order, state.rows)),
                default=None,
            )
        if count <= (ORDERED_JOIN_RELATIONS_MAX if order else DP_RELATIONS_MAX):
            return self._dynamic(order)
        found = self._greedy(order)
        if count <= DP_RELATIONS_LONG and found is not None and found.cost > LONG_COST:
            return self._dynamic(order)
        return found

    def rows_wanted(self, order: tuple[SortKey, ...] | None, rows: float) -> float | None:
        """How many of so many joined rows, which come in an order or in none, there are up to LIMIT's end; None for all.

        Of groups, and of DISTINCT, it counts what has as many rows as the others have on average."""
        block = self.block
        if block.keys == ():
            # In an order it is planned only if one row decides, for min() or max().
            return 1.0 if order else None
        if block.windows or (block.order and not order):
            return None
        limit = self.planner.limit_of(block)
        if limit is None:
            return None
        if block.keys:
            passing = self.groups(rows) * HAVING_SHARE ** len(block.having)
            return None if order is None else limit * max(1.0, rows / max(1.0, passing))
        if block.distinct:
            return limit * max(1.0, rows / self.combinations(block.outputs, rows))
        return limit

    def groups(self, rows: float) -> float:
        """About how many groups so many joined rows are in."""
        keys = self.block.keys
        return 1.0 if not keys else self.combinations([key.expression for key in keys], rows)

    def combinations(self, values: Sequence[Expression], rows: float) -> float:
        """About how many combinations of some expressions' values so many joined rows have."""
        found = 1.0
        for node in values:
            relation = None
            if isinstance(node, ColumnRef) and node.source in self.places:
                relation = self.relation_of(node.source)
            if isinstance(node, ColumnRef) and isinstance(relation, TableRelation):
                found *= max(1.0, self.shares.distinct(relation, node.column))
            else:
                found *= max(1.0, rows * 0.1)
        return max(1.0, min(rows, found))

    def _early_cost(self, state: State, wanted: float | None) -> float:
        """What the rows of one relation cost up to the `wanted` ones.

        Where a condition is still to be asked of them, nobody knows whether the first rows or the last ones fulfil it, and
        that changes while a plan is kept: of a queue whose jobs are all new a scan finds the oldest at once, until it has
        to pass those that are done.  So the cost is put between what is expected and all of it."""
        if wanted is None or wanted >= state.rows:
            return state.cost
        early = self.first_cost(state, wanted)
        return early if self._is_exact(state) else math.sqrt(early * state.cost)

    def _is_exact(self, state: State) -> bool:
        """Whether it is one relation's rows, of which nothing is left to ask."""
        used = {id(conjunct) for conjunct in state.steps[0].candidate.used}
        return len(self.items) == 1 and all(id(conjunct) in used for conjunct in self.conjuncts)

    def first_cost(self, state: State, wanted: float) -> float:
        """What the first `wanted` rows cost.  Those that OFFSET leaves out are entries of an index that are passed over, where
        nothing else is asked of them."""
        each = state.cost / max(1.0, state.rows)
        passed = min(wanted, self.planner.offset_of(self.block)) if self._is_exact(state) else 0.0
        return (wanted - passed) * each + passed * min(each, PASSED_ROW)

    def _starts(self, place: int, order: tuple[SortKey, ...] | None) -> list[State]:
        if self.after[place] or self.items[place].join in DEPENDENT:
            return []
        found = []
        source = self.items[place].relation.source
        for candidate in self.accesses(place, frozenset(), first=True):
            if order is not None:
                fitting = in_order(
                    candidate, self.relation_of(source), order, self.ordering_sources(source)
                )
                if fitting is None:
                    continue
                candidate = fitting
            rows, cost = self.filtered(place, candidate, frozenset())
            cost = SEEK + (cost - SEEK) * self._share if cost > SEEK else cost
            if isinstance(candidate.access, HashLookup):
                cost = candidate.cost / self.repeats + probe_cost(candidate.access.rows)
                cost += rows * 25.0
            ascending = self._ascending(place, candidate)
            state = State((Step(place, candidate),), frozenset({source}), cost, rows, ascending)
            found.append(state)
        return found

    def _ascending(self, place: int, candidate: Candidate) -> tuple[int, int] | None:
        """The column whose values ascend in the rows of a first access, if anything is joined by it."""
        access = candidate.access
        if not candidate.order or getattr(access, "reverse", False):
            return None
        column = candidate.order[0][0]
        if not isinstance(column, int):
            return None
        column = self._rowid_or(place, column)
        source = self.items[place].relation.source
        return (source, column) if (source, column) in self._join_columns() else None

    def _rowid_or(self, place: int, column: int) -> int:
        """The column's number, one for both names of a rowid."""
        relation = self.items[place].relation
        is_rowid = isinstance(relation, TableRelation) and column == relation.table.rowid_alias
        return ROWID if is_rowid else column

    def _join_columns(self) -> frozenset[tuple[int, int]]:
        """The columns that equalities between relations compare."""
        if self._joining is None:
            found = set()
            for conjunct in [*self.conjuncts, *[on for item in self.items for on in item.on]]:
                if isinstance(conjunct, Compare) and conjunct.op == "=":
                    for side in (conjunct.left, conjunct.right):
                        if isinstance(side, ColumnRef) and side.source in self.places:
                            column = self._rowid_or(self.places[side.source], side.column)
                            found.add((side.source, column))
            self._joining = frozenset(found)
        return self._joining

    def _dynamic(self, order: tuple[SortKey, ...] | None) -> State | None:
        # A dearer state is kept where its rows come in the order of a column that others are joined by.
        best: dict[tuple[frozenset[int], tuple[int, int] | None], State] = {}
        starts = [state for place in range(len(self.items)) for state in self._starts(place, order)]
        if not starts:
            return None
        # What costs more before its end than another way costs altogether need not be gone on with.
        quick = self._greedy_from(starts, 1) if len(self.items) > 2 else None
        limit = math.inf if quick is None else quick.cost
        for state in starts:
            known = best.get((state.bound, state.order))
            if state.cost <= limit and (known is None or state.cost < known.cost):
                best[state.bound, state.order] = state
        for _ in range(len(self.items) - 1):
            following: dict[tuple[frozenset[int], tuple[int, int] | None], State] = {}
            for state in best.values():
                for place in self._next(state):
                    made = self._extended(state, place)
                    known = following.get((made.bound, made.order))
                    if made.cost <= limit and (known is None or made.cost < known.cost):
                        following[made.bound, made.order] = made
            best = following
        return min(best.values(), key=lambda state: state.cost) if best else quick

    def _greedy(self, order: tuple[SortKey, ...] | None) -> State | None:
        starts = [state for place in range(len(self.items)) for state in self._starts(place, order)]
        return self._greedy_from(starts, GREEDY_STARTS) if starts else None

    def _greedy_from(self, starts: list[State], count: int) -> State | None:
        """The cheapest of the greedy ways from the `count` starts that leave the fewest rows."""
        best: State | None = None
        for start in sorted(starts, key=lambda state: (state.rows, state.cost))[:count]:
            state = start
            while len(state.steps) < len(self.items):
                places = self._next(state)
                connected = [place for place in places if self._connected(state, place)]
                options = [self._extended(state, place) for place in connected or places]
                state = min(options, key=lambda option: (option.rows, option.cost))
            if best is None or state.cost < best.cost:
                best = state
        return best

    def _next(self, state: State) -> list[int]:
        placed = {step.place for step in state.steps}
        return [
            place
            for place in range(len(self.items))
            if place not in placed and self.after[place] <= state.bound
        ]

    def _connected(self, state: State, place: int) -> bool:
        item = self.items[place]
        source = item.relation.source
        if item.join in DEPENDENT:
            return True
        return any(
            source in self.refs[id(conjunct)] and self.refs[id(conjunct)] & state.bound
            for conjunct in self.conjuncts
        )

    def _extended(self, state: State, place: int) -> State:
        best: tuple[Candidate, float] | None = None
        least = math.inf
        probes = state.rows * self._share
        # The scan stands first: of accesses that cost the same, the first is taken.
        for candidate in reversed(self.accesses(place, state.bound, first=False)):
            if candidate.cost * probes > least and isinstance(candidate.access, _ONE_BY_ONE):
                continue  # nothing makes it cheaper than it is
            candidate = self._batched(place, self._late(place, candidate, state), state)
            rows, cost = self.filtered(place, candidate, state.bound)
            if isinstance(candidate.access, HashLookup):
                once = candidate.cost / self.repeats
                total = once + probes * (probe_cost(candidate.access.rows) + rows * 25.0)
                # What the other conditions leave out is gone through all the same.
                total += probes * max(0.0, candidate.rows - rows) * FILTER
            else:
                total = probes * cost
            if total <= least:
                best, least = (candidate, rows), total
        assert best is not None
        candidate, rows = best
        return State(
            (*state.steps, Step(place, candidate)),
            state.bound | {self.items[place].relation.source},
            state.cost + least,
            state.rows * self.joined_rows(place, rows),
            state.order,
        )

    def joined_rows(self, place: int, rows: float) -> float:
        """Rows per row before, of an item that finds so many on average."""
        match self.items[place].join:
            case "left":
                return max(1.0, rows)
            case "semi":
                return self._matched_share(place, rows)
            case "anti":
                return max(0.05, 1.0 - self._matched_share(place, rows))
            case _:
                return rows

    def _matched_share(self, place: int, rows: float) -> float:
        """The share of rows with a match, where those that have one have so many on average.

        Values that the other side has not are told by how many distinct ones each side has."""
        known = 1.0
        for conjunct in self.items[place].on:
            if isinstance(conjunct, Compare) and conjunct.op == "=":
                inner, outer = conjunct.left, conjunct.right
                if self.items[place].relation.source not in references(inner):
                    inner, outer = outer, inner
                here, there = self.shares.distinct_of(inner), self.shares.distinct_of(outer)
                if here is not None and there is not None:
                    known = min(known, here / there)
        return max(0.001, known * (1.0 - math.exp(-rows)))

    def _late(self, place: int, candidate: Candidate, state: State) -> Candidate:
        """The candidate of a semi-join or an anti-join by a set of keys as one whose set is made once the rows
        before are known, of their keys alone, if those are few."""
        item, access = self.items[place], candidate.access
        relation = item.relation
        if (
            item.join not in (SEMI, ANTI)
            or not isinstance(access, HashLookup)
            or not isinstance(relation, TableRelation)
            or access.access != TableScan()
            or len(access.keys) != 1
            or len(candidate.used) != len(item.on)
            or self.correlated
            or self.block.limit is not None
        ):
            return candidate
        size = float(self.planner.statistics.rows(relation.table.tree_id))
        if size < COLUMN_ROWS_MIN or state.rows * LATE_SHARE > size:
            return candidate
        columns = len(self.needed[relation.source])
        found = min(size, state.rows * candidate.rows)
        cost = SEEK + size * (PROBED_ROW + COLUMN_ROW * columns / 2) + found * HASH_UNIQUE_ROW
        return replace(candidate, cost=min(cost, candidate.cost), batched=cost < candidate.cost)

    def _batched(self, place: int, candidate: Candidate, state: State) -> Candidate:
        """The candidate for many look-ups at once, if it is one by equality and there are many.

        It is a merge join if the values that are looked up ascend by themselves."""
        lookups = state.rows * self._share
        relation = self.items[place].relation
        if lookups < BATCHED_ROWS_MIN or self.correlated or not isinstance(relation, TableRelation):
            return candidate
        if ROWID in self.needed[relation.source]:
            return candidate
        size = float(self.planner.statistics.rows(relation.table.tree_id))
        match candidate.access:
            case RowidLookup(equality=equality) if not equality.many:
                merged = self._ascends(equality, state)
                cost = batched_cost(size, lookups if merged else min(lookups, GATHERED_MAX))
                columns = len(self.needed[relation.source])
                laid_out = COLUMN_LOOKUP + COLUMN_ROW * size * columns / lookups
                if laid_out < cost and self._few_columns(relation, columns, lookups, size):
                    return replace(candidate, cost=laid_out, batched=True, by_column=True)
            case KeyRange(low=None, high=None, prefix=None, reverse=False, equal=equal) if (
                equal and not any(equality.many or equality.null_safe for equality in equal)
            ):
                merged = len(equal) == 1 and self._ascends(equal[0], state)
                once = lookups if merged else min(lookups, GATHERED_MAX)
                found = candidate.rows
                cost = PREFIX + 1.5 * batched_cost(size, once) + found * PREFIX_ROW
                if candidate.access.covering:
                    item = self.items[place]
                    if item.join in (SEMI, ANTI) and len(candidate.used) == len(item.on):
                        cost -= found * PREFIX_ROW  # it is only asked whether there are any
                else:
                    fetched = FETCHED_ROW + width_cost(len(relation.table.columns))
                    cost += found * (fetched + batched_cost(size, once * max(found, 1.0)))
            case _:
                return candidate
        return replace(candidate, cost=cost, batched=True, merged=merged)

    def _few_columns(
        self, relation: TableRelation, columns: int, lookups: float, size: float
    ) -> bool:
        """Whether few columns of a large part of a table are looked up, and all of them are wanted."""
        return (
            lookups * COLUMNS_SHARE >= size >= COLUMN_ROWS_MIN
            and 0 < 2 * columns <= len(relation.table.columns)
            and self.block.limit is None
        )

    def _ascends(self, equality: Equality, state: State) -> bool:
        """Whether the values of an equality come in order from the rows before."""
        value = equality.value
        if not isinstance(value, ColumnRef) or equality.affinity is not None:
            return False
        if value.source not in self.places:
            return False
        return state.order == (
            value.source,
            self._rowid_or(self.places[value.source], value.column),
        )
