"""Output modes that write each row by itself: list, csv, tsv, json, jsonl, insert, quote, line, html.

A batch of integers and texts without anything special becomes text in one call (`bare_lines`).  Any other is
turned on its side, each column becomes text at once, and the rows are joined again: nothing is done for a
single value unless the values of a column differ in kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from kvsh.output import Batches, Style, Write
from kvsh.output.values import (
    Attempts,
    bare_lines,
    beside_null,
    columns_of,
    literal_column,
    name_literal,
    plain_column,
    replaced,
)


def write_list(write: Write, names: Sequence[str], batches: Batches, style: Style) -> None:
    """Values with a separator between."""
    _write_separated(write, names, batches, style, "|", "\n")


def write_ascii(write: Write, names: Sequence[str], batches: Batches, style: Style) -> None:
    """Values and rows that end with the unit and record separators of ASCII, which no text has."""
    _write_separated(write, names, batches, style, "\x1f", "\x1e")


def _write_separated(
    write: Write, names: Sequence[str], batches: Batches, style: Style, separator: str, end: str
) -> None:
    separator, end = _separators(style, separator, end)
    if style.headers:
        write(separator.join(names) + end)
    attempts = Attempts()
    for batch in batches:
        text = None
        if end == "\n" and attempts.are_due():
            text = bare_lines(batch, separator, style.null, style.kinds)
            attempts.note(success=text is not None)
        if text is None:
            columns = [plain_column(column, style.null) for column in columns_of(batch)]
            text = _joined(columns, separator, end)
        write(text)


def _write_words(
    write: Write,
    names: Sequence[str],
    batches: Batches,
    style: Style,
    separator: str,
    words: Callable[[Sequence[Any]], Iterable[str]],
) -> None:
    """Names and values as the `words` that are made of each column, a line a row."""
    separator, end = _separators(style, separator, "\n")
    if style.headers:
        write(separator.join(words(names)) + end)
    for batch in batches:
        write(_joined(list(map(words, columns_of(batch))), separator, end))


def _separators(style: Style, separator: str, end: str) -> tuple[str, str]:
    """What stands between values and behind rows: as was said, else as the mode has it."""
    return (
        separator if style.separator is None else style.separator,
        end if style.row_separator is None else style.row_separator,
    )


def _joined(columns: Sequence[Iterable[str]], separator: str, end: str = "\n") -> str:
    return end.join(map(separator.join, zip(*columns, strict=True))) + end


_TCL_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_TCL_PRINTABLE = (("\\", "\\\\"), ('"', '\\"'))
_TCL_ESCAPES = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def write_tcl(write: Write, names: Sequence[str], batches: Batches, style: Style) -> None:
    """Values in double quotes with the escapes of Tcl and C, and blanks between."""
    _write_words(
        write,
        names,
        batches,
        style,
        " ",
        lambda values: _tcl_words(list(plain_column(values, style.null))),
    )


def _tcl_words(texts: Sequence[str]) -> Iterable[str]:
    """Texts as words of Tcl: what most of them may have is escaped in all at once."""
    texts = replaced(texts, _TCL_PRINTABLE)
    if _TCL_CONTROL.search("".join(texts)):
        texts = [_TCL_CONTROL.sub(_tcl_escape, text) for text in texts]
    return [f'"{text}"' for text in texts]


def _tcl_escape(match: re.Match[str]) -> str:
    return _TCL_ESCAPES.get(match[0]) or f"\\{ord(match[0]):03o}"


def write_csv(write: Write, names: Sequence[str], batches: Batches, style: Style) -> None:
    """RFC 4180 with plain newlines; an empty text is `""`, NULL is nothing (or `.nullvalue`)."""
    separator = style.separator or ","
    end = style.row_separator if style.row_separator is not None else "\n"
    if style.headers:
        write(separator.join(csv_column(names, "", separator)) + end)
    attempts = Attempts()
    for batch in batches:
        text = None
        if separator == "," and end == "\n" and attempts.are_due():
            text = bare_lines(batch, ",", style.null, style.kinds, empty='""')
            attempts.note(success=text is not None)
        if text is None:
            columns = [csv_column(column, style.null, separator) for column in columns_of(batch)]
            text = _joined(columns, separator, end)
        write(text)


def csv_column(
    column: Sequence[Any],
    null: str,
    separator: str,
    *,
    empty: str = '""',
    texts_of: Callable[[Sequence[Any], str], Iterable[str]] = plain_column,
) -> Sequence[str]:
    """The fields of a column: `texts_of` its values, quoted if they have to be; `empty` for an empty text."""
    if None in column:
        return beside_null(
            column,
            null,
            lambda values: csv_column(values, null, separator, empty=empty, texts_of=texts_of),
        )
    texts = list(texts_of(column, null))
    joined = "\0".join(texts)
    special = [mark for mark in (separator, '"', "\n", "\r") if mark in joined]
    if not special:
        return texts if "" not in texts else [text or empty for text in texts]
    doubled = replaced(texts, (('"', '""'),))
    if len(special) == 1:
        mark = special[0]
        fields = [
            f'"{quoted}"' if mark in text else text
            for text, quoted in zip(texts, doubled, strict=True)
        ]
    else:
        found = re.compile("|".join(map(re.escape, special))).search
        fields = [
            f'"{quoted}"' if found(text) else text
            for text, quoted in zip(texts, doubled, strict=True)
        ]
    return fields if "" not in texts else [field or empty for field in fields]


_TSV_SPECIAL = re.compile(r"[\\\t\n\r]")
_TSV_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}


def write_tsv(write: Write, names: Sequence[str], batches: Batches, style: Style) -> None:
    """Tab-separated; tabs, newlines and backslashes in values are escaped."""
    if style.headers:
        write("\t".join(_tsv_column(names)) + "\n")
    (null,) = _tsv_column([style.null])
    attempts = Attempts()
    for batch in batches:
        text = None
        if attempts.are_due():
            text = bare_lines(batch, "\t", null, style.kinds)
            attempts.note(success=text is not None)
        if text is None:
            columns = [
                _tsv_column(list(plain_column(column, style.null))) for column in columns_of(batch)
            ]
            text = _joined(columns, "\t")
        write(text)


def _tsv_column(texts: Sequence[str]) -> Sequence[str]:
    if not _TSV_SPECIAL.search("".join(texts)):
        return texts
    return [_TSV_SPECIAL.sub(lambda match: _TSV_ESCAPES[match[0]], text) for text in texts]


def write_json(write: Write, names: Sequence[str], batches: Batches, style: Style) -> None:
    """One array of objects, a row a line."""
    from kvsh.output.objects import object_lines

    objects = object_lines(names)
    before = "["
    for batch in batches:
        write(before + objects(batch).replace("\n", ",\n"))
        before = ",\n"
    write("[]\n" if before == "[" else "]\n")


def write_jsonl(write: Write, names: Sequence[str], batches: Batches, style: Style) -> None:
    """One object a line."""
    from kvsh.output.objects import object_lines

    objects = object_lines(names)
    for batch in batches:
        write(objects(batch) + "\n")


def write_insert(write: Write, names: Sequence[str], batches: Batches, style: Style) -> None:
    """INSERT statements."""
    table = name_literal(style.table)
    columns = f"({','.join(map(name_literal, names))})" if style.headers else ""
    head = f"INSERT INTO {table}{columns} VALUES("
    for batch in batches:
        literals = [literal_column(column) for column in columns_of(batch)]
        rows = map(",".join, zip(*literals, strict=True))
        write(head + f");\n{head}".join(rows) + ");\n")


def write_quote(write: Write, names: Sequence[str], batches: Batches, style: Style) -> None:
    """SQL literals with a separator between."""
    _write_words(write, names, batches, style, ",", literal_column)


def write_lines(
    write: Write, names: Sequence[str], batches: Batches, style: Style, screen: int | None = None
) -> None:
    """`name = value`, a line a column, an empty line between rows.  `screen`: cells that a line may take; what is
    longer goes on below."""
    names, width = _flush_right(names)
    heads = [f"{name} = " for name in names]
    room = None if screen is None or screen - width - 3 < width else screen - width - 3
    before = ""
    for batch in batches:
        columns = [
            [
                head + text
                for text in _below_each_other(plain_column(column, style.null), room, width + 3)
            ]
            for head, column in zip(heads, columns_of(batch), strict=True)
        ]
        write(before + "\n\n".join(map("\n".join, zip(*columns, strict=True))) + "\n")
        before = "\n"


def _flush_right(names: Sequence[str]) -> tuple[list[str], int]:
    """The names, all of the widest one's width; and that width, in cells."""
    if "".join(names).isascii():
        width = max(map(len, names), default=0)
        return [name.rjust(width) for name in names], width
    from kvsh.output.tables import padded, width_of

    width = max(map(width_of, names))
    return [padded(name, width, right=True) for name in names], width


def _below_each_other(texts: Iterable[str], room: int | None, indent: int) -> Iterable[str]:
    """Texts in lines of `room` cells, if that is said; all but the first are indented."""
    if room is None:
        return texts
    from kvsh.output.tables import wrapped

    longest = room * _LINES_MAX
    glue = "\n" + " " * indent
    return [
        text
        if len(text) > longest
        else glue.join(part for line in text.split("\n") for part in wrapped(line, room, len(text)))
        for text in texts
    ]


_LINES_MAX = 50
"""Values that take more lines are left as they are: the terminal breaks them."""


def write_html(write: Write, names: Sequence[str], batches: Batches, style: Style) -> None:
    """A table of HTML."""
    write("<table>\n")
    if style.headers:
        cells = "</th><th>".join(replaced(names, (*_HTML_SIGNS, *_HTML_QUOTES)))
        write(f"<tr><th>{cells}</th></tr>\n")
    for batch in batches:
        columns = [
            replaced(list(plain_column(column, style.null)), _HTML_SIGNS)
            for column in columns_of(batch)
        ]
        rows = map("</td><td>".join, zip(*columns, strict=True))
        write("<tr><td>" + "</td></tr>\n<tr><td>".join(rows) + "</td></tr>\n")
    write("</table>\n")


_HTML_SIGNS = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"))
_HTML_QUOTES = (('"', "&quot;"), ("'", "&#x27;"))


WRITERS: dict[str, Callable[[Write, Sequence[str], Batches, Style], None]] = {
    "list": write_list,
    "csv": write_csv,
    "tsv": write_tsv,
    "json": write_json,
    "jsonl": write_jsonl,
    "insert": write_insert,
    "quote": write_quote,
    "html": write_html,
    "ascii": write_ascii,
    "tcl": write_tcl,
}
