"""Which candidates match what was typed, and in which order they are offered.

A candidate matches by prefix, by the start of one of its words (`id` in `artist_id`, `ar` in
`ArtistId`), or as a scattered subsequence (`arid`).  Quality comes first, then how likely its class is
at that place (a column before a keyword in WHERE), then how often it was used, then the order in which
it was offered.  Case never matters for matching; the same case is a small plus.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Candidate(NamedTuple):
    """Something to insert.  `text` is inserted, `match` is what the typed word is compared with.

    `weight` orders classes at equal quality, lower first.  `kind` names the class for colour: keyword,
    table, view, column, function, value, key, join, alias, command, file, type, argument."""

    text: str
    kind: str
    note: str = ""
    weight: int = 0
    match: str = ""
    display: str = ""


EXACT, PREFIX, WORD_START, SCATTERED, NO_MATCH = 0, 1, 2, 3, 9


def quality(candidate: str, typed: str) -> int:
    """How well the lower-case `typed` matches `candidate`: lower is better, NO_MATCH not at all.

    >>> quality("ArtistId", "art"), quality("ArtistId", "id"), quality("ArtistId", "atd")
    (1, 2, 3)
    >>> quality("ArtistId", "x")
    9
    """
    lowered = candidate.lower()
    if lowered.startswith(typed):
        return EXACT if len(lowered) == len(typed) else PREFIX
    position = lowered.find(typed)
    if position < 0:
        if len(typed) < 2 or lowered[:1] != typed[0]:
            return NO_MATCH
        return SCATTERED if is_subsequence(typed, lowered) else NO_MATCH
    while position > 0:
        if not lowered[position - 1].isalnum() or _is_hump(candidate, position):
            return WORD_START
        position = lowered.find(typed, position + 1)
    return SCATTERED if len(typed) > 1 else NO_MATCH


def _is_hump(text: str, position: int) -> bool:
    return text[position].isupper() and not text[position - 1].isupper()


def is_subsequence(typed: str, lowered: str) -> bool:
    """Whether the letters of `typed` come in `lowered` in their order."""
    position = 0
    for letter in typed:
        position = lowered.find(letter, position) + 1
        if not position:
            return False
    return True


def rank(
    candidates: Iterable[Candidate], typed: str, *, used: Mapping[str, int], limit: int
) -> list[Candidate]:
    """The candidates that match, best first, each text once, at most `limit`."""
    lowered = typed.lower()
    found: list[tuple[tuple[int, int, int, int, int], Candidate]] = []
    seen: set[str] = set()
    for order, candidate in enumerate(candidates):
        match = candidate.match or candidate.text
        grade = quality(match, lowered) if lowered else PREFIX
        if grade == NO_MATCH or candidate.text in seen:
            continue
        seen.add(candidate.text)
        is_other_case = 0 if match.startswith(typed) else 1
        uses = -min(used.get(match.lower(), 0), 50)
        key = (grade, candidate.weight, is_other_case, uses, order)
        found.append((key, candidate))
    found.sort(key=lambda pair: pair[0])
    return [candidate for _, candidate in found[:limit]]
