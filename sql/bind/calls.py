"""Binding of calls: scalar functions, and aggregates, which belong to the SELECT that their arguments
refer to.  Calls with OVER go on to `sql.bind.windows`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

import sqlglot.expressions as exp

from sql.bind.nodes import offset_of
from sql.bind.scope import Scope, nearest
from sql.bind.typing import (
    collated,
    collation_of,
    explicit_collation,
    implicit_collation,
    kinds_of,
)
from sql.bind.windows import window_call
from sql.errors import SqlError, SqlNameError
from sql.expressions import Affinity, Call, Expression, Literal, Parameter, SlotRef, Unary
from sql.functions import Aggregate, Function, WindowFunction
from sql.plan import AggregateCall
from sql.plan.walk import references, walk

_HINTS = ("likely", "unlikely", "likelihood")
"""Functions that tell SQLite's planner how often a condition holds."""

if TYPE_CHECKING:
    from sql.bind.expressions import ExpressionBinder


def anonymous(binder: ExpressionBinder, node: exp.Anonymous) -> Expression:
    return call(binder, node.this, node.expressions, node)


def call(
    binder: ExpressionBinder,
    name: str,
    arguments: list[exp.Expression],
    node: exp.Expression,
    where: exp.Expression | None = None,
    window: exp.Window | None = None,
) -> Expression:
    distinct = False
    order: exp.Order | None = None
    if arguments and isinstance(arguments[-1], exp.Order):
        order = arguments[-1]
        arguments = arguments[:-1]
    if len(arguments) == 1 and isinstance(arguments[0], exp.Distinct):
        if order is not None:
            raise SqlError("DISTINCT and ORDER BY in one aggregate", offset=offset_of(node))
        distinct = True
        arguments = arguments[0].expressions
    if len(arguments) == 1 and isinstance(arguments[0], exp.Star):
        arguments = []
    functions = binder.statement.env.functions
    if len(arguments) > functions.arguments_max:
        raise SqlError(f"too many arguments on function {name}", offset=offset_of(node))
    function = functions.lookup(name.lower(), len(arguments))
    if function is None:
        _unknown_function(binder, name, node)
    if binder.statement.asks is not None:
        binder.statement.asks.function(name)
    if window is not None:
        if distinct:
            raise SqlError("DISTINCT is not supported for window functions", offset=offset_of(node))
        return window_call(binder, name, function, arguments, where, window, node)
    if isinstance(function, Aggregate):
        return _aggregate_call(binder, name, function, arguments, distinct, where, order, node)
    if isinstance(function, WindowFunction):
        raise SqlError(f"misuse of window function {name}()", offset=offset_of(node))
    if order is not None:
        raise SqlError(
            f"ORDER BY may not be used with non-aggregate {name}()", offset=offset_of(node)
        )
    if where is not None:
        raise SqlError(
            f"FILTER may not be used with non-aggregate {name}()", offset=offset_of(node)
        )
    return scalar_call(binder, name, binder.bind_all(arguments), node)


def _unknown_function(binder: ExpressionBinder, name: str, node: exp.Expression) -> NoReturn:
    functions = binder.statement.env.functions
    if any(functions.lookup(name.lower(), other) is not None for other in range(9)):
        raise SqlError(f"wrong number of arguments to function {name}()", offset=offset_of(node))
    suggestions = nearest(name, list(functions.names()))
    raise SqlNameError(
        f"no such function: {name}", offset=offset_of(node), token=name, suggestions=suggestions
    )


def scalar_call(
    binder: ExpressionBinder, name: str, arguments: tuple[Expression, ...], node: exp.Expression
) -> Expression:
    function = binder.statement.env.functions.lookup(name.lower(), len(arguments))
    if not isinstance(function, Function):
        _unknown_function(binder, name, node)
    lowered = name.lower()
    if lowered == "likelihood" and not _is_probability(arguments[1]):
        raise SqlError(
            "second argument to likelihood() must be a constant between 0.0 and 1.0",
            offset=offset_of(node),
        )
    if lowered in _HINTS and implicit_collation(arguments[0]) is None:
        return Unary("+", arguments[0])  # costs nothing; a call has no collation, as a plus has
    collation = "BINARY"
    for argument in arguments:
        found = explicit_collation(argument) or implicit_collation(argument)
        if found is not None:
            collation = found
            break
    return Call(lowered, arguments, function, collation)


def _is_probability(node: Expression) -> bool:
    """Whether it may be one: a parameter stands for any constant."""
    if isinstance(node, Literal):
        return isinstance(node.value, float) and 0.0 <= node.value <= 1.0
    return isinstance(node, Parameter)


def _aggregate_call(
    binder: ExpressionBinder,
    name: str,
    function: Aggregate,
    arguments: list[exp.Expression],
    distinct: bool,
    where: exp.Expression | None,
    order: exp.Order | None,
    node: exp.Expression,
) -> Expression:
    scope = binder.scope
    if distinct and len(arguments) != 1:
        raise SqlError("DISTINCT aggregates must have exactly one argument", offset=offset_of(node))
    allowed = scope.aggregates_allowed
    windows = scope.windows_allowed
    outer_allowed = scope.outer_aggregates_allowed
    scope.aggregates_allowed = scope.windows_allowed = scope.outer_aggregates_allowed = False
    try:
        bound = binder.bind_all(arguments)
        condition = None if where is None else binder.bind(where)
        keys = () if order is None else binder.sort_keys(order)
        if function.builtin and name.lower() in ("min", "max"):
            keys = ()  # which come out the same in any order
    finally:
        scope.aggregates_allowed = allowed
        scope.windows_allowed = windows
        scope.outer_aggregates_allowed = outer_allowed
    owner = _owner(binder, bound, condition)
    inside = next((at for part in bound for at in _aggregates_of(owner, part)), None)
    if inside is not None:
        raise SqlError(f"misuse of aggregate: {inside.name}()", offset=offset_of(node))
    if not (owner.aggregates_allowed and (owner is scope or outer_allowed)):
        raise SqlError(
            f"misuse of aggregate function {name}()"
            if owner is scope or not outer_allowed
            else f"misuse of aggregate: {name}()",
            offset=offset_of(node),
        )
    collation = collation_of(bound[0]) if bound else "BINARY"
    call = AggregateCall(name.lower(), function, bound, distinct, condition, keys, collation)
    slot = owner.aggregate_slots.setdefault(repr(call), len(owner.aggregates))
    if slot == len(owner.aggregates):
        owner.aggregates.append(call)
    kinds = getattr(function, "kinds", 31) or 31
    if call.name in ("min", "max"):
        kinds = kinds_of(bound[0]) | 1
    place = owner.key_count + slot
    value = SlotRef(owner.aggregate_source, place, Affinity.NONE, None, kinds)
    return collated(value, bound)


def _aggregates_of(owner: Scope, argument: Expression) -> Iterator[AggregateCall]:
    """The aggregates of the SELECT itself that the argument of another one of them asks for, in a subquery."""
    if owner.aggregate_source not in references(argument):
        return
    for part in walk(argument):
        if isinstance(part, SlotRef) and part.source == owner.aggregate_source:
            place = part.slot - owner.key_count
            if place >= 0:
                yield owner.aggregates[place]


def _owner(
    binder: ExpressionBinder, arguments: tuple[Expression, ...], where: Expression | None
) -> Scope:
    """The SELECT an aggregate belongs to: the innermost that its arguments refer to."""
    used: set[int] = set()
    for argument in arguments:
        used |= references(argument)
    if where is not None:
        used |= references(where)
    scope: Scope | None = binder.scope
    while scope is not None and used:
        if used & binder.statement.scope_sources(scope) or scope.aggregate_source in used:
            return scope
        scope = scope.parent
    return binder.scope


def filtered(binder: ExpressionBinder, node: exp.Filter) -> Expression:
    inner = node.this
    return call(binder, inner.this, inner.expressions, node, where=node.expression.this)


def windowed(binder: ExpressionBinder, node: exp.Window) -> Expression:
    inner = node.this
    where = None
    if isinstance(inner, exp.Filter):
        where = inner.expression.this
        inner = inner.this
    return call(binder, inner.this, inner.expressions, node, where=where, window=node)
