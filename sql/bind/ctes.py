"""Binding of WITH: a common table expression is bound at its first use; one that reads itself becomes a
queue of rows."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import sqlglot.expressions as exp
from msgspec import Struct
from msgspec.structs import replace

from sql.bind.compounds import compound_collations, mismatch, operator_of, ordered_compound
from sql.bind.scope import Scope
from sql.bind.typing import kinds_of
from sql.errors import SqlError
from sql.expressions import ANY_KIND, INTEGER, NULL, REAL
from sql.plan import (
    Block,
    Compound,
    DerivedRelation,
    OuterJoin,
    Recursive,
    ResultColumn,
    Select,
    WorkRelation,
    width,
)

if TYPE_CHECKING:
    from sql.bind.queries import Binder


class Cte(Struct):
    """A common table expression; bound at its first use.  `scope_ctes` are the names it may use."""

    name: str
    query: exp.Expression
    columns: tuple[str, ...] | None
    scope_ctes: tuple[dict[str, Cte], ...]
    hint: bool | None
    number: int
    block: Block | None = None
    result: tuple[ResultColumn, ...] = ()
    binding: bool = False
    uses: int = 0
    work: WorkTable | None = None


class WorkTable(Struct):
    """The queue of a recursive CTE while its steps are bound; `kinds` of value that its columns may have."""

    number: int
    columns: tuple[ResultColumn, ...]
    block: Block
    kinds: tuple[int, ...]
    used: int = 0


def renamed(
    result: tuple[ResultColumn, ...], names: tuple[str, ...] | None, table: str
) -> tuple[ResultColumn, ...]:
    if names is None:
        return result
    if len(names) != len(result):
        raise SqlError(f"table {table} has {len(result)} values for {len(names)} columns")
    return tuple(
        replace(column, name=name, inner_name=None)
        for column, name in zip(result, names, strict=True)
    )


def declare(binder: Binder, with_: exp.Expression) -> None:
    names: dict[str, Cte] = {}
    binder.ctes = (*binder.ctes, names)
    for definition in with_.expressions:
        alias = definition.args["alias"]
        columns = tuple(column.name for column in alias.args.get("columns") or ()) or None
        binder.ctes_made += 1
        if alias.name.lower() in names:
            raise SqlError(f"duplicate WITH table name: {alias.name}", token=alias.name)
        names[alias.name.lower()] = Cte(
            alias.name,
            definition.this,
            columns,
            binder.ctes,
            definition.args.get("materialized"),
            binder.ctes_made,
        )


def cte_block(binder: Binder, cte: Cte, parent: Scope | None) -> None:
    """Bind the CTE's query, once."""
    if cte.block is not None:
        return
    saved, binder.ctes = binder.ctes, cte.scope_ctes
    cte.binding = True
    try:
        recursive = _recursive(binder, cte, parent)
        if recursive is None:
            cte.block, cte.result = binder.query(cte.query, parent)
        else:
            cte.block, cte.result = recursive
    finally:
        binder.ctes = saved
        cte.binding = False
    cte.result = renamed(cte.result, cte.columns, cte.name)


def bind_unused(binder: Binder, parent: Scope | None) -> None:
    """Bind what the innermost WITH declares and nothing reads, for those who listen.  It may be what cannot be bound."""
    for cte in binder.ctes[-1].values():
        with suppress(SqlError):
            cte_block(binder, cte, parent)


def _recursive(
    binder: Binder, cte: Cte, parent: Scope | None
) -> tuple[Block, tuple[ResultColumn, ...]] | None:
    """The queue form of a compound whose later arms read the CTE itself; None if none does."""
    query = binder.unwrapped(cte.query)
    if not isinstance(query, exp.SetOperation):
        return None
    arms = _arms(query)
    name = cte.name.lower()
    first = next((place for place, (_, arm) in enumerate(arms) if _is_named(name, arm)), None)
    if first is None:
        return None
    if first == 0:
        raise SqlError(f"circular reference: {cte.name}", token=cte.name)
    if any(operator not in ("UNION", "UNION ALL") for operator, _ in arms[first:]):
        raise SqlError(f"circular reference: {cte.name}", token=cte.name)
    with_ = query.args.get("with_")
    if with_ is not None:
        declare(binder, with_)
    initial, result = _initial(binder, arms[:first], parent)
    result = renamed(result, cte.columns, cte.name)
    # Most steps give what the first rows may become by arithmetic; where one does not, all kinds are possible.
    kinds = tuple([_grown(kind) for kind in _kinds_of(binder, initial)])
    work = WorkTable(cte.number, result, initial, kinds)
    # Binding may change a tree, which may be bound once more.
    tried = [(operator, arm.copy()) for operator, arm in arms[first:]]
    steps = _steps(binder, cte, parent, tried, work)
    found = [_kinds_of(binder, step) for step in steps]
    if any(kind & ~known for each in found for kind, known in zip(each, kinds, strict=True)):
        kinds = (ANY_KIND,) * len(kinds)
        work = WorkTable(cte.number, result, initial, kinds)
        steps = _steps(binder, cte, parent, arms[first:], work)
    block: Block = Recursive(
        cte.number,
        initial,
        tuple(steps),
        any(operator == "UNION" for operator, _ in arms[first:]),
        width(initial),
        binder.next_source(),
        kinds=kinds,
        collations=compound_collations(binder, [initial, *steps]),
    )
    return ordered_compound(binder, block, [initial, *steps], query, result), result


def _arms(query: exp.SetOperation) -> list[tuple[str, exp.Expression]]:
    """The queries that a compound combines, from the first one on, each with the operator before it."""
    arms: list[tuple[str, exp.Expression]] = []
    node: exp.Expression = query
    while isinstance(node, exp.SetOperation):
        arms.append((operator_of(node), node.expression))
        node = node.this
    return [("", node), *reversed(arms)]


def _initial(
    binder: Binder, arms: Sequence[tuple[str, exp.Expression]], parent: Scope | None
) -> tuple[Block, tuple[ResultColumn, ...]]:
    """The arms that do not read the queue, whose rows it begins with."""
    initial, result = binder.query(arms[0][1], parent)
    for operator, arm in arms[1:]:
        other, _ = binder.query(arm, parent)
        if width(initial) != width(other):
            raise mismatch(operator)
        collations = compound_collations(binder, [initial, other])
        initial = Compound(operator, initial, other, binder.next_source(), collations)
    return initial, result


def _is_named(name: str, arm: exp.Expression) -> bool:
    """Whether a FROM in the arm names the CTE, and none of the arm's own that has its name."""
    return any(
        table.name.lower() == name and not table.args.get("db") and not _is_hidden(name, table, arm)
        for table in arm.find_all(exp.Table)
    )


def _is_hidden(name: str, table: exp.Expression, arm: exp.Expression) -> bool:
    """Whether a WITH between the arm and the table, which may be a part of it, has a CTE of that name."""
    node: Any = table
    while node is not None:
        with_ = node.args.get("with_")
        if with_ is not None and any(
            definition.args["alias"].name.lower() == name for definition in with_.expressions
        ):
            return True
        node = None if node is arm else node.parent
    return False


def _steps(
    binder: Binder,
    cte: Cte,
    parent: Scope | None,
    arms: Sequence[tuple[str, exp.Expression]],
    work: WorkTable,
) -> list[Block]:
    """The arms that read the queue, bound."""
    steps = []
    cte.work = work
    try:
        for operator, arm in arms:
            uses = work.used
            step, _ = binder.query(arm, parent)
            if width(step) != width(work.block):
                raise mismatch(operator)
            _check_reference(cte.name, work.used - uses, _direct_references(step, work.number))
            if isinstance(step, Select) and step.keys is not None:
                raise SqlError("recursive aggregate queries not supported")
            if isinstance(step, Select) and step.windows:
                raise SqlError("cannot use window functions in recursive queries")
            steps.append(step)
    finally:
        cte.work = None
    return steps


def _check_reference(name: str, references: int, direct: int) -> None:
    """Raise SqlError unless an arm reads the queue once, in its own FROM: a subquery would see some rows of it, not all."""
    if direct > 1:
        raise SqlError(f"multiple references to recursive table: {name}", token=name)
    if references > 1:
        raise SqlError(f"multiple recursive references: {name}", token=name)
    if not direct:
        raise SqlError(f"circular reference: {name}", token=name)


def _direct_references(block: Block, number: int) -> int:
    """How often a SELECT's FROM names the queue, among what its outer joins join, too."""
    if isinstance(block, OuterJoin):
        return _direct_references(block.left, number) + _direct_references(block.right, number)
    if not isinstance(block, Select):
        return 0
    count = 0
    for item in block.items:
        relation = item.relation
        if isinstance(relation, WorkRelation):
            count += relation.number == number
        elif isinstance(relation, DerivedRelation) and isinstance(relation.block, OuterJoin):
            count += _direct_references(relation.block, number)
    return count


def _kinds_of(binder: Binder, block: Block) -> list[int]:
    """The kinds of value that a block's columns may have."""
    outputs = [binder.output_of(block, slot) for slot in range(width(block))]
    return [ANY_KIND if output is None else kinds_of(output) for output in outputs]


def _grown(kinds: int) -> int:
    """The kinds that a column of a recursive CTE begins with, and those that its steps are expected to give."""
    grown = kinds | NULL
    if kinds & (INTEGER | REAL):
        grown |= INTEGER | REAL
    return grown
