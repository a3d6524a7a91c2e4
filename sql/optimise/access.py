"""Access paths: which ranges of which trees a relation's conditions can become.

Conditions become ranges by their terms (see `terms`).  Values known at run time only (parameters, outer
rows) count like constants.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from sql.collations import comparing
from sql.expressions import (
    ROWID,
    And,
    ColumnRef,
    Compare,
    Expression,
    InList,
    InSubquery,
    Literal,
    Or,
)
from sql.optimise.costs import (
    COLUMN_ROWS_MIN,
    COLUMN_SCAN_ROW,
    FETCH_ROW,
    KEY_ROW,
    SCAN_ROW,
    SEEK,
    lookup_cost,
    width_cost,
)
from sql.optimise.statistics import DEFAULT_RANGE_SHARE, Statistics
from sql.optimise.terms import Term, terms_of
from sql.plan import TableRelation
from sql.plan.operators import (
    PRESENT,
    Access,
    Bound,
    Equality,
    KeyPart,
    KeyPath,
    KeyRange,
    RowidLookup,
    RowidRange,
    RowidUnion,
    TableScan,
)
from sql.plan.walk import references, walk
from sql.run.ranges import text_after
from sql.schema import database_of
from sql.settled import settled_value
from sql.values import INT_MAX, INT_MIN

if TYPE_CHECKING:
    from sql.optimise.planner import Planner


EMPTY: Mapping[tuple[int, int], int] = MappingProxyType({})


class Candidate(Struct, frozen=True):
    """An access with what it costs per use and how many rows it gives; `used` conjuncts it proves, `met` are those
    that its rows meet, mostly; `columnar`: a scan by column, whose conditions cost little."""

    access: Access
    cost: float
    rows: float
    used: tuple[Expression, ...] = ()
    order: tuple[tuple[int | Expression, bool], ...] = ()
    constant_columns: frozenset[int] = frozenset()
    unique: bool = False
    batched: bool = False
    merged: bool = False
    by_column: bool = False
    columnar: bool = False
    met: tuple[Expression, ...] = ()


def key_paths(planner: Planner, relation: TableRelation) -> list[KeyPath]:
    """The ordered trees of a table: its indexes, and a WITHOUT ROWID table's own tree."""
    table = relation.table
    paths: list[KeyPath] = []
    if table.without_rowid:
        parts = tuple(
            KeyPart(column, None, table.columns[column].collation) for column in table.primary_key
        )
        paths.append(
            KeyPath(f"{table.name}_primary_key", table.tree_id, parts, True, clustered=True)
        )
    for index in planner.env.schema.indexes_on(table.name, database_of(table)):
        where = planner.index_condition(relation, index)
        parts = tuple(
            KeyPart(
                part.column,
                None
                if part.expression is None
                else planner.index_expression(relation, part.expression),
                part.collation,
            )
            for part in index.columns
        )
        positions = {
            part.column: place
            for place, part in reversed(list(enumerate(parts)))
            if part.column is not None and part.collation == "BINARY"
        }
        start = len(parts)
        if table.without_rowid:
            for place, column in enumerate(table.primary_key):
                if table.columns[column].collation == "BINARY":
                    positions.setdefault(column, start + place)
        else:
            positions.setdefault(ROWID, start)
            if table.rowid_alias is not None:
                positions.setdefault(table.rowid_alias, start)
        paths.append(
            KeyPath(
                index.name,
                index.tree_id,
                parts,
                index.unique,
                False,
                tuple(sorted(positions.items())),
                start,
                index,
                where,
            )
        )
    return paths


class TableAccess:
    """Enumerates the accesses of one stored table under given conjuncts."""

    __slots__ = (
        "_known",
        "_sources",
        "conjuncts",
        "needed",
        "paths",
        "planner",
        "relation",
        "size",
        "stated",
        "terms",
        "uses",
    )

    def __init__(
        self,
        planner: Planner,
        relation: TableRelation,
        conjuncts: Iterable[Expression],
        needed: frozenset[int],
        uses: Mapping[tuple[int, int], int] = EMPTY,
        stated: frozenset[int] = frozenset(),
    ) -> None:
        """`uses`: how often the block speaks of a column (source, number); `stated`: ids of conditions that do."""
        self.planner = planner
        self.relation = relation
        self.conjuncts = tuple(conjuncts)
        self.needed = needed
        self.uses = uses
        self.stated = stated
        self.terms = [
            term
            for conjunct in self.conjuncts
            for term in terms_of(
                conjunct, relation.source, planner.env.functions, planner.env.parameters
            )
        ]
        self._sources = frozenset().union(*map(references, self.conjuncts))
        self._known: dict[frozenset[int], list[Candidate]] = {}
        self.size = planner.statistics.rows(relation.table.tree_id)
        paths = planner.key_paths(relation)
        hint = relation.indexed_by
        if hint is False:
            paths = [path for path in paths if path.clustered]
        elif isinstance(hint, str):
            paths = [path for path in paths if path.name.lower() == hint.lower()]
        self.paths = [path for path in paths if self._implied(path)]

    @property
    def statistics(self) -> Statistics:
        return self.planner.statistics

    def _implied(self, path: KeyPath) -> bool:
        """A partial index serves only where the conditions imply its own."""
        if not path.where:
            return True
        known = {repr(conjunct) for conjunct in self.conjuncts}
        for condition in path.where:
            if repr(condition) in known:
                continue
            if (
                isinstance(condition, Compare)
                and condition.op == "IS NOT"
                and condition.right == Literal(None)
                and isinstance(condition.left, ColumnRef)
                and any(term.target == condition.left and term.op != "IS" for term in self.terms)
            ):
                continue
            return False
        return True

    def candidates(self, bound: frozenset[int]) -> list[Candidate]:
        """Every access usable when the sources in `bound` have values."""
        bound &= self._sources
        known = self._known.get(bound)
        if known is None:
            known = self._known[bound] = self._candidates(bound)
        return known

    def _candidates(self, bound: frozenset[int]) -> list[Candidate]:
        terms = [term for term in self.terms if term.needs <= bound]
        found: list[Candidate] = []
        forced = isinstance(self.relation.indexed_by, str)
        if not forced:
            found.append(self._scan())
            if not self.relation.table.without_rowid:
                rowids = self._rowid(terms)
                for candidate in rowids:
                    if candidate.unique:
                        return [candidate]  # nothing is cheaper than one row by its key
                found += rowids
        for path in self.paths:
            found += self._path(path, terms)
        if not forced and not self.relation.table.without_rowid:
            union = self._union(bound)
            if union is not None:
                found.append(union)
        if not found:
            found.append(self._scan())
        return found

    def _scan(self) -> Candidate:
        table = self.relation.table
        order: tuple[tuple[int | Expression, bool], ...]
        if table.without_rowid:
            order = tuple((column, False) for column in table.primary_key)
        else:
            order = ((ROWID, False),)
        columnar = self._by_column()
        cost = SEEK + self.size * (COLUMN_SCAN_ROW if columnar else SCAN_ROW)
        return Candidate(TableScan(), cost, float(self.size), (), order, columnar=columnar)

    def _by_column(self) -> bool:
        """Whether a scan of the whole table goes by column."""
        wanted = [column for column in self.needed if column >= 0]
        return self.size >= COLUMN_ROWS_MIN and len(wanted) < len(self.relation.table.columns)

    def _is_rowid(self, target: Expression) -> bool:
        return (
            isinstance(target, ColumnRef)
            and target.source == self.relation.source
            and target.column in (ROWID, self.relation.table.rowid_alias)
        )

    def _rowid(self, terms: list[Term]) -> list[Candidate]:
        mine = [term for term in terms if self._is_rowid(term.target)]
        found = []
        low = high = None
        used: list[Expression] = []
        for term in mine:
            if term.op in ("=", "IN"):
                many = term.op == "IN"
                count = self._list_length(term) if many else 1.0
                found.append(
                    Candidate(
                        RowidLookup(Equality(term.value, term.affinity, False, many)),
                        lookup_cost(self.size) * count,
                        min(float(self.size), count),
                        (term.conjunct,),
                        ((ROWID, False),),
                        frozenset() if many else frozenset({ROWID}),
                        unique=not many,
                    )
                )
            elif term.op in (">", ">=") and low is None:
                low = Bound(term.value, term.op == ">=", term.affinity)
                used.append(term.conjunct)
            elif term.op in ("<", "<=") and high is None:
                high = Bound(term.value, term.op == "<=", term.affinity)
                used.append(term.conjunct)
        if low is not None or high is not None:
            rows = self._range_rows(self.relation.table.tree_id, (), low, high, scalar=True)
            # Never dearer than the scan that it is a part of: the plan is kept for other bounds, which may leave little.
            columnar = self._by_column()
            found.append(
                Candidate(
                    RowidRange(low, high),
                    SEEK + rows * (COLUMN_SCAN_ROW if columnar else SCAN_ROW),
                    rows,
                    tuple(used),
                    ((ROWID, False),),
                    columnar=columnar,
                )
            )
        return found

    def _list_length(self, term: Term) -> float:
        if isinstance(term.value, InList):
            return float(len(term.value.items))
        if isinstance(term.value, InSubquery):
            return max(1.0, self.planner.plan(term.value.plan).rows)
        return 1.0

    def _matches(self, part: KeyPart, term: Term) -> bool:
        if term.collation != part.collation:
            return False
        target = term.target
        if part.column is not None:
            if not isinstance(target, ColumnRef) or target.source != self.relation.source:
                return False
            rowids = (ROWID, self.relation.table.rowid_alias)
            return target.column == part.column or (
                target.column in rowids and part.column in rowids
            )
        return part.expression is not None and part.expression == target

    def _present(self, part: KeyPart) -> Expression | None:
        """The condition that the column of an index's part is not NULL."""
        for conjunct in self.conjuncts:
            if (
                isinstance(conjunct, Compare)
                and conjunct.op == "IS NOT"
                and conjunct.right == Literal(None)
                and isinstance(conjunct.left, ColumnRef)
                and conjunct.left.source == self.relation.source
                and conjunct.left.column == part.column
            ):
                return conjunct
        return None

    def _path(self, path: KeyPath, terms: list[Term]) -> list[Candidate]:
        """The best use of one key path: equalities on leading parts, then a range."""
        equal: list[Equality] = []
        used: list[Expression] = []
        columns: set[int] = set()
        lists = 1.0
        many = False
        place = 0
        for part in path.parts:
            match = [
                term for term in terms if term.op in ("=", "IS", "IN") and self._matches(part, term)
            ]
            if not match:
                break
            term = min(match, key=lambda term: ("=", "IS", "IN").index(term.op))
            if term.op == "IN":
                lists *= self._list_length(term)
                many = True
            elif part.column is not None:
                columns.add(part.column)
            equal.append(Equality(term.value, term.affinity, term.op == "IS", term.op == "IN"))
            used.append(term.conjunct)
            place += 1
        low = high = prefix = None
        # Entries that are equal lie in the order of their rowids, which a range may bound, too.
        has_rowid = not path.clustered and not self.relation.table.without_rowid
        if place < len(path.parts) or has_rowid:
            part = path.part(place)
            for term in terms:
                if not self._matches(part, term):
                    continue
                if term.op in (">", ">=") and low is None:
                    low = Bound(term.value, term.op == ">=", term.affinity)
                    used.append(term.conjunct)
                elif term.op in ("<", "<=") and high is None:
                    high = Bound(term.value, term.op == "<=", term.affinity)
                    used.append(term.conjunct)
                elif term.op == "PREFIX" and prefix is None:
                    prefix = term.value
            if prefix is not None and (low is not None or high is not None):
                prefix = None
            if low is None and high is None and prefix is None:
                present = self._present(part)
                if present is not None:
                    low = PRESENT
                    used.append(present)
        size = float(self.statistics.rows(path.tree_id))
        whole = path.unique and place == len(path.parts)
        if whole and any(equality.null_safe for equality in equal):
            whole = False  # a unique index may hold any number of NULLs
        unique = whole and not many
        if whole:
            rows = lists
        elif place:
            rows = self._equal_rows(path, tuple(equal), lists)
        else:
            rows = size
        if low is not None or high is not None or prefix is not None:
            rows = self._narrowed(path, tuple(equal), low, high, prefix, rows)
        rows = min(rows, size)
        missing = self.needed - {column for column, _ in path.positions}
        covered = path.clustered or not missing or self._settled(missing, used)
        order = tuple(
            (part.column if part.column is not None else part.expression, False)
            for part in path.parts[place:]
            if (part.column is not None or part.expression is not None)
        )
        if not path.clustered and not self.relation.table.without_rowid:
            order = (*order, (ROWID, False))
        order_collations = [part.collation for part in path.parts[place:]]
        usable: list[tuple[int | Expression, bool]] = []
        for position, entry in enumerate(order):
            collation = order_collations[position] if position < len(order_collations) else "BINARY"
            if not self._collation_fits(entry[0], collation):
                break
            usable.append(entry)  # type: ignore[arg-type]
        if not used and not covered and not usable:
            return []
        per_row = KEY_ROW if covered else self._fetch_cost()
        if not covered and not path.clustered and rows > self.size / 8:
            per_row *= 0.6
        access = KeyRange(path, tuple(equal), low, high, prefix, covered)
        return [
            Candidate(
                access,
                SEEK * max(1.0, lists) + rows * per_row,
                rows,
                tuple(used),
                tuple(usable) if not many else (),
                frozenset(columns),
                unique,
            )
        ]

    def _fetch_cost(self) -> float:
        """One row that an index leads to."""
        return FETCH_ROW + width_cost(len(self.relation.table.columns))

    def _settled(self, columns: frozenset[int], used: list[Expression]) -> bool:
        """Whether nothing speaks of the columns but conditions that an access proves: so a text that is compared under
        a collation need not be read as it is written."""
        source = self.relation.source
        counted = Counter(
            node.column
            for conjunct in used
            if id(conjunct) in self.stated
            for node in walk(conjunct)
            if isinstance(node, ColumnRef) and node.source == source
        )
        return all(counted[column] == self.uses.get((source, column)) for column in columns)

    def _collation_fits(self, column: int | Expression | None, collation: str) -> bool:
        if not isinstance(column, int):
            return collation == "BINARY"
        if column == ROWID:
            return True
        return self.relation.table.columns[column].collation == collation

    def _sampled(self, bound: Bound | Equality) -> object:
        """The value a bound will have, as far as it is known at plan time; NotImplemented if not."""
        node = bound.expression if isinstance(bound, Bound) else bound.value
        return settled_value(node, self.planner.env.parameters)

    def _equal_rows(self, path: KeyPath, equal: tuple[Equality, ...], lists: float) -> float:
        values = []
        for equality, part in zip(equal, path.parts, strict=False):
            value = self._sampled(equality)
            if value is NotImplemented or value is None or part.collation != "BINARY":
                break
            values.append(value)
        tree = self.statistics.tree(path.tree_id)
        if len(values) == len(equal):
            key = tuple(values)
            return float(max(1, tree.estimate(key, key, hi_inclusive=True)))
        return self.statistics.rows_per_prefix(path.tree_id, len(equal)) * lists

    def _narrowed(
        self,
        path: KeyPath,
        equal: tuple[Equality, ...],
        low: Bound | None,
        high: Bound | None,
        prefix: Expression | None,
        rows: float,
    ) -> float:
        text = None if prefix is None else settled_value(prefix, self.planner.env.parameters)
        if text.__class__ is str:
            if equal:
                return rows * DEFAULT_RANGE_SHARE
            fold = comparing(path.part(0).collation)
            start = text if fold is None else fold(text)
            tree = self.statistics.tree(path.tree_id)
            return float(max(1, tree.estimate((start,), (text_after(start),))))
        if equal:
            values = tuple(self._sampled(equality) for equality in equal)
            if any(value is NotImplemented or value is None for value in values):
                if low is PRESENT:
                    return rows
                both = low is not None and high is not None
                return rows * (DEFAULT_RANGE_SHARE / 2 if both else DEFAULT_RANGE_SHARE)
        else:
            values = ()
        if path.part(len(equal)).collation != "BINARY" and low is not PRESENT:
            return rows * DEFAULT_RANGE_SHARE
        return self._range_rows(path.tree_id, values, low, high, scalar=False, rows=rows)

    def _range_rows(
        self,
        tree_id: int,
        values: tuple[object, ...],
        low: Bound | None,
        high: Bound | None,
        *,
        scalar: bool,
        rows: float | None = None,
    ) -> float:
        rows = float(self.size) if rows is None else rows
        if low is PRESENT:
            tree = self.statistics.tree(tree_id)
            found = tree.estimate(
                (*values, None), values or None, lo_inclusive=False, hi_inclusive=True
            )
            return float(max(1, found))
        ends: list[object] = []
        for bound in (low, high):
            value = None if bound is None else self._sampled(bound)
            if value is NotImplemented or (bound is not None and value is None):
                both = low is not None and high is not None
                return rows * (DEFAULT_RANGE_SHARE / 2 if both else DEFAULT_RANGE_SHARE)
            if scalar and value is not None:
                if not isinstance(value, (int, float)):
                    return rows
                value = int(min(max(value, INT_MIN), INT_MAX))  # infinite ones, too
            ends.append(value)
        tree = self.statistics.tree(tree_id)
        lo, hi = ends
        if not scalar:
            lo = (*values, lo) if lo is not None else (values or None)
            hi = (*values, hi) if hi is not None else (values or None)
        return float(max(1, tree.estimate(lo, hi, hi_inclusive=True)))

    def _union(self, bound: frozenset[int]) -> Candidate | None:
        """A multi-index OR: every alternative of some OR has its own access."""
        best: Candidate | None = None
        for conjunct in self.conjuncts:
            if not isinstance(conjunct, Or):
                continue
            parts: list[RowidLookup | RowidRange | KeyRange] = []
            cost = rows = 0.0
            for alternative in conjunct.items:
                inner = alternative.items if isinstance(alternative, And) else (alternative,)
                narrowed = TableAccess(self.planner, self.relation, inner, frozenset({ROWID}))
                usable = [
                    candidate
                    for candidate in narrowed.candidates(bound)
                    if candidate.used
                    and isinstance(candidate.access, (RowidLookup, RowidRange, KeyRange))
                ]
                if not usable:
                    break
                choice = min(usable, key=lambda candidate: candidate.cost)
                assert isinstance(choice.access, (RowidLookup, RowidRange, KeyRange))
                parts.append(choice.access)
                cost += choice.cost
                rows += choice.rows
            else:
                rows = min(rows, float(self.size))
                made = Candidate(
                    RowidUnion(tuple(parts)),
                    cost + rows * self._fetch_cost(),
                    rows,
                    (),
                    ((ROWID, False),),
                    met=(conjunct,),
                )
                if best is None or made.cost < best.cost:
                    best = made
        return best


def reversed_access(access: Access) -> Access:
    """The same access, read backwards."""
    if isinstance(access, (TableScan, RowidRange, KeyRange)):
        return replace(access, reverse=True)
    return access
