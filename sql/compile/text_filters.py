"""LIKE and GLOB over whole batches: a pattern becomes a function from a batch's texts to those that match.

A pattern that is a parameter is not known when the query is compiled, so the kind of pattern it is is
decided once per run.  Most kinds are a text to be searched for; a batch's texts are then put together, a
separator around each, and searched at once:

    LIKE 'ab%'    ab      |Abc|xab|   ->   "|ab" at 0

What is found is told apart by counting separators, so that a text that does not match costs its share of
`join`, `lower` and `split`: 10 to 15 ns, where a test for each costs 40 to 60, and a call 200.  A column that
is kept in memory keeps its texts together, too: then it is 5; and what a pattern that comes again has found in it.
Short texts that still lie in pages come from there as one text, and only those that match are made: 15 ns instead of 45.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, repeat
from operator import itemgetter
from sys import getsizeof
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from btree import Column, StoredColumn, as_it_lies, listed
from sql.compile.patterns import Predicate, glob_predicate, like_predicate
from sql.errors import SqlError
from sql.expressions import ROWID, ColumnRef, Expression, Match, SqlValue
from sql.run.coded import places_of
from sql.run.masks import RowTest
from sql.settled import is_settled
from sql.values import value_to_text

if TYPE_CHECKING:
    from sql.compile.scalar import ScalarCompiler

NULL, TEXT = 1, 8

Rows = list[Any]
RowFilter = Callable[[Iterable[Any]], list[Any]]
Texts = Sequence[Any]
"""Those of a batch, and NULLs."""
Columns = tuple[Texts, ...]
Finder = Callable[[Texts], Sequence[int]]
"""From texts to the places of those that match, ascending."""

PATTERN_CHARACTERS_MAX = 12_500
SEPARATOR = "\0"
FEW = 6
"""A search at once pays where at most one in so many texts matches."""
LONG = 256
"""Texts that are longer, on average, are searched one by one: to put them together takes longer than to ask."""
_SAMPLE = 8


class TextMatch(Struct):
    """A condition that a finder can decide: which column, and the finder's source."""

    column: int
    source: str


def match_condition(condition: Expression, number: int, scalar: ScalarCompiler) -> TextMatch | None:
    """A LIKE or GLOB of relation `number`'s column of texts by a pattern that is known when a run begins."""
    if not isinstance(condition, Match) or condition.op not in ("LIKE", "GLOB"):
        return None
    if condition.negated or condition.escape is not None:
        return None
    column = condition.operand
    if not isinstance(column, ColumnRef) or column.source != number or column.column == ROWID:
        return None
    kinds = scalar.kinds(column)
    if not is_settled(condition.pattern):
        return None
    if kinds & ~(TEXT | NULL) or not scalar.is_builtin(condition):
        return None
    pattern = scalar.value(condition.pattern)
    function = scalar.constants.function(text_finder)
    return TextMatch(column.column, f"{function}({condition.op!r}, {pattern})")


def row_filter(find: Finder, column: int) -> RowFilter:
    """The finder as a filter of rows, which may come one by one: what an index finds in several leaves."""
    text = itemgetter(column)

    def kept(rows: Iterable[Any]) -> list[Any]:
        if rows.__class__ is not list:
            rows = list(rows)
        return [rows[place] for place in find(list(map(text, rows)))]

    return kept


def matching_columns(
    batches: Iterable[Columns], place: int, find: Finder, used: bool
) -> Iterator[tuple[Sequence[Any], ...]]:
    """Of batches of columns the rows whose text, in the column at `place`, is found.

    `used`: the texts are wanted for more; else where they were found takes their place."""
    for batch in batches:
        found = find(batch[place])
        if not found:
            continue
        columns: list[Sequence[Any]] = []
        for number, column in enumerate(batch):
            if number == place and not used:
                columns.append(found)
            elif len(found) == len(column):
                columns.append(listed(column))
            else:
                column = as_it_lies(column)
                columns.append([column[at] for at in found])
        yield tuple(columns)


def text_finder(op: str, pattern: SqlValue) -> Finder:
    """The finder of `text LIKE pattern` (or GLOB)."""
    text = value_to_text(pattern)
    if text is None or isinstance(pattern, bytes):
        return _nothing
    if len(text) > PATTERN_CHARACTERS_MAX:
        raise SqlError("LIKE or GLOB pattern too complex")
    return _remembering(f"{op} {text!r}", _caseless(text) if op == "LIKE" else _exact(text))


def _remembering(key: str, find: Finder) -> Finder:
    """The finder, which leaves with a kept column what it has found (`sql.run.masks`)."""

    def mask_of(texts: Texts) -> bytes:
        mask = bytearray(len(texts))
        for place in find(texts):
            mask[place] = 1
        return bytes(mask)

    test = RowTest(key, (0,), mask_of)

    def found(texts: Texts) -> Sequence[int]:
        mask = test.decided((texts,))
        if mask is None:
            return find(texts)
        if isinstance(mask, bytes):
            return places_of(mask, int.from_bytes(mask, "little").bit_count())
        return range(len(texts)) if mask else ()

    return found


def _nothing(texts: Texts) -> Sequence[int]:
    return ()


def _everything(texts: Texts) -> Sequence[int]:
    if None in texts:
        return [place for place, text in enumerate(texts) if text is not None]
    return range(len(texts))


def _by_one(matches: Predicate) -> Finder:
    def find(texts: Texts) -> Sequence[int]:
        try:
            return [place for place, text in enumerate(texts) if matches(text)]
        except TypeError:  # there are NULLs
            return [place for place, text in enumerate(texts) if text is not None and matches(text)]

    return find


def _exact(pattern: str) -> Finder:
    """GLOB."""
    body = pattern.strip("*")
    matches = glob_predicate(pattern)
    if any(char in "*?[" for char in body):
        return _by_one(matches)
    before, after = pattern.startswith("*"), pattern.endswith("*")
    return _search(body, before, after, matches, folded=False)


def _caseless(pattern: str) -> Finder:
    """LIKE.  Only ASCII letters fold."""
    body = pattern.strip("%")
    matches = like_predicate(pattern, None)
    before, after = pattern.startswith("%"), pattern.endswith("%")
    low = _folded(body)
    if "%" not in body and SEPARATOR not in body:
        if "_" not in body:
            has_letters = any(char.isascii() and char.isalpha() for char in body)
            return _search(low, before, after, matches, folded=has_letters)
        if before and after:
            return _search_expression(low, matches)
    return _by_one(matches)


def _search(body: str, before: bool, after: bool, matches: Predicate, *, folded: bool) -> Finder:
    """Texts that hold `body`, with anything before and after it or not; `folded`: in either case."""
    if not body:
        if before or after:
            return _everything
        return lambda texts: [place for place, text in enumerate(texts) if text == ""]
    if SEPARATOR in body or not (before or after):
        return _by_one(matches)
    one_by_one = _by_one(matches)
    of_long = _of_long(_text_test(body, before, after, folded=folded))
    wanted = f"{'' if before else SEPARATOR}{body}{'' if after else SEPARATOR}"

    def find(texts: Texts) -> Sequence[int]:
        text = _together(texts, folded=folded)
        if text is None:
            return of_long(texts)
        pieces = text.split(wanted)
        if len(pieces) == 1:
            return ()
        if len(pieces) > len(texts) // FEW:
            bare = text[1:-1].split(SEPARATOR)
            if len(bare) != len(texts):
                return one_by_one(texts)
            if before and after:
                return [place for place, text in enumerate(bare) if body in text]
            test = str.startswith if after else str.endswith
            return [place for place, text in enumerate(bare) if test(text, body)]
        counts = list(map(str.count, pieces, repeat(SEPARATOR)))
        if sum(counts) + (len(pieces) - 1) * (2 - before - after) != len(texts) + 1:
            return one_by_one(texts)
        del counts[-1]
        counts[0] -= before  # else the separator that begins a text is found with it
        places = list(accumulate(counts))
        if before and after:
            return places if 0 not in counts else list(dict.fromkeys(places))  # some have it twice
        # The separators that were found themselves are in none of the pieces.
        return [place + nth for nth, place in enumerate(places)]

    return find


def _are_long(texts: Texts) -> bool:
    """Whether a few of them are, on average."""
    some = texts[:: len(texts) // _SAMPLE + 1]
    return sum([len(text) for text in some if text is not None]) > LONG * len(some)


def _of_long(matches: Predicate) -> Finder:
    def find(texts: Texts) -> Sequence[int]:
        return [place for place, text in enumerate(texts) if text is not None and matches(text)]

    return find


def _text_test(body: str, before: bool, after: bool, *, folded: bool) -> Predicate:
    """What `_search` looks for, in one text."""
    size = len(body)
    if before and after:
        return lambda text: body in (_folded(text) if folded else text)
    if after:
        return lambda text: (_folded(text[:size]) if folded else text[:size]) == body
    return lambda text: (_folded(text[-size:]) if folded else text[-size:]) == body


def _search_expression(body: str, matches: Predicate) -> Finder:
    """Texts that hold `body`, in which `_` stands for any character, in either case."""
    pattern = "".join(f"[^{SEPARATOR}]" if char == "_" else re.escape(char) for char in body)
    search = re.compile(pattern).finditer
    one_by_one = _by_one(matches)
    is_in = re.compile(pattern.replace(f"[^{SEPARATOR}]", "."), re.DOTALL).search
    of_long = _of_long(lambda text: is_in(_folded(text)) is not None)

    def find(texts: Texts) -> Sequence[int]:
        text = _together(texts, folded=True)
        if text is None:
            return of_long(texts)
        if text.count(SEPARATOR) != len(texts) + 1:
            return one_by_one(texts)
        found, place, at = [], -1, 0
        for match in search(text):
            start = match.start()
            separators = text.count(SEPARATOR, at, start)
            if separators:
                place += separators
                found.append(place)
            at = start
        return found

    return find


def _folded(text: str) -> str:
    """The text with its ASCII letters in lower case, and those alone, which is what `lower` of bytes does."""
    if text.isascii():
        return text.lower()
    return text.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


def _together(texts: Texts, *, folded: bool) -> str | None:
    """The texts with a separator around each; None if they are long.

    Whoever finds something has to see that there are no more separators than that, for a text may hold
    one; where nothing is found, nothing is to be told apart."""
    name = "folded text" if folded else "text"
    kept = texts.derived(name) if isinstance(texts, Column) else None
    if kept is not None:
        return str(kept)
    if isinstance(texts, StoredColumn):
        stored = texts.text_between(SEPARATOR, folded=folded)
        if stored is not None:
            return stored
    if not isinstance(texts, Column) and _are_long(texts):
        return None
    try:
        text = SEPARATOR.join(["", *texts, ""])
    except TypeError:  # there are NULLs
        text = SEPARATOR.join(["", *["" if text is None else text for text in texts], ""])
    if folded:
        text = _folded(text)
    if isinstance(texts, Column):
        texts.keep(name, text, getsizeof(text))
    return text
