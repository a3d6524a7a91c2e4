"""Binding of window calls: their partitions, orders and frames, named windows included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlglot.expressions as exp

from sql.bind.nodes import offset_of
from sql.bind.typing import collated, collation_of
from sql.errors import SqlError
from sql.expressions import Affinity, Call, ColumnRef, Expression, Literal, SlotRef
from sql.functions import Aggregate, Function
from sql.plan import Frame, SortKey, WindowCall
from sql.plan.walk import SUBQUERIES, walk_flat

if TYPE_CHECKING:
    from sql.bind.expressions import ExpressionBinder
    from sql.bind.scope import Scope


def window_call(
    binder: ExpressionBinder,
    name: str,
    function: Any,
    arguments: list[exp.Expression],
    where: exp.Expression | None,
    window: exp.Window,
    node: exp.Expression,
) -> Expression:
    scope = binder.scope
    if isinstance(function, Function):
        raise SqlError(f"{name}() may not be used as a window function", offset=offset_of(node))
    if not scope.windows_allowed:
        raise SqlError(f"misuse of window function {name}()", offset=offset_of(node))
    if where is not None and not isinstance(function, Aggregate):
        raise SqlError(
            "FILTER clause may only be used with aggregate window functions",
            offset=offset_of(node),
        )
    scope.windows_allowed = False
    try:
        bound = binder.bind_all(arguments)
        condition = None if where is None else binder.bind(where)
        partition, order, frame = _window_definition(binder, window)
    finally:
        scope.windows_allowed = True
    call = WindowCall(
        name.lower(),
        function,
        bound,
        condition,
        partition,
        order,
        frame,
        collation_of(bound[0]) if bound else "BINARY",
    )
    spelled = repr(call)
    for slot, known in enumerate(scope.windows):  # noqa: B007
        if repr(known) == spelled:
            break
    else:
        slot = len(scope.windows)
        scope.windows.append(call)
    return collated(SlotRef(scope.window_source, slot, Affinity.NONE, None, 31), bound)


def declare_windows(scope: Scope, windows: list[exp.Window]) -> None:
    """Make the windows of a WINDOW clause known in its query.  Each may extend one that stands before it, whose
    PARTITION BY and ORDER BY it then has; what it says again is an error, also if no call uses it."""
    for window in windows:
        alias = window.args.get("alias")
        declared = window
        if alias is not None:
            base = _named(scope, alias)
            _check_extension(window, base)
            declared = window.copy()
            declared.set("alias", None)
            declared.set("partition_by", base.args.get("partition_by"))
            if declared.args.get("order") is None:
                declared.set("order", base.args.get("order"))
        if declared.args.get("spec") is not None:
            _check_bounds(declared.args["spec"])
        scope.named_windows[window.this.name.lower()] = declared


def _named(scope: Scope, alias: exp.Expression) -> exp.Window:
    window = scope.named_windows.get(alias.name.lower())
    if window is None:
        raise SqlError(f"no such window: {alias.name}", offset=offset_of(alias))
    return window


def _window_definition(
    binder: ExpressionBinder, window: exp.Expression
) -> tuple[tuple[SortKey, ...], tuple[SortKey, ...], Frame]:
    partition = tuple(
        SortKey(bound, False, True, collation_of(bound))
        for bound in binder.bind_all(window.args.get("partition_by") or [])
    )
    order_node = window.args.get("order")
    order = () if order_node is None else binder.sort_keys(order_node)
    spec = window.args.get("spec")
    alias = window.args.get("alias")
    base_frame = None
    if alias is not None:
        base = _named(binder.scope, alias)
        base_partition, base_order, base_frame = _window_definition(binder, base)
        if "bare" not in window.meta:
            _check_extension(window, base)
        partition = partition or base_partition
        order = order or base_order
        if base.args.get("spec") is None:
            base_frame = None
    if spec is None:
        return partition, order, base_frame or Frame()
    return partition, order, _frame(binder, spec, order)


def _check_extension(window: exp.Expression, base: exp.Window) -> None:
    """Raise SqlError if a window that extends `base` says again what that says."""
    taken = None
    if window.args.get("partition_by"):
        taken = "PARTITION clause"
    elif base.args.get("order") is not None and window.args.get("order") is not None:
        taken = "ORDER BY clause"
    elif base.args.get("spec") is not None:
        taken = "frame specification"
    if taken is not None:
        name = window.args["alias"].name
        raise SqlError(f"cannot override {taken} of window: {name}", offset=offset_of(window))


def _offset(bound: Expression) -> Expression:
    """A frame's offset.  What is no constant (calls are none) counts as NULL, which no frame takes once it has rows."""
    for part in walk_flat(bound):
        if isinstance(part, (Call, ColumnRef, SlotRef, *SUBQUERIES)):
            return Literal(None)
    return bound


_RANKS = {"PRECEDING": 1, "CURRENT": 2, "FOLLOWING": 3}


def _sides(spec: exp.Expression) -> tuple[str, str]:
    """What a frame's bounds are counted from and to: UNBOUNDED, PRECEDING, CURRENT or FOLLOWING."""
    found = []
    for which, default in (("start", "UNBOUNDED"), ("end", "CURRENT")):
        value = spec.args.get(which)
        side = str(spec.args.get(f"{which}_side") or "").upper()
        if value is None:
            side = default
        elif isinstance(value, str):
            if value.upper().startswith("CURRENT"):
                side = "CURRENT"
            elif side == ("FOLLOWING" if which == "start" else "PRECEDING"):
                raise SqlError("unsupported frame specification")
            else:
                side = "UNBOUNDED"
        found.append(side)
    return found[0], found[1]


def _check_bounds(spec: exp.Expression) -> None:
    """Raise SqlError if a frame would end before it starts."""
    start, end = _sides(spec)
    if _RANKS.get(start, 0) > _RANKS.get(end, 4):
        raise SqlError("unsupported frame specification")


def _frame(binder: ExpressionBinder, spec: exp.Expression, order: tuple[SortKey, ...]) -> Frame:
    unit = str(spec.args.get("kind") or "RANGE").upper()

    def offset(which: str, side: str) -> Expression | None:
        is_counted = side in ("PRECEDING", "FOLLOWING")
        return _offset(binder.bind(spec.args[which])) if is_counted else None

    _check_bounds(spec)
    start, end = _sides(spec)
    start_offset, end_offset = offset("start", start), offset("end", end)
    if unit == "RANGE" and (start_offset or end_offset) and len(order) != 1:
        raise SqlError("RANGE with offset PRECEDING/FOLLOWING requires one ORDER BY expression")
    exclude = str(spec.args.get("exclude") or "NO OTHERS").upper()
    return Frame(unit, start, start_offset, end, end_offset, exclude)
