"""The plan of one SELECT: its order and its join, and the levels that come of them."""

from __future__ import annotations

import math

from msgspec.structs import replace

from sql.expressions import (
    INTEGER,
    NULL,
    ROWID,
    Call,
    ColumnRef,
    Compare,
    Exists,
    Expression,
    InSubquery,
    Literal,
    Match,
    ScalarSubquery,
    SlotRef,
)
from sql.optimise.candidates import DEPENDENT
from sql.optimise.costs import GROUPED_ROW, NEW_GROUP, ORDERED_ROW, SEEK
from sql.optimise.decorrelate import ANTI, SEMI
from sql.optimise.joins import HAVING_SHARE, JoinOrder, State
from sql.optimise.ordering import in_order
from sql.plan import AggregateCall, SortKey, TableRelation
from sql.plan.operators import KeyPath, KeyRange, Level, SelectPlan, TreeEnd
from sql.plan.walk import walk_flat

FIRST_GROUPS = 4.0
"""Groups that may be as large as the first one."""


class SelectPlanner(JoinOrder):
    """Plans one SELECT."""

    def plan(self, *, in_order: bool = True) -> SelectPlan:
        """The cheapest plan; with `in_order` one whose rows come in ORDER BY's order is looked for, too."""
        block = self.block
        if not self.items:
            return SelectPlan(block, (), tuple(block.where), True, rows=1.0)
        counted = self._count_tree()
        if counted is not None:
            return SelectPlan(block, (), (), ordered=True, count_tree=counted)
        ends = self._ends()
        if ends:
            return SelectPlan(block, (), (), ordered=True, ends=ends, cost=SEEK * len(ends))
        order = self._wanted_order() if in_order else ()
        best = self.join_all(None)
        ordered = False
        extreme = block.keys == ()
        if order:
            other = self.join_all(order)
            if other is not None and self._worth(other, best, order, extreme):
                best, ordered = other, True
        assert best is not None
        windowed = self._in_windows_order(best) if block.windows and in_order else None
        best = windowed or best
        runs = None if ordered or not in_order else self._in_runs(best)
        if runs is not None:
            best = runs[0]
        by_groups = None if ordered or not block.keys else self._group_by_group(best)
        best = by_groups or best
        levels = self._levels(best)
        if not ordered and runs is None:
            levels = self._with_topmost(levels, best)
        rows = best.rows
        if block.keys is not None:
            rows = self.groups(rows)
            rows = max(1.0, rows * HAVING_SHARE ** len(block.having))
        limit, cost = self.planner.limit_of(block), best.cost
        if limit is not None:
            rows = min(rows, max(1.0, limit))
            wanted = self.rows_wanted(order if ordered else None, best.rows)
            if runs is not None:
                wanted = runs[1]
            if self._share == 1.0 and wanted is not None:
                # What follows the rows that are wanted is never computed.
                cost = min(cost, SEEK + cost * max(1.0, wanted) / max(1.0, best.rows))
        return SelectPlan(
            block,
            levels,
            tuple(self.constant),
            ordered=ordered and not extreme,
            presorted=0 if runs is None else runs[2],
            grouped=(ordered and bool(block.keys)) or by_groups is not None,
            first_row=ordered and extreme,
            windowed=windowed is not None,
            rows=rows,
            cost=cost,
        )

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

    def _ends(self) -> tuple[TreeEnd, ...]:
        """The ends of trees that several min() and max() of a whole table are; () if one of them is none.

        Of one alone `_wanted_order` finds more."""
        block = self.block
        if block.keys != () or block.where or block.bare or len(self.items) != 1:
            return ()
        relation = self.items[0].relation
        if len(block.aggregates) < 2 or not isinstance(relation, TableRelation):
            return ()
        if relation.indexed_by is not None:
            return ()
        paths = [path for path in self.planner.key_paths(relation) if not path.where]
        ends = []
        for call in block.aggregates:
            end = None if call.where is not None else _end(call, relation, paths)
            if end is None:
                return ()
            ends.append(end)
        return tuple(ends)

    def _wanted_order(self) -> tuple[SortKey, ...]:
        """The order that would save a sort, or let one row decide min() or max()."""
        block = self.block
        if block.keys:
            return self._group_order()
        if block.keys is not None:
            if len(block.aggregates) != 1:
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
                descending = call.name == "max"
                if wanted and block.bare:
                    # Where there are only NULLs, other columns are shown of one of their rows.
                    if not descending:
                        return ()
                elif wanted and present not in self.conjuncts:
                    self.add_conjunct(present)
                return (SortKey(column, descending, not descending, call.collation),)
            return ()
        if block.windows:
            return ()
        if block.distinct and any(key.expression not in block.outputs for key in block.order):
            return ()
        return block.order

    def _group_order(self) -> tuple[SortKey, ...]:
        """The order of rows in which LIMIT's groups come first, one behind the other: ORDER BY's keys, then the others in the
        same direction; () without a LIMIT, or if ORDER BY speaks of more than keys."""
        block = self.block
        if block.limit is None or block.windows or block.distinct or block.keys is None:
            return ()
        left = dict(enumerate(block.keys))
        order = []
        for key in block.order:
            slot = key.expression
            if not isinstance(slot, SlotRef) or slot.source != block.aggregate_source:
                return ()
            group = left.pop(slot.slot, None)
            if group is None or group.collation != key.collation:
                return ()
            order.append(replace(key, expression=group.expression))
        down = bool(order) and order[0].descending
        order += [replace(key, descending=down, nulls_first=not down) for key in left.values()]
        return tuple(order)

    def _group_by_group(self, best: State) -> State | None:
        """The entries of an index in the order of GROUP BY's keys, where that costs less than to have all groups in a dict
        and to sort them; None elsewhere.  Of one integer they are in lists at the key (`sql/run/dense.py`)."""
        keys, rows = self.block.keys, best.rows
        if not keys or len(self.items) != 1:
            return None
        first = keys[0].expression
        if len(keys) == 1 and isinstance(first, ColumnRef) and first.kinds & ~NULL == INTEGER:
            return None
        at_once = best.cost + rows * GROUPED_ROW + self.groups(rows) * NEW_GROUP
        if best.cost + rows * ORDERED_ROW > at_once:
            return None
        state = self.join_all(keys)
        access = None if state is None else state.steps[0].candidate.access
        if not isinstance(access, KeyRange) or not access.covering or access.path.clustered:
            return None
        assert state is not None
        return state if state.cost + rows * ORDERED_ROW < at_once else None

    def _in_windows_order(self, best: State) -> State | None:
        """The entries of a covering index in the order of PARTITION BY and ORDER BY, if all windows have the same and that
        costs less than to sort; None elsewhere.  An index that goes on behind those keys would give equal rows in another order."""
        first = self.block.windows[0]
        order = (*first.partition, *first.order)
        if not order or len(self.items) != 1 or self.block.keys is not None:
            return None
        if any((*call.partition, *call.order) != order for call in self.block.windows):
            return None
        state = self.join_all(order)
        access = None if state is None else state.steps[0].candidate.access
        if not isinstance(access, KeyRange) or not access.covering or access.reverse:
            return None
        assert state is not None
        candidate = state.steps[0].candidate
        columns = {key.expression.column for key in order if isinstance(key.expression, ColumnRef)}
        behind = [target for target, _ in candidate.order if target not in columns]
        relation = self.items[0].relation
        assert isinstance(relation, TableRelation)
        if access.path.clustered or {*behind} - {ROWID, relation.table.rowid_alias}:
            return None
        return state if self._worth(state, best, order, extreme=False) else None

    def _in_runs(self, best: State) -> tuple[State, float, int] | None:
        """A way to join whose rows come in the order of the first of several keys of ORDER BY, so that LIMIT ends them with
        the last run that it picks from; how many rows that may take, and how many keys it is; None if that is not cheaper
        than `best`."""
        block = self.block
        limit = self.planner.limit_of(block)
        if limit is None or block.keys is not None or block.windows or block.distinct:
            return None
        for count in range(len(block.order) - 1, 0, -1):
            order = block.order[:count]
            state = self.join_all(order)
            if state is None:
                continue
            bound = state.steps[0].candidate.constant_columns
            keys = [key.expression for key in order]
            keys = [e for e in keys if not (isinstance(e, ColumnRef) and e.column in bound)]
            if not keys:
                return None  # all rows are one run
            wanted = limit + state.rows / self.combinations(keys, state.rows)
            share = min(1.0, wanted / max(1.0, state.rows))
            cost = SEEK + state.cost * share
            return (state, wanted, count) if cost < best.cost + best.rows * 25.0 else None
        return None

    def _worth(
        self, ordered: State, best: State | None, order: tuple[SortKey, ...], extreme: bool
    ) -> bool:
        if best is None:
            return True
        if extreme:
            share = 1.0 / max(1.0, best.rows)
            return ordered.cost * share + SEEK <= best.cost + SEEK
        rows = max(2.0, best.rows)
        if self.block.limit is None or self.planner.limit_of(self.block) is None:
            sort = rows * (60.0 + 12.0 * math.log2(rows))
            return ordered.cost <= best.cost + sort
        wanted = self.rows_wanted(order, ordered.rows)
        cost = ordered.cost
        if wanted is not None and self._share == 1.0:
            cost = min(cost, self.first_cost(ordered, max(1.0, wanted)))
        if self.block.keys or self.block.distinct:
            # The first groups are those that are read, and may be the largest of all.
            first = self._rows_of_first(ordered) * FIRST_GROUPS
            if wanted is None or wanted + first >= ordered.rows:
                return False  # all rows are grouped best as they are found
            return cost * (1.0 + first / max(1.0, wanted)) <= best.cost
        return cost <= best.cost + rows * 25.0

    def _rows_of_first(self, state: State) -> float:
        """How many rows the first value of an index has that is walked through from one end; 1 of anything else."""
        access = state.steps[0].candidate.access
        if not isinstance(access, KeyRange) or access.equal or access.low or access.high:
            return 1.0
        reverse = access.reverse
        return self.planner.statistics.rows_of_first(access.path.tree_id, reverse=reverse)

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
            if self.equal_columns and item.join not in DEPENDENT:
                asked = [c for c in self.usable(step.place) if self.refs[id(c)] <= bound]
                done |= self.equal_columns.redundant(asked, used)
            filters = []
            for conjunct in self.conjuncts:
                if id(conjunct) in done or not self.refs[id(conjunct)] <= bound:
                    continue
                done.add(id(conjunct))
                filters.append(conjunct)
            out, _ = self.filtered(step.place, step.candidate, frozenset(bound - {source}))
            rows *= self.joined_rows(step.place, out)
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
                    by_column=step.candidate.by_column,
                    exists=None if item.join not in (SEMI, ANTI) else item.join == SEMI,
                )
            )
        return tuple(levels)

    def _with_topmost(self, levels: tuple[Level, ...], state: State) -> tuple[Level, ...]:
        """The levels, the last one in the order that LIMIT picks by, if it can be: of what an index has for each row before,
        or each value of an IN, no more than that many can be among the rows that are picked.

        The latest posts of all whom one follows are among the latest of each."""
        block, place = self.block, state.steps[-1].place
        if block.limit is None or not block.order or not levels:
            return levels
        if block.keys is not None or block.windows or block.distinct:
            return levels
        last, candidate = levels[-1], state.steps[-1].candidate
        if (
            last.filters
            or last.batched
            or not isinstance(last.access, KeyRange)
            or candidate.unique
        ):
            return levels
        if self.items[place].join in DEPENDENT:
            return levels
        own = frozenset({last.relation.source})
        candidate = replace(candidate, order=candidate.order or candidate.order_of_each)
        fitting = in_order(candidate, last.relation, block.order, own)
        if fitting is None:
            return levels
        return (*levels[:-1], replace(last, access=fitting.access, topmost=True))


def _filter_cost(conjunct: Expression) -> int:
    """Subqueries last, so that cheap conditions spare them."""
    for part in walk_flat(conjunct):
        if isinstance(part, (Exists, InSubquery, ScalarSubquery)):
            return 2
        if isinstance(part, (Match, Call)):
            return 1
    return 0


def _end(call: AggregateCall, relation: TableRelation, paths: list[KeyPath]) -> TreeEnd | None:
    """The end of a tree that an aggregate of a whole table is."""
    table = relation.table
    if call.name == "count" and not call.arguments:
        return TreeEnd(table.tree_id)
    if call.name not in ("min", "max") or len(call.arguments) != 1:
        return None
    column = call.arguments[0]
    if not isinstance(column, ColumnRef) or column.source != relation.source:
        return None
    if not table.without_rowid and column.column in (ROWID, table.rowid_alias):
        return TreeEnd(table.tree_id, call.name)
    for path in paths:
        part = path.parts[0]
        is_plain = part.collation == call.collation == "BINARY" and not path.clustered
        if is_plain and part.column == column.column:
            return TreeEnd(path.tree_id, call.name, path, bool(column.kinds & 1))
    return None
