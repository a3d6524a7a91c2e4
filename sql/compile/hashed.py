"""A level of a join that is looked up in a hash table, which is built from its relation's rows once a run.

    h4 = hash3()                                        key -> row, or key -> list of rows, or a set of keys
    for r2 in (h4.get(r1[0]),) if r2 is not None        keys are unique
    for r2 in h4.get(r1[0], ())                         they are not
    if r1[0] in h4                                      a semi-join that depends on the keys alone
    for r2 in hash3().get(r1[0], ())                    few rows are expected before: there may be none

A table is built by column where not all columns are wanted: its rows are tuples of those that are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from sql.compile.accesses import Binding, Source, variables_in
from sql.compile.by_column import ColumnScan, column_scan, with_probe
from sql.compile.module import Lines
from sql.compile.spans import Bound, bounds_of, in_order, source_within
from sql.expressions import NULL, Expression
from sql.plan import Block, DerivedRelation, Relation, Select, TableRelation, WorkRelation
from sql.plan.operators import HashLookup, Level
from sql.plan.walk import subblocks
from sql.run import probes, ranges
from sql.run.hashing import hash_keys, hash_repeats, hash_table, kept_rows
from sql.run.lookups import unique_table
from sql.run.sorting import in_batches

if TYPE_CHECKING:
    from sql.compile.levels import LevelCompiler


class _Loop(Struct):
    """What a table is built from: a batch loop's header (or ""), its clauses, the entry of one row, and the variables
    that it becomes again."""

    header: str
    clauses: list[str]
    element: str
    row: str
    scan: ColumnScan | None


class _Keys(Struct):
    """The sources of the keys, whether one may be NULL, and whether the table is a dict of single rows."""

    sources: list[str]
    nullable: bool
    unique: bool

    @property
    def source(self) -> str:
        return self.sources[0] if len(self.sources) == 1 else f"({', '.join(self.sources)})"


class Hashed(Struct):
    """A table that is ready to be probed: its variable, the probes' sources, the variables that its rows have;
    whether a key has one row at most, and whether there are keys alone; what a key's rows are in order for."""

    table: str
    probes: list[str]
    names: list[str]
    unique: bool
    only_keys: bool
    bounds: list[Bound]

    @property
    def probe(self) -> str:
        return self.probes[0] if len(self.probes) == 1 else f"({', '.join(self.probes)})"


def hashed(levels: LevelCompiler, level: Level) -> Hashed:
    """Have the level's table built, and bind its relation's variables."""
    access = level.access
    assert isinstance(access, HashLookup)
    sources = [
        levels.scalar.operand(probe, affinity, collation)[0]
        for probe, affinity, collation in zip(
            access.probes, access.probe_affinities, access.collations, strict=True
        )
    ]
    only_keys = asks_for_keys(levels, level)
    bounds = bounds_of(levels, level)
    table, unique, binding = _table(levels, level, access, only_keys, bounds)
    levels.compiler.bindings[level.relation.source] = binding
    row, key = levels.wanted(level, Source(None, [], [], covering=binding.positions is not None))
    names = [name for name in (key, row) if name] or [binding.row]
    return Hashed(table, sources, names, unique, only_keys, bounds)


def asks_for_keys(levels: LevelCompiler, level: Level) -> bool:
    """Whether all that counts of a hashed relation is whether it has a key: of a semi-join or an anti-join, and
    where the key is unique and nothing else of a row is wanted."""
    access = level.access
    if not isinstance(access, HashLookup) or not access.probes or level.on:
        return False
    if level.exists is not None:
        return True
    if level.relation.source == levels.first:
        return False  # a loop it has to be
    if level.left or not access.unique or not is_stored(levels, level):
        return False
    number = level.relation.source
    others = [probed_by(other) for other in levels.reducing.get(number, ())]
    return not levels.beyond(number, [*access.local, *access.keys, *others])


def probed_by(level: Level) -> Expression:
    """What the one key of a hashed relation is compared with."""
    assert isinstance(level.access, HashLookup)
    return level.access.probes[0]


def is_stored(levels: LevelCompiler, level: Level) -> bool:
    """Whether the one key of a table is a column as it is stored: unique as this is."""
    access = level.access
    assert isinstance(access, HashLookup)
    key, affinity, collation = access.keys[0], access.key_affinities[0], access.collations[0]
    with levels.readable(level):
        return levels.scalar.operand(key, affinity, collation)[0] == levels.scalar.value(key)


def source_of(levels: LevelCompiler, level: Level, made: Hashed) -> Source:
    """The probe of a table, row by row."""
    if made.bounds:
        return source_within(levels, level, made)
    if made.only_keys:
        return Source(None, [f"if {made.probe} in {made.table}"], [])
    if made.unique:
        return levels.found(made.names, f"{made.table}.get({made.probe}%s)")
    if made.probes:
        matches = f"{made.table}.get({made.probe}%s)"
        loop = levels.loop(", ".join(made.names), matches.replace("%s", ", ()"))
        return Source(None, [loop], made.names, matches=matches)
    rows = levels.call(ranges.checked, made.table, "check")
    return Source(None, [levels.loop(", ".join(made.names), rows)], made.names)


def _table(
    levels: LevelCompiler, level: Level, access: HashLookup, only_keys: bool, bounds: list[Bound]
) -> tuple[str, bool, Binding]:
    """The source of the table, whether it has single rows, and how its rows are read."""
    number = level.relation.source
    before = Lines()
    loop, binding = _loop(levels, level, access, levels.binding(level), only_keys, before)
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
    keys = _Keys([each for each, _ in operands], nullable, unique)
    body = before
    built = _built(levels, level, loop, keys, only_keys, body)
    levels.compiler.bindings[number] = binding
    if bounds:
        built = in_order(levels, body, bounds, loop.row, built)
    body.add(f"return {built}")
    del levels.compiler.bindings[number]
    own = (f"c{number}_", f"b{number}_")
    known = {line.split(" = ")[0] for line in body.lines}
    free = [
        variable
        for variable in variables_in("\n".join(body.lines))
        if variable[1:] != str(number) and not variable.startswith(own) and variable not in known
    ]
    name = f"hash{levels.module.number()}"
    function = Lines()
    function.add(f"def {name}({', '.join(free)}):")
    function.depth = 1
    is_kept = not free and not reads_work(level.relation)
    if is_kept:
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
    if is_kept and levels.makes_later:
        return f"{name}()", unique, binding
    table = f"h{levels.module.number()}"
    levels.body.add(f"{table} = {name}({', '.join(free)})")
    return table, unique, binding


def _loop(
    levels: LevelCompiler,
    level: Level,
    access: HashLookup,
    binding: Binding,
    only_keys: bool,
    before: Lines,
) -> tuple[_Loop, Binding]:
    """The loop over the relation's rows, and how the table's rows will be read; `before` takes what is to be
    made before it."""
    from sql.compile.levels import LevelCompiler

    number = level.relation.source
    base = Level(level.relation, access.access, False, (), access.local)
    built = LevelCompiler(levels.compiler, levels.uses, before)
    built.reducing = levels.reducing
    inner = levels.reducing.get(number, [])
    # Whole rows that are in memory anyway cost a pointer each: columns pay where few rows are kept of all.
    by_rows = access.unique and not access.local and not only_keys and not inner
    scan = None if by_rows else column_scan(built, base)
    if scan is not None:
        tests: list[str] = []
        for other in inner:
            scan, conditions = _reduced(built, scan, other)
            tests += conditions
        # What only the table's own conditions and keys speak of ends with them.
        settled = [*access.local, *[probed_by(other) for other in inner]]
        columns = sorted(levels.beyond(number, [*settled, *access.keys]))
        values = [levels.compiler.bindings[number].column(column) for column in columns]
        binding = Binding(
            f"i{number}", f"k{number}", {column: place for place, column in enumerate(columns)}
        )
        clauses = [*scan.clauses, *tests]
        element = f"({''.join(f'{value}, ' for value in values)})"
        return _Loop(scan.header, clauses, element, binding.row, scan), binding
    header, clauses, source = built.header(base)
    for other in inner:
        clauses += [_membership(other, hashed(built, other))]
    row, key = levels.wanted(level, source)
    names = [name for name in (key, row) if name] or [binding.row]
    if not (row or key):
        names = [clauses[0].split()[1]]
    element = names[0] if len(names) == 1 else f"({', '.join(names)})"
    return _Loop(header, clauses, element, element, None), binding


def _reduced(levels: LevelCompiler, scan: ColumnScan, other: Level) -> tuple[ColumnScan, list[str]]:
    """A relation's scan cut to the rows that have a match in another one, of which nothing else is wanted, and
    conditions where that takes some."""
    made = hashed(levels, other)
    if made.probe not in scan.columns:
        return scan, [_membership(other, made)]
    probe = levels.call(probes.MembersOf, made.table, str(other.exists is not False))
    return with_probe(levels, scan, made.probe, probe, probed_by(other), {}), []


def _membership(level: Level, made: Hashed) -> str:
    return f"if {made.probe} {'not in' if level.exists is False else 'in'} {made.table}"


def _built(
    levels: LevelCompiler, level: Level, loop: _Loop, keys: _Keys, only_keys: bool, body: Lines
) -> str:
    """The source of the table; `body` takes what stands before it."""
    clauses = " ".join(loop.clauses)
    if keys.unique:
        _give_unique(body, level, loop, keys.source)
        return levels.call(unique_table, "found()", "ctx")
    make = hash_keys if only_keys else hash_repeats if loop.element == "()" else hash_table
    entry = loop.element
    if keys.sources:
        entry = f"({keys.source}, {loop.element})" if make is hash_table else keys.source
    if loop.header:
        whole = make is not hash_table and loop.scan is not None and loop.scan.is_whole
        listed = loop.scan.list_of(entry) if whole and loop.scan is not None else ""
        body.add("def found():")
        body.add(f"    {loop.header}")
        body.add(f"        yield {listed or f'[{entry} {clauses}]'}")
        batches = "found()"
    else:
        batches = levels.call(in_batches, f"({entry} {clauses})", "check")
    if not keys.sources:
        return levels.call(kept_rows, batches, "ctx")
    return levels.call(make, batches, str(len(keys.sources)), str(keys.nullable), "ctx")


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
