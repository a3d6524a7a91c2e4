"""The planner: access paths and join order by cost, for one statement's blocks.

`select` plans a SELECT, on `joins` (the join order), `candidates` (the accesses of its relations), `access` (those of
a stored table), `merging` (subqueries and views in FROM as part of the query), `decorrelate` (subqueries as joins),
`late` (rows fetched behind LIMIT), `grouped_joins` (groups made before a join) and `shares` (how many rows conditions
leave).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from sql.expressions import Expression
from sql.optimise.access import key_paths
from sql.optimise.assumed import Assumed, EntryRange
from sql.optimise.grouped_joins import JOINED_ROW, grouping_cost, groups_before
from sql.optimise.late import MADE_SOURCES, with_late_rows
from sql.optimise.merging import with_merged_relations
from sql.optimise.select import SelectPlanner
from sql.optimise.statistics import ROWS_OF_UNKNOWN, Statistics
from sql.plan import Block, Compound, OuterJoin, Recursive, Select, TableRelation, Values
from sql.plan.operators import BlockPlan, KeyPath, KeyRange, Plan, SelectPlan
from sql.plan.walk import cte_uses
from sql.settled import settled_value

if TYPE_CHECKING:
    from sql.bind import BindEnvironment
    from sql.schema import Index


class Planner:
    """Plans the blocks of one statement; a block is planned once (by identity).

    `whole`: the statement's query, if it is not the first that is planned: what stands in it more than once counts."""

    def __init__(self, env: BindEnvironment, whole: Block | None = None) -> None:
        self.env = env
        self.statistics = Statistics(env)
        self.work_rows = ROWS_OF_UNKNOWN  # of a recursive query's queue, at once
        self._next_source = MADE_SOURCES
        self._cte_uses: Counter[int] | None = None if whole is None else cte_uses(whole)
        self._plans: dict[int, tuple[Block, Plan]] = {}
        self._conditions: dict[tuple[str, int], tuple[Expression, ...]] = {}
        self._paths: dict[int, tuple[TableRelation, list[KeyPath]]] = {}
        self._assumed: dict[tuple[int, tuple[Expression, ...]], Assumed] = {}

    def plan(self, block: Block, repeats: float = 1.0) -> Plan:
        """The block's plan; `repeats` is about how often a correlated one will run."""
        if self._cte_uses is None:
            self._cte_uses = cte_uses(block)
        known = self._plans.get(id(block))
        if known is not None:
            return known[1]
        match block:
            case Select():
                plan: Plan = self._select(block, repeats)
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

    def _select(self, block: Select, repeats: float) -> SelectPlan:
        assert self._cte_uses is not None
        block = with_merged_relations(block, self._cte_uses)
        plan = SelectPlanner(self, block, repeats).plan()
        if repeats > 1.0:
            return plan
        if block.keys:
            return self._grouped(plan) or plan
        if not block.order:
            return plan
        late = self._late(plan, repeats)
        if late is None and _walks_index(plan):
            # It was chosen beside fetching all rows, of which no more than LIMIT lets through need be.
            late = self._late(SelectPlanner(self, block, repeats).plan(in_order=False), repeats)
            return plan if late is None or plan.cost <= late.cost else late
        return late or plan

    def _grouped(self, plan: SelectPlan) -> SelectPlan | None:
        """The plan with the groups made before the join, None where that is not cheaper."""
        before = groups_before(plan, self._next_source)
        if before is None:
            return None
        self._next_source += 2
        made, groups = SelectPlanner(self, before.block, 1.0).plan(), self.plan(before.groups)
        assert isinstance(groups, SelectPlan)
        cost = made.cost + grouping_cost(groups)
        return replace(made, cost=cost) if cost < grouping_cost(plan, JOINED_ROW) else None

    def _late(self, plan: SelectPlan, repeats: float) -> SelectPlan | None:
        """The plan with rows fetched behind LIMIT, None where nothing is gained by that."""
        limit, source = self.limit_of(plan.block), self._next_source
        late = with_late_rows(plan, limit, source, self.statistics.rows)
        if late is None:
            return None
        self._next_source += 2
        return SelectPlanner(self, late, repeats).plan()

    def value_of(self, node: Expression | None) -> Any:
        """The value of a settled expression as far as it is known at plan time, else None."""
        value = NotImplemented if node is None else settled_value(node, self.env.parameters)
        return None if value is NotImplemented else value

    def limit_of(self, block: Block) -> float | None:
        """About how many rows LIMIT and OFFSET let through, None without a limit."""
        if block.limit is None:
            return None
        limit = self.value_of(block.limit)
        if not isinstance(limit, int):
            return ROWS_OF_UNKNOWN
        if limit < 0:
            return None
        # For no rows all ways cost the same, and the next run may want some.
        return max(1.0, limit + self.offset_of(block))

    def offset_of(self, block: Block) -> float:
        """How many rows OFFSET leaves out, as far as it is known."""
        offset = self.value_of(block.offset)
        return max(0.0, offset) if isinstance(offset, int) else 0.0

    def _limited(self, block: Block, rows: float) -> float:
        limit = self.limit_of(block)
        return rows if limit is None else min(rows, max(1.0, limit))

    def assume(self, entry_range: EntryRange, rows: float) -> None:
        """Note how many entries a range has for the parameters of the first run.  Of a range behind some values no more
        is asked how many entries begin with these."""
        self._assumed[entry_range.tree_id, entry_range.equal] = entry_range, rows

    def assumed(self) -> tuple[Assumed, ...]:
        """What has been noted so far."""
        return tuple(self._assumed.values())

    def key_paths(self, relation: TableRelation) -> list[KeyPath]:
        """The ordered trees of a relation's table, as `access.key_paths` has them."""
        known = self._paths.get(id(relation))
        if known is None:
            known = self._paths[id(relation)] = relation, key_paths(self, relation)
        return known[1]

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


def _walks_index(plan: SelectPlan) -> bool:
    """Whether all of an index is gone through for the sake of its order."""
    access = plan.levels[0].access if plan.ordered and plan.levels else None
    if not isinstance(access, KeyRange) or plan.block.limit is None:
        return False
    return not (access.equal or access.low or access.high or access.prefix)
