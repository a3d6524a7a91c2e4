"""The planner: access paths and join order by cost, for one statement's blocks.

Join order: dynamic programming over sets of relations for up to `DP_RELATIONS_MAX` of them, greedy
beyond that (the next relation is the one that leaves the fewest rows, connected ones first).  A LEFT
join's relation comes after whatever its ON refers to; otherwise order is free.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from sql.expressions import (
    ROWID,
    Affinity,
    Call,
    ColumnRef,
    Compare,
    Exists,
    Expression,
    InSubquery,
    Literal,
    Match,
    Parameter,
    ScalarSubquery,
)
from sql.optimise.access import (
    FETCHED_ROW,
    FILTER,
    HASH_KEY,
    HASH_ROW,
    HASH_UNIQUE_ROW,
    PREFIX,
    PREFIX_ROW,
    SCAN_ROW,
    SEEK,
    Candidate,
    TableAccess,
    batched_cost,
    probe_cost,
    reversed_access,
)
from sql.optimise.decorrelate import ANTI, SEMI, with_semi_joins
from sql.optimise.shares import Shares
from sql.optimise.statistics import Statistics
from sql.plan import (
    Block,
    Compound,
    DerivedRelation,
    FromItem,
    OuterJoin,
    Recursive,
    RowRelation,
    Select,
    SortKey,
    TableRelation,
    Values,
    WorkRelation,
)
from sql.plan.operators import (
    BlockPlan,
    Equality,
    HashLookup,
    KeyRange,
    Level,
    Plan,
    RowidLookup,
    RowsScan,
    SelectPlan,
    TableScan,
)
from sql.plan.walk import block_expressions, references, subblocks, walk_block, walk_flat
from sql.run.lookups import GATHERED_MAX

if TYPE_CHECKING:
    from sql.bind import BindEnvironment
    from sql.schema import Index

DP_RELATIONS_MAX = 7
ORDERED_JOIN_RELATIONS_MAX = 6
REPEATS = 200.0
DEPENDENT = ("left", SEMI, ANTI)
"""Joins whose relation comes after what its ON refers to."""
BATCHED_ROWS_MIN = 64.0
"""Rows from which on their look-ups are sorted and made at once."""
HAVING_SHARE = 0.02
ROWS_OF_UNKNOWN = 100.0


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


class Planner:
    """Plans the blocks of one statement; a block is planned once (by identity)."""

    def __init__(self, env: BindEnvironment) -> None:
        self.env = env
        self.statistics = Statistics(env.transaction)
        self._plans: dict[int, tuple[Block, Plan]] = {}
        self._conditions: dict[tuple[str, int], tuple[Expression, ...]] = {}

    def plan(self, block: Block, repeats: float = 1.0) -> Plan:
        """The block's plan; `repeats` is about how often a correlated one will run."""
        known = self._plans.get(id(block))
        if known is not None:
            return known[1]
        match block:
            case Select():
                plan: Plan = SelectPlanner(self, block, repeats).plan()
            case Values():
                plan = BlockPlan(block, float(len(block.rows)))
            case Compound():
                left, right = self.plan(block.left), self.plan(block.right)
                rows = left.rows
                if block.operator in ("UNION", "UNION ALL"):
                    rows += right.rows
                plan = BlockPlan(block, self._limited(block, rows), left.cost + right.cost)
            case OuterJoin():
                left, right = self.plan(block.left), self.plan(block.right)
                plan = BlockPlan(block, left.rows + right.rows, left.cost + right.cost)
            case Recursive():
                plan = BlockPlan(block, self._limited(block, ROWS_OF_UNKNOWN))
        self._plans[id(block)] = (block, plan)
        return plan

    def value_of(self, node: Expression | None) -> Any:
        """The value a constant or a sampled parameter has at plan time, else None."""
        if isinstance(node, Literal):
            return node.value
        sample = self.env.parameters
        if isinstance(node, Parameter) and sample is not None and node.index < len(sample):
            return sample[node.index]
        return None

    def limit_of(self, block: Block) -> float | None:
        """About how many rows LIMIT and OFFSET let through, None without a limit."""
        if block.limit is None:
            return None
        limit = self.value_of(block.limit)
        offset = self.value_of(block.offset)
        if not isinstance(limit, int):
            return ROWS_OF_UNKNOWN
        if limit < 0:
            return None
        return float(limit + (offset if isinstance(offset, int) and offset > 0 else 0))

    def _limited(self, block: Block, rows: float) -> float:
        limit = self.limit_of(block)
        return rows if limit is None else min(rows, max(1.0, limit))

    # Expressions of indexes, bound in the relation that uses them

    def index_condition(self, relation: TableRelation, index: Index) -> tuple[Expression, ...]:
        if index.where is None:
            return ()
        from sql.plan import conjuncts

        return conjuncts(self.index_expression(relation, index.where))

    def index_expression(self, relation: TableRelation, text: str) -> Expression:
        """An index's SQL text bound to the columns of `relation`."""
        from sql.bind.texts import bind_text

        key = (text, relation.source)
        known = self._conditions.get(key)
        if known is None:
            known = (bind_text(text, relation.table, relation.source, self.env),)
            self._conditions[key] = known
        return known[0]


def is_constant(node: Expression) -> bool:
    """Whether the expression gives the same value however often it is evaluated in one run."""
    for part in walk_flat(node):
        if isinstance(part, Call) and not getattr(part.function, "deterministic", True):
            return False
    return True


class SelectPlanner:
    """Plans one SELECT."""

    def __init__(self, planner: Planner, block: Select, repeats: float) -> None:
        self.planner = planner
        self.block = block = with_semi_joins(block, is_constant)
        self.items = block.items
        self.places = {item.relation.source: place for place, item in enumerate(block.items)}
        self.own = frozenset(self.places)
        self.shares = Shares(planner, {item.relation.source: item.relation for item in block.items})
        self.needed: dict[int, set[int]] = {source: set() for source in self.own}
        outer: set[int] = set()
        for node in walk_block(block):
            if isinstance(node, ColumnRef):
                if node.source in self.needed:
                    self.needed[node.source].add(node.column)
                else:
                    outer.add(node.source)
        self.outer = frozenset(outer)
        self.correlated = repeats > 1
        self.repeats = repeats
        self.constant: list[Expression] = []
        self.conjuncts: list[Expression] = []
        for conjunct in block.where:
            refs = references(conjunct)
            if refs & self.own or not is_constant(conjunct):
                self.conjuncts.append(conjunct)
            else:
                self.constant.append(conjunct)
        self.refs: dict[int, set[int]] = {
            id(conjunct): references(conjunct) & self.own for conjunct in self.conjuncts
        }
        self.on: list[tuple[Expression, ...]] = []
        self.after: list[frozenset[int]] = []
        for place, item in enumerate(self.items):
            before: set[int] = set()
            if item.join in DEPENDENT:
                for condition in item.on:
                    before |= references(condition) & self.own
                if not before - {item.relation.source} and place:
                    before.add(self.items[0].relation.source)
            if isinstance(item.relation, RowRelation):
                for argument in item.relation.arguments:
                    before |= references(argument) & self.own
            if item.join == "cross":
                before |= {other.relation.source for other in self.items[:place]}
            before.discard(item.relation.source)
            self.after.append(frozenset(before))
        self._accesses: dict[int, TableAccess] = {}
        self._candidates: dict[tuple[int, frozenset[int], bool], list[Candidate]] = {}
        self._relevant: dict[int, frozenset[int]] = {}
        self._joining: frozenset[tuple[int, int]] | None = None

    # The whole

    def plan(self) -> SelectPlan:
        block = self.block
        if not self.items:
            return SelectPlan(block, (), tuple(block.where), True, rows=1.0)
        counted = self._count_tree()
        if counted is not None:
            return SelectPlan(block, (), (), True, count_tree=counted)
        order = self._wanted_order()
        best = self._join_all(None)
        ordered = False
        extreme = block.keys is not None
        if order:
            other = self._join_all(order)
            if other is not None and self._worth(other, best, extreme):
                best, ordered = other, True
        assert best is not None
        levels = self._levels(best)
        rows = best.rows
        if block.keys is not None:
            rows = 1.0 if not block.keys else max(1.0, min(rows, self._groups(rows)))
            rows = max(1.0, rows * HAVING_SHARE ** len(block.having))
        limit = self.planner.limit_of(block)
        if limit is not None:
            rows = min(rows, max(1.0, limit))
        return SelectPlan(
            block,
            levels,
            tuple(self.constant),
            ordered and not extreme,
            ordered and extreme,
            None,
            rows,
            best.cost,
        )

    def _groups(self, rows: float) -> float:
        assert self.block.keys is not None
        groups = 1.0
        for key in self.block.keys:
            node = key.expression
            share = 0.1
            if isinstance(node, ColumnRef) and node.source in self.places:
                relation = self.items[self.places[node.source]].relation
                if isinstance(relation, TableRelation):
                    groups *= max(1.0, self.shares.distinct(relation, node.column))
                    continue
            groups *= max(1.0, rows * share)
        return min(rows, groups)

    def _count_tree(self) -> int | None:
        """The tree whose length is the answer: count(*) of a whole table."""
        block = self.block
        if block.keys != () or block.where or len(self.items) != 1 or len(block.aggregates) != 1:
            return None
        call = block.aggregates[0]
        relation = self.items[0].relation
        if (
            call.name == "count"
            and not call.arguments
            and call.where is None
            and not block.bare
            and isinstance(relation, TableRelation)
        ):
            return relation.table.tree_id
        return None

    def _wanted_order(self) -> tuple[SortKey, ...]:
        """The order that would save a sort, or let one row decide min() or max()."""
        block = self.block
        if block.keys is not None:
            if block.keys or len(block.aggregates) != 1:
                return ()
            call = block.aggregates[0]
            if (
                call.name in ("min", "max")
                and len(call.arguments) == 1
                and isinstance(call.arguments[0], ColumnRef)
                and call.where is None
            ):
                column = call.arguments[0]
                present = Compare("IS NOT", column, Literal(None))
                wanted = column.kinds & 1 and column.source in self.own
                if wanted and present not in self.conjuncts:
                    self.conjuncts.append(present)
                    self.refs[id(present)] = {column.source}
                descending = call.name == "max"
                return (SortKey(column, descending, not descending, call.collation),)
            return ()
        if block.windows or (block.distinct and block.order):
            return ()
        return block.order

    def _worth(self, ordered: State, best: State | None, extreme: bool) -> bool:
        if best is None:
            return True
        if extreme:
            share = 1.0 / max(1.0, best.rows)
            return ordered.cost * share + SEEK <= best.cost + SEEK
        limit = self.planner.limit_of(self.block)
        rows = max(2.0, best.rows)
        if limit is None:
            sort = rows * (60.0 + 12.0 * math.log2(rows))
            return ordered.cost <= best.cost + sort
        share = min(1.0, max(1.0, limit) / max(1.0, ordered.rows))
        return ordered.cost * share <= best.cost + rows * 25.0

    # Join order

    def _join_all(self, order: tuple[SortKey, ...] | None) -> State | None:
        count = len(self.items)
        if count == 1:
            states = self._starts(0, order)
            return min(states, key=lambda state: state.cost) if states else None
        if count <= (ORDERED_JOIN_RELATIONS_MAX if order else DP_RELATIONS_MAX):
            return self._dynamic(order)
        return self._greedy(order)

    def _starts(self, place: int, order: tuple[SortKey, ...] | None) -> list[State]:
        if self.after[place] or self.items[place].join in DEPENDENT:
            return []
        found = []
        source = self.items[place].relation.source
        for candidate in self._access(place, frozenset(), first=True):
            if order is not None:
                fitting = self._ordered(candidate, source, order)
                if fitting is None:
                    continue
                candidate = fitting
            rows, cost = self._filtered(place, candidate, frozenset())
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
        for place in range(len(self.items)):
            for state in self._starts(place, order):
                known = best.get((state.bound, state.order))
                if known is None or state.cost < known.cost:
                    best[state.bound, state.order] = state
        for _ in range(len(self.items) - 1):
            following: dict[tuple[frozenset[int], tuple[int, int] | None], State] = {}
            for state in best.values():
                for place in self._next(state):
                    made = self._extended(state, place)
                    known = following.get((made.bound, made.order))
                    if known is None or made.cost < known.cost:
                        following[made.bound, made.order] = made
            best = following
        return min(best.values(), key=lambda state: state.cost) if best else None

    def _greedy(self, order: tuple[SortKey, ...] | None) -> State | None:
        starts = [state for place in range(len(self.items)) for state in self._starts(place, order)]
        if not starts:
            return None
        best: State | None = None
        for start in sorted(starts, key=lambda state: (state.rows, state.cost))[:3]:
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
        best: State | None = None
        source = self.items[place].relation.source
        for candidate in self._access(place, state.bound, first=False):
            candidate = self._batched(place, candidate, state)
            rows, cost = self._filtered(place, candidate, state.bound)
            if isinstance(candidate.access, HashLookup):
                once = candidate.cost / self.repeats
                probe = probe_cost(candidate.access.rows)
                total = state.cost + once + state.rows * (probe + rows * 25.0)
            else:
                total = state.cost + state.rows * cost
            rows = self._joined_rows(place, rows)
            made = State(
                (*state.steps, Step(place, candidate)),
                state.bound | {source},
                total,
                state.rows * rows,
                state.order,
            )
            if best is None or made.cost < best.cost:
                best = made
        assert best is not None
        return best

    def _joined_rows(self, place: int, rows: float) -> float:
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

    def _batched(self, place: int, candidate: Candidate, state: State) -> Candidate:
        """The candidate for many look-ups at once, if it is one by equality and there are many.

        It is a merge join if the values that are looked up ascend by themselves."""
        lookups = state.rows
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
            case KeyRange(low=None, high=None, prefix=None, reverse=False, equal=equal) if (
                equal and not any(equality.many or equality.null_safe for equality in equal)
            ):
                merged = len(equal) == 1 and self._ascends(equal[0], state)
                once = lookups if merged else min(lookups, GATHERED_MAX)
                found = candidate.rows
                cost = PREFIX + 1.5 * batched_cost(size, once) + found * PREFIX_ROW
                if not candidate.access.covering:
                    cost += found * (FETCHED_ROW + batched_cost(size, once * max(found, 1.0)))
            case _:
                return candidate
        return replace(candidate, cost=cost, batched=True, merged=merged)

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

    # Accesses of one relation

    def _usable(self, place: int) -> tuple[Expression, ...]:
        """Conditions that may bound the relation: WHERE's, or of a LEFT join its ON's."""
        item = self.items[place]
        source = item.relation.source
        if item.join in DEPENDENT:
            return item.on
        return tuple(conjunct for conjunct in self.conjuncts if source in self.refs[id(conjunct)])

    def _access(self, place: int, bound: frozenset[int], *, first: bool) -> list[Candidate]:
        relation = self.items[place].relation
        relevant = self._relevant.get(place)
        if relevant is None:
            gathered: set[int] = set()
            for conjunct in self._usable(place):
                gathered |= references(conjunct)
            relevant = self._relevant[place] = frozenset(gathered & self.own)
        key = (place, bound & relevant, first)
        known = self._candidates.get(key)
        if known is not None:
            return known
        found: list[Candidate] = []
        if isinstance(relation, TableRelation):
            access = self._accesses.get(place)
            if access is None:
                access = self._accesses[place] = TableAccess(
                    self.planner,
                    relation,
                    self._usable(place),
                    frozenset(self.needed[relation.source]),
                )
            found = access.candidates(bound | self.outer)
            size = float(access.size)
        else:
            size = self._size(place)
            found = [Candidate(RowsScan(), SEEK + size * SCAN_ROW, size)]
        lateral = isinstance(relation, RowRelation) and any(
            references(argument) for argument in relation.arguments
        )
        if (not first or self.correlated) and not lateral:
            hashed = self._hash(place, bound, size, first)
            if hashed is not None:
                found = [*found, hashed]
        self._candidates[key] = found
        return found

    def _size(self, place: int) -> float:
        relation = self.items[place].relation
        match relation:
            case DerivedRelation():
                return self.planner.plan(relation.block).rows
            case WorkRelation() | RowRelation():
                return ROWS_OF_UNKNOWN
            case TableRelation():
                return float(self.planner.statistics.rows(relation.table.tree_id))

    def _hash(
        self, place: int, bound: frozenset[int], size: float, first: bool
    ) -> Candidate | None:
        """A hash table of the relation on its equalities with what is bound; a list without any."""
        relation = self.items[place].relation
        source = relation.source
        visible = bound | self.outer
        keys: list[Expression] = []
        probes: list[Expression] = []
        key_affinities: list[Affinity | None] = []
        probe_affinities: list[Affinity | None] = []
        collations: list[str] = []
        used: list[Expression] = []
        local: list[Expression] = []
        for conjunct in self._usable(place):
            refs = references(conjunct)
            if refs <= {source} and is_constant(conjunct):
                local.append(conjunct)
                continue
            if not isinstance(conjunct, Compare) or conjunct.op not in ("=",):
                continue
            left, right = references(conjunct.left), references(conjunct.right)
            if left == {source} and right <= visible and right:
                mine, other = conjunct.left, conjunct.right
                affinities = (conjunct.left_affinity, conjunct.right_affinity)
            elif right == {source} and left <= visible and left:
                mine, other = conjunct.right, conjunct.left
                affinities = (conjunct.right_affinity, conjunct.left_affinity)
            else:
                continue
            if not (is_constant(mine) and is_constant(other)):
                continue
            keys.append(mine)
            probes.append(other)
            key_affinities.append(affinities[0])
            probe_affinities.append(affinities[1])
            collations.append(conjunct.collation)
            used.append(conjunct)
        if first and not keys:
            return None
        build = SEEK + size * SCAN_ROW
        access: Any = RowsScan()
        local_rows = size
        covered: tuple[Expression, ...] = ()
        if isinstance(relation, TableRelation):
            cheapest = min(
                self._accesses[place].candidates(frozenset()), key=lambda choice: choice.cost
            )
            access, build, local_rows = cheapest.access, cheapest.cost, cheapest.rows
            covered = cheapest.used
        remaining = tuple(
            conjunct for conjunct in local if not any(conjunct is other for other in covered)
        )
        local_rows *= self.shares.of_all(remaining)
        fan_out = local_rows
        unique = False
        for key in keys:
            distinct = max(1.0, size * 0.1)
            if isinstance(key, ColumnRef) and isinstance(relation, TableRelation):
                distinct = self.shares.distinct(relation, key.column)
                unique = unique or (len(keys) == 1 and self.shares.is_unique(relation, key.column))
            fan_out /= max(1.0, distinct)
            fan_out = max(fan_out, 0.01)
        unique = unique and len(keys) == 1
        lists = 1.0 / max(fan_out, 1.0) if keys else 0.0
        build += size * FILTER * len(remaining)
        proved = (*used, *local)
        item = self.items[place]
        alone = item.join in (SEMI, ANTI) and len(proved) == len(item.on)  # a set of keys will do
        single = unique or alone
        build += local_rows * (HASH_UNIQUE_ROW if single else HASH_ROW + HASH_KEY * lists)
        lookup = HashLookup(
            tuple(keys),
            tuple(probes),
            tuple(key_affinities),
            tuple(probe_affinities),
            tuple(collations),
            unique,
            remaining,
            access,
            local_rows,
        )
        return Candidate(lookup, build, max(fan_out, 0.01), proved)

    def _filtered(
        self, place: int, candidate: Candidate, bound: frozenset[int]
    ) -> tuple[float, float]:
        """Rows and cost per use after the conditions that the access does not prove."""
        item = self.items[place]
        source = item.relation.source
        rows, cost = candidate.rows, candidate.cost
        now = bound | {source}
        left = [
            conjunct
            for conjunct in self._usable(place)
            if not any(conjunct is used for used in candidate.used)
            and references(conjunct) & self.own <= now
        ]
        if not isinstance(candidate.access, HashLookup):
            cost += candidate.rows * FILTER * len(left)
        return max(rows * self.shares.of_all(left), 0.01), cost

    # Order

    def _ordered(
        self, candidate: Candidate, source: int, order: tuple[SortKey, ...]
    ) -> Candidate | None:
        """The candidate, reversed if need be, if its rows come in the wanted order; else None."""
        relation = self.items[self.places[source]].relation
        if not isinstance(relation, TableRelation):
            return None
        table = relation.table
        if candidate.unique:
            return (
                candidate if all(references(key.expression) <= {source} for key in order) else None
            )
        provided = list(candidate.order)
        direction: bool | None = None
        position = 0
        own = {source} if len(self.items) > 1 else self.own
        for place, key in enumerate(order):
            node = key.expression
            if not references(node):
                return None
            if isinstance(node, ColumnRef):
                if node.source != source:
                    return None
                if node.column in candidate.constant_columns:
                    continue
                if key.collation != node.collation:
                    return None
            if key.nulls_first == key.descending and (
                not isinstance(node, ColumnRef) or node.kinds & 1
            ):
                return None
            if position >= len(provided):
                return None
            target = provided[position][0]
            if isinstance(target, int):
                if not isinstance(node, ColumnRef):
                    return None
                same = node.column == target or (
                    node.column in (ROWID, table.rowid_alias)
                    and target in (ROWID, table.rowid_alias)
                )
            else:
                same = target == node
            if not same:
                return None
            position += 1
            if direction is None:
                direction = key.descending
            elif direction != key.descending:
                return None
            if isinstance(node, ColumnRef) and node.column in (ROWID, table.rowid_alias):
                # Nothing of this relation is left to sort by; rows of others are.
                if all(references(other.expression) <= own for other in order[place + 1 :]):
                    break
                return None
        if direction:
            return (
                replace(candidate, access=reversed_access(candidate.access))
                if isinstance(reversed_access(candidate.access), type(candidate.access))
                and candidate.access != reversed_access(candidate.access)
                else None
            )
        return candidate

    # From the join order to levels

    def _levels(self, state: State) -> tuple[Level, ...]:
        levels: list[Level] = []
        bound: set[int] = set()
        done: set[int] = set()
        rows = 1.0
        for step in state.steps:
            item = self.items[step.place]
            source = item.relation.source
            bound.add(source)
            access = step.candidate.access
            used = step.candidate.used
            left = item.join == "left"
            on: tuple[Expression, ...] = ()
            if item.join in DEPENDENT:
                on = tuple(
                    condition
                    for condition in item.on
                    if not any(condition is proved for proved in used)
                )
            else:
                done |= {id(conjunct) for conjunct in used}
            filters = []
            for conjunct in self.conjuncts:
                if id(conjunct) in done or not self.refs[id(conjunct)] <= bound:
                    continue
                done.add(id(conjunct))
                filters.append(conjunct)
            out, _ = self._filtered(step.place, step.candidate, frozenset(bound - {source}))
            rows *= self._joined_rows(step.place, out)
            levels.append(
                Level(
                    item.relation,
                    access,
                    left,
                    on,
                    tuple(sorted(filters, key=_filter_cost)),
                    rows,
                    step.candidate.rows,
                    step.candidate.batched,
                    step.candidate.merged,
                    exists=None if item.join not in (SEMI, ANTI) else item.join == SEMI,
                )
            )
        return tuple(levels)


def _filter_cost(conjunct: Expression) -> int:
    """Subqueries last, so that cheap conditions spare them."""
    for part in walk_flat(conjunct):
        if isinstance(part, (Exists, InSubquery, ScalarSubquery)):
            return 2
        if isinstance(part, (Match, Call)):
            return 1
    return 0


__all__ = ["FromItem", "Planner", "TableScan", "block_expressions", "subblocks"]
