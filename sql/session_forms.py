"""Statements of a script that are alike but for their literals, however they take turns, read without a parser.

    INSERT INTO orders VALUES (17, 'Ada', 12.5);
    INSERT INTO lines VALUES (17, 1, 'pen');
    INSERT INTO lines VALUES (17, 2, 'ink');
    UPDATE stock SET quantity = quantity - 1 WHERE item = 'pen';

are statements of three forms, each a plan with parameters.  What takes 6 us for a statement by itself, to find its
end, its shape and its values, takes 0.5 here: the text is split by what stands between its statements, each
of them is told by its beginning, and the literals of all that are of one form become values together.

A form is that of an INSERT of literals (`session_inserts.InsertForm`), whose values may be of any type, a shape
(`ShapeForm`, see `sql.parse.shape`), which has a type for each, or a text without values (`FixedForm`).  `read_run`
gives a `Run`: what has arrived and is of known forms, up to the first statement that is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from sql.parse import next_statement
from sql.session_inserts import InsertForm, literal_rows

Values = tuple[Any, ...]

REACH_MIN, REACH_MAX = 1 << 12, 1 << 18
"""Characters that are read at once: after what fails, and the most."""

_STATEMENTS_SPANNED = 4  # that are reached for, whatever their length
_BETWEEN = re.compile(r"(?:\s++|--[^\n]*+\n|/\*(?:[^*]|\*(?!/))*+\*/)*+")
_SPACES = re.compile(r"\s*+")
_LINE_COMMENT = re.compile(r"--[^\n]*+")
_MARK = re.compile(r"\?(/\*[tr]\*/)?")  # a lifted literal, with its type

# By the mark: a literal of that type in its simplest form, and what makes it a value.
_LITERALS: dict[str | None, tuple[str, Callable[[str], Any]]] = {
    None: (r"([0-9]{1,18}+)", int),
    "/*t*/": (r"'([^']*+(?:''[^']*+)*+)'", lambda text: text.replace("''", "'")),
    "/*r*/": (r"([0-9]++\.[0-9]++)", float),
}


class ShapeForm:
    """Statements of one shape, the text of which is the `key`; `opening`: up to the first literal."""

    __slots__ = ("_closing", "_fullmatch", "_lines", "_types", "key", "opening", "take_certain")

    def __init__(self, shape: str) -> None:
        parts = _MARK.split(shape.removesuffix(";"))
        literals = [_LITERALS[mark] for mark in parts[1::2]]
        patterns = [pattern for pattern, _ in literals]
        opening, *between, closing = map(re.escape, parts[::2])
        inside = "".join([a + b for a, b in zip(patterns, [*between, ""], strict=True)])
        self.key = shape
        self.opening, self._closing = parts[0], parts[-1]
        self._types = [make for _, make in literals]
        self._fullmatch = re.compile(opening + inside + closing).fullmatch
        self._lines = re.compile(f"^{inside}$", re.MULTILINE)
        self.take_certain = self.take

    def take(self, statement: str) -> tuple[str, ...] | None:
        """The literals of the statement, which has no semicolon, if it is of this shape."""
        match = self._fullmatch(statement)
        return None if match is None else match.groups()

    def sets(self, taken: list[tuple[str, ...]]) -> list[Values]:
        """The values of each statement."""
        columns = zip(*taken, strict=True)
        return list(zip(*map(map, self._types, columns), strict=True))

    def rows(self, text: str, gap: str) -> list[Values] | None:
        """The values of the statements in `text`, which have `gap` between them, if all are of this shape and none has
        several lines between its first literal and its last."""
        if not text.endswith(self._closing):
            return None
        between = self._closing + gap + self.opening
        inside = text[len(self.opening) : len(text) - len(self._closing)]
        count = inside.count(between)
        lines = inside.replace(between, "\n")
        found = self._lines.findall(lines)
        if not len(found) == count + 1 == lines.count("\n") + 1:
            return None
        return list(zip(map(self._types[0], found))) if len(self._types) == 1 else self.sets(found)


class FixedForm:
    """A statement that has no values, such as COMMIT; its text is the `key`."""

    __slots__ = ("key", "opening", "take_certain")

    def __init__(self, text: str) -> None:
        self.key = self.opening = text
        self.take_certain = self.take

    def take(self, statement: str) -> Values | None:
        """Its values, which are none, if the statement, which has no semicolon, is the same."""
        return () if statement == self.key[:-1] else None

    def sets(self, taken: list[Values]) -> list[Values]:
        """The values of each statement."""
        return taken

    def rows(self, text: str, gap: str) -> list[Values] | None:
        """None: it seldom follows itself."""
        return None


Form = InsertForm | ShapeForm | FixedForm


class Run:
    """Statements that follow each other in a text, and are of known forms.

    `order` has the place of its form among `forms` for each statement, `sets` the values of each form's
    statements in their order: one set a statement, or several for an INSERT of several rows.  `end` is the place
    behind the last one's semicolon."""

    __slots__ = ("_span", "_text", "end", "forms", "order", "sets")

    def __init__(
        self,
        text: str,
        forms: Sequence[Form],
        order: list[int],
        sets: list[list[Values]],
        span: Callable[[int], tuple[int, int]],
    ) -> None:
        self.forms, self.order, self.sets = forms, order, sets
        self._text, self._span = text, span
        self.end = span(len(order) - 1)[1]

    def statement(self, number: int) -> tuple[int, str]:
        """A statement's place, and its text up to the semicolon."""
        start, end = self._span(number)
        return start, self._text[start:end]

    def end_of(self, count: int) -> int:
        """The place behind so many statements."""
        return self._span(count - 1)[1]

    def has_several(self, place: int) -> bool:
        """Whether a form's statements have more than one set of values each."""
        return len(self.sets[place]) != self.order.count(place)

    def last_sets(self) -> int:
        """How many sets of values the last statement has."""
        if not self.has_several(self.order[-1]):
            return 1
        found = literal_rows(self.statement(len(self.order) - 1)[1])
        assert found is not None
        return len(found[1])


def read_run(text: str, start: int, forms: Sequence[Form], reach: int) -> Run | None:
    """The statements of these forms from `start` on, each with its semicolon, as far as they go within some `reach`
    characters; None if there are not two."""
    begin = _blank_end(text, start)
    openings = tuple([form.opening for form in forms])
    if not text.startswith(openings, begin):
        return None
    end = next_statement(text, begin)
    if end is None or not text.startswith(openings, _blank_end(text, end)):
        return None
    # A shape tells its statements from others that begin as they do, and so is asked first.
    forms = sorted(forms, key=lambda form: (isinstance(form, InsertForm), -len(form.opening)))
    reach = min(max(reach, REACH_MIN, _STATEMENTS_SPANNED * (end - begin)), REACH_MAX)
    window = text[begin : begin + reach]
    run = _split_run(text, window, forms, lambda offset: begin + offset)
    if run is None and "--" in window:
        run = _bare_run(text, begin, window, forms)
    return run or _careful_run(text, begin, begin + reach, forms)


def _split_run(
    text: str, window: str, forms: Sequence[Form], located: Callable[[int], int]
) -> Run | None:
    """The run in `window`, if what is between its first two statements is between all, and nowhere else.

    `located`: the place in the text of one in the window."""
    first = next_statement(window)
    if first is None:
        return None
    gap = window[first - 1 : _spaces_end(window, first)]
    cut = (
        gap[: gap.find("\n") + 1] or gap
    )  # blank lines, and lines of comments, belong to what they precede
    end = window.rfind(cut)
    if end < first:
        return None
    body = window[:end]
    span = _spans(body, cut, located)
    count = body.count(cut)
    for form in forms:
        if body.startswith(form.opening):
            if count == body.count(gap + form.opening):
                rows = form.rows(body, gap)
                if rows is not None:
                    return Run(text, (form,), [0] * (count + 1), [rows], span)
            break
    return _run_of(text, body.split(cut), forms, span)


def _spans(body: str, cut: str, located: Callable[[int], int]) -> Callable[[int], tuple[int, int]]:
    """What tells where a statement of `body` is in the text; seldom asked for more than the last one."""

    def span(number: int) -> tuple[int, int]:
        before = body.split(cut, number + 1)[: number + 1]
        end = sum(map(len, before)) + number * len(cut)
        start = _blank_end(body, end - len(before[-1]))
        return located(start), located(end) + 1

    return span


def _bare_run(text: str, begin: int, window: str, forms: Sequence[Form]) -> Run | None:
    """The run in a window with comments.  Lines stay lines: so places are found again."""
    window = window[: window.rfind("\n") + 1]
    bare = without_comments(window)

    def located(offset: int) -> int:
        line = bare.rfind("\n", 0, offset) + 1
        before = window.split("\n", bare.count("\n", 0, line))[:-1]
        return begin + sum(map(len, before)) + len(before) + offset - line

    return _split_run(text, bare, forms, located)


def without_comments(text: str) -> str:
    """A text with a carriage return in the place of each comment up to a line's end.

    That is as good as a space between tokens, and brings any text in which two hyphens are none to nothing (see
    `session_inserts`)."""
    return _LINE_COMMENT.sub("\r", text)


def _careful_run(text: str, start: int, limit: int, forms: Sequence[Form]) -> Run | None:
    """The run from `start` on, up to `limit` at most, whatever there is between its statements."""
    spans: list[tuple[int, int]] = []

    def statements() -> Iterator[str]:
        begin = start
        while (end := next_statement(text, begin)) is not None and end <= limit:
            spans.append((begin, end))
            yield text[begin : end - 1]
            begin = _blank_end(text, end)

    return _run_of(text, statements(), forms, spans.__getitem__, certain=True)


def _run_of(
    text: str,
    statements: Iterable[str],
    forms: Sequence[Form],
    span: Callable[[int], tuple[int, int]],
    *,
    certain: bool = False,
) -> Run | None:
    """The run that begins with these statements, which have no semicolons."""
    takes = [form.take_certain if certain else form.take for form in forms]
    taken: list[list[Any]] = [[] for _ in forms]
    order: list[int] = []
    for statement in statements:
        place, found = _told(statement, takes)
        if found is None and (begin := _blank_end(statement, 0)):
            place, found = _told(statement[begin:], takes)
        if found is None:
            break
        order.append(place)
        taken[place].append(found)
    if len(order) < 2:
        return None
    used = sorted(set(order))
    sets = [forms[place].sets(taken[place]) for place in used]
    if None in sets:
        return None
    if len(used) < len(forms):
        order = list(map(used.index, order)) if len(used) > 1 else [0] * len(order)
    return Run(text, [forms[place] for place in used], order, sets, span)  # type: ignore[arg-type]


def _told(statement: str, takes: Sequence[Callable[[str], Any]]) -> tuple[int, Any]:
    """Which of the forms a statement is of, and what that takes of it; None if it is of no form."""
    for place, take in enumerate(takes):
        found = take(statement)
        if found is not None:
            return place, found
    return -1, None


def _blank_end(text: str, start: int) -> int:
    """The place behind blanks and comments."""
    match = _BETWEEN.match(text, start)
    assert match is not None
    return match.end()


def _spaces_end(text: str, start: int) -> int:
    match = _SPACES.match(text, start)
    assert match is not None
    return match.end()
