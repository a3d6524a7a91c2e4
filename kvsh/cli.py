"""The command line.  `kvsh app.db get k` takes a short way that imports no click, no parser, no terminal.

    kvsh [DATABASE] [STATEMENT | raw command]     -c SQL, -f FILE (repeatable)
    stdin is a terminal: the shell; else a script

Exit status: 0 fine; 1 an error in a statement, or `get` of a missing key; 2 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from kvsh.reader import RAW_WORDS

MODE_OPTIONS = (
    "box", "table", "column", "list", "line", "csv", "tsv", "json", "jsonl", "markdown",
    "insert", "quote", "html",
)  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Run kvsh; the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    try:
        return _main(arguments)
    except BrokenPipeError:
        # `| head` has seen enough: end quietly, and keep Python's own flush from complaining.
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 1)
        return 0
    except KeyboardInterrupt:
        return 130


def _main(arguments: list[str]) -> int:
    signal.signal(signal.SIGTERM, _terminated)
    if len(arguments) >= 2 and arguments[0][:1] != "-" and arguments[1].lower() in RAW_WORDS:
        word = arguments[1].lower()
        if word != "delete" or len(arguments) > 2:
            return run({"database": arguments[0], "words": tuple(arguments[1:])})
    from kvsh.options import parse_options

    given = parse_options(arguments)
    return given if isinstance(given, int) else run(given)


def _terminated(_number: int, _frame: Any) -> None:
    """SIGTERM: leave as after Ctrl-C, rolling back and closing cleanly."""
    raise SystemExit(143)


def run(given: dict[str, Any]) -> int:
    """Run what the options ask for."""
    from btree import StoreError
    from kvsh.environment import Environment, Options

    words = given.get("words", ())
    path = given.get("database")
    if path in ("", ":memory:"):
        path = None
    if words and _reads_only(words) and path is not None and not os.path.exists(path):
        sys.stderr.write(f"kvsh: {path}: no such database\n")
        return 1
    options = Options(**given)
    try:
        environment = Environment(path, options, out=sys.stdout.buffer, err=sys.stderr)
    except (StoreError, OSError) as error:
        sys.stderr.write(f"kvsh: {_sentence(error)}\n")
        return 1
    status = 1
    try:
        _configure(environment, given)
        status = _dispatch(environment, given)
    finally:
        try:
            environment.close()
        except BrokenPipeError:
            raise
        except OSError as error:
            sys.stderr.write(f"kvsh: standard output: {error.strerror}\n")
            _discard_output()
            status = status or 1
    return status


def _discard_output() -> None:
    """What could not be written is lost; keep the interpreter from trying again."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)


def _sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def _reads_only(words: tuple[str, ...]) -> bool:
    return words[0].lower() in ("get", "exists", "scan", "count", "ttl")


def _configure(environment: Any, given: dict[str, Any]) -> None:
    terminal = os.isatty(1)
    environment.target.set_terminal(terminal)
    environment.target.eager = terminal
    if given.get("mode"):
        environment.mode = given["mode"]
    elif terminal:
        environment.mode = "box"
    if terminal:
        from kvsh.terminal import describe

        describe(environment)
    if "headers" in given:
        environment.headers = given["headers"]
    if given.get("null") is not None:
        environment.null = given["null"]
    if given.get("separator") is not None:
        environment.separator = given["separator"]
    if given.get("statement_timeout"):
        environment.set_timeout(given["statement_timeout"])
    environment.timer = given.get("timer", False)
    environment.echo = given.get("echo", False)


def _dispatch(environment: Any, given: dict[str, Any]) -> int:
    words = given.get("words", ())
    commands = given.get("commands", ())
    files = given.get("files", ())
    if words and words[0].lower() in RAW_WORDS:
        return _raw(environment, words)
    if not (words or commands or files) and os.isatty(0) and os.isatty(1):
        from kvsh.repl.run import run as run_shell

        return run_shell(environment)
    return _script(environment, given, words, commands, files)


def _raw(environment: Any, words: tuple[str, ...]) -> int:
    """One raw command from argv tokens, taken as they are."""
    from btree import StoreError
    from kvsh.arguments import UsageError, given, parse
    from kvsh.commands import find
    from kvsh.commands.raw import MissingKey

    try:
        command = find(words[0])
        command.run(environment, parse(given(list(words[1:])), command.options))
    except MissingKey:
        return 1
    except UsageError as error:
        sys.stderr.write(f"kvsh: {error.message}\n")
        return 2
    except (StoreError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        sys.stderr.write(f"kvsh: {_sentence(error)}\n")
        return 1
    environment.target.flush()
    return 0


def _script(
    environment: Any,
    given: dict[str, Any],
    words: tuple[str, ...],
    commands: tuple[str, ...],
    files: tuple[str, ...],
) -> int:
    from kvsh.repl.cancel import interruptible
    from kvsh.script import Script, run_path, run_stdin, run_text

    script = Script(environment, keep_going=given.get("keep_going", False))
    with interruptible(environment.interrupt):
        try:
            for path in files:
                if not run_path(script, path):
                    return script.status
            for command in commands:
                if not run_text(script, command, "<command>"):
                    return script.status
            if words:
                run_text(script, " ".join(words), "<argument>")
            elif not (files or commands):
                run_stdin(script, 0)
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            sys.stderr.write(f"kvsh: {_sentence(error)}\n")
            if environment.in_transaction():
                environment.rollback()
            return 1
    return script.status
