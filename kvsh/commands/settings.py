"""Commands that set or show how the shell behaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvsh.arguments import Arguments, CommandError, UsageError, seconds
from kvsh.output import MODES

if TYPE_CHECKING:
    from kvsh.commands.command import Command
    from kvsh.environment import Environment
    from sql import SqlValue


TOPICS = {
    "modes": """\
box, table      a frame, of box-drawing characters or of ASCII
column          columns with blanks between
list            values with | between; .separator sets another
line            a line a column
csv, tsv        for spreadsheets; json, jsonl for programs
markdown, html  for documents
insert, quote   SQL: INSERT statements, literals
ascii, tcl      separators that no text has; words in quotes as of Tcl and C

example: .mode json
""",
    "quoting": """\
Words of commands:  bare  'single quoted, '' is a quote'  "double quoted, \\n \\t \\" work"  x'00ff' for bytes
SQL:                'a text'  "a name"  x'00ff'

example: put "a key" 'it''s a value'
""",
    "keys": """\
Enter       runs what is whole, else continues the line    Alt-Enter  runs it as it is
Tab         completes                                      Ctrl-R     searches the history
Ctrl-C      stops what runs, or drops the line             Ctrl-D     leaves
.config keys vi    for the keys of vi
""",
    "transactions": """\
BEGIN;  COMMIT;  ROLLBACK;  and  begin  commit  rollback  mean the same; SAVEPOINT, RELEASE and ROLLBACK TO
are SQL.  Raw commands and SQL share the transaction.  Without one, every statement is its own.

example: begin
""",
}
"""What .help explains besides commands."""


def help_(environment: Environment, arguments: Arguments) -> None:
    if not arguments.words and not arguments.has("--all"):
        environment.write(_overview(environment))
        return
    from kvsh.commands import COMMANDS, find

    name = arguments.words[0].text.lower() if arguments.words else "all"
    if name == "all":
        environment.write(_all_commands())
        return
    if name in TOPICS:
        environment.write(TOPICS[name])
        return
    from kvsh.commands.syntax import said_of

    of_sql = said_of(name)
    if name not in COMMANDS and f".{name}" in COMMANDS:
        name = f".{name}"
    if of_sql and name not in COMMANDS:
        environment.write(of_sql)
        return
    begun = {item.name for key, item in COMMANDS.items() if key.lstrip(".").startswith(name)}
    if len(begun) == 1:
        name = begun.pop()
    elif name not in COMMANDS and (lines := _lines_about(name)):
        environment.write("\n".join(lines) + "\n")
        return
    command = find(name)
    lines = [
        f"usage: {command.usage}",
        "",
        f"  {command.summary[0].upper()}{command.summary[1:]}.",
    ]
    lines += [f"  {line}" for line in _wrapped(command.help, _room(environment))]
    if command.aliases:
        lines.append(f"  Also: {', '.join(command.aliases)}")
    lines += ["", f"example: {command.example}"]
    environment.write("\n".join(lines) + "\n" + (f"\n{of_sql}" if of_sql else ""))


def _lines_about(word: str) -> list[str]:
    """A line for each command that the word stands in the name or the summary of."""
    from kvsh.commands import GROUPS

    return [
        _line_of(command)
        for commands in GROUPS.values()
        for command in commands
        if word in command.name or word in command.summary.lower()
    ]


def _overview(environment: Environment) -> str:
    """The commands' names under their headings, and something to begin with; on one screen."""
    from kvsh.chart import plain
    from kvsh.commands import GROUPS
    from kvsh.highlight import highlighted

    paint = environment.paint if environment.paint and environment.target.is_terminal else plain
    width = max(map(len, GROUPS)) + 2
    room = _room(environment)
    intro = "SQL ends with a semicolon and may span lines; commands end with the line."
    lines = [*_wrapped(intro, room), ""]
    for heading, commands in GROUPS.items():
        names = " ".join(command.name for command in commands)
        for number, line in enumerate(_wrapped(names, room - width)):
            label = ("" if number else heading).ljust(width)
            lines.append(f"  {paint('title', label)}{paint('command', line)}")
    lines += ["", "To begin with:"]
    for example, meaning in _FIRST_STEPS:
        blanks = " " * (46 - len(example))
        shown = highlighted(example, paint) if paint is not plain else example
        lines.append(f"  {shown}{blanks}{paint('dim', meaning)}" if room >= 72 else f"  {shown}")
    lines += [
        "",
        *_wrapped(
            ".help NAME explains a command with an example, .help all has a line on each.", room
        ),
        *_wrapped(f"Other topics: {', '.join(TOPICS)}, statements, functions.", room),
    ]
    return "\n".join(lines) + "\n"


def _room(environment: Environment) -> int:
    """Cells for a line of help, beside an indentation."""
    screen = environment.screen if environment.target.is_terminal else None
    return max(min(76, (screen or 80) - 4), 20)


_FIRST_STEPS = (
    (".import people.csv", "a file becomes a table"),
    ("SELECT * FROM people LIMIT 5;", "Tab completes names and values"),
    (".chart bar SELECT city, count(*) FROM people GROUP BY 1", ""),
    ('put greeting "hello"', "raw keys, in SQL the table kv"),
)


def _all_commands() -> str:
    """A line for each command."""
    from kvsh.commands import GROUPS

    lines: list[str] = []
    for heading, commands in GROUPS.items():
        lines += ["", heading] if lines else [heading]
        lines += map(_line_of, commands)
    return "\n".join(lines) + "\n"


def _line_of(command: Command) -> str:
    """A command and what it does."""
    usage = command.usage if len(command.usage) <= 30 else command.name + " ..."
    return f"  {usage:<31} {command.summary}"


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, width)


def quit_(environment: Environment, arguments: Arguments) -> None:
    from kvsh.environment import Leave

    status = 0
    if arguments.words:
        text = arguments.words[0].text
        if not text.isdecimal() or int(text) > 255:
            raise UsageError(
                f"the exit status is a number up to 255, not {text!r}", arguments.column_of(0)
            )
        status = int(text)
    raise Leave(status)


def mode(environment: Environment, arguments: Arguments) -> None:
    wrap = arguments.number("--wrap")
    if arguments.text("--wordwrap") not in (None, "on"):
        raise UsageError("words stay whole where they can: --wordwrap on is all there is")
    is_bare = True
    if arguments.words:
        name = arguments.words[0].text.lower()
        mode = _MODE_NAMES.get(name, name)
        if mode not in MODES:
            from kvsh.themes import nearest

            raise UsageError(
                f"no such mode: {name}{nearest(name, list(MODES))}; there are {', '.join(MODES)}",
                arguments.column_of(0),
            )
        environment.mode, is_bare = mode, False
        environment.separator = environment.row_separator = None
        environment.quotes = name == "qbox"
        environment.wrap = 60 if name == "qbox" else 0
    if len(arguments.words) > 1:
        environment.table_name = arguments.words[1].text
    for option, shown in (("--header", True), ("--headers", True), ("--noheader", False)):
        if arguments.has(option):
            environment.headers, is_bare = shown, False
    for option, quotes in (("--quote", True), ("--noquote", False)):
        if arguments.has(option):
            environment.quotes, is_bare = quotes, False
    if wrap is not None:
        environment.wrap, is_bare = wrap, False
    if is_bare:
        environment.write(f"{_mode_shown(environment)}\n")


_MODE_NAMES = {"tabs": "tsv", "columns": "column", "lines": "line", "qbox": "box"}
"""What sqlite3's shell calls some of them."""


def _mode_shown(environment: Environment) -> str:
    """The mode in force with its options."""
    wrap = f" --wrap {environment.wrap}" if environment.wrap else ""
    return f"{environment.mode}{wrap}{' --quote' if environment.quotes else ''}"


def _switched(environment: Environment, arguments: Arguments, now: bool) -> bool:
    """What a switch is set to; without a word it stays as it is, and is printed."""
    if not arguments.words:
        environment.write(f"{_on(now)}\n")
        return now
    text = arguments.words[0].text.lower()
    if text in ("on", "yes", "1", "true"):
        return True
    if text in ("off", "no", "0", "false"):
        return False
    raise UsageError(f"on or off, not {text!r}", arguments.column_of(0))


def _toggled(environment: Environment, arguments: Arguments, now: bool) -> bool:
    """What a toggle is set to; without a word it is the other."""
    return _switched(environment, arguments, now) if arguments.words else not now


def headers(environment: Environment, arguments: Arguments) -> None:
    shown = environment.style().headers
    if arguments.words:
        environment.headers = _switched(environment, arguments, shown)
    else:
        environment.write(f"{_on(shown)}\n")


def timer(environment: Environment, arguments: Arguments) -> None:
    is_on = _switched(environment, arguments, environment.timer != "off")
    if arguments.words:
        environment.timer = "on" if is_on else "off"


def bail(environment: Environment, arguments: Arguments) -> None:
    stops = not environment.keep_going
    environment.keep_going = not _switched(environment, arguments, stops)


def print_(environment: Environment, arguments: Arguments) -> None:
    environment.write(" ".join(arguments.texts()) + "\n")


def echo(environment: Environment, arguments: Arguments) -> None:
    environment.echo = _switched(environment, arguments, environment.echo)


def changes(environment: Environment, arguments: Arguments) -> None:
    environment.changes_shown = _switched(environment, arguments, environment.changes_shown)


def nullvalue(environment: Environment, arguments: Arguments) -> None:
    environment.null = arguments.words[0].text


def separator(environment: Environment, arguments: Arguments) -> None:
    from kvsh.arguments import unescaped

    texts = [unescaped(text) for text in arguments.texts()]
    environment.separator = texts[0]
    if len(texts) > 1:
        environment.row_separator = texts[1]


def expanded(environment: Environment, arguments: Arguments) -> None:
    is_on = environment.mode == "line"
    wanted = _toggled(environment, arguments, is_on)
    if wanted and not is_on:
        environment.mode_before, environment.mode = environment.mode, "line"
    elif is_on and not wanted:
        environment.mode = environment.mode_before or ("box" if environment.interactive else "list")
    environment.say(f"mode: {environment.mode}")


def timing(environment: Environment, arguments: Arguments) -> None:
    wanted = _toggled(environment, arguments, environment.timer != "off")
    environment.timer = "on" if wanted else "off"
    environment.say(f"timer: {_on(wanted)}")


def width(environment: Environment, arguments: Arguments) -> None:
    widths = []
    for place, word in enumerate(arguments.words):
        try:
            widths.append(int(word.text))
        except ValueError:
            raise UsageError(
                f"a width is a number, not {word.text!r}", arguments.column_of(place)
            ) from None
    environment.widths = widths


_EXPLAINS = {"off": "", "plan": " ", "on": " ", "analyze": "ANALYZE", "code": "CODE"}


def explain(environment: Environment, arguments: Arguments) -> None:
    if not arguments.words:
        environment.write(f"{_explained(environment)}\n")
        return
    name = arguments.words[0].text.lower()
    if name not in _EXPLAINS:
        raise UsageError(f"off, plan, analyze or code, not {name!r}", arguments.column_of(0))
    environment.explain = _EXPLAINS[name]


def eqp(environment: Environment, arguments: Arguments) -> None:
    if arguments.texts() == ["full"]:  # sqlite3's, with the plans of triggers and the bytecode
        environment.plans_first = True
        return
    environment.plans_first = _switched(environment, arguments, environment.plans_first)


def _explained(environment: Environment) -> str:
    """What is shown instead of results, by the words of `.explain`."""
    if not environment.explain:
        return "off"
    return environment.explain.strip().lower() or "plan"


def timeout(environment: Environment, arguments: Arguments) -> None:
    limit = seconds(arguments.words[0].text, arguments.column_of(0))
    environment.set_timeout(limit or None)


def show(environment: Environment, arguments: Arguments) -> None:
    from importlib.metadata import version

    headers_shown = (
        "as the mode has it" if environment.headers is None else _on(environment.headers)
    )
    limit = environment.statement_timeout
    rows = [
        ("version", version("kvsh")),
        ("database", environment.path or "memory"),
        ("readonly", _on(environment.store.readonly)),
        ("mode", _mode_shown(environment)),
        ("headers", headers_shown),
        ("nullvalue", repr(environment.null)),
        ("separator", repr(environment.separator or "")),
        ("row separator", repr(environment.row_separator or "")),
        ("width", " ".join(map(str, environment.widths))),
        ("timer", _on(environment.timer != "off")),
        ("changes", _on(environment.changes_shown)),
        ("echo", _on(environment.echo)),
        ("explain", _explained(environment)),
        ("eqp", _on(environment.plans_first)),
        ("timeout", f"{limit:g}s" if limit else "none"),
    ]
    environment.write("".join(f"{name:>13}: {value}\n" for name, value in rows))


def _on(value: bool) -> str:
    return "on" if value else "off"


def param(environment: Environment, arguments: Arguments) -> None:
    action, *words = arguments.words
    parameters = environment.parameters
    match action.text.lower(), len(words):
        case "set", 2:
            word = words[1]
            value: SqlValue
            if arguments.rest.endswith(f" {word.text}") and (word.text[0] + word.text[-1]) == "()":
                value = _value_of(environment, word.text, arguments.place_of(2))
            elif word.data is not None or word.quoted:
                value = word.bytes if word.data is not None else word.text
            else:
                value = number_or_text(word.text)
            parameters[words[0].text.lstrip(":@$")] = value
        case "list", 0:
            from kvsh.output.values import literal

            for name, value in sorted(parameters.items()):
                environment.write(f":{name} {literal(value)}\n")
        case "unset", 1:
            if parameters.pop(words[0].text.lstrip(":@$"), _ABSENT) is _ABSENT:
                raise CommandError(f"no such parameter: {words[0].text}", arguments.column_of(1))
        case "clear", 0:
            parameters.clear()
        case "init", 0:
            pass  # sqlite3's makes the table that it keeps parameters in
        case _:
            raise UsageError("usage: .param set NAME VALUE | list | unset NAME | clear")


_ABSENT = object()


def _value_of(environment: Environment, expression: str, place: int) -> SqlValue:
    """The value of an SQL expression in parentheses, such as a query; NULL if that gives no row."""
    from kvsh.environment import located
    from kvsh.transfer import TransferError, only_reading

    before = "SELECT "
    try:
        with located(place - len(before)), only_reading(environment.session):
            rows = environment.session.execute(before + expression, environment.bound()).fetch_all()
    except TransferError as error:
        raise CommandError(str(error)) from error
    return rows[0][0] if rows else None


def parameter(text: str) -> SqlValue:
    """The value of `--param NAME=VALUE`: that of a bare word, of 'a text' in quotes, or of x'00ff'."""
    from kvsh.arguments import split

    if text[:1] == "'" or text[:2].lower() == "x'":
        try:
            words = split(text)
        except UsageError:
            return text
        if len(words) == 1:
            return words[0].text if words[0].data is None else words[0].bytes
    return number_or_text(text)


def number_or_text(text: str) -> int | float | str | None:
    """What a bare word means: a number if that loses nothing of it (007 and +49 are texts), NULL, or a text."""
    from kvsh.transfer.values import INTEGER, REAL, kind_of

    if text.upper() == "NULL":
        return None
    kind = kind_of(text)
    if kind == INTEGER:
        return int(text)
    return float(text) if kind == REAL else text


class Bound(dict[str, "SqlValue"]):
    """Values of `.param`; what was not set is NULL."""

    def __missing__(self, key: str) -> None:
        return None

    def unnamed(self, place: int) -> SqlValue:
        """The value of the `?` at that place, from 1."""
        return self[str(place)]
