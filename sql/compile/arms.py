"""Blocks that are no SELECT as functions of the generated module: VALUES, compounds, outer joins, recursion.

Their rows come from the functions of other blocks, their arms; `sql.run` puts them together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from sql.compile.accesses import Binding
from sql.compile.module import Lines
from sql.compile.projection import folded_key
from sql.expressions import Compare, Expression, Literal
from sql.plan import Block, Compound, OuterJoin, Recursive, Select, Values
from sql.plan.operators import SelectPlan
from sql.plan.walk import references
from sql.run import joins, recursion, sorting, stages

if TYPE_CHECKING:
    from sql.compile.blocks import BlockCompiler

FEW_ROWS = 16
"""Rows of a recursive query's queue up to which each has look-ups of its own."""


class ArmsCompiler:
    """Makes the functions of blocks that are made of other blocks, and of VALUES."""

    def __init__(self, compiler: BlockCompiler) -> None:
        self.compiler = compiler
        self.module = compiler.module
        self.scalar = compiler.scalar

    def values(self, block: Values, free: list[str]) -> str:
        if all(item.__class__ is Literal for row in block.rows for item in row):
            constants = [tuple([item.value for item in row]) for row in block.rows]  # type: ignore[union-attr]
            rows = f"[*{self.module.constants.name(constants, 'rows')}]"
        else:
            made = [f"({''.join(f'{self.scalar.value(e)}, ' for e in row)})" for row in block.rows]
            rows = f"[{', '.join(made)}]"
        return self.compiler.with_order(f"({rows},)", block, free)

    def _arm(self, block: Block) -> str:
        query, free = self.compiler.block(block)
        return f"{query}({', '.join(free)})"

    def compound(self, block: Compound, free: list[str]) -> str:
        left, right = self._arm(block.left), self._arm(block.right)
        if block.operator == "UNION ALL":
            call = self.compiler.call(stages.chained, left, right)
        else:
            key = self._key(block.collations)
            name = block.operator
            merged = f"sorted_after={bool(block.order)}"
            arguments = [repr(name), left, right, key, merged, "ctx=ctx"]
            call = self.compiler.call(stages.set_operation, *arguments)
        return self.compiler.with_order(call, block, free)

    def _key(self, collations: tuple[str, ...]) -> str:
        """What makes rows equal under the collations, as a function of a row; "None" if the row itself does."""
        folds = [self.scalar.folding(collation) for collation in collations]
        return self.module.constants.name(folded_key(folds), "key") if any(folds) else "None"

    def outer_join(self, block: OuterJoin, free: list[str]) -> str:
        left, right = self._arm(block.left), self._arm(block.right)
        a, b = f"r{block.left_source}", f"r{block.right_source}"
        self.compiler.bindings[block.left_source] = Binding(a, f"k{block.left_source}")
        self.compiler.bindings[block.right_source] = Binding(b, f"k{block.right_source}")
        left_key = right_key = "None"
        for condition in block.on:
            keys = self._equality(condition, block.left_source, block.right_source)
            if keys is not None:
                left_key, right_key = f"lambda {a}: {keys[0]}", f"lambda {b}: {keys[1]}"
                break
        conditions = " and ".join(self.scalar.true(condition) for condition in block.on) or "True"
        call = self.compiler.call(
            joins.outer_joined,
            left,
            right,
            f"lambda {a}, {b}: {conditions}",
            left_key,
            right_key,
            str(block.left_width),
            str(block.right_width),
            str(block.full),
            "ctx",
        )
        return self.compiler.with_order(call, block, free)

    def _equality(self, condition: Expression, left: int, right: int) -> tuple[str, str] | None:
        """Sources of both sides of `left column = right column`, as hash keys."""
        if not isinstance(condition, Compare) or condition.op != "=":
            return None
        sides = (
            self.scalar.operand(condition.left, condition.left_affinity, condition.collation)[0],
            self.scalar.operand(condition.right, condition.right_affinity, condition.collation)[0],
        )
        if references(condition.left) == {left} and references(condition.right) == {right}:
            return sides
        if references(condition.left) == {right} and references(condition.right) == {left}:
            return sides[1], sides[0]
        return None

    def _step(self, step: Block, work: str) -> str:
        """A step's rows; of few rows by look-ups of their own, where it looks up many at once."""
        planner = self.compiler.planner
        many = self._arm(step)
        plan = planner.plan(step)
        if not isinstance(plan, SelectPlan) or not any(level.batched for level in plan.levels):
            return many
        few = replace(plan.block)  # to be planned anew
        rows, planner.work_rows = planner.work_rows, 1.0
        try:
            return f"{many} if len({work}[0]) > {FEW_ROWS} else {self._arm(few)}"
        finally:
            planner.work_rows = rows

    def recursive(self, block: Recursive, free: list[str]) -> str:
        work = f"work{block.number}"
        self.module.setup.setdefault(work, "[[]]")
        initial = self._arm(block.initial)
        steps = ", ".join(f"lambda: {self._step(step, work)}" for step in block.steps)
        # DISTINCT in a step is about what one row of the queue gives.
        one_by_one = len(block.steps) > 1 or any(
            isinstance(step, Select) and step.distinct for step in block.steps
        )
        order = "None"
        if block.order:
            keys = []
            for key in block.order:
                source = self.compiler.projection.sort_key_source(key)
                keys.append(
                    self.compiler.call(descending_key, source) if key.descending else source
                )
            row = f"g{block.source}"
            order = f"lambda {row}: ({''.join(f'{key}, ' for key in keys)})"
        call = self.compiler.call(
            recursion.recursive,
            initial,
            f"[{steps}]",
            work,
            "ctx",
            f"distinct={block.distinct}",
            f"key={self._key(block.collations) if block.distinct else None}",
            f"order={order}",
            f"one_by_one={one_by_one}",
        )
        limit = None if block.limit is None else self.scalar.value(block.limit)
        if limit is not None:
            offset = "0" if block.offset is None else self.scalar.value(block.offset)
            call = self.compiler.call(stages.limited, call, limit, offset)
        body = Lines()
        body.add(f"return {call}")
        return self.compiler.define(free, body)


def descending_key(key: Any) -> Any:
    return sorting.Descending(key)
