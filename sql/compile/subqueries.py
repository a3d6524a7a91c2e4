"""Subqueries inside expressions: computed once per run where they depend on nothing, else per row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sql.compile.module import Lines
from sql.expressions import (
    BLOB,
    INTEGER,
    NULL,
    TEXT,
    Affinity,
    Exists,
    InSubquery,
    ScalarSubquery,
)
from sql.optimise.costs import GROUPED_ROW, HASH_PROBE, PRESENT_ROW, SUBQUERY_CALL
from sql.optimise.grouped import GroupedSubquery, grouped_subquery, present_subquery
from sql.optimise.terms import is_constant
from sql.plan import Block
from sql.plan.operators import SelectPlan
from sql.plan.walk import free_references, walk_block
from sql.run import membership, stages
from sql.run.remembered import REMEMBERED_MAX, Grouped, Known, Present

if TYPE_CHECKING:
    from sql.compile.blocks import BlockCompiler


class SubqueryCompiler:
    """Gives the Python source of subqueries' values."""

    def __init__(self, compiler: BlockCompiler) -> None:
        self.compiler = compiler
        self.module = compiler.module
        self._cached: dict[tuple[str, str], str] = {}

    def source(self, e: Exists | InSubquery | ScalarSubquery) -> str:
        """The value: 1, 0 or None; a scalar subquery's own value."""
        query, free = self.compiler.block(e.plan)
        call = f"{query}({', '.join(free)})"
        match e:
            case Exists():
                found = f"{self._name(stages.any_row)}({call})"
                if free:
                    found = self._remembered(e.plan, found, free)
                    found = self._grouped(e.plan, present_subquery(e.plan), found, is_exists=True)
                else:
                    found = self._once(found, free)
                return f"(not {found})" if e.negated else found
            case ScalarSubquery():
                if free:
                    value = f"{self._name(stages.first_value)}({call}, {e.column})"
                    value = self._remembered(e.plan, value, free)
                    return self._grouped(e.plan, grouped_subquery(e.plan, e.column), value)
                row = self._once(f"{self._name(membership.first_row)}({call})", free)
                return f"{self._name(membership.column_of)}({row}, {e.column})"
            case InSubquery():
                return self._membership(e, call, free)

    def _grouped(
        self, block: Block, made: GroupedSubquery | None, value: str, *, is_exists: bool = False
    ) -> str:
        """The value as that of one of a subquery's groups, which are made at once, if that succeeds; as it is where that
        can't be, or where so few are asked for that each is better computed by itself."""
        compiler, planner = self.compiler, self.compiler.planner
        if made is None or not compiler.scalar.remembers or compiler.analysis is not None:
            return value
        times = compiler.repeats
        one = planner.plan(block, times)
        groups = planner.plan(made.groups)
        if not isinstance(groups, SelectPlan) or groups.rows > made.rows_max:
            return value
        each = PRESENT_ROW if is_exists else GROUPED_ROW
        grouped = groups.cost + groups.levels[-1].rows * each + times * HASH_PROBE
        if grouped > times * (one.cost + SUBQUERY_CALL):
            return value
        rows, nothing = (compiler.block(block)[0] for block in (made.groups, made.nothing))
        empty = f"lambda: {self._name(stages.first_value)}({nothing}(), 0)"
        kind = Present if is_exists else Grouped
        made_once = f"{self._name(kind)}(lambda: {rows}(), {empty}, {len(made.probes)})"
        known = self.module.once(made_once)
        probes = [compiler.scalar.value(probe) for probe in made.probes]
        key = probes[0] if len(probes) == 1 else f"({', '.join(probes)})"
        asked = f"{key} in {known}" if is_exists else f"{known}[{key}]"
        return f"({asked} if {known}.made or {known}.make() else {value})"

    def _remembered(self, block: Block, call: str, free: list[str]) -> str:
        """The call, of many rows by what is known of the columns that the subquery depends on."""
        compiler = self.compiler
        if not compiler.scalar.remembers or compiler.analysis is not None:
            return call
        references = free_references(block)
        # Of what equals each other without being the same (1 and 1.0) subqueries may tell the difference.
        if any(node.kinds & ~NULL not in (INTEGER, TEXT, BLOB) for node in references):
            return call
        if not all(map(is_constant, walk_block(block))):
            return call
        keys = sorted({compiler.resolve(node) for node in references})
        if keys == free:
            (target, key) = (free[0], free[0]) if len(free) == 1 else (f"({', '.join(free)})",) * 2
            known = f"{self._name(Known)}(lambda key: [{call} for {target} in (key,)][0])"
            if len(free) == 1:
                known = f"{self._name(Known)}(lambda {target}: {call})"
            return f"{self.module.once(known)}[{key}]"
        name = self._cached.get(("known", call))
        if name is not None:  # it stands in ORDER BY, too
            return f"{name}({', '.join(free)})"
        name = self._cached["known", call] = f"m{self.module.number()}"
        function = Lines()
        function.add(f"{name}_ = {{}}")
        function.add(f"def {name}({', '.join(free)}):")
        function.depth = 1
        function.add(f"key = ({''.join([f'{key}, ' for key in keys])})")
        function.add(f"try: return {name}_[key]")
        function.add("except KeyError: pass")
        function.add(f"value = {call}")
        function.add(f"if len({name}_) < {REMEMBERED_MAX}: {name}_[key] = value")
        function.add("return value")
        self.module.add(function)
        return f"{name}({', '.join(free)})"

    def _name(self, function: object) -> str:
        return self.module.function(function)  # type: ignore[arg-type]

    def _membership(self, e: InSubquery, call: str, free: list[str]) -> str:
        scalar = self.compiler.scalar
        operands = [
            scalar.operand(operand, affinity, collation)[0]
            for operand, affinity, collation in zip(
                e.operands, e.left_affinities, e.collations, strict=True
            )
        ]
        converts = "".join(
            f"{self._convert(affinity, collation)}, "
            for affinity, collation in zip(e.right_affinities, e.collations, strict=True)
        )
        if len(operands) == 1:
            made = self._once(f"{self._name(membership.value_set)}({call}, {converts[:-2]})", free)
            test = f"{self._name(membership.in_values)}({operands[0]}, {made})"
        else:
            made = self._once(f"{self._name(membership.row_set)}({call}, ({converts}))", free)
            row = f"({', '.join(operands)})"
            test = f"{self._name(membership.in_rows)}({row}, {made})"
        return f"{self._name(membership.negated)}({test})" if e.negated else test

    def member(self, e: InSubquery) -> tuple[str, str, str] | None:
        """(value, "in" or "not in", set) of `x [NOT] IN (SELECT ...)` where only its truth counts and the
        subquery stands alone; None elsewhere."""
        query, free = self.compiler.block(e.plan)
        if free or len(e.operands) != 1:
            return None
        affinity, collation = e.left_affinities[0], e.collations[0]
        operand = self.compiler.scalar.operand(e.operands[0], affinity, collation)[0]
        convert = self._convert(e.right_affinities[0], collation)
        if e.negated:
            made = self._once(f"{self._name(membership.excluded)}({query}(), {convert})", free)
            return operand, "not in", made
        made = self._once(f"{self._name(membership.value_set)}({query}(), {convert})[0]", free)
        return operand, "in", made

    def _convert(self, affinity: Affinity | None, collation: str) -> str:
        """The name of the conversion of the subquery's column; "None" where none is needed."""
        fold = self.compiler.scalar.folding(collation)
        convert = membership.conversion(affinity, fold)
        return "None" if convert is None else self.module.constants.name(convert, "convert")

    def column_values(self, e: InSubquery) -> str:
        """The values of the subquery's only column, as an iterable's source."""
        query, free = self.compiler.block(e.plan)
        values = f"{self._name(membership.first_column)}({query}({', '.join(free)}))"
        return self._once(values, free)

    def _once(self, source: str, free: list[str]) -> str:
        """The source, or a call that computes it at its first use in a run."""
        if free:
            return source
        key = ("once", source)
        name = self._cached.get(key)
        if name is None:
            name = self._cached[key] = f"s{self.module.number()}"
            function = Lines()
            function.add(f"{name}_ = None")
            function.add(f"def {name}():")
            function.depth = 1
            function.add(f"nonlocal {name}_")
            function.add(f"if {name}_ is None: {name}_ = ({source},)")
            function.add(f"return {name}_[0]")
            self.module.add(function)
        return f"{name}()"
