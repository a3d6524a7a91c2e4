"""Rows of a tree's range, for generated code: bounds from SQL values, a check between batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, product
from operator import ge, gt, le, lt
from typing import Any

from btree import MAX, CorruptionError, Tree, TreeKind, key_parts, order_key

Batch = tuple[Sequence[Any], list[Any]]
Check = Callable[[], None]

UNBOUND: Any = object()
"""No bound; None is the value NULL."""
PRESENT: Any = object()
"""The lower bound that leaves NULL out."""

CHECK_EVERY = 4096
FETCHED_MAX = 1 << 14
"""Rows of an index's range that are fetched at once."""
_GATHERED = 256
"""Keys of several prefixes that are handed on together."""


def rowid_of(value: Any) -> int | None:
    """The rowid that a value equals, None if it can equal none."""
    if value.__class__ is int:
        number: int = value
        return number
    if value.__class__ is float and value == value // 1 and -9.3e18 < value < 9.3e18:
        return int(value)
    return None


def rowids_of(values: Iterable[Any], *, reverse: bool = False) -> list[int]:
    """The distinct rowids among the values, ascending."""
    found = {value if value.__class__ is int else rowid_of(value) for value in values}
    found.discard(None)
    return sorted(found, reverse=reverse)  # type: ignore[arg-type]


def scan(tree: Tree, check: Check, reverse: bool = False) -> Iterator[Batch]:
    """All of a tree."""
    for batch in tree.batches(reverse=reverse):
        check()
        yield batch


def span(
    tree: Tree,
    check: Check,
    low: Any,
    high: Any,
    low_inclusive: bool = True,
    high_inclusive: bool = True,
    reverse: bool = False,
) -> Iterator[Batch]:
    """Rowids between two values; NULL as a bound gives nothing."""
    if low is None or high is None:
        return
    for batch in tree.batches(
        None if low is UNBOUND else low,
        None if high is UNBOUND else high,
        lo_inclusive=low_inclusive,
        hi_inclusive=high_inclusive,
        reverse=reverse,
    ):
        check()
        yield batch


def key_span(
    tree: Tree,
    check: Check,
    prefix: tuple[Any, ...],
    low: Any = UNBOUND,
    high: Any = UNBOUND,
    low_inclusive: bool = True,
    high_inclusive: bool = True,
    reverse: bool = False,
    gradual: bool = False,
) -> Iterable[Batch]:
    """Keys that start with `prefix` and go on with a part between the bounds; `gradual`: leaf by leaf, for whom the
    first ones may do.

    A bound on one side leaves NULL out, as comparisons do; so does a bound that is NULL."""
    if low is None or high is None:
        return ()
    lo: Any = prefix or None
    hi: Any = prefix or None
    lo_inclusive = hi_inclusive = True
    if low is PRESENT or (low is UNBOUND and high is not UNBOUND):
        lo, lo_inclusive = (*prefix, None), False
    elif low is not UNBOUND:
        lo, lo_inclusive = (*prefix, low), low_inclusive
    if high is not UNBOUND:
        hi, hi_inclusive = (*prefix, high), high_inclusive
    if lo is not None and hi is not None and not gradual:
        keys = tree.between(lo, hi, lo_inclusive=lo_inclusive, hi_inclusive=hi_inclusive)
        if keys is not None:
            return ((keys[::-1] if reverse else keys, []),) if keys else ()
    batches = tree.batches(
        lo, hi, lo_inclusive=lo_inclusive, hi_inclusive=hi_inclusive, reverse=reverse
    )
    return _with_checks(batches, check)


def key_bounds(
    prefix: tuple[Any, ...], low: Any, high: Any, low_inclusive: bool, high_inclusive: bool
) -> tuple[Any, Any] | None:
    """Those of the keys that `key_span` gives: from the first to before the second, None for no bound; None if there
    are none."""
    if low is None or high is None or None in prefix:
        return None
    start: Any = prefix or None
    stop: Any = (*prefix, MAX) if prefix else None
    if low is PRESENT or (low is UNBOUND and high is not UNBOUND):
        start = (*prefix, None, MAX)
    elif low is not UNBOUND:
        start = (*prefix, low) if low_inclusive else (*prefix, low, MAX)
    if high is not UNBOUND:
        stop = (*prefix, high, MAX) if high_inclusive else (*prefix, high)
    return start, stop


def _with_checks(batches: Iterable[Batch], check: Check) -> Iterator[Batch]:
    for batch in batches:
        check()
        yield batch


def equal_span(tree: Tree, check: Check, prefix: tuple[Any, ...]) -> Iterable[Batch]:
    """Keys of an INDEX tree that start with `prefix`."""
    keys = tree.prefixed(prefix)
    if keys is None:
        return key_span(tree, check, prefix)
    return ((keys, []),) if keys else ()


def rowids_prefixed(tree: Tree, check: Check, prefix: tuple[Any, ...]) -> list[Any]:
    """The row ids that the keys of an index on a rowid table that start with `prefix` lead to."""
    rowids = tree.last_parts(prefix)
    if rowids is None:
        rowids = [key[-1] for key in keys_of(key_span(tree, check, prefix))]
    return rowids


def text_span(
    tree: Tree, check: Check, prefix: tuple[Any, ...], start: str, reverse: bool = False
) -> Iterable[Batch]:
    """Keys that start with `prefix` and go on with a text that starts with `start`."""
    lo, hi = (*prefix, start), (*prefix, text_after(start))
    keys = tree.between(lo, hi)
    if keys is not None:
        return ((keys[::-1] if reverse else keys, []),) if keys else ()
    return _with_checks(tree.batches(lo, hi, reverse=reverse), check)


def started(
    start: str, found: Callable[[], Iterable[Batch]], scan: Callable[[], Iterable[Batch]]
) -> Iterable[Batch]:
    """What an index finds of texts that start so, or a scan of the table where they may start as they like."""
    return found() if start else scan()


def text_spans(
    tree: Tree, check: Check, choices: Sequence[Sequence[Any]], start: str, reverse: bool
) -> Iterator[Batch]:
    """`text_span` for every combination of values of the first key parts."""
    prefixes = list(product(*choices))
    for prefix in reversed(prefixes) if reverse else prefixes:
        yield from text_span(tree, check, prefix, start, reverse)


def text_after(start: str) -> Any:
    """The least value above every text that starts with `start`."""
    for at in range(len(start) - 1, -1, -1):
        code = ord(start[at])
        if code < 0x10FFFF:
            # Surrogates are no characters: the next one after U+D7FF is U+E000.
            return start[:at] + chr(0xE000 if code == 0xD7FF else code + 1)
    return b""


_FEW_SPANS = 16
"""Combinations of values up to which the first entries of each are looked for, however many it may have.  Where there are
more, most have few, which are had by a third of the time."""


def spans(
    tree: Tree,
    check: Check,
    choices: Sequence[Sequence[Any]],
    low: Any = UNBOUND,
    high: Any = UNBOUND,
    low_inclusive: bool = True,
    high_inclusive: bool = True,
    reverse: bool = False,
    each: int = -1,
) -> Iterator[Batch]:
    """`key_span` for every combination of values of the first key parts, in the tree's order.

    `each`: how many entries of each combination are wanted, all if negative; of few there may come more."""
    prefixes = list(product(*choices))
    if reverse:
        prefixes.reverse()
    is_bare = low is UNBOUND and high is UNBOUND and tree.kind is TreeKind.INDEX
    if is_bare and (each < 0 or len(prefixes) > _FEW_SPANS):
        yield from _equal_spans(tree, check, prefixes, reverse, each)
        return
    bounds = low, high, low_inclusive, high_inclusive, reverse
    for prefix in prefixes:
        yield from _span_head(tree, check, prefix, *bounds, each=each)


def _span_head(
    tree: Tree, check: Check, prefix: tuple[Any, ...], *bounds: Any, each: int
) -> Iterable[Batch]:
    """A `key_span`, or the first entries of one."""
    if each < 0:
        return key_span(tree, check, prefix, *bounds)
    if tree.kind is TreeKind.INDEX:
        return head_span(each, 0, tree, check, prefix, *bounds)
    return head(key_span(tree, check, prefix, *bounds), each)


def _equal_spans(
    tree: Tree, check: Check, prefixes: list[tuple[Any, ...]], reverse: bool, each: int
) -> Iterator[Batch]:
    """`spans` without bounds, the keys of several prefixes in one batch."""
    gathered: list[Any] = []
    for prefix in prefixes:
        keys = tree.prefixed(prefix)
        if keys is None:
            if gathered:
                yield gathered, []
                gathered = []
            bounds = UNBOUND, UNBOUND, True, True, reverse
            yield from _span_head(tree, check, prefix, *bounds, each=each)
            continue
        gathered += reversed(keys) if reverse else keys
        if len(gathered) >= _GATHERED:
            check()
            yield gathered, []
            gathered = []
    if gathered:
        yield gathered, []


def distinct(values: Iterable[Any], convert: Callable[[Any], Any] | None = None) -> list[Any]:
    """The distinct values that are not NULL, in SQL's order, converted."""
    found = {value for value in values if value is not None}
    if convert is not None:
        found = {convert(value) for value in found}
    try:
        return sorted(found)
    except TypeError:
        return sorted(found, key=order_key)


def composed(first: Callable[[Any], Any], second: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The second of two conversions after the first."""
    return lambda value: second(first(value))


def one(value: Any) -> tuple[Any, ...]:
    """The choices for `column = value`: none if it is NULL."""
    return () if value is None else (value,)


def row_batches(batches: Iterable[list[Any]], check: Check) -> Iterator[Batch]:
    """Batches of rows in the shape of a tree's batches; they have no keys."""
    for rows in batches:
        check()
        yield rows, rows


def keys_of(batches: Iterable[Batch]) -> Iterator[Any]:
    """All keys."""
    return chain.from_iterable(batch[0] for batch in batches)


def rows_of(batches: Iterable[Batch]) -> Iterator[Any]:
    """All values."""
    return chain.from_iterable(batch[1] for batch in batches)


def entries_of(batches: Iterable[Batch]) -> Iterator[tuple[Any, Any]]:
    """All (key, value) pairs."""
    return chain.from_iterable(zip(batch[0], batch[1], strict=True) for batch in batches)


def led_to(keys: Sequence[Any], rows: list[Any]) -> list[Any]:
    """The rows at the keys that an index has.  CorruptionError if one of them is missing: the table and the index
    have been changed one without the other."""
    if not all(rows):
        key = next(key for key, row in zip(keys, rows, strict=True) if not row)
        raise CorruptionError(f"row {key!r} is missing from its table, an index leads to it")
    return rows


def fetched(
    batches: Iterable[Batch], get_many: Callable[[list[Any]], list[Any]], at: int, first: int = 0
) -> Iterator[Batch]:
    """The table's (rowids, rows) for batches of an index whose keys hold the rowid at `at`; no more at once than
    `first` and then twice as many each time, if it is given.

    More and more rowids are fetched at once: of 250 that lie all over a table each has a leaf of its own to be found
    and opened, of 16,000 those of a leaf are taken together."""
    wanted = 1
    rowids: list[Any] = []
    for keys, _ in batches:
        rowids += key_parts(keys, at)
        while 0 < first < len(rowids):
            run = rowids[:first]
            yield run, led_to(run, get_many(run))
            del rowids[:first]
            first *= 2
        if len(rowids) >= wanted:
            wanted = min(4 * len(rowids), FETCHED_MAX)
            yield rowids, led_to(rowids, get_many(rowids))
            rowids = []
    if rowids:
        yield rowids, led_to(rowids, get_many(rowids))


def found_rows(
    found: Iterable[Sequence[Any]], get_many: Callable[[Sequence[Any]], list[Any]], check: Check
) -> Iterator[Batch]:
    """The table's (rowids, rows) for batches of ascending rowids, more and more of them at once."""
    wanted = 1
    rowids: list[Any] = []
    for some in found:
        rowids += some
        if len(rowids) >= wanted:
            wanted = min(4 * len(rowids), FETCHED_MAX)
            check()
            yield rowids, led_to(rowids, get_many(rowids))
            rowids = []
    if rowids:
        yield rowids, led_to(rowids, get_many(rowids))


def fetched_clustered(
    batches: Iterable[Batch], get_many: Callable[[list[Any]], list[Any]], start: int
) -> Iterator[Batch]:
    """The same for a WITHOUT ROWID table, whose key is the index key's tail from `start`."""
    for keys, _ in batches:
        table_keys = [key[start:] for key in keys]
        yield table_keys, led_to(table_keys, get_many(table_keys))


def head(batches: Iterable[Batch], count: int, skip: int = 0) -> Iterator[Batch]:
    """The first `count` entries, all of them if it is negative, but for the first `skip` of them.

    What OFFSET passes over is cut off here: no row is fetched, and no tuple made, for it."""
    if skip:
        batches = _beyond(batches, skip)
        count = count if count < 0 else max(0, count - skip)
    if count < 0:
        yield from batches
        return
    for keys, values in batches:
        if len(keys) >= count:
            if count:
                yield keys[:count], values[:count]
            return
        count -= len(keys)
        yield keys, values


def _beyond(batches: Iterable[Batch], skip: int) -> Iterator[Batch]:
    for keys, values in batches:
        if skip >= len(keys):
            skip -= len(keys)
        elif skip:
            yield keys[skip:], values[skip:]
            skip = 0
        else:
            yield keys, values


def head_span(
    count: int,
    skip: int,
    tree: Tree,
    check: Check,
    prefix: tuple[Any, ...],
    low: Any,
    high: Any,
    low_inclusive: bool,
    high_inclusive: bool,
    reverse: bool,
) -> Iterable[Batch]:
    """`head` of a `key_span` of an INDEX tree: a few keys of one leaf are had by one descent."""
    if count > 0 and low is not None and high is not None:
        keys = first_keys(tree, count, prefix, low, high, low_inclusive, high_inclusive, reverse)
        if keys is not None:
            return ((keys[skip:], []),)
    span = key_span(tree, check, prefix, low, high, low_inclusive, high_inclusive, reverse)
    return head(span, count, skip)


def head_equal(
    count: int, skip: int, tree: Tree, check: Check, prefix: tuple[Any, ...]
) -> Iterable[Batch]:
    """`head` of an `equal_span`: no more of the run is looked at than is asked for, for it may be long."""
    if count > 0:
        keys = tree.following(prefix, count)
        if keys is not None:  # else there are not so many up to the end of the tree
            width = len(prefix)
            if keys[-1][:width] != prefix:
                keys = [key for key in keys if key[:width] == prefix]
            return ((keys[skip:], []),)
    return head(equal_span(tree, check, prefix), count, skip)


def first_keys(
    tree: Tree,
    count: int,
    prefix: tuple[Any, ...],
    low: Any,
    high: Any,
    low_inclusive: bool,
    high_inclusive: bool,
    reverse: bool,
) -> list[Any] | None:
    """The first `count` keys of a `key_span`, fewer if it has no more; None where that can't be told by as many keys."""
    keys: list[Any] | None
    if reverse:
        far, far_inclusive = low, low_inclusive
        if high is UNBOUND:
            keys = tree.preceding(prefix, count, inclusive=True)
        else:
            keys = tree.preceding((*prefix, high), count, inclusive=high_inclusive)
    else:
        far, far_inclusive = high, high_inclusive
        if low is PRESENT or (low is UNBOUND and high is not UNBOUND):
            keys = tree.following((*prefix, None), count, beyond=True)
        elif low is not UNBOUND:
            keys = tree.following((*prefix, low), count, beyond=not low_inclusive)
        else:
            keys = tree.following(prefix, count)
    if keys is None:
        return None
    at = len(prefix)
    if keys[-1][:at] != prefix:
        keys = [key for key in keys if key[:at] == prefix]
        if not keys:
            return keys
    part = keys[-1][at]
    if far is PRESENT or far is UNBOUND:
        # A bound on one side leaves NULL out.
        leaves_out = part is None and (far is PRESENT or (reverse and high is not UNBOUND))
        return [key for key in keys if key[at] is not None] if leaves_out else keys
    try:
        if (part > far if reverse else part < far) or (far_inclusive and part == far):
            return keys
        beyond = (le if reverse else ge) if not far_inclusive else (lt if reverse else gt)
        return [key for key in keys if not beyond(key[at], far)]
    except TypeError:  # of several kinds
        return None


def union(
    parts: Iterable[Iterable[Any]], get_many: Callable[[list[Any]], list[Any]]
) -> Iterator[Batch]:
    """Rows of the rowids that any of the parts gives, each once, in rowid order."""
    return rows_there(sorted(set(chain.from_iterable(parts))), get_many)


def rows_there(rowids: list[int], get_many: Callable[[list[Any]], list[Any]]) -> Iterator[Batch]:
    """The rows of those of the rowids that a table has, in their order."""
    for at in range(0, len(rowids), CHECK_EVERY):
        run = rowids[at : at + CHECK_EVERY]
        found = get_many(run)
        if None in found:
            pairs = [(key, row) for key, row in zip(run, found, strict=True) if row is not None]
            run, found = [key for key, _ in pairs], [row for _, row in pairs]
        yield run, found


def union_keys(parts: Iterable[Iterable[Any]]) -> Iterable[Batch]:
    """The rowids that any of the parts gives, each once, in order, as entries of an index that has nothing else."""
    return ((list(zip(sorted(set(chain.from_iterable(parts))), strict=True)), []),)


def checked(rows: list[Any], check: Check) -> Iterable[Any]:
    """A long list's rows with a check now and then; rows on disk check by themselves."""
    if len(rows) <= CHECK_EVERY or rows.__class__ is not list:
        return rows
    return _checked(rows, check)


def _checked(rows: list[Any], check: Check) -> Iterator[Any]:
    for at in range(0, len(rows), CHECK_EVERY):
        check()
        yield from rows[at : at + CHECK_EVERY]


def rowid_end(tree: Tree, least: bool) -> int | None:
    """The least or the greatest row id, None if there is none."""
    entry = tree.first() if least else tree.last()
    return None if entry is None else entry[0]


def index_end(tree: Tree, least: bool, nullable: bool) -> Any:
    """The least or the greatest value in an index's first part, NULL left out; None if there is none."""
    if not least:
        keys = tree.preceding((), 1, inclusive=True)
    elif nullable:
        keys = tree.following((None,), 1, beyond=True)
    else:
        keys = tree.following((), 1)
    return keys[0][0] if keys else None
