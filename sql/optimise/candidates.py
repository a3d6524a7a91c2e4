"""The accesses of one SELECT's relations: scans, look-ups and hash tables, given what is joined before."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from sql.expressions import Affinity, ColumnRef, Compare, Expression, SlotRef
from sql.optimise.access import Candidate, TableAccess
from sql.optimise.alternatives import with_common_conditions
from sql.optimise.costs import (
    COLUMN_FILTER,
    FILTER,
    HASH_KEY,
    HASH_UNIQUE_ROW,
    SCAN_ROW,
    SEEK,
    WHOLE_ROW,
    hashed_cost,
)
from sql.optimise.decorrelate import ANTI, SEMI, with_semi_joins
from sql.optimise.equalities import EqualColumns
from sql.optimise.shares import Shares
from sql.optimise.statistics import ROWS_OF_UNKNOWN
from sql.optimise.terms import is_constant
from sql.plan import (
    Block,
    DerivedRelation,
    Relation,
    RowRelation,
    Select,
    TableRelation,
    WorkRelation,
)
from sql.plan.operators import Access, HashLookup, KeyRange, RowidRange, RowsScan
from sql.plan.walk import references, references_in

if TYPE_CHECKING:
    from sql.optimise.planner import Planner

DEPENDENT = ("left", SEMI, ANTI)
"""Joins whose relation comes after what its ON refers to."""


class _HashTerm(NamedTuple):
    """`key = probe`: what a hash table's rows are kept by, and what they are asked for by."""

    key: Expression
    probe: Expression
    key_affinity: Affinity | None
    probe_affinity: Affinity | None
    conjunct: Compare


class RelationAccesses:
    """What one SELECT's relations are, which conditions concern them, and how each can be reached."""

    def __init__(self, planner: Planner, block: Select, repeats: float) -> None:
        self.planner = planner
        self.block = block = with_semi_joins(with_common_conditions(block))
        self.items = block.items
        self.places = {item.relation.source: place for place, item in enumerate(block.items)}
        self.own = frozenset(self.places)
        self.shares = Shares(planner, {item.relation.source: item.relation for item in block.items})
        self.needed: dict[int, set[int]] = {source: set() for source in self.own}
        outer: set[int] = set()
        self.uses: Counter[tuple[int, int]] = Counter()
        for node in references_in(block):
            if node.__class__ is ColumnRef:
                if node.source in self.needed:
                    self.needed[node.source].add(node.column)
                    self.uses[node.source, node.column] += 1
                else:
                    outer.add(node.source)
        stated = (*block.where, *[on for item in block.items for on in item.on])
        self.stated = frozenset([id(conjunct) for conjunct in stated])
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
        joined = [item.relation.source for item in self.items if item.join not in DEPENDENT]
        self.equal_columns = EqualColumns(self.conjuncts, frozenset(joined))
        self.conjuncts += self.equal_columns.implied
        self.refs: dict[int, frozenset[int]] = {
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
        self._table_accesses: dict[int, TableAccess] = {}
        self._candidates: dict[tuple[int, frozenset[int], bool], list[Candidate]] = {}
        self._relevant: dict[int, frozenset[int]] = {}
        # What is asked again for each way to join: the order's search goes through hundreds.
        self._usable: dict[int, tuple[Expression, ...]] = {}
        self._pending: dict[int, list[tuple[Expression, frozenset[int]]]] = {}
        self._left: dict[tuple[int, int, int, frozenset[int]], tuple[float, int, Candidate]] = {}

    def relation_of(self, source: int) -> Relation:
        """The relation of a source number."""
        return self.items[self.places[source]].relation

    def ordering_sources(self, source: int) -> frozenset[int]:
        """Sources whose columns may follow in an order by this one's unique key."""
        return frozenset({source}) if len(self.items) > 1 else self.own

    def usable(self, place: int) -> tuple[Expression, ...]:
        """Conditions that may bound the relation: WHERE's, or of a LEFT join its ON's."""
        known = self._usable.get(place)
        if known is None:
            item = self.items[place]
            source = item.relation.source
            if item.join in DEPENDENT:
                known = item.on
            else:
                known = tuple([c for c in self.conjuncts if source in self.refs[id(c)]])
            self._usable[place] = known
        return known

    def add_conjunct(self, conjunct: Expression) -> None:
        """One more condition on the block's own relations."""
        self.conjuncts.append(conjunct)
        self.refs[id(conjunct)] = references(conjunct) & self.own
        for known in (self._usable, self._pending, self._left, self._relevant):
            known.clear()

    def _sources_of(self, place: int) -> frozenset[int]:
        """The block's own sources that the relation's conditions speak of."""
        known = self._relevant.get(place)
        if known is None:
            gathered: set[int] = set()
            for conjunct in self.usable(place):
                gathered |= references(conjunct)
            known = self._relevant[place] = frozenset(gathered & self.own)
        return known

    def accesses(self, place: int, bound: frozenset[int], *, first: bool) -> list[Candidate]:
        relation = self.items[place].relation
        key = (place, bound & self._sources_of(place), first)
        known = self._candidates.get(key)
        if known is not None:
            return known
        found: list[Candidate] = []
        if isinstance(relation, TableRelation):
            access = self._table_accesses.get(place)
            if access is None:
                access = self._table_accesses[place] = TableAccess(
                    self.planner,
                    relation,
                    self.usable(place),
                    frozenset(self.needed[relation.source]),
                    self.uses,
                    self.stated,
                    self.shares.relations,
                    first_of_order=bool(self.block.order) and self.block.limit is not None,
                )
                for candidate in access.candidates(frozenset()):
                    self._count(candidate, access.size)
                if any(map(_compares_columns, access.conjuncts)):
                    for candidate in access.candidates(self.own):
                        if _lies_between_columns(candidate.access):
                            self._count(candidate, access.size)
            found = access.candidates(bound | self.outer)
            size = float(access.size)
            if not first:
                found = [_by_row(candidate) for candidate in found]
        else:
            size = self._size(place)
            found = [Candidate(RowsScan(), SEEK + size * SCAN_ROW, size)]
        lateral = isinstance(relation, RowRelation) and any(
            references(argument) for argument in relation.arguments
        )
        if (not first or self.correlated) and not lateral:
            hashed = self._hash(place, bound, size, first)
            if hashed is not None:
                # Rows that are there anyway are hashed: how many come before is an estimate for the values that the
                # plan was made for, and it is kept for others, for which a walk by each might never end.
                lookup = hashed.access
                probes = isinstance(lookup, HashLookup) and bool(lookup.keys)
                is_made = isinstance(relation, DerivedRelation) and not first
                found = [hashed] if is_made and probes else [*found, hashed]
        self._candidates[key] = found
        return found

    def _count(self, candidate: Candidate, size: int) -> None:
        """Note how many rows the conditions leave that a range of an index, or of row ids, proves."""
        access = candidate.access
        is_partial = isinstance(access, KeyRange) and bool(access.path.where)
        if candidate.used and isinstance(access, (KeyRange, RowidRange)) and not is_partial:
            self.shares.count(candidate.used, candidate.rows / max(size, 1))

    def _size(self, place: int) -> float:
        relation = self.items[place].relation
        match relation:
            case DerivedRelation():
                return self.planner.plan(relation.block).rows
            case WorkRelation():
                return self.planner.work_rows
            case RowRelation():
                return ROWS_OF_UNKNOWN
            case TableRelation():
                return float(self.planner.statistics.rows(relation.table.tree_id))

    def _hash_terms(
        self, place: int, visible: frozenset[int]
    ) -> tuple[list[_HashTerm], list[Expression]]:
        """The equalities of the relation with what is visible, and the conditions on it alone."""
        source = self.items[place].relation.source
        terms: list[_HashTerm] = []
        local: list[Expression] = []
        classes: set[int] = set()
        for conjunct in self.usable(place):
            if references(conjunct) <= {source} and is_constant(conjunct):
                local.append(conjunct)
                continue
            if not isinstance(conjunct, Compare) or conjunct.op != "=":
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
            number = self.equal_columns.class_of(conjunct)
            if number is not None and number in classes:
                continue  # the key is there already
            if is_constant(mine) and is_constant(other):
                if number is not None:
                    classes.add(number)
                terms.append(_HashTerm(mine, other, *affinities, conjunct))
        return terms, local

    def _hash(
        self, place: int, bound: frozenset[int], size: float, first: bool
    ) -> Candidate | None:
        """A hash table of the relation on its equalities with what is bound; a list without any."""
        relation = self.items[place].relation
        terms, local = self._hash_terms(place, bound | self.outer)
        if first and not terms:
            return None
        alone = self._unique_key(place, [term.key for term in terms])
        if alone is not None:
            terms = [terms[alone]]
        keys = tuple([term.key for term in terms])
        build, condition = SEEK + size * SCAN_ROW, FILTER
        access: Any = RowsScan()
        local_rows = size
        covered: tuple[Expression, ...] = ()
        if isinstance(relation, TableRelation):
            cheapest = min(
                self._table_accesses[place].candidates(frozenset()), key=lambda choice: choice.cost
            )
            access, build, local_rows = cheapest.access, cheapest.cost, cheapest.rows
            covered, condition = cheapest.used, _condition_cost(cheapest)
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
        if isinstance(relation, DerivedRelation) and _is_group(relation.block, terms):
            unique, fan_out = True, 1.0
        unique = unique and len(keys) == 1
        lists = 1.0 / max(fan_out, 1.0) if keys else 0.0
        build += size * condition * len(remaining)
        proved = (*[term.conjunct for term in terms], *local)
        item = self.items[place]
        # Of a semi-join or an anti-join a set of keys will do.
        single = unique or (item.join in (SEMI, ANTI) and len(proved) == len(item.on))
        listed = hashed_cost(local_rows) + HASH_KEY * lists
        build += local_rows * (HASH_UNIQUE_ROW if single else listed)
        lookup = HashLookup(
            keys,
            tuple([term.probe for term in terms]),
            tuple([term.key_affinity for term in terms]),
            tuple([term.probe_affinity for term in terms]),
            tuple([term.conjunct.collation for term in terms]),
            unique,
            remaining,
            access,
            local_rows,
        )
        return Candidate(lookup, build, max(fan_out, 0.01), proved)

    def _unique_key(self, place: int, keys: list[Expression]) -> int | None:
        """The one of several keys of an inner join's hash table that no two rows have in common.

        It finds one row, which the other equalities are then asked of: no tuple is made of keys, and a scan by
        column can ask for a batch's rows at once."""
        relation = self.items[place].relation
        if len(keys) < 2 or not isinstance(relation, TableRelation):
            return None
        if self.items[place].join in DEPENDENT:
            return None
        for number, key in enumerate(keys):
            if isinstance(key, ColumnRef) and self.shares.is_unique(relation, key.column):
                return number
        return None

    def filtered(
        self, place: int, candidate: Candidate, bound: frozenset[int]
    ) -> tuple[float, float]:
        """Rows and cost per use after the conditions that the access does not prove."""
        key = (place, id(candidate.used), id(candidate.met), bound & self._sources_of(place))
        known = self._left.get(key)
        if known is None:
            # The candidate is kept so that ids stay unique.
            known = self._left[key] = *self._left_over(place, candidate, bound), candidate
        share, count, _ = known
        cost = candidate.cost
        if count and not isinstance(candidate.access, HashLookup):
            cost += candidate.rows * _condition_cost(candidate) * count
        return max(candidate.rows * share, 0.01), cost

    def _left_over(
        self, place: int, candidate: Candidate, bound: frozenset[int]
    ) -> tuple[float, int]:
        """The share of an access's rows that pass the conditions that it does not prove, and how many those are."""
        pending = self._pending.get(place)
        if pending is None:
            pending = self._pending[place] = [
                (conjunct, frozenset(references(conjunct) & self.own))
                for conjunct in self.usable(place)
            ]
        now = bound | {self.items[place].relation.source}
        used = [id(conjunct) for conjunct in candidate.used]
        left = [c for c, sources in pending if id(c) not in used and sources <= now]
        if self.equal_columns:
            redundant = self.equal_columns.redundant(left, candidate.used)
            left = [c for c in left if id(c) not in redundant]
        open_ = [one for one in left if not any(one is met for met in candidate.met)]
        return self.shares.of_all(open_), len(left)


def _is_group(block: Block, terms: list[_HashTerm]) -> bool:
    """Whether a subquery in FROM is grouped by the one column that it is asked for by, as its values are."""
    if len(terms) != 1 or not isinstance(block, Select) or not block.keys or len(block.keys) != 1:
        return False
    (term,) = terms
    plain = term.key_affinity is None and term.conjunct.collation == block.keys[0].collation
    if not plain or not isinstance(term.key, ColumnRef) or block.keys[0].collation != "BINARY":
        return False
    output = block.outputs[term.key.column]
    return isinstance(output, SlotRef) and (output.source, output.slot) == (
        block.aggregate_source,
        0,
    )


def _compares_columns(conjunct: Expression) -> bool:
    """Whether a condition says which of two columns is greater."""
    return (
        isinstance(conjunct, Compare)
        and conjunct.op in ("<", "<=", ">", ">=")
        and isinstance(conjunct.left, ColumnRef)
        and isinstance(conjunct.right, ColumnRef)
    )


def _lies_between_columns(access: Access) -> bool:
    """Whether an access is a range from one column of another relation to another one."""
    if not isinstance(access, (KeyRange, RowidRange)) or access.low is None or access.high is None:
        return False
    ends = access.low.expression, access.high.expression
    return all(isinstance(end, ColumnRef) for end in ends)


def _by_row(candidate: Candidate) -> Candidate:
    """A candidate for what is not the join's first relation: a scan for each row before goes by rows, and not by
    column."""
    if not candidate.columnar:
        return candidate
    return replace(candidate, cost=SEEK + candidate.rows * WHOLE_ROW, columnar=False)


def _condition_cost(candidate: Candidate) -> float:
    """What a condition costs on each of the candidate's rows."""
    return COLUMN_FILTER if candidate.columnar else FILTER
