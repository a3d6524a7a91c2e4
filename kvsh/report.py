"""Errors as people read them: where, what, a caret under the place, and the nearest name.

load.sql:3:15: error: no such table: artst
  SELECT * FROM artst;
                ^ did you mean artist?
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from btree import BusyError, ReadOnlyError, StoreError
from kvsh.arguments import CommandError
from kvsh.errors import with_notes
from kvsh.reader import RAW_WORDS, STATEMENT_WORDS

if TYPE_CHECKING:
    from kvsh.environment import Environment
    from kvsh.reader import Unit

LINE_MAX = 160
_SEARCHED_MAX = 1 << 16
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
"""What a terminal would act on; a place of a statement is shown with a blank for each."""


def is_known(error: BaseException) -> bool:
    """Whether the error is one that a user can be told in a sentence."""
    if isinstance(error, (StoreError, CommandError, OSError, UnicodeError)):
        return True
    from kvsh.chart import ChartError
    from kvsh.config import SettingError
    from kvsh.undo import UndoError
    from sql import SqlError

    return isinstance(error, (SqlError, ChartError, SettingError, UndoError))


def message_of(error: BaseException) -> str:
    """The error in one sentence, and what else it has cost."""
    return with_notes(error, _sentence_of(error))


def _sentence_of(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        name = f"{error.filename}: " if error.filename else ""
        return f"{name}{error.strerror}"
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, RecursionError):
        return "the statement is nested too deeply"
    if isinstance(error, MemoryError):
        return "out of memory"
    if not is_known(error):
        return _internal(error)
    text = str(error)
    token = getattr(error, "token", None) or ""
    if text.startswith("unrecognized token") and token[:1] in ("'", '"', "`", "["):
        return f"unclosed quote: {token.splitlines()[0][:40]}"
    return text or type(error).__name__


def _internal(error: BaseException) -> str:
    """A bug of ours: what and where, in one line that can be reported."""
    import logging
    import traceback

    logging.getLogger("kvsh").debug("internal error", exc_info=error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    file = "/".join(place.filename.split("/")[-2:])
    return (
        f"internal error: {type(error).__name__}: {error} ({file}:{place.lineno}); please report it"
    )


def report(environment: Environment, error: Exception, unit: Unit) -> None:
    """Print a unit's error."""
    for line in lines_of(environment, error, unit):
        environment.say(line)


def lines_of(environment: Environment, error: Exception, unit: Unit) -> list[str]:
    """The lines to print for an error."""
    if not is_known(error) and environment.path:
        from kvsh.damage import damage_behind

        error = damage_behind(error, environment.session) or error
    offset = getattr(error, "offset", None)
    if isinstance(error, CommandError):
        offset = error.column - 1
    text = unit.text
    if offset is None:
        offset = _only_place(getattr(error, "token", None), text)
    line, column, shown = unit.line, unit.column, ""
    if offset is not None:
        offset = min(max(offset, 0), len(text))
        before = text[:offset]
        rows = before.count("\n")
        line += rows
        start = before.rfind("\n") + 1
        column = offset - start + (unit.column if rows == 0 else 1)
        end = text.find("\n", offset)
        shown = text[start : end if end >= 0 else len(text)]
        caret = offset - start
    from kvsh.output.values import shown as escaped

    message = escaped(message_of(error))
    is_interrupted = message.partition(";")[0] == "interrupted"
    if is_interrupted and not environment.interrupted and environment.statement_timeout:
        is_interrupted = False
        limit = f"{environment.statement_timeout:g} s (.timeout)"
        message = f"cancelled: it took longer than {limit}{message.removeprefix('interrupted')}"
    if isinstance(error, ReadOnlyError) and environment.not_writable:
        message += f": {environment.path} may not be written ({environment.not_writable})"
    if not environment.source:  # one command from argv: there is no place to point at
        return [f"kvsh: {message}"]
    if environment.interactive:
        if is_interrupted:  # what the user wanted
            return [message]
        head = f"error: {message}"
    else:
        head = f"{environment.source}:{line}:{column}: error: {message}"
    screen = environment.screen if environment.interactive else None
    lines = _in_lines(head, screen)
    if environment.interactive and environment.paint:
        lines[0] = environment.paint("error", "error:") + lines[0].removeprefix("error:")
    if isinstance(error, CommandError) and error.is_told:
        return lines
    hint = _hint(error, text) or _columns_of(environment, error)
    if shown and offset is not None:
        room = LINE_MAX if screen is None else max(min(screen - 2, LINE_MAX), 10)
        if caret > room // 2 and _cells(shown) > room:
            cut = caret - room // 2
            shown, caret = "…" + shown[cut:], caret - cut + 1
        shown = shown[:room]
        while screen is not None and _cells(shown) > room:
            shown = shown[:-1]
        lines.append("  " + _CONTROL.sub(" ", shown))
        mark = "^" + (f" {hint}" if hint else "")
        if environment.interactive and environment.paint:
            mark = environment.paint("warning", mark)
        lines.append("  " + " " * _cells(shown[:caret]) + mark)
    elif hint:
        lines.append(f"  {hint}")
    return lines


def _in_lines(head: str, screen: int | None) -> list[str]:
    """A sentence in lines that the screen holds."""
    if screen is None or len(head) <= screen:
        return [head]
    import textwrap

    return textwrap.wrap(head, screen, subsequent_indent="  ", break_on_hyphens=False)


def _only_place(name: str | None, text: str) -> int | None:
    """Where a name stands in a statement, if that is one place."""
    if not name or len(text) > _SEARCHED_MAX:
        return None
    places = [found.start() for found in re.finditer(rf"(?<!\w){re.escape(name)}(?!\w)", text)]
    return places[0] if len(places) == 1 else None


def _cells(text: str) -> int:
    """The width of a line's beginning on a terminal."""
    if text.isascii():
        return len(text)
    from kvsh.output.tables import width_of

    return width_of(text)


_VERBS = STATEMENT_WORDS | RAW_WORDS | {"help", "quit", "exit"}
"""What a statement or a command begins with."""


def _hint(error: Exception, text: str) -> str:
    """What was meant, or how it is done here; "" if nothing tells."""
    if isinstance(error, BusyError):
        return "PRAGMA busy_timeout = 60000; waits for up to a minute, as kvsh --timeout 1m does"
    message = str(error)
    function = re.match(r"no such (?:table-valued )?function: (\w+)", message)
    if function is not None:
        from kvsh.commands.elsewhere import FUNCTIONS, TABLE_FUNCTIONS

        called = function[1].lower()
        if called in FUNCTIONS or called in TABLE_FUNCTIONS:
            return FUNCTIONS.get(called) or TABLE_FUNCTIONS[called]
    call = re.match(r"wrong number of arguments to function (\w+)\(\)", message)
    if call is not None:
        from kvsh.complete.words import FUNCTIONS as SIGNATURES

        return SIGNATURES.get(call[1].lower(), "")
    table = re.match(r"no such table: (\w+)\.(\w+)", message)
    if table is not None and re.search(rf"(?<!\w){table[1]}[ \t]*\n\s*\.{table[2]}(?!\w)", text):
        return f"is a semicolon missing before .{table[2]}?"
    names = getattr(error, "suggestions", ())
    if names:
        return f"did you mean {' or '.join(names[:3])}?"
    absent = re.match(r"no such (table|column): (\S+)\Z", message)
    if absent is not None:
        return _file_named(absent[2]) if absent[1] == "table" else _bare_text(absent[2], text)
    if message.startswith("Incorrect number of bindings"):
        return f"{_unset_in(text)}.param set NAME VALUE, or --param NAME=VALUE"
    if message == "incomplete input" and "\n" in text.strip():
        return f"what has no end begins with: {text.splitlines()[0][:40]}"
    if message == "incomplete input" and text.strip().lower() == "delete":
        return "usage: delete KEY... | --prefix P, or DELETE FROM TABLE ...;"
    offset = getattr(error, "offset", None)
    if offset is None or not ("syntax error" in message or "unrecognized token" in message):
        return ""
    if not offset:
        return _hint_at_start(text)
    return _hint_behind_start(text, offset) or _hint_inside(text, offset)


def _unset_in(text: str) -> str:
    """The parameters that nothing has been bound to: all of a statement's."""
    found = re.finditer(r"""'[^']*'|"[^"]*"|--[^\n]*|/\*.*?\*/|(\?\d*|[:@$]\w+)""", text, re.DOTALL)
    names = list(dict.fromkeys(match[1] for match in found if match[1]))
    if not 0 < len(names) <= _COLUMNS_NAMED_MAX:
        return "parameters: "
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} not set: "


def _bare_text(name: str, text: str) -> str:
    """What to say of a word that is compared, and may have been meant for a text."""
    compared = re.search(rf"(?:[=<>(]|\b(?:LIKE|GLOB))\s*{re.escape(name)}(?![\w.(])", text, re.I)
    return f"a text stands in quotes: '{name}'" if compared and name.isidentifier() else ""


def _file_named(text: str) -> str:
    """What to do with a file, if a statement is nothing but the name of one, or a table's name is."""
    import os

    from kvsh.transfer.formats import KVSH_HEAD, SQLITE_HEAD, promised
    from kvsh.transfer.sqlite_files import begins

    name = text.strip().removesuffix(";")
    if len(name.split()) != 1 or not os.path.isfile(name):
        return ""
    if begins(name, KVSH_HEAD):
        return f".open {name} opens the file"
    format = promised(name)
    if format == "sql":
        return f".read {name} runs the file"
    return f".import {name} loads the file" if format or begins(name, SQLITE_HEAD) else ""


def _hint_at_start(text: str) -> str:
    """What a statement that begins with no word of ours may have been meant for."""
    from difflib import get_close_matches

    from kvsh.commands import COMMANDS
    from kvsh.commands.elsewhere import STATEMENTS

    if text.startswith((".", "\\")) or not text.strip():
        return ""  # a command's own word was understood
    file = _file_named(text)
    if file:
        return file
    word, second = (*text.lower().replace(";", " ").split(None, 2), "", "")[:2]
    for key in (f"{word} {second}", word):
        if key in STATEMENTS:
            return STATEMENTS[key]
    bare = word.removesuffix("()")
    if bare in COMMANDS or f".{bare}" in COMMANDS:
        return f"did you mean {COMMANDS[bare if bare in COMMANDS else f'.{bare}'].name}?"
    near = get_close_matches(word, _VERBS, 1, 0.6)
    return f"did you mean {near[0]}?" if near else ""


def _hint_behind_start(text: str, offset: int) -> str:
    """What is said of an error at the second word, such as of CREATE DATABASE, or where a line begins a statement."""
    from kvsh.commands.elsewhere import STATEMENTS

    begun = " ".join(text[:offset].lower().split())
    at = _PIECE.match(text, offset)
    hint = STATEMENTS.get(f"{begun} {at[0].lower()}") if at is not None else None
    if hint is not None:
        return hint
    before = text[:offset].rstrip(" \t")
    is_first = before.endswith("\n")
    if is_first and (text[offset] in ".\\" or (at is not None and at[0].lower() in _VERBS)):
        return "is a semicolon missing before it?"
    return ""


def _columns_of(environment: Environment, error: Exception) -> str:
    """The columns that an INSERT has too few or too many values for."""
    found = re.match(r"table (.+) has \d+ columns but \d+ values were supplied", str(error))
    if found is None:
        return ""
    schema = environment.session.schema
    database, name = schema.parted(found[1])
    table = schema.find_table(name, database)
    names = [column.name for column in table.columns] if table is not None else []
    return f"{found[1]} ({', '.join(names)})" if 0 < len(names) <= _COLUMNS_NAMED_MAX else ""


_COLUMNS_NAMED_MAX = 20

_KEYWORDS = (
    "from", "where", "group", "order", "having", "limit", "offset", "join", "inner", "values", "into",
    "table", "index", "select", "between", "distinct", "union", "set", "on", "by", "transaction",
)  # fmt: skip

_PAIRS = {
    "delete": "DELETE FROM", "foreign": "FOREIGN KEY", "group": "GROUP BY", "insert": "INSERT INTO",
    "order": "ORDER BY", "partition": "PARTITION BY", "primary": "PRIMARY KEY",
}  # fmt: skip
"""Words that another one has to follow."""


def _hint_inside(text: str, offset: int) -> str:
    """What the word at the error, or the one before it, may have been meant for: `... FROM t were a > 1` fails at
    `a`, since `were` may name `t`."""
    from difflib import get_close_matches

    from kvsh.commands.elsewhere import FUNCTIONS, WORDS

    at = _PIECE.match(text, offset)
    before = re.search(r"(\w+)\s*\Z", text[:offset])
    words = [match[match.lastindex or 0].lower() for match in (at, before) if match is not None]
    if before is not None and words[-1] in _PAIRS:
        return f"did you mean {_PAIRS[words[-1]]}?"
    for word in words:
        if word in WORDS:
            return WORDS[word]
        near = get_close_matches(word, _KEYWORDS, 1, 0.7) if len(word) > 2 else []
        if near and near[0] != word:
            return f"did you mean {near[0]}?"
    if text.startswith("(", offset) and words and words[-1] in FUNCTIONS:
        return FUNCTIONS[words[-1]]
    return ""


_PIECE = re.compile(r":|\\\w*|\w+")
"""What an error may be at: a word, or a mark of another system's."""
