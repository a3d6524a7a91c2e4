"""Levels that follow a scan by column and are looked up for all of a batch at once.

    for b5_3, b5_4, bi4,  in selected(by_column(t6, check, (0, 3, 4)), (), None, ((0, RowsOf(h2)), ), (1, 2, )):
        for c5_3, c5_4, i4 in zip(b5_3, b5_4, bi4)

A level is looked up so if the key is a column of the scan, and is unique in the other relation: by a hash table, or
by rowid.  Rows that find nothing are left out before their other columns are picked (see `sql.run.probes`).

A hashed relation that is only asked whether it has a key, by a column of another hashed one, is asked when that
one's table is built: customers of one segment, when the table of orders is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sql.compile.accesses import Binding
from sql.compile.by_column import ColumnScan, with_probe
from sql.compile.hashed import asks_for_keys, hashed, probed_by, reads_work, source_of
from sql.expressions import INTEGER, ColumnRef, InList, InSubquery
from sql.plan import TableRelation
from sql.plan.operators import HashLookup, Level, RowidLookup
from sql.run import probes

if TYPE_CHECKING:
    from sql.compile.levels import LevelCompiler


def reduce_tables(levels: LevelCompiler, plan: Sequence[Level]) -> None:
    """Find which levels are done when another's hash table is built (`levels.reducing`), the last ones first: of
    a relation that is asked for a key alone, others may be cut away before."""
    hashed_at = {
        level.relation.source: place
        for place, level in enumerate(plan)
        if place
        and isinstance(level.access, HashLookup)
        and level.access.probes
        and not level.left
        and level.exists is None
    }
    for place in range(len(plan) - 1, 1, -1):
        level = plan[place]
        if not isinstance(level.access, HashLookup) or len(level.access.probes) != 1:
            continue
        if not asks_for_keys(levels, level) or reads_work(level.relation):
            continue
        probe = probed_by(level)
        if isinstance(probe, ColumnRef) and hashed_at.get(probe.source, place) < place:
            levels.reducing.setdefault(probe.source, []).append(level)


def probed_level(
    levels: LevelCompiler, scan: ColumnScan, level: Level
) -> tuple[ColumnScan, list[str]] | None:
    """The scan with a level behind it looked up by it, and the clauses that are left of the level; None if it
    can't be looked up so."""
    if level.left or levels.compiler.analysis is not None:
        return None
    access = level.access
    if isinstance(access, HashLookup):
        if level.batched:
            return None
        return _hashed(levels, scan, level, access)
    if isinstance(access, RowidLookup) and level.by_column and level.exists is None:
        return _by_rowid(levels, scan, level, access)
    return None


def _hashed(
    levels: LevelCompiler, scan: ColumnScan, level: Level, access: HashLookup
) -> tuple[ColumnScan, list[str]] | None:
    if len(access.probes) != 1 or not (asks_for_keys(levels, level) or access.unique):
        return None
    if level.exists is not None and level.on:
        return None
    operand = levels.scalar.operand(
        access.probes[0], access.probe_affinities[0], access.collations[0]
    )[0]
    if operand not in scan.columns:
        return None
    made = hashed(levels, level)
    if made.bounds:
        return scan, levels.matched(level, source_of(levels, level, made))
    filters = levels.filters(level.filters)
    if made.only_keys:
        probe = levels.call(probes.MembersOf, made.table, str(level.exists is not False))
        found: dict[str, str] = {}
    elif made.unique and len(made.names) == 1 and made.names[0][0] in "ri":
        probe = levels.call(probes.RowsOf, made.table)
        found = {made.names[0]: f"b{made.names[0]}"}
    else:
        return scan, levels.matched(level, source_of(levels, level, made))
    return with_probe(
        levels, scan, operand, _named(levels, probe), access.probes[0], found
    ), filters


def _by_rowid(
    levels: LevelCompiler, scan: ColumnScan, level: Level, access: RowidLookup
) -> tuple[ColumnScan, list[str]] | None:
    relation, value = level.relation, access.equality.value
    assert isinstance(relation, TableRelation) and not isinstance(value, (InList, InSubquery))
    operand, kinds = levels.scalar.operand(value, access.equality.affinity, "BINARY")
    if operand not in scan.columns or kinds != INTEGER:
        return None
    number, alias = relation.source, relation.table.rowid_alias
    columns = sorted(levels.needed[number])
    if len(columns) > 1 and alias is not None and levels.uses[number, alias] == 1:
        columns.remove(alias)  # what stands in the equality alone
    binding = Binding(f"r{number}", f"k{number}", by_column=True)
    levels.compiler.bindings[number] = binding
    tree = levels.module.tree(relation.table.tree_id)
    probe = levels.call(probes.columns_at, tree, f"({''.join(f'{at}, ' for at in columns)})", "ctx")
    found = {binding.column(column): f"b{number}_{column}" for column in columns}
    made = with_probe(levels, scan, operand, _named(levels, probe), value, found)
    return made, levels.filters(level.filters)


def _named(levels: LevelCompiler, source: str) -> str:
    """A variable of the block's function."""
    name = f"h{levels.module.number()}"
    levels.body.add(f"{name} = {source}")
    return name
