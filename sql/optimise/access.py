"""Access paths: which ranges of which trees a relation's conditions can become.

Conditions become ranges by their terms (see `terms`).  Values known at run time only (parameters, outer
rows) count like constants.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import takewhile
from types import MappingProxyType
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

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
    FEW_FETCHED,
    KEY_ROW,
    NEIGHBOUR_ROW,
    NEIGHBOURS_MIN,
    SCAN_ROW,
    SEEK,
    lookup_cost,
    width_cost,
)
from sql.optimise.row_estimates import RowEstimates
from sql.optimise.statistics import Statistics
from sql.optimise.terms import Term, terms_of
from sql.plan import Relation, TableRelation
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

if TYPE_CHECKING:
    from sql.optimise.planner import Planner


_EQUAL = ("=", "IS", "IN")

EMPTY: Mapping[tuple[int, int], int] = MappingProxyType({})
NO_OTHERS: Mapping[int, Relation] = MappingProxyType({})


class Candidate(Struct, frozen=True):
    """An access with what it costs per use and how many rows it gives; `used` conjuncts it proves, `met` are those
    that its rows meet, mostly; `columnar`: a scan by column, whose conditions cost little; `order_of_each`: that of what it
    finds for each value of an IN."""

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
    order_of_each: tuple[tuple[int | Expression, bool], ...] = ()


class _Leading(Struct, frozen=True):
    """Equalities on a key path's first parts: the conjuncts they prove, the columns they bind to one value, and for how
    many values they look."""

    equal: tuple[Equality, ...]
    used: tuple[Expression, ...]
    columns: frozenset[int]
    lists: float

    @property
    def many(self) -> bool:
        """Whether one of them is an IN."""
        return any(equality.many for equality in self.equal)


class _Bounds(Struct, frozen=True):
    """A range of a key path's next part, and the conjuncts it proves."""

    low: Bound | None = None
    high: Bound | None = None
    prefix: Expression | None = None
    used: tuple[Expression, ...] = ()


def key_paths(planner: Planner, relation: TableRelation) -> list[KeyPath]:
    """The ordered trees of a table: its indexes, and a WITHOUT ROWID table's own tree."""
    table = relation.table
    paths: list[KeyPath] = []
    if table.without_rowid:
        parts = tuple(KeyPart(column, None, collation) for column, collation in table.key_parts)
        paths.append(
            KeyPath(f"{table.name}_primary_key", table.tree_id, parts, True, clustered=True)
        )
    for index in planner.env.schema.indexes_on(table.name, table.database):
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
            for place, (column, collation) in enumerate(table.key_parts):
                if collation == "BINARY":
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
        "estimates",
        "first_of_order",
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
        others: Mapping[int, Relation] = NO_OTHERS,
        *,
        first_of_order: bool = False,
    ) -> None:
        """`uses`: how often the block speaks of a column (source, number); `stated`: ids of conditions that do; `others`:
        the block's relations by source; `first_of_order`: the block asks for the first rows of an order, so that a whole
        index may serve."""
        self.planner = planner
        self.relation = relation
        self.conjuncts = tuple(conjuncts)
        self.needed = needed
        self.uses = uses
        self.stated = stated
        self.first_of_order = first_of_order
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
        self.estimates = RowEstimates(planner, relation, others)
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
            fitting = takewhile(lambda part: self._collation_fits(*part), table.key_parts)
            order = tuple((column, False) for column, _ in fitting)
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
            rows = self.estimates.range_rows(
                self.relation.table.tree_id, (), low, high, scalar=True
            )
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
        leading = self._leading(path, terms)
        equal, place = leading.equal, len(leading.equal)
        bounds = self._bounds(path, place, terms)
        used = (*leading.used, *bounds.used)
        rows, unique = self._path_rows(path, leading, bounds)
        missing = self.needed - {column for column, _ in path.positions}
        covered = path.clustered or not missing or self._settled(missing, used)
        order = self._path_order(path, place)
        if not used and not covered and not order:
            return []
        per_row = KEY_ROW if covered else self._fetch_cost(path, equal, bounds.low, rows)
        access = KeyRange(path, equal, bounds.low, bounds.high, bounds.prefix, covered)
        return [
            Candidate(
                access,
                SEEK * max(1.0, leading.lists) + rows * per_row,
                rows,
                used,
                () if leading.many else order,
                leading.columns,
                unique,
                order_of_each=order if leading.many else (),
            )
        ]

    def _leading(self, path: KeyPath, terms: list[Term]) -> _Leading:
        """The equalities that bind a key path's first parts."""
        equal: list[Equality] = []
        used: list[Expression] = []
        columns: set[int] = set()
        lists = 1.0
        for part in path.parts:
            match = [term for term in terms if term.op in _EQUAL and self._matches(part, term)]
            if not match:
                break
            term = min(match, key=lambda term: _EQUAL.index(term.op))
            if term.op == "IN":
                lists *= self._list_length(term)
            elif part.column is not None:
                columns.add(part.column)
            equal.append(Equality(term.value, term.affinity, term.op == "IS", term.op == "IN"))
            used.append(term.conjunct)
        return _Leading(tuple(equal), tuple(used), frozenset(columns), lists)

    def _bounds(self, path: KeyPath, place: int, terms: list[Term]) -> _Bounds:
        """The range of the part at a place, behind those that are bound by equalities."""
        # Entries that are equal lie in the order of their rowids, which a range may bound, too.
        has_rowid = not path.clustered and not self.relation.table.without_rowid
        if place == len(path.parts) and not has_rowid:
            return _Bounds()
        part = path.part(place)
        mine = [term for term in terms if self._matches(part, term)]
        low = next((term for term in mine if term.op in (">", ">=")), None)
        high = next((term for term in mine if term.op in ("<", "<=")), None)
        if low is not None or high is not None:
            return _Bounds(
                None if low is None else Bound(low.value, low.op == ">=", low.affinity),
                None if high is None else Bound(high.value, high.op == "<=", high.affinity),
                used=tuple([term.conjunct for term in mine if term is low or term is high]),
            )
        start = next((term for term in mine if term.op == "PREFIX"), None)
        if start is not None:
            return _Bounds(prefix=start.value)  # LIKE asks for more than the beginning
        present = self._present(part)
        return _Bounds() if present is None else _Bounds(PRESENT, used=(present,))

    def _path_rows(self, path: KeyPath, leading: _Leading, bounds: _Bounds) -> tuple[float, bool]:
        """How many entries of a key path lie in a range, and whether that is one at most by its key."""
        equal = leading.equal
        size = float(self.statistics.rows(path.tree_id))
        # A unique index may hold any number of NULLs.
        whole = path.unique and len(equal) == len(path.parts)
        whole = whole and not any(equality.null_safe for equality in equal)
        if whole:
            rows = leading.lists
        elif equal:
            rows = self.estimates.equal_rows(path, equal, leading.lists)
        else:
            rows = size
        if bounds.low is not None or bounds.high is not None or bounds.prefix is not None:
            rows = self.estimates.narrowed(
                path, equal, bounds.low, bounds.high, bounds.prefix, rows
            )
        return min(rows, size), whole and not leading.many

    def _path_order(self, path: KeyPath, place: int) -> tuple[tuple[int | Expression, bool], ...]:
        """In what order a key path's entries come that have the parts before a place in common."""
        order: list[tuple[int | Expression, bool]] = []
        for part in path.parts[place:]:
            entry = part.column if part.column is not None else part.expression
            assert entry is not None
            if not self._collation_fits(entry, part.collation):
                return tuple(order)
            order.append((entry, False))
        if not path.clustered and not self.relation.table.without_rowid:
            order.append((ROWID, False))
        return tuple(order)

    def _fetch_cost(
        self, path: KeyPath, equal: tuple[Equality, ...], low: Bound | None, rows: float
    ) -> float:
        """One of so many rows that a range of an index leads to."""
        if rows < NEIGHBOURS_MIN and self.size >= COLUMN_ROWS_MIN:
            return FEW_FETCHED + width_cost(len(self.relation.table.columns))
        cost = self._row_cost()
        if rows > self.size / 8:
            cost *= 0.6
        if rows < NEIGHBOURS_MIN or self.relation.table.without_rowid:
            return cost
        if not equal and low is None and not self.first_of_order:
            return cost  # nobody asks for it
        spread = self.estimates.spread(path, equal, low)
        return spread * cost + (1.0 - spread) * NEIGHBOUR_ROW

    def _row_cost(self) -> float:
        """One row by itself."""
        return FETCH_ROW + width_cost(len(self.relation.table.columns))

    def _settled(self, columns: frozenset[int], used: tuple[Expression, ...]) -> bool:
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

    def _union(self, bound: frozenset[int]) -> Candidate | None:
        """A multi-index OR: every alternative of some OR has its own access.  Where these prove all that is asked, their
        rows need not be looked at."""
        best: Candidate | None = None
        for conjunct in self.conjuncts:
            if not isinstance(conjunct, Or):
                continue
            parts: list[RowidLookup | RowidRange | KeyRange] = []
            cost = rows = 0.0
            exact = True
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
                proved = {id(each) for each in choice.used}
                exact = exact and all(id(each) in proved for each in inner)
                cost += choice.cost
                rows += choice.rows
            else:
                rows = min(rows, float(self.size))
                used = (conjunct,) if exact else ()
                missing = self.needed - {ROWID, self.relation.table.rowid_alias}
                # A row id that is looked up need not be there.
                known = not any(isinstance(part, RowidLookup) for part in parts)
                covering = exact and known and self._settled(missing, used)
                made = Candidate(
                    RowidUnion(tuple(parts), covering),
                    cost + rows * (KEY_ROW if covering else self._row_cost()),
                    rows,
                    used,
                    ((ROWID, False),),
                    met=() if exact else (conjunct,),
                )
                if best is None or made.cost < best.cost:
                    best = made
        return best


def reversed_access(access: Access) -> Access:
    """The same access, read backwards."""
    if isinstance(access, (TableScan, RowidRange, KeyRange)):
        return replace(access, reverse=True)
    return access
