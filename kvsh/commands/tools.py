"""Charts, dry runs, undo, watching, the editor, settings and colours of the interactive shell."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

from kvsh.arguments import Arguments, CommandError, UsageError, seconds
from kvsh.environment import located
from kvsh.terminal import echo

if TYPE_CHECKING:
    from kvsh.config import Config
    from kvsh.environment import Environment

CHART_ROWS_MAX = 100_000


def _head(line: str) -> tuple[str, str]:
    """The first word of a line, and the rest."""
    word, _, rest = line.partition(" ")
    return word, rest.strip()


def chart(environment: Environment, arguments: Arguments) -> None:
    from itertools import chain, islice

    from kvsh.chart import draw
    from kvsh.transfer import TransferError, only_reading

    kind, query = _head(arguments.rest)
    if kind not in ("bar", "line", "hist", "spark") or not query:
        raise UsageError("usage: .chart bar|line|hist|spark SELECT ...", 8)
    try:
        with (
            located(arguments.start + arguments.rest.rindex(query)),
            only_reading(environment.session),
        ):
            result = environment.session.execute(query, environment.bound())
    except TransferError as error:
        raise CommandError(str(error)) from error
    try:
        if result.columns is None:
            raise CommandError("a chart needs a query that gives rows")
        names = [column.name for column in result.columns]
        rows = list(islice(chain.from_iterable(result.batches()), CHART_ROWS_MAX))
    finally:
        result.close()
    lines = draw(kind, names, rows, environment.canvas())
    environment.write("\n".join(lines) + "\n")


def watch(environment: Environment, arguments: Arguments) -> None:
    from kvsh.reader import Reader

    interval, statement = _head(arguments.rest)
    if not interval:
        raise UsageError("usage: .watch TIME [--times N] STATEMENT", 6)
    pause = seconds(interval)
    times = None
    if statement.startswith("--times "):
        number, statement = _head(statement.removeprefix("--times ").strip())
        if not number.isdecimal():
            raise UsageError(f"--times needs a whole number from 0 on, not {number!r}")
        times = int(number)
    shift = arguments.start + arguments.rest.rindex(statement) if statement else 0
    statement = statement or environment.last_statement
    if not statement:
        raise UsageError("usage: .watch TIME [--times N] STATEMENT", 8)
    reader = Reader()
    reader.feed(statement)
    units = list(reader.units(final=True))
    done = 0
    while True:
        with located(shift):
            for unit in units:
                environment.run(unit)
        environment.target.flush()
        done += 1
        if times is not None and done >= times:
            return
        end = time.monotonic() + pause
        while time.monotonic() < end:
            if environment.interrupted:
                return
            time.sleep(min(0.05, max(end - time.monotonic(), 0)))


def dry(environment: Environment, arguments: Arguments) -> None:
    from kvsh.undo import dry_run, said

    text = arguments.rest
    if not text:
        raise UsageError("usage: .dry STATEMENT", 6)
    session = environment.session
    with located(arguments.start):
        changes = dry_run(session, lambda: session.execute(text, environment.bound()).close())
    lines = said(changes, ("deletes", "inserts", "changes"))
    environment.write("\n".join(lines or ["changes nothing"]) + "\n")


def undo(environment: Environment, arguments: Arguments) -> None:
    from kvsh.undo import said

    if environment.undo_log is None:
        raise CommandError(".undo works in the interactive shell only; a script has ROLLBACK")
    statement, changes = environment.undo_log.undo(environment.session)
    environment.write(f"undone: {statement}\n")
    for line in said(changes, ("takes away", "brings back", "restores")):
        environment.write(f"  {line}\n")


def edit(environment: Environment, arguments: Arguments) -> None:
    if not environment.interactive:
        raise CommandError(".edit works in the interactive shell only")
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory(prefix="kvsh-") as folder:
        path = Path(folder) / "statement.sql"
        path.write_text(environment.last_statement, encoding="utf-8")
        with echo(sys.stdin, on=True):
            status = subprocess.run(f'{editor} "{path}"', shell=True, check=False).returncode
        if status:
            raise CommandError(f"{editor} ended with status {status}: nothing was taken over")
        environment.next_input = path.read_text(encoding="utf-8").rstrip()


def _config(environment: Environment) -> Config:
    if environment.config is None:
        from kvsh.config import Config

        environment.config = Config()
    return environment.config


def config(environment: Environment, arguments: Arguments) -> None:
    settings = _config(environment)
    words = arguments.texts()
    if len(words) == 2:
        settings.set(words[0], words[1], "session")
        return
    rows = [row for row in settings.rows() if not words or row[0] == words[0]]
    if words and not rows:
        from kvsh.config import setting

        setting(words[0])  # raises, with the nearest name
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    screen = environment.screen if environment.target.is_terminal else None
    is_wide = screen is None or sum(widths) + 2 * len(widths) <= screen
    for name, value, origin, help_text in rows:
        line = f"{name:<{widths[0]}}  {value:<{widths[1]}}  {origin:<{widths[2]}}"
        environment.write(f"{line}  {help_text}\n" if is_wide else f"{line.rstrip()}\n")
        if not is_wide:
            text = textwrap.wrap(help_text, max((screen or 80) - 5, 20))
            environment.write("".join(f"    {part}\n" for part in text))


def theme(environment: Environment, arguments: Arguments) -> None:
    settings = _config(environment)
    if arguments.words:
        settings.set("theme", arguments.words[0].text, "session")
        return
    chosen = settings["theme"]
    for name in settings.themes:
        environment.write(f"{'*' if name == chosen else ' '} {name}\n")


_SCRIPTS = {
    "bash": """\
_kvsh() {
    local current=${COMP_WORDS[COMP_CWORD]}
    if [[ $COMP_CWORD -eq 1 || $current == */* ]]; then
        COMPREPLY=($(compgen -f -- "$current"))
    elif [[ $current == -* ]]; then
        COMPREPLY=($(compgen -W "@OPTIONS@" -- "$current"))
    else
        COMPREPLY=($(compgen -W "@VERBS@" -- "$current"))
    fi
}
complete -o default -F _kvsh kvsh
""",
    "zsh": """\
#compdef kvsh
_arguments '1:database:_files' '2:command:(@VERBS@)' '*:options:(@OPTIONS@)'
""",
    "fish": """\
complete -c kvsh -n 'test (count (commandline -opc)) -eq 1' -F
complete -c kvsh -n 'test (count (commandline -opc)) -ge 2' -f -a '@VERBS@ @OPTIONS@'
""",
}


def completions(environment: Environment, arguments: Arguments) -> None:
    from kvsh.commands import COMMANDS
    from kvsh.options import option_names

    shell = arguments.words[0].text
    if shell not in _SCRIPTS:
        raise UsageError(f"bash, zsh or fish, not {shell!r}")
    verbs = " ".join(sorted({item.name for item in COMMANDS.values()}))
    script = _SCRIPTS[shell].replace("@VERBS@", verbs)
    script = script.replace("@OPTIONS@", " ".join(option_names()))
    environment.write(script)
