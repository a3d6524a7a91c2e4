"""A level of a join that is looked up in a hash table, which is built from its relation's rows once a run.

    h4 = hash3()                                        key -> row, or key -> list of rows, or a set of keys
    for r2 in (h4.get(r1[0]),) if r2 is not None        keys are unique
    for r2 in h4.get(r1[0], ())                         they are not
    if r1[0] in h4                                      a semi-join that depends on the keys alone

A table is built by column where not all columns are wanted: its rows are tuples of those that are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

from sql.compile.by_column import ColumnScan, column_scan, loop_over
from sql.compile.module import Lines
from sql.plan import Block, DerivedRelation, Relation, Select, TableRelation, WorkRelation
from sql.plan.operators import HashLookup, Level
from sql.plan.walk import subblocks
from sql.run import ranges
from sql.run.hashing import hash_keys, hash_table, kept_rows
from sql.run.lookups import unique_table
from sql.run.sorting import in_batches

if TYPE_CHECKING:
    from sql.compile.levels import Binding, LevelCompiler, Source

NULL = 1
PASSING_MIN = 0.5
"""The share of a scan's rows that its conditions have to leave for a look-up of all of them to pay."""

_PROBE = re.compile(r"for (\w+) in \((h\d+)\.get\((c\d+_\d+|k\d+)\),\)")


class _Loop(Struct):
    """What a table is built from: a batch loop's header (or ""), its clauses, and the entry of one row."""

    header: str
    clauses: list[str]
    element: str
    scan: ColumnScan | None


class _Keys(Struct):
    """The sources of the keys, whether one may be NULL, and whether the table is a dict of single rows."""

    sources: list[str]
    nullable: bool
    unique: bool

    @property
    def source(self) -> str:
        return self.sources[0] if len(self.sources) == 1 else f"({', '.join(self.sources)})"


def hash_source(
    levels: LevelCompiler, level: Level, access: HashLookup, binding: Binding
) -> Source:
    """Probe a table that is built from the relation's rows once."""
    from sql.compile.levels import Source

    number = level.relation.source
    probes = [
        levels.scalar.operand(probe, affinity, collation)[0]
        for probe, affinity, collation in zip(
            access.probes, access.probe_affinities, access.collations, strict=True
        )
    ]
    only_keys = level.exists is not None and bool(probes) and not level.on
    table, unique, binding = _table(levels, level, access, binding, only_keys)
    levels.compiler.bindings[number] = binding
    probe = probes[0] if len(probes) == 1 else f"({', '.join(probes)})"
    if only_keys:
        return Source(None, [f"if {probe} in {table}"], [])
    row, key = levels.wanted(level, Source(None, [], [], covering=binding.positions is not None))
    names = [name for name in (key, row) if name] or [binding.row]
    if unique:
        return levels.found(names, f"{table}.get({probe}%s)")
    if probes:
        rows = f"{table}.get({probe}, ())"
    else:
        rows = levels.call(ranges.checked, table, "check")
    return Source(None, [levels.loop(", ".join(names), rows)], names)


def probed_by_column(
    scan: ColumnScan, passing: float, only: bool, clauses: list[str]
) -> tuple[list[str], list[str]] | None:
    """The clauses of a scan by column and of the look-up that follows it, if that is better made for the whole
    column at once:

        for c1_2 in b1_2  for r2 in (h4.get(c1_2),)  if r2 is not None      70 ns a row
        for r2 in filter(None, map(h4.get, b1_2))                           35 ns

    `passing`: the share of the scan's rows that its conditions leave; `only`: nothing but the look-up
    reads its column."""
    probe = _PROBE.fullmatch(clauses[0])
    if probe is None or passing < PASSING_MIN or clauses[1:2] != [f"if {probe[1]} is not None"]:
        return None
    row, table, column = probe.groups()
    values = scan.list_of(column)
    if not values:
        return None
    found = f"map({table}.get, {values})"
    names = [name for name in scan.lists if not (only and name == column)]
    if not names:
        return [f"for {row} in filter(None, {found})", *scan.clauses[1:]], clauses[2:]
    loop = loop_over([*names, row], [*[scan.lists[name] for name in names], found])
    return [loop, *scan.clauses[1:]], clauses[1:]


def _table(
    levels: LevelCompiler, level: Level, access: HashLookup, binding: Binding, only_keys: bool
) -> tuple[str, bool, Binding]:
    """The variable of the table, whether it has single rows, and how its rows are read."""
    from sql.compile.levels import variables_in

    number = level.relation.source
    loop, binding = _loop(levels, level, access, binding, only_keys)
    operands = [
        levels.scalar.operand(expression, affinity, collation)
        for expression, affinity, collation in zip(
            access.keys, access.key_affinities, access.collations, strict=True
        )
    ]
    unique = (
        access.unique
        and not only_keys
        and operands[0][0] == levels.scalar.value(access.keys[0])  # unique as it is stored
    )
    nullable = any(kinds & NULL for _, kinds in operands)
    body = _built(
        levels, level, loop, _Keys([each for each, _ in operands], nullable, unique), only_keys
    )
    del levels.compiler.bindings[number]
    own = (f"c{number}_", f"b{number}_")
    free = [
        variable
        for variable in variables_in("\n".join(body.lines))
        if variable[1:] != str(number) and not variable.startswith(own)
    ]
    name = f"hash{levels.module.number()}"
    function = Lines()
    function.add(f"def {name}({', '.join(free)}):")
    function.depth = 1
    if not free and not reads_work(level.relation):
        function.add(f"nonlocal {name}_")
        function.add(f"if {name}_ is None: {name}_ = {name}_build()")
        function.add(f"return {name}_")
        build = Lines()
        build.add(f"{name}_ = None")
        build.add(f"def {name}_build():")
        build.depth = 1
        build.extend(body)
        levels.module.add(build)
    else:
        function.extend(body)
    levels.module.add(function)
    table = f"h{levels.module.number()}"
    levels.body.add(f"{table} = {name}({', '.join(free)})")
    return table, unique, binding


def _loop(
    levels: LevelCompiler, level: Level, access: HashLookup, binding: Binding, only_keys: bool
) -> tuple[_Loop, Binding]:
    """The loop over the relation's rows, and how the table's rows will be read."""
    from sql.compile.levels import Binding, LevelCompiler

    number = level.relation.source
    base = Level(level.relation, access.access, False, (), access.local)
    built = LevelCompiler(levels.compiler, levels.uses, levels.body)
    # Whole rows that are in memory anyway cost a pointer each: columns pay where few rows are kept of all.
    by_rows = access.unique and not access.local and not only_keys
    scan = None if by_rows else column_scan(built, base)
    if scan is not None:
        # What only the table's own conditions and keys speak of ends with them.
        columns = sorted(levels.beyond(number, [*access.local, *access.keys]))
        columns = columns or sorted(levels.beyond(number, access.local))[:1]
        values = [levels.compiler.bindings[number].column(column) for column in columns]
        binding = Binding(
            f"i{number}", f"k{number}", {column: place for place, column in enumerate(columns)}
        )
        return _Loop(scan.header, scan.clauses, f"({', '.join(values)},)", scan), binding
    header, clauses, source = built.header(base)
    row, key = levels.wanted(level, source)
    names = [name for name in (key, row) if name] or [binding.row]
    if not (row or key):
        names = [clauses[0].split()[1]]
    element = names[0] if len(names) == 1 else f"({', '.join(names)})"
    return _Loop(header, clauses, element, None), binding


def _built(levels: LevelCompiler, level: Level, loop: _Loop, keys: _Keys, only_keys: bool) -> Lines:
    """The statements that build and return the table."""
    body = Lines()
    clauses = " ".join(loop.clauses)
    if keys.unique:
        _give_unique(body, level, loop, keys.source)
        body.add(f"return {levels.call(unique_table, 'found()', 'ctx')}")
        return body
    entry = loop.element
    if keys.sources:
        entry = keys.source if only_keys else f"({keys.source}, {loop.element})"
    if loop.header:
        whole = only_keys and loop.scan is not None and loop.scan.is_whole
        listed = loop.scan.list_of(entry) if whole and loop.scan is not None else ""
        body.add("def found():")
        body.add(f"    {loop.header}")
        body.add(f"        yield {listed or f'[{entry} {clauses}]'}")
        batches = "found()"
    else:
        batches = levels.call(in_batches, f"({entry} {clauses})", "check")
    if not keys.sources:
        body.add(f"return {levels.call(kept_rows, batches, 'ctx')}")
        return body
    arguments = [batches, str(len(keys.sources)), str(keys.nullable), "ctx"]
    body.add(f"return {levels.call(hash_keys if only_keys else hash_table, *arguments)}")
    return body


def _give_unique(body: Lines, level: Level, loop: _Loop, key: str) -> None:
    """`found()`, which gives batches of (key, row) for `unique_table`."""
    relation, clauses = level.relation, loop.clauses
    number = relation.source
    body.add("def found():")
    if loop.header:
        body.add(f"    {loop.header}")
        body.depth = 1
    rowids = [f"k{number}"]
    if isinstance(relation, TableRelation) and relation.table.rowid_alias is not None:
        rowids.append(f"r{number}[{relation.table.rowid_alias}]")
    whole = len(clauses) == 1 and loop.element == f"r{number}"
    from_tree = clauses[0].endswith((" in rows", "(keys, rows)"))
    if loop.header and whole and key in rowids and from_tree:
        body.add("    yield zip(keys, rows)")
    else:
        body.add(f"    yield {{{key}: {loop.element} {' '.join(clauses)}}}")
    body.depth = 0


def reads_work(relation: Relation) -> bool:
    """Whether the relation's rows change from round to round of a recursive query."""
    if isinstance(relation, WorkRelation):
        return True
    if not isinstance(relation, DerivedRelation):
        return False
    pending: list[Block] = [relation.block]
    while pending:
        block = pending.pop()
        pending += subblocks(block)
        if isinstance(block, Select) and any(
            isinstance(item.relation, WorkRelation) for item in block.items
        ):
            return True
    return False
