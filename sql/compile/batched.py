"""A level of a join that is looked up for many rows at once: by key or index, their keys sorted.

The levels before it become a function that gives their rows in batches; a batch's look-ups are one call, and
what follows is a comprehension over pairs:

    def b4():
        for keys, rows in scan(t5, check):
            yield [r1 for r1 in rows if r1[2] > 5]
    def x6(b): return [r1[0] for r1 in b]
    for keys, rows in rows_by_key(b4(), x6, get_many_t7, check):
        out = [(r1[1], r2[3]) for r1, r2 in zip(keys, rows) if r2 is not None]
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sql.compile.accesses import Binding, Source, variables_in
from sql.compile.by_column import column_scan, with_probe
from sql.compile.hashed import asks_for_keys
from sql.compile.module import Lines
from sql.expressions import INTEGER, Affinity, ColumnRef, InList, InSubquery
from sql.plan import TableRelation
from sql.plan.operators import HashLookup, KeyRange, Level, RowidLookup
from sql.run import lookups, ranges
from sql.run.sorting import in_batches

if TYPE_CHECKING:
    from sql.compile.levels import LevelCompiler


def batched_level(
    levels: LevelCompiler, level: Level, header: str, listed: list[list[str]]
) -> tuple[str, list[str]]:
    """The header and the clauses that take the place of those of the levels before and of this one."""
    relation = level.relation
    assert isinstance(relation, TableRelation)
    number = relation.source
    outer, element = _before(levels, header, listed)
    binding = levels.binding(level)
    pairs = f"for {element}, w{number} in zip(keys, rows)"
    if isinstance(level.access, RowidLookup):
        key = _rowid(levels, level.access)
        if level.by_column and levels.compiler.analysis is None:
            columns = tuple(sorted(levels.needed[number]))
            places = {column: place for place, column in enumerate(columns)}
            binding = Binding(f"i{number}", f"k{number}", places)
            batches = levels.call(
                lookups.columns_by_key,
                outer,
                _of_batch(levels, key, element),
                levels.module.tree(relation.table.tree_id),
                str(columns),
                "ctx",
            )
        else:
            batches = _by_key(levels, level, key, outer, element)
        unique = True
    else:
        assert isinstance(level.access, KeyRange)
        access = level.access
        parts = "".join(
            f"{levels.equal_source(access, place)}, " for place in range(len(access.equal))
        )
        if _asks_whether(levels, level, access):
            present = levels.module.method(access.path.tree_id, "prefixes_present")
            prefixes = _of_batch(levels, f"({parts})", element)
            batches = levels.call(lookups.matches_by_prefix, outer, prefixes, present, "check")
            clauses = [pairs, f"if {'' if level.exists else 'not '}w{number}"]
            return f"for keys, rows in {batches}:", [*clauses, *levels.filters(level.filters)]
        unique = access.path.clustered and len(access.equal) == len(access.path.parts)
        make = _by_key if unique else _by_prefix
        batches = make(levels, level, f"({parts})", outer, element)
    levels.compiler.bindings[number] = binding
    row = binding.row
    if unique and not level.left and level.exists is None:
        clauses = [pairs.replace(f"w{number} in", f"{row} in"), f"if {row} is not None"]
        source = Source(None, clauses, [row])
        clauses = [*source.clauses, *levels.filters(level.filters)]
    else:
        found = f"((w{number},) if w{number} is not None else ())" if unique else f"w{number}"
        source = Source(None, [f"for {row} in {found}"], [row])
        clauses = [pairs, *levels.matched(level, source)]
    analysis = levels.compiler.analysis
    if analysis is not None:
        hit = levels.module.constants.name(analysis.hit, "hit")
        clauses.append(f"if {hit}({analysis.number(level)})")
    return f"for keys, rows in {batches}:", clauses


def late_level(
    levels: LevelCompiler, level: Level, header: str, listed: list[list[str]]
) -> tuple[str, list[str]] | None:
    """The same of a semi-join or an anti-join by a set of keys: the rows before are gathered, and the relation is
    scanned for their keys; None if that can't be done by column."""
    from sql.compile.levels import LevelCompiler

    access, number = level.access, level.relation.source
    assert isinstance(access, HashLookup)
    if levels.compiler.analysis is not None or not asks_for_keys(levels, level):
        return None
    affinity, collation = access.probe_affinities[0], access.collations[0]
    probe = levels.scalar.operand(access.probes[0], affinity, collation)[0]
    body = Lines()
    inner = LevelCompiler(levels.compiler, levels.uses, body)
    scan = column_scan(inner, Level(level.relation, access.access, filters=access.local))
    if scan is None:
        return None
    key = levels.scalar.operand(access.keys[0], access.key_affinities[0], collation)[0]
    if key not in scan.columns:
        return None
    again = ColumnRef(number, -2, "", "", Affinity.NONE, "BINARY", 0)  # the key is read again
    scan = with_probe(inner, scan, key, "probe", again, {})
    outer, element = _before(levels, header, listed)
    name = f"f{levels.module.number()}"
    levels.body.extend(body)
    levels.body.add(f"def {name}(probe):")
    levels.body.add(f"    {scan.header}")
    levels.body.add(f"        yield [{key} {' '.join(scan.clauses)}]")
    keys = _of_batch(levels, probe, element)
    batches = levels.call(lookups.matched_rows, outer, keys, name, "ctx")
    clauses = [f"for {element}, w{number} in zip(keys, rows)"]
    clauses.append(f"if {'' if level.exists else 'not '}w{number}")
    return f"for keys, rows in {batches}:", [*clauses, *levels.filters(level.filters)]


def _before(levels: LevelCompiler, header: str, listed: list[list[str]]) -> tuple[str, str]:
    """A call that gives the rows of the levels before in batches, and the target that takes one apart."""
    clauses = levels.joined(listed)
    bound: list[str] = []
    for level in listed:
        for clause in level:
            target = re.match(r"for (.+?) in ", clause)
            if target is not None:
                bound += variables_in(target[1])
    names = list(dict.fromkeys(bound)) or ["_"]
    element = names[0] if len(names) == 1 else f"({', '.join(names)},)"
    name = f"b{levels.module.number()}"
    body = levels.body
    body.add(f"def {name}():")
    if not header:
        batches = f"{levels.module.function(in_batches)}(({element} {clauses}), check)"
        body.add(f"    return {batches}")
        return f"{name}()", element
    body.add(f"    {header}")
    whole = clauses == f"for {element} in rows"
    body.add(f"        yield {'rows' if whole else f'[{element} {clauses}]'}")
    return f"{name}()", element


def _asks_whether(levels: LevelCompiler, level: Level, access: KeyRange) -> bool:
    """Whether it is only asked if there are keys that start with what a row looks for."""
    if level.exists is None or level.on or levels.compiler.analysis is not None:
        return False
    return access.covering


def _rowid(levels: LevelCompiler, access: RowidLookup) -> str:
    """The source of the rowid that one row looks for."""
    equality = access.equality
    assert not isinstance(equality.value, (InList, InSubquery))
    source, kinds = levels.scalar.operand(equality.value, equality.affinity, "BINARY")
    return source if kinds == INTEGER else f"{levels.module.function(ranges.rowid_of)}({source})"


def _by_key(levels: LevelCompiler, level: Level, key: str, outer: str, element: str) -> str:
    assert isinstance(level.relation, TableRelation)
    get_many = levels.rows_getter(level.relation)
    get_many = _counted(levels, level, get_many, first=True, last=True)
    keys = _of_batch(levels, key, element)
    function = levels.module.function(lookups.rows_by_key)
    return f"{function}({outer}, {keys}, {get_many}, check)"


def _by_prefix(levels: LevelCompiler, level: Level, prefix: str, outer: str, element: str) -> str:
    access, relation = level.access, level.relation
    assert isinstance(access, KeyRange) and isinstance(relation, TableRelation)
    path = access.path
    alone = path.clustered or access.covering
    if path.clustered:
        prefixed = levels.rows_getter(relation, "rows_prefixed")
    else:
        prefixed = levels.module.method(path.tree_id, "prefixed_many")
    fetch = "None"
    prefixed = _counted(levels, level, prefixed, first=True, last=alone)
    if not alone:
        get_many = levels.rows_getter(relation)
        at: int | slice = path.key_start
        if relation.table.without_rowid:
            at = slice(path.key_start, None)
        place = str(at) if isinstance(at, int) else levels.module.constants.name(at, "tail")
        get_many = _counted(levels, level, get_many, first=False, last=True)
        fetch = levels.module.once(
            f"{levels.module.function(lookups.fetching)}({get_many}, {place})"
        )
    prefixes = _of_batch(levels, prefix, element)
    function = levels.module.function(lookups.lists_by_prefix)
    return f"{function}({outer}, {prefixes}, {prefixed}, {fetch}, check)"


def _of_batch(levels: LevelCompiler, value: str, element: str) -> str:
    """A function that gives a value for each row of a batch."""
    name = f"x{levels.module.number()}"
    levels.body.add(f"def {name}(b): return [{value} for {element} in b]")
    return name


def _counted(levels: LevelCompiler, level: Level, call: str, *, first: bool, last: bool) -> str:
    """EXPLAIN ANALYZE: the look-up with a counter around it."""
    analysis = levels.compiler.analysis
    if analysis is None:
        return call
    counting = levels.module.constants.name(analysis.counting, "counting")
    return f"{counting}({analysis.number(level)}, {call}, first={first}, last={last})"
