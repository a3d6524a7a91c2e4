"""GROUP BY one integer as code: a dict's groups go over to lists at the key when there are many (see `sql.run.dense`).

    while True:
        for b5_0, b5_3, in source:
            ...                                     rows into `groups`, a dict
            if len(groups) > room:
                lists = in_lists(groups, ...)
                if lists: break
        else: return ...
        for b5_0, b5_3, in source:
            if not lists.hold(b5_0): break
            n0, = lists.states
            for c5_0, c5_3 in zip(b5_0, b5_3):
                n0[c5_0] += c5_3
        else: return [(g, n0) for g, n0 in lists.groups()]
        groups, source = lists.as_dict(), chain(((b5_0, b5_3, ),), source)

That is for scans by column, of which the key is a column as it is.  Where rows are only counted, their counts are
bytes as long as that will do, and an iterator over a batch's rows goes on behind the one at which it won't.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import TYPE_CHECKING

from msgspec import Struct

from sql.compile.clauses import split_clauses
from sql.compile.module import Lines
from sql.expressions import INTEGER
from sql.plan import TableRelation
from sql.run import dense

if TYPE_CHECKING:
    from sql.compile.aggregates import Field
    from sql.compile.groups import GroupCompiler
    from sql.compile.join import Join


class DenseGroups(Struct):
    """What turns a loop that groups by a dict into one that goes over to lists.

    `lists`: the call that makes them; `fields`: the variables of their states; `keys`, `key`: the batch's keys and
    one of them; `columns`: all of a batch; `updates`: statements that take a row in."""

    lists: str
    fields: list[str]
    keys: str
    key: str
    columns: list[str]
    loop: str
    conditions: list[str]
    updates: Lines
    in_bytes: bool


def dense_groups(
    groups: GroupCompiler, joined: Join, key: str, *, bare: bool
) -> DenseGroups | None:
    """Groups by `key` in lists; None where that can't be.  `bare`: a dict's states are single numbers."""
    block, scan = groups.block, joined.scan
    assert block.keys is not None
    if scan is None or len(block.keys) != 1 or block.bare:
        return None
    keys = scan.list_of(key)
    if not keys or groups.scalar.kinds(block.keys[0].expression) != INTEGER:
        return None
    if not all(field.start in ("0", "None") for field in groups.fields):
        return None
    loop, *conditions = split_clauses(joined.clauses)
    table = next(item.relation for item in block.items if item.relation.source == scan.number)
    if not isinstance(table, TableRelation):
        return None
    if any(not condition.startswith("if ") for condition in conditions):
        return None
    module = groups.module
    witness, counts = _witness(groups.fields)
    starts = f"({''.join(f'{field.start}, ' for field in groups.fields)})"
    rows = f"len({module.tree(table.table.tree_id)})"
    arguments = ["groups", starts, str(witness), str(counts), str(bare), rows, "ctx"]
    made = f"{module.function(dense.in_lists)}({', '.join(arguments)})"
    fields = [f"n{place}" for place in range(len(groups.fields) + (witness < 0))]
    updates = groups.updates(f"n{{}}[{key}]")
    if witness < 0:
        updates.add(f"{fields[-1]}[{key}] = 1")
    columns = list(scan.lists.values())
    in_bytes = counts and len(fields) == 1
    return DenseGroups(made, fields, keys, key, columns, loop, conditions, updates, in_bytes)


def _witness(fields: list[Field]) -> tuple[int, bool]:
    """A field that tells by itself that its group has a row, and whether it counts rows; -1 if there is none."""
    for place, field in enumerate(fields):
        if field.update == "S += 1" and not field.guard and not field.skip_null:
            return place, True
    for place, field in enumerate(fields):
        if field.fresh and not (field.guard or field.skip_null or field.nan):
            return place, False
    return -1, False


def in_dict_or_lists(
    made: DenseGroups,
    header: str,
    by_dict: Lines,
    result: str,
    counter: str,
    function: Callable[[Callable[..., object]], str],
) -> Lines:
    """The statements that group by a dict (`by_dict`, a loop) with those that group in lists around them.

    `result`: what to return of lists; `counter`: what makes of a dict the kind that `by_dict` wants."""
    names = f"{', '.join(made.fields)}, = lists.states"
    body = Lines()
    body.add("listed = True")
    body.add("while True:")
    body.depth = 1
    body.extend(by_dict)
    body.add("if not lists: break")
    body.add(header)
    body.depth = 2
    body.add(f"if not lists.hold({made.keys}): break")
    body.add(names)
    loop = Lines()
    if made.in_bytes:
        target, iterable = made.loop.removeprefix("for ").split(" in ", 1)
        row = f"({target})" if "," in target else target
        body.add(f"it = iter({iterable})")
        body.add("while it is not None:")
        body.add("    try:")
        loop.depth = 2
        loop.add(f"for {target} in it:")
    else:
        loop.add(f"{made.loop}:")
    loop.depth += 1
    if made.conditions:
        tested = " and ".join(f"({each.removeprefix('if ')})" for each in made.conditions)
        loop.add(f"if {tested}:")
        loop.depth += 1
    loop.extend(made.updates)
    body.extend(loop)
    if made.in_bytes:
        body.add("        it = None")
        body.add("    except ValueError:")
        body.add(f"        it = lists.widened({made.key}, {row}, it)")
        body.add(f"        {names}")
    body.depth = 1
    body.add(f"else: return {result}")
    body.add(f"groups, listed = {counter}(lists.as_dict()), False")
    rest = f"({''.join(f'{column}, ' for column in made.columns)})"
    body.add(f"source = {function(chain)}(({rest},), source)")
    body.depth = 0
    return body
