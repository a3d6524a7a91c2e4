"""Completion of one-line commands: dot commands and raw verbs, by the hints of the table of commands.

An argument's hint says what belongs there: `key`, `file`, `directory`, `table`, `relation`, `index`, `topic` (of help), `sql`,
`one of a b c`, or anything that the completer's `hints` callable knows (`theme`, `setting`, ...); a hint that ends in
` of` is completed by the word before, as `value of theme`.
A hint of `sql` hands the rest of the line to the SQL completion; so does a query where a table's name could stand.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from kvsh.complete.names import quoted_name, relation_note
from kvsh.complete.ranking import Candidate, rank
from kvsh.complete.words import FUNCTIONS, STATEMENTS

if TYPE_CHECKING:
    from kvsh.complete.engine import CommandSpec, Completer, Proposal

KEYS_MAX = 60
_FILES_MAX = 200
_BARE = re.compile(r"[^\s'\";\x00-\x1f]+\Z")
_STATEMENT_WORDS = sorted({statement.partition(" ")[0].lower() for statement in STATEMENTS})
_QUERY_WORDS = frozenset(("SELECT", "WITH", "VALUES"))
_ARGUMENT = re.compile(r"'(?:[^'\\]|\\.|'')*(?:'|\Z)|\"(?:[^\"\\]|\\.|\"\")*(?:\"|\Z)|\S+")


class Argument(NamedTuple):
    """A word of the line; `quote` is the quote that it opens with, or ""."""

    text: str
    start: int
    quote: str


def complete_line(completer: Completer, text: str, start: int, cursor: int) -> list[Proposal]:
    """Proposals for the command line `text[start:...]` at the cursor."""
    head = text[start:cursor]
    words = [
        Argument(m.group(), start + m.start(), _quote(m.group())) for m in _ARGUMENT.finditer(head)
    ]
    is_new = not words or (words[-1].start + len(words[-1].text) < cursor) or _is_closed(words[-1])
    typed = Argument("", cursor, "") if is_new else words.pop()
    if not words:
        return _proposals(completer, _command_names(completer), typed)
    spec = _command(completer, words[0].text.lower())
    if spec is None:
        return []
    option, position = _place(spec, words[1:])
    hint = option if option is not None else _hint_at(spec, position)
    begun = next((word for word in words[1:] if word.text.upper() in _QUERY_WORDS), None)
    if begun is not None and option is None and spec.may_end_in_query:
        return completer.complete_sql(text, begun.start, len(text), cursor)
    if hint.endswith(" of"):
        hint = f"{hint} {words[-1].text}"
    if hint == "sql":
        sql_start = words[position + 1].start if position + 1 < len(words) else typed.start
        return completer.complete_sql(text, sql_start, len(text), cursor)
    found = list(_by_hint(completer, hint, _unquoted(typed)))
    if typed.text.startswith("-") or (not typed.text and option is None and not found):
        used = {word.text for word in words}
        found.extend(
            Candidate(name, "option", value or "", 4)
            for name, value in spec.options.items()
            if name not in used
        )
    return _proposals(completer, found, typed)


def _command(completer: Completer, name: str) -> CommandSpec | None:
    """The command of that name, or the only one that so begins."""
    known = completer.commands
    if name in known or not name.startswith("."):
        return known.get(name)
    meant = {spec.name: spec for other, spec in known.items() if other.startswith(name)}
    return meant.popitem()[1] if len(meant) == 1 else None


def _quote(text: str) -> str:
    return text[0] if text[:1] in ("'", '"') else ""


def _is_closed(word: Argument) -> bool:
    return bool(word.quote) and len(word.text) > 1 and word.text.endswith(word.quote)


def _unquoted(word: Argument) -> str:
    return word.text[1:] if word.quote else word.text


def _place(spec: CommandSpec, words: list[Argument]) -> tuple[str | None, int]:
    """(hint of the option whose value is next, or None; number of positional arguments before)."""
    position = 0
    pending: str | None = None
    for word in words:
        if pending is not None:
            pending = None
        elif word.text in spec.options:
            pending = spec.options[word.text] or None
        else:
            position += 1
            if _hint_at(spec, position - 1) == "sql":
                return None, position - 1
    return pending, position


def _hint_at(spec: CommandSpec, position: int) -> str:
    if not spec.arguments:
        return ""
    return (
        spec.arguments[min(position, len(spec.arguments) - 1)]
        if (position < len(spec.arguments) or spec.arguments[-1].endswith("..."))
        else ""
    )


def _by_hint(completer: Completer, hint: str, typed: str) -> list[Candidate]:
    hint = hint.removesuffix("...")
    if hint.startswith("one of "):
        return [Candidate(word, "argument", weight=0) for word in hint.split()[2:]]
    schema = completer.catalog.schema
    if hint == "key":
        return [
            Candidate(datum.text, "key" if datum.whole else "keys", datum.note, 0)
            for datum in completer.catalog.keys(typed, KEYS_MAX)
        ]
    if hint in ("table", "relation"):
        return [
            Candidate(
                quoted_name(relation.name), relation.kind, relation_note(relation), 1, relation.name
            )
            for relation in schema().relations.values()
        ]
    if hint == "index":
        return [
            Candidate(quoted_name(name), "index", f"on {table}", 1, name)
            for name, table in schema().indexes.items()
        ]
    if hint in ("file", "directory"):
        return file_candidates(typed, only_directories=hint == "directory")
    if hint == "topic":
        return [
            *_command_names(completer, with_aliases=False),
            *(Candidate(word, "keyword", "syntax", 2) for word in _STATEMENT_WORDS),
            *(Candidate(name, "function", call, 3) for name, call in FUNCTIONS.items()),
        ]
    return list(completer.hints(hint, typed)) if completer.hints is not None and hint else []


def _command_names(completer: Completer, *, with_aliases: bool = True) -> list[Candidate]:
    found = []
    for name, spec in completer.commands.items():
        is_alias = name != spec.name
        if is_alias and not with_aliases:
            continue
        note = f"{spec.name}: {spec.note}" if is_alias else spec.note
        found.append(Candidate(name, "command", note, 2 if is_alias else 1))
    return found


def file_candidates(typed: str, *, only_directories: bool = False) -> list[Candidate]:
    """Files whose path starts with what is typed; directories end with the separator."""
    directory, name = os.path.split(typed)
    try:
        with os.scandir(os.path.expanduser(directory) or ".") as entries:
            listed = sorted(
                (
                    (entry.name, entry.is_dir())
                    for entry in entries
                    if entry.name.startswith(name) and (name or not entry.name.startswith("."))
                ),
            )[:_FILES_MAX]
    except OSError:  # no such directory, or one that may not be read: nothing to offer
        return []
    return [
        Candidate(
            os.path.join(directory, found) + (os.sep if is_directory else ""),
            "directory" if is_directory else "file",
            weight=1 if is_directory else 0,
        )
        for found, is_directory in listed
        if is_directory or not only_directories
    ]


def _proposals(completer: Completer, found: list[Candidate], typed: Argument) -> list[Proposal]:
    from kvsh.complete.engine import PROPOSALS_MAX, Proposal

    plain = _unquoted(typed)
    ranked = rank(found, plain, used=completer.used, limit=PROPOSALS_MAX)
    proposals = []
    for candidate in ranked:
        insert = quoted_argument(
            candidate.text, typed.quote, whole=candidate.kind not in ("keys", "directory")
        )
        if insert != typed.text or len(ranked) > 1:
            proposals.append(
                Proposal(
                    insert,
                    typed.start,
                    candidate.kind,
                    candidate.note,
                    candidate.display or candidate.text,
                )
            )
    return proposals


def quoted_argument(text: str, quote: str = "", *, whole: bool = True) -> str:
    """A key or path as it is typed in a command line; in quotes where it must be, or where `quote` opened them.

    >>> quoted_argument("user:1"), quoted_argument("two words"), quoted_argument("us", "'", whole=False)
    ('user:1', "'two words'", "'us")
    """
    if text.startswith(("'", '"')) and not quote:
        return text
    if not quote and _BARE.match(text):
        return text
    quote = quote or "'"
    return quote + text.replace(quote, quote * 2) + (quote if whole else "")
