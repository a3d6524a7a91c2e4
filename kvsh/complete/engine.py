"""Completion from text and cursor to ranked proposals: the one entry, for SQL, raw and dot commands.

The buffer may hold several statements.  The one under the cursor is completed; a line that starts
with `.` or a raw verb is a command and ends with its line, everything else is SQL up to its `;`.

Pure: what it knows of the database comes through `Catalog`, of commands through `CommandSpec`s.
Budget: under 10 ms with 500 tables; a statement longer than `WINDOW_BEFORE` characters is looked at through
a window around the cursor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from kvsh.complete.candidates import candidates
from kvsh.complete.catalog import Catalog
from kvsh.complete.names import quoted_name
from kvsh.complete.ranking import Candidate, rank
from kvsh.complete.scope import Situation, situate
from kvsh.complete.tokens import COMMENT, QUOTED, WORD, Token, significant, tokenize
from kvsh.complete.words import FUNCTIONS, KEYWORDS

WINDOW_BEFORE, WINDOW_AFTER = 16_384, 4_096
"""Characters around the cursor that are looked at in a very long statement."""

PROPOSALS_MAX = 200
_NO_NAMES = frozenset(("keyword", "function", "template"))
"""Kinds of candidates that mean nothing in quotes."""


class Proposal(NamedTuple):
    """One completion: replace `text[start:cursor]` by `insert`."""

    insert: str
    start: int
    kind: str
    note: str
    display: str


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """A dot or raw command as completion sees it.

    `arguments` are hints by position (`key`, `file`, `table`, `sql`, `one of a b c`, ...; the last one
    serves all further positions), `options` maps `--name` to the hint of its value ("" for a flag)."""

    name: str
    kind: str  # raw | dot
    note: str = ""
    arguments: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    may_end_in_query: bool = False
    usage: str = ""  # how it is used, with its name


@dataclass(slots=True)
class Completer:
    """Completion over one catalog and one table of commands.

    `hints` gives candidates for a command argument's hint: hint, typed word -> candidates.
    `is_command` says whether a line is a raw or dot command rather than SQL."""

    catalog: Catalog
    commands: Mapping[str, CommandSpec] = field(default_factory=dict)
    hints: Callable[[str, str], Sequence[Candidate]] | None = None
    is_command: Callable[[str], bool] | None = None
    keyword_case: str = "auto"  # auto | upper | lower
    used: dict[str, int] = field(default_factory=dict)

    def complete(self, text: str, cursor: int | None = None) -> list[Proposal]:
        """Proposals at the cursor (default: the end of the text), best first."""
        at = len(text) if cursor is None else cursor
        start, end, is_command = self._statement_at(text, at)
        if is_command:
            from kvsh.complete.lines import complete_line

            return complete_line(self, text, start, at)
        return self.complete_sql(text, start, end, at)

    def complete_sql(self, text: str, start: int, end: int, cursor: int) -> list[Proposal]:
        """Proposals for the SQL statement `text[start:end]`."""
        start = max(start, cursor - WINDOW_BEFORE)
        tokens = tokenize(text, start, min(end, cursor + WINDOW_AFTER))
        if any(token.kind == COMMENT and _inside_comment(token, cursor) for token in tokens):
            return []
        tokens = significant(tokens)
        situation = situate(tokens, cursor)
        return self._proposals(situation, self._candidates(situation))

    def _candidates(self, situation: Situation) -> list[Candidate]:
        found = list(candidates(situation, self.catalog))
        if not situation.before and situation.word is not None and situation.word.kind == WORD:
            found.extend(self.raw_verbs())
        return found

    def raw_verbs(self) -> list[Candidate]:
        """The commands that begin with no dot as candidates for the start of a statement."""
        return [
            Candidate(name, "command", spec.note, 5, name)
            for name, spec in self.commands.items()
            if not name.startswith(".")
        ]

    def _proposals(self, situation: Situation, found: list[Candidate]) -> list[Proposal]:
        word = situation.word
        typed = word.name if word is not None else ""
        start = word.start if word is not None else situation.cursor
        if word is None and situation.previous is not None and _is_settled(situation):
            return []
        lower = self._lower_case(situation, typed)
        is_quoted = word is not None and word.kind == QUOTED
        if is_quoted:
            found = [candidate for candidate in found if candidate.kind not in _NO_NAMES]
        ranked = rank(found, typed, used=self.used, limit=PROPOSALS_MAX)
        proposals = []
        for candidate in ranked:
            insert = candidate.text
            if lower and candidate.kind == "keyword":
                insert = insert.lower()
            elif lower and candidate.kind == "template":
                insert = insert.replace(") VALUES (", ") values (")
            if is_quoted:
                insert = _within_quotes(candidate, word)
            if insert == typed and len(ranked) == 1:
                continue
            proposals.append(
                Proposal(insert, start, candidate.kind, candidate.note, candidate.display or insert)
            )
        return proposals

    def _lower_case(self, situation: Situation, typed: str) -> bool:
        if self.keyword_case != "auto":
            return self.keyword_case == "lower"
        if typed:
            return typed[-1].islower()
        return any(
            token.kind == WORD and token.text.islower() and token.upper in KEYWORDS
            for token in situation.before
        )

    # -- which statement ---------------------------------------------------------------------------

    def _statement_at(self, text: str, cursor: int) -> tuple[int, int, bool]:
        """(start, end, is command) of the statement that the cursor is in."""
        position = 0
        size = len(text)
        while True:
            while position < size and text[position].isspace():
                position += 1
            if position >= size or position > cursor:
                return min(position, cursor), size, False
            line_end = text.find("\n", position)
            line_end = size if line_end < 0 else line_end
            if self._is_command(text[position:line_end]):
                if cursor <= line_end:
                    return position, line_end, True
                position = line_end
                continue
            end = _sql_end(text, position)
            if cursor < end or (end >= size and not text.endswith(";", position, end)):
                return position, end, False
            if cursor == end:
                return cursor, size, False
            position = end

    def _is_command(self, line: str) -> bool:
        if line.startswith("."):
            return True
        if self.is_command is not None:
            return self.is_command(line)
        verb, _, rest = line.partition(" ")
        spec = self.commands.get(verb.lower())
        return bool(rest or line.endswith(" ")) and spec is not None and spec.kind == "raw"


def _sql_end(text: str, start: int) -> int:
    """The offset after the `;` that ends the statement at `start`, or the text's end."""
    if text.find(";", start) < 0:
        return len(text)
    for token in tokenize(text, start):
        if token.text == ";":
            return token.end
    return len(text)


def _inside_comment(token: Token, cursor: int) -> bool:
    if token.text.startswith("--"):
        return token.start + 1 < cursor <= token.end
    return token.start + 1 < cursor and (cursor < token.end or not token.closed)


def _is_settled(situation: Situation) -> bool:
    """Whether the cursor touches a token that nothing should be glued to (`42|`, `'x'|`, `a)|`)."""
    previous = situation.previous
    assert previous is not None
    if previous.end != situation.cursor:
        return False
    return previous.kind != "operator" or previous.text in (")", "*", ";")


def _within_quotes(candidate: Candidate, word: Token | None) -> str:
    assert word is not None
    opener = word.text[0]
    closer = "]" if opener == "[" else opener
    name = candidate.match or candidate.text
    return opener + (name if closer == "]" else name.replace(closer, closer * 2)) + closer


# -- hints beside completion -------------------------------------------------------------------------


class Signature(NamedTuple):
    """The call that the cursor is in: its signature and the argument (0-based) being typed."""

    text: str
    argument: int


def signature_at(text: str, cursor: int, catalog: Catalog) -> Signature | None:
    """The function, or the row of VALUES, whose parentheses the cursor is in; None outside any."""
    start = max(0, cursor - WINDOW_BEFORE)
    situation = situate(significant(tokenize(text, start, cursor)), cursor)
    frame = situation.frame
    if frame.opener == "call" and frame.call.lower() in FUNCTIONS:
        return Signature(FUNCTIONS[frame.call.lower()], frame.arguments)
    if frame.opener == "row" and frame.block.sources:
        relation = catalog.schema().relation(frame.block.sources[0].name)
        if relation is not None:
            names = ", ".join(f"{quoted_name(c.name)} {c.type}".strip() for c in relation.columns)
            return Signature(f"{relation.name}({names})", frame.arguments)
    return None
