"""The words of a command line: bare, 'single' or "double" quoted, `x'00ff'` for bytes; and its options."""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"""\s*(?:
        [xX]'(?P<hex>[^']*)'(?=\s|\Z)
      | '(?P<single>(?:[^']|'')*)'(?=\s|\Z)
      | "(?P<double>(?:[^"\\]|\\.)*)"(?=\s|\Z)
      | (?P<bare>(?![xX]')[^\s'"][^\s]*)
    )""",
    re.VERBOSE | re.DOTALL,
)
_DOTTED_NAME = re.compile(r"""\s*((?:"[^"]*"\.(?:"[^"]*"|[\w%]+)|[\w%]+\."[^"]*")(?=\s|\Z))""")
"""The name of what is in a database, one of the two in double quotes."""

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}


class CommandError(Exception):
    """A command could not be done; the message says why, `column` at which word (from 1)."""

    is_told = False  # whether what is behind it has been reported, with its place

    def __init__(self, message: str, column: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.column = column


class UsageError(CommandError):
    """A command was used wrongly; the message says how."""


class Unfulfilled(Exception):
    """Not an error, but the status is 1: a key that is not there, problems that `.check` found."""


class Word:
    """One argument: its text, and its bytes if it was written as x'..'."""

    __slots__ = ("column", "data", "quoted", "text")

    def __init__(self, text: str, data: bytes | None, quoted: bool, column: int) -> None:
        self.text = text
        self.data = data
        self.quoted = quoted
        self.column = column

    @property
    def bytes(self) -> bytes:
        """The word as a key or value."""
        return self.text.encode("utf-8", "surrogateescape") if self.data is None else self.data


_ENDS = {
    "query": re.compile(r"\s*(?:SELECT|WITH|VALUES|PRAGMA|EXPLAIN)\b|\s*\(|\s*/\*", re.IGNORECASE),
    "parentheses": re.compile(r"\s*\("),
}
"""What a line may end in that is one word, as it was written; how it begins."""

_LAST_OPTION = r"\s--\w[\w-]*(?:(?:\s+|=)[^\s'\"]+)?\s*\Z"


def split(line: str, *, may_end_in: str = "", has_names: bool = False) -> list[Word]:
    """The words of a line.  `may_end_in` "query": a query behind the first word is one word, as it was written, and
    an option may follow it; "parentheses": so is what begins with one.  `has_names`: `"a database".name` is a word.
    Raises UsageError for an unclosed quote or bad hex."""
    last = _ENDS.get(may_end_in)
    words: list[Word] = []
    at = 0
    end = len(line.rstrip())
    while at < end:
        if last is not None and words and last.match(line, at):
            option = re.compile(_LAST_OPTION).search(line, at)
            after = end if option is None else option.start()
            query = line[at:after].strip()
            words.append(Word(query, None, True, line.index(query, at) + 1))
            at, last = after, None
            continue
        if has_names and (match := _DOTTED_NAME.match(line, at)):
            words.append(Word(match[1].replace('"', ""), None, True, match.start(1) + 1))
            at = match.end()
            continue
        match = _TOKEN.match(line, at)
        if match is None:
            place = at + len(line[at:]) - len(line[at:].lstrip())
            if line[place] in "'\"" or line[place : place + 2].lower() == "x'":
                raise UsageError(f"unclosed quote: {line[place:].rstrip()}", place + 1)
            raise UsageError(f"unexpected {line[place:].rstrip()!r}", place + 1)
        column = match.end() - len(match[0].lstrip()) + 1
        if match["hex"] is not None:
            words.append(_of_bytes(_hex(match["hex"], column), True, column))
        elif match["single"] is not None:
            words.append(Word(match["single"].replace("''", "'"), None, True, column))
        elif match["double"] is not None:
            words.append(Word(unescaped(match["double"]), None, True, column))
        else:
            words.append(Word(match["bare"], None, False, column))
        at = match.end()
    return words


def _hex(digits: str, column: int) -> bytes:
    try:
        return bytes.fromhex(digits)
    except ValueError:
        raise UsageError(f"x'{digits}' is not pairs of hexadecimal digits", column) from None


def unescaped(text: str) -> str:
    """What is between double quotes, with its escapes resolved."""
    if "\\" not in text:
        return text
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text, flags=re.DOTALL)


def given(tokens: list[str]) -> list[Word]:
    """Words from argv: taken as they are, but for `x'..'`."""
    words = []
    for place, token in enumerate(tokens, 1):
        match = re.fullmatch(r"[xX]'([0-9A-Fa-f]*)'", token)
        data = None if match is None else _hex(match[1], place)
        if data is None:
            words.append(Word(token, None, False, place))
        else:
            words.append(_of_bytes(data, False, place))
    return words


def _of_bytes(data: bytes, quoted: bool, column: int) -> Word:
    return Word(data.decode("utf-8", "surrogateescape"), data, quoted, column)


class Arguments:
    """The words after a command's name, options apart."""

    __slots__ = ("_options", "rest", "start", "words")

    def __init__(
        self, words: list[Word], options: dict[str, Word | None], rest: str = "", start: int = 0
    ) -> None:
        self.words = words
        self.start = start  # where the words (of `is_verbatim` commands: `rest`) begin in the line
        self._options = options
        self.rest = rest  # the line after the name, as it was written

    def place_of(self, index: int) -> int:
        """Where a word begins in the line; 0 if there is none."""
        return self.start + self.words[index].column - 1 if index < len(self.words) else 0

    def column_of(self, index: int) -> int:
        """The column (from 1) of a word, for an error that is about it."""
        return self.place_of(index) + 1

    def column_of_option(self, name: str) -> int:
        """The column (from 1) of the value given to an option."""
        word = self._options.get(name)
        return self.start + (1 if word is None else word.column)

    def texts(self) -> list[str]:
        """The words as text."""
        return [word.text for word in self.words]

    def has(self, option: str) -> bool:
        """Whether the option was given."""
        return option in self._options

    def option(self, name: str) -> Word | None:
        """The value given to an option; None if it was not given."""
        return self._options.get(name)

    def text(self, option: str) -> str | None:
        """The value given to an option, as text."""
        word = self._options.get(option)
        return None if word is None else word.text

    def number(self, option: str) -> int | None:
        """An option's whole number.  Raises UsageError."""
        word = self._options.get(option)
        if word is None:
            return None
        if not word.text.isdecimal():
            raise UsageError(
                f"{option} needs a whole number from 0 on, not {word.text!r}",
                self.column_of_option(option),
            )
        return int(word.text)


def parse(
    words: list[Word],
    known: dict[str, str],
    rest: str = "",
    start: int = 0,
    *,
    one_dash: bool = False,
) -> Arguments:
    """Separate options (`--name`, `--name VALUE`, `--name=VALUE`; `--` ends them) from words.

    `known`: option -> hint of its value, "" for a flag.  `one_dash`: `-name` is one, too, if it is known.  Raises
    UsageError for an unknown one."""
    plain: list[Word] = []
    options: dict[str, Word | None] = {}
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if word.quoted or not word.text.startswith("-") or word.data is not None:
            plain.append(word)
            continue
        if word.text == "--":
            plain += words[at:]
            break
        name, equals, text = word.text.partition("=")
        if one_dash and f"-{name}" in known:
            name = f"-{name}"
        elif not name.startswith("--"):
            plain.append(word)
            continue
        if name not in known:
            raise UsageError(f"unknown option: {name}{_nearest(name, known)}", word.column)
        if not known[name]:
            if equals:
                raise UsageError(f"{name} takes no value", word.column)
            options[name] = None
            continue
        value = Word(text, None, False, word.column)
        if not equals:
            if at >= len(words):
                raise UsageError(f"{name} needs a value", word.column)
            value = words[at]
            at += 1
        options[name] = value
    return Arguments(plain, options, rest, start)


def _nearest(name: str, known: dict[str, str]) -> str:
    if not known:
        return ""
    from kvsh.themes import nearest

    return nearest(name, list(known)) or f" (known: {', '.join(known)})"


_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|)\Z")
_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
SECONDS_MAX = 1e11
"""Three thousand years: clocks and expiries can be reckoned with up to there."""


def seconds(text: str, column: int = 1) -> float:
    """A duration such as 500ms, 30s, 5m, 2h, 7d; a bare number is seconds.  Raises UsageError, for the word in
    that column."""
    match = _DURATION.match(text.strip().lower())
    if match is None:
        raise UsageError(f"{text!r} is no duration: write 500ms, 30s, 5m, 2h or 7d", column)
    duration = float(match[1]) * _UNITS[match[2]]
    if duration > SECONDS_MAX:
        raise UsageError(f"{text!r} is too long", column)
    return duration
