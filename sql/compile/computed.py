"""Calls on one column of a scan by column that are made for a batch at once: `sql.run.computed`.

Only where every row of the scan is asked for them, and of calls that give a value whatever they are given.  In the code
such a call is a column more, numbered behind all that a table can have.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec.structs import replace

from sql.compile.by_column import ColumnScan
from sql.compile.coded import is_of_one_column, key_of, looked_up
from sql.expressions import Call, Expression
from sql.plan import Select
from sql.plan.walk import SUBQUERIES, children, walk_block
from sql.run.computed import Computed, computed

if TYPE_CHECKING:
    from sql.compile.levels import LevelCompiler

FIRST_COLUMN = 100_000


def with_computed(levels: LevelCompiler, block: Select, scan: ColumnScan) -> ColumnScan:
    """The scan, of a block's only relation, with the calls among its lists that are made for a batch at once."""
    if not scan.is_whole or levels.may_end or levels.take or block.windows:
        return scan
    if levels.compiler.analysis is not None:
        return scan
    if any(node.__class__ in SUBQUERIES for node in walk_block(block)):
        return scan  # their functions are given rows, and not what was made of them
    calls = [call for e in _asked_of_all(block) for call in _calls(e, scan.number)]
    found: dict[str, tuple[Call, str]] = {}
    for call in calls:
        source = levels.scalar.value(call)
        if source in found:
            continue
        made = _made(levels, scan, call, source)
        if made:
            found[source] = call, made
    if not found:
        return scan
    settled = [*scan.settled, *[call for call in calls if levels.scalar.value(call) in found]]
    binding = levels.compiler.bindings[scan.number]
    still = {binding.column(column) for column in levels.beyond(scan.number, settled)}
    names = list(scan.lists)
    left = [name for name in names if name in still]
    lists = {name: scan.lists[name] for name in left}
    numbers = range(FIRST_COLUMN, FIRST_COLUMN + len(found))
    for column, (call, _) in zip(numbers, found.values(), strict=True):
        lists[f"c{scan.number}_{column}"] = f"b{scan.number}_{column}"
        levels.scalar.computed.append((call, f"c{scan.number}_{column}"))
    places = "".join(f"{names.index(name)}, " for name in left)
    made = levels.module.once(f"({''.join(f'{made}, ' for _, made in found.values())})")
    batches = levels.call(computed, scan.batches, f"({places})", made)
    # As the columns lie in pages there are no calls among them.
    return replace(scan, batches=batches, lists=lists, settled=settled, stored="")


def _asked_of_all(block: Select) -> Iterator[Expression]:
    """The expressions that a block computes for each row that it scans."""
    if block.keys is None:
        yield from block.outputs
        if block.limit is None:
            for key in block.order:
                yield key.expression
        return
    for key in block.keys:
        yield key.expression
    for call in block.aggregates:
        yield from call.arguments


def _calls(e: Expression, number: int) -> Iterator[Call]:
    """The outermost calls within an expression that speak of one column of the relation, and of nothing else."""
    if isinstance(e, Call) and e.function.builtin and is_of_one_column(e, number):
        yield e
        return
    for part in children(e):
        yield from _calls(part, number)


def _made(levels: LevelCompiler, scan: ColumnScan, call: Call, source: str) -> str:
    """The source of a `Computed`; "" where the call is better made row by row."""
    places = list(scan.lists)
    function = levels.module.function(Computed)
    if call.function.for_many is not None:
        found = looked_up(source)
        if found is None or found[1] not in scan.lists:
            return ""
        key = levels.module.constants.name(key_of(call), "key")
        return f"{function}({key}, {places.index(found[1])}, {found[0]}.of_column)"
    variables = scan.variables(source)
    if len(variables) != 1 or scan.source:
        return ""  # of rows that were picked nothing is kept
    (variable,) = variables
    key = levels.module.constants.name(key_of(call), "key")
    make = f"lambda b: ([{source} for {variable} in b], True)"
    return f"{function}({key}, {places.index(variable)}, {make})"
