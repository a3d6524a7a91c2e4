"""Sorting batches of rows: in memory, to temporary files past a limit, or only the first k.

A sort is given as *passes*, the most significant last: each is a key function and a direction, and the
sort is stable, so that passes of different directions add up.  Past the memory limit sorted runs go to
temporary files and are merged (Knuth, TAOCP 3, 5.4.1): of the chunks at the front of all runs, what is
not behind the least of their last rows is sorted at once, which finds the runs in it and merges them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any

from sql.run.spill import Chunks, RowFile, Unspillable, row_bytes, value_bytes

Row = tuple[Any, ...]
Pass = tuple[Callable[[Row], Any], bool]
"""(key function, descending)."""
Sort = Callable[[list[Row], Sequence[Pass]], None]

BATCH_ROWS = 1024
FIRST_WEIGHED = 4096
"""Buffered rows at which their memory is looked at for the first time."""
BUCKETS_FROM = 20_000
"""Rows from which it may pay to gather rows of equal keys before they are sorted."""
_POINTERS_BYTES = 24
RUNS_MAX = 48
"""Runs merged at once: more of them are merged into one before."""


class NullsApart:
    """The key that is a row's value at `place`, which may be NULL; `last`: NULL counts as larger than any value.

    Rows without a value are not sorted, but set apart, so that values are compared as they are: pairs that tell
    NULL first take twice the time."""

    __slots__ = ("last", "place", "value_of")

    def __init__(self, place: int, last: bool) -> None:
        self.place = place
        self.last = last
        self.value_of = itemgetter(place)

    def __call__(self, row: Row) -> tuple[bool, Any]:
        """What compares as the key does."""
        value = row[self.place]
        return (value is None) is self.last, value


def sort_rows(rows: list[Row], passes: Sequence[Pass]) -> None:
    """Sort in place."""
    if passes and len(rows) >= BUCKETS_FROM and _repeats(rows, passes):
        _sort_in_buckets(rows, passes)
        return
    _sort_by(rows, passes)


def _sort_by(rows: list[Row], passes: Sequence[Pass]) -> None:
    for key, descending in passes:
        if key.__class__ is not NullsApart:
            rows.sort(key=key, reverse=descending)
            continue
        assert isinstance(key, NullsApart)
        place = key.place
        nulls = [row for row in rows if row[place] is None]
        if nulls:
            rows[:] = [row for row in rows if row[place] is not None]
        rows.sort(key=key.value_of, reverse=descending)
        if nulls:
            at = 0 if key.last == descending else len(rows)
            rows[at:at] = nulls


def _bucket_key(key: Callable[[Row], Any]) -> Callable[[Row], Any]:
    return key.value_of if isinstance(key, NullsApart) else key


def _repeats(rows: list[Row], passes: Sequence[Pass]) -> bool:
    """Whether it should pay to gather rows of equal keys: few values in many rows, but not so few that
    what is left to sort under each of them is nearly all of it.

    1M rows, 50 to 1,000 values, on a busy machine: 0.4 to 1.1x the time of a plain sort by one key, and
    0.5 to 1.2x by two, the least gain where the second key was in order already."""
    key = _bucket_key(passes[-1][0])
    sample = [key(row) for row in rows[:: len(rows) // 512]]
    try:
        values = len(set(sample))
    except TypeError:  # keys of a collation that the program added have no hash
        return False
    return values * 5 < len(sample) * 4 and (values > 16 or len(passes) == 1)


def _sort_in_buckets(rows: list[Row], passes: Sequence[Pass]) -> None:
    """Rows of equal most significant keys are gathered first, then sorted among themselves."""
    *others, (key, descending) = passes
    buckets: dict[Any, list[Row]] = {}
    for place, row in zip(map(_bucket_key(key), rows), rows, strict=True):
        try:
            buckets[place].append(row)
        except KeyError:
            buckets[place] = [row]
    rows.clear()
    nulls = buckets.pop(None, []) if isinstance(key, NullsApart) else []
    _sort_by(nulls, others)
    for place in sorted(buckets, reverse=descending):
        bucket = buckets.pop(place)
        _sort_by(bucket, others)
        rows += bucket
    if nulls and isinstance(key, NullsApart):
        at = 0 if key.last == descending else len(rows)
        rows[at:at] = nulls


def sorted_batches(
    batches: Iterable[list[Row]],
    passes: Sequence[Pass],
    check: Callable[[], None],
    memory_limit_bytes: int,
    sort: Sort = sort_rows,
) -> Iterator[list[Row]]:
    """All rows in order.  Buffers up to three quarters of the limit, what a sort takes on top of the rows included.

    `sort` does in place what `sort_rows` does, perhaps quicker."""
    rows: list[Row] = []
    room = memory_limit_bytes * 3 // 4
    weigh_at = FIRST_WEIGHED
    runs: SortedRuns | None = None
    try:
        for batch in batches:
            rows += batch
            if len(rows) < weigh_at:
                continue
            check()
            size = row_bytes(rows) + _sorting_bytes(rows[-1], passes)
            if len(rows) * size < room:
                # What a cache holds now may be ours alone soon, so look again before it can be much.
                weigh_at = min(room // size, len(rows) * 5 // 4)
                weigh_at = max(weigh_at, len(rows) + FIRST_WEIGHED // 4)
                continue
            if runs is None:
                runs = SortedRuns(passes, check, len(rows), sort)
            sort(rows, passes)
            if not runs.add(rows):
                weigh_at = 1 << 62  # what can't be written stays in memory
                continue
            rows = []
            weigh_at = max(FIRST_WEIGHED // 4, weigh_at // 2)
        check()
        sort(rows, passes)
        check()
        if runs is None:
            yield from in_batches(rows, check)
        else:
            yield from runs.merged(rows)
    finally:
        if runs is not None:
            runs.close()


def _sorting_bytes(row: Row, passes: Sequence[Pass]) -> int:
    """What a sort takes for each row such as this: two pointers and a half, and the largest key that is not a value
    of the row, but made anew."""
    keys = [_bucket_key(key)(row) for key, _ in passes]
    own = [value_bytes(key) for key in keys if all(key is not value for value in row)]
    return _POINTERS_BYTES + max(own, default=0)


def in_batches(rows: Iterable[Row], check: Callable[[], None]) -> Iterator[list[Row]]:
    """Rows in batches of a moderate size."""
    if isinstance(rows, list):
        if len(rows) <= BATCH_ROWS:
            if rows:
                yield rows
            return
        for at in range(0, len(rows), BATCH_ROWS):
            check()
            yield rows[at : at + BATCH_ROWS]
        return
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) >= BATCH_ROWS:
            check()
            yield batch
            batch = []
    if batch:
        yield batch


class SortedRuns:
    """Sorted runs on disk, in the order of their rows' arrival."""

    def __init__(
        self,
        passes: Sequence[Pass],
        check: Callable[[], None],
        rows_in_memory: int,
        sort: Sort = sort_rows,
    ) -> None:
        self.passes = passes
        self.sort = sort
        self.key = _merge_key(passes)
        self.check = check
        self.chunk_rows = min(BATCH_ROWS, max(16, rows_in_memory // RUNS_MAX))
        self.file = RowFile()
        self.runs: list[Chunks] = []

    def add(self, rows: list[Row]) -> bool:
        """Write a sorted run; False, and nothing kept, if its rows can't be written."""
        run = Chunks(self.file)
        try:
            for at in range(0, len(rows), self.chunk_rows):
                self.check()
                run.append(rows[at : at + self.chunk_rows])
        except Unspillable:
            return False
        self.put(run)
        return True

    def put(self, run: Chunks) -> None:
        """Take in a sorted run that is in `file`."""
        self.runs.append(run)
        if len(self.runs) >= RUNS_MAX:
            self._merge_all()

    def _merge_all(self) -> None:
        """All runs become one, in a new file."""
        old = self.file
        self.file = RowFile()
        merged = Chunks(self.file)
        try:
            pending: list[Row] = []
            for batch in self.merged([]):
                pending += batch
                while len(pending) >= self.chunk_rows:
                    merged.append(pending[: self.chunk_rows])
                    del pending[: self.chunk_rows]
            if pending:
                merged.append(pending)
        finally:
            old.close()
        self.runs = [merged]

    def merged(self, last: list[Row]) -> Iterator[list[Row]]:
        """All rows in order; `last` is a run in memory, the latest to arrive."""
        key = self.key
        streams = [iter(run) for run in self.runs]
        fronts = [next(stream, []) for stream in streams]
        streams.append(in_batches(last, self.check))
        fronts.append(next(streams[-1], []))
        while True:
            live = [place for place, front in enumerate(fronts) if front]
            if not live:
                return
            self.check()
            if len(live) == 1:
                place = live[0]
                yield fronts[place]
                yield from streams[place]
                return
            # Rows up to the least last row are complete, but for equals of it in the same run, which
            # go before equals of later runs.
            owner = min(live, key=lambda place: key(fronts[place][-1]))
            threshold = key(fronts[owner][-1])
            found: list[Row] = []
            for place in live:
                front = fronts[place]
                if place == owner:
                    found += front
                    fronts[place] = next(streams[place], [])
                    continue
                search = bisect_right if place < owner else bisect_left
                cut = search(front, threshold, key=key)
                if cut:
                    found += front[:cut]
                    fronts[place] = front[cut:] or next(streams[place], [])
            self.sort(found, self.passes)
            yield found

    def close(self) -> None:
        self.file.close()


class Descending:
    """A key that compares the other way round."""

    __slots__ = ("key",)

    def __init__(self, key: Any) -> None:
        self.key = key

    def __lt__(self, other: Descending) -> bool:
        return bool(other.key < self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Descending) and bool(self.key == other.key)


def _merge_key(passes: Sequence[Pass]) -> Callable[[Row], Any]:
    """One key for all passes, for the few comparisons between runs."""
    if len(passes) == 1 and not passes[0][1]:
        return passes[0][0]
    significant = list(reversed(passes))
    return lambda row: tuple(
        [Descending(key(row)) if descending else key(row) for key, descending in significant]
    )


def top_rows(
    batches: Iterable[list[Row]],
    passes: Sequence[Pass],
    count: int,
    check: Callable[[], None],
    last: list[Any] | None = None,
    presorted: int = 0,
) -> list[Row]:
    """The first `count` rows in order.  Buffers a few times as many.

    Once so many are known, rows whose most significant key lies behind the last one's are dropped at once.
    `last`: the batches' source does so itself, by the key that is put there as soon as it is known.  `presorted`: by how
    many of the most significant keys the rows come in order, so that those behind the last one's run need not come."""
    if count <= 0:
        return []
    kept: list[Row] = []
    room = max(2 * count, 1024) if last is None else max(3 * count, 64)
    first, descending = passes[-1]
    threshold: Any = None
    in_order = [key for key, _ in passes[len(passes) - presorted :]]
    for batch in batches:
        if threshold is None or last is not None:
            kept += batch
        elif descending:
            kept += [row for row in batch if not first(row) < threshold]
        else:
            kept += [row for row in batch if not threshold < first(row)]
        if len(kept) > room:
            check()
            kept = _foremost(kept, passes, count)
            threshold = first(kept[-1])
            if last is not None:
                last[:] = [threshold]
        if in_order and batch and len(kept) >= count:
            end, latest = kept[count - 1], batch[-1]
            if any(key(end) != key(latest) for key in in_order):
                break
    return _foremost(kept, passes, count)


def _foremost(rows: list[Row], passes: Sequence[Pass], count: int) -> list[Row]:
    """The first `count` rows in order.  By several keys only those are sorted whose most significant one is among the
    first, for which the keys alone are sorted."""
    if len(passes) > 1 and len(rows) > 2 * count:
        first, descending = passes[-1]
        last = sorted(map(first, rows), reverse=descending)[count - 1]
        if descending:
            rows = [row for row in rows if not first(row) < last]
        else:
            rows = [row for row in rows if not last < first(row)]
    sort_rows(rows, passes)
    return rows[:count]
