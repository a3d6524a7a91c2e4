"""The command line.  Without options it takes a short way that imports no click; a raw command imports no
parser, and only the shell on a terminal imports a line editor.

    kvsh [OPTIONS] [DATABASE] [STATEMENT | COMMAND WORD...]
    stdin is a terminal: the shell; else a script

Exit status: 0 fine; 1 an error in a statement, or `get` of a missing key; 2 wrong usage; 130 interrupted,
129 and 143 stopped by SIGHUP and SIGTERM.
"""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
from typing import TYPE_CHECKING

from kvsh.reader import RAW_WORDS, STATEMENT_WORDS

if TYPE_CHECKING:
    from types import FrameType

    from kvsh.environment import Environment
    from kvsh.opened import Given
    from kvsh.script import Script

OK, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130

_READING_WORDS = frozenset(
    (
        "get", "exists", "scan", "count", "ttl", "delete", "del", "expire", "persist", ".tables",
        ".schema", ".indexes", ".indices", ".dump", ".export", ".stats", ".log", ".tree", ".page",
        ".where", ".check", ".repair", ".compact", ".checkpoint", ".backup", ".crash", ".chart",
    )
)  # fmt: skip
"""Commands that have nothing to do in a database that is not there."""

_QUERY_WORDS = frozenset(("select", "values", "explain"))
_BREAKS = tuple(" \t\n(*'\"-+/")
"""What may follow the first word of a statement."""


def _import_msgspec() -> None:
    """Import msgspec without typing_extensions, which it asks for in vain where that is not installed.

    Where it is, it brings `inspect` and the parser of Python's own source with it: 8 of the 15 ms that msgspec takes.
    For the process's own program alone, which has no other thread yet that might ask for it."""
    if "typing_extensions" not in sys.modules:
        sys.modules["typing_extensions"] = None  # type: ignore[assignment]
        try:
            import msgspec  # noqa: F401
        finally:
            del sys.modules["typing_extensions"]


def main(argv: list[str] | None = None) -> int:
    """Run kvsh; the exit status.  As the process's own program (`argv` None) it ends the process, without the
    interpreter's tidying up: everything is flushed and closed by then."""
    if argv is not None:
        return _main(argv)
    gc.disable()  # what imports make stays: `Script` and the shell switch it on again
    _import_msgspec()
    status = _main(sys.argv[1:], ends=True)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        status = status or FAILED
    os._exit(status)


def _main(arguments: list[str], *, ends: bool = False) -> int:
    _open_standard_streams()
    try:
        signal.signal(signal.SIGTERM, _terminated)
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # else nohup has it ignored
            signal.signal(signal.SIGHUP, _terminated)
        if _is_plain(arguments):
            plain: Given = {"database": arguments[0] if arguments else None, "words": arguments[1:]}
            return run(plain, ends=ends)
        from kvsh.options import parse_options

        given = parse_options(arguments)
        return given if isinstance(given, int) else run(given, ends=ends)
    except BrokenPipeError:
        _discard_output()  # `| head` has seen enough
        return OK
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            raise
        return _failed(_sentence(error))  # modules that are imported when needed are files, too


def _open_standard_streams() -> None:
    """A stream that the caller closed leads nowhere: else the database file would get its number, be read
    as a script or have messages written into it."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number: this one
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115


def _is_plain(arguments: list[str]) -> bool:
    """Whether nothing before a command's own words is an option."""
    if len(arguments) >= 2 and is_command_word(arguments[1:]):
        return not arguments[0].startswith("-")
    return not any(argument.startswith("-") for argument in arguments)


def is_command_word(words: list[str]) -> bool:
    """Whether words from argv are one raw or dot command, word by word."""
    word = words[0].lower()
    if word == "delete":
        return len(words) == 1 or (
            words[1].lower() != "from" and [item.lower() for item in words[2:3]] != ["where"]
        )
    return word in RAW_WORDS or (word[:1] == "." and len(word.split()) == 1)


def _without_database(given: Given) -> str | None:
    """`kvsh "SELECT 1"`: what stands in the database's place is a statement or a command.

    A query runs in memory, as with -c; for anything else the database was forgotten: a message that says
    so.  What names a file is that file."""
    first = given.get("database")
    if not first or os.path.exists(first):
        return None
    words = [first, *given.get("words", [])]
    word = _first_word(first)
    if word == first.lower() and is_command_word(words):
        is_free = word in (".help", ".completions", ".repair")
    elif word in STATEMENT_WORDS and _goes_on(first[len(word) :], words):
        is_free = word in _QUERY_WORDS or word == "with"
    elif len(first.split()) > 1:
        return _misread_name(first)
    else:
        return None
    if is_free:
        given["words"], given["database"] = words, None
        return None
    return f"which database?  kvsh FILE {word} ...   (./{word} is a file of that name)"


def _misread_name(name: str) -> str | None:
    """What is wrong with a new database's name of several words, if it looks like a command or a misspelt statement."""
    first = name.split()[0].lower()
    if is_command_word([first]) and "/" not in first:
        return f'which database?  kvsh FILE "{name}"   ("./{name}" is a file of that name)'
    from difflib import get_close_matches

    near = get_close_matches(first, STATEMENT_WORDS, 1, 0.8)
    if not near or abs(len(near[0]) - len(first)) > 1:
        return None
    return f'no such file: {name}: did you mean {near[0]}?   ("./{name}" is a file of that name)'


def _goes_on(rest: str, words: list[str]) -> bool:
    """Whether something follows the first word, behind a break."""
    return rest.startswith(_BREAKS) if rest else len(words) > 1


def _first_word(text: str) -> str:
    """What a text begins with, up to the first character that no word has."""
    size = 0
    while size < len(text) and (text[size].isalpha() or (text[size] == "." and size == 0)):
        size += 1
    return text[:size].lower()


def _terminated(number: int, _frame: FrameType | None) -> None:
    """SIGTERM, SIGHUP: leave as after Ctrl-C, rolling back and closing cleanly."""
    raise SystemExit(128 + number)


def run(given: Given, *, ends: bool = False) -> int:
    """Run what the options ask for.  `ends`: the process ends then."""
    from btree import StoreError
    from kvsh.environment import Environment, Options
    from kvsh.uri import located

    missing = _without_database(given)
    if missing is not None:
        _complain(missing)
        return MISUSED
    words = given.get("words", [])
    name = given.get("database")
    try:
        path = located(name or "").path
    except StoreError as error:
        return _failed(f"{name}: {error}")
    if path is not None and not os.path.exists(path) and _needs_file(words, given):
        return _failed(f"{path}: no such database")
    unopened = None
    if words and _full_name((words[0].split() or [""])[0].lower()) == ".repair":
        # It only reads the file, which may not open; opening it would be a recovery, which writes.
        unopened, name = path, None
    try:
        environment = Environment(name, Options(**given), out=sys.stdout.buffer, err=sys.stderr)
    except (StoreError, OSError) as error:
        from kvsh.opened import advice

        return _failed(_sentence(error) + advice(path))
    environment.unopened = unopened
    status = FAILED
    try:
        _configure(environment, given)
        status = _dispatch(environment, given)
    finally:
        status = _close(environment, status, ends=ends)
    return status


def _needs_file(words: list[str], given: Given) -> bool:
    """Whether it makes no sense to make a new database for this."""
    if given.get("readonly") or given.get("at") is not None:
        return True
    return bool(words) and _full_name(words[0].lower()) in _READING_WORDS


def _full_name(word: str) -> str:
    """A command's name for its beginning; any other word as it is."""
    if word.startswith(".") and word not in _READING_WORDS:
        from kvsh.arguments import UsageError
        from kvsh.commands import find

        try:
            return find(word).name
        except UsageError:
            pass  # said when it is to run
    return word


def _close(environment: Environment, status: int, *, ends: bool) -> int:
    try:
        environment.close(ends=ends)
    except BrokenPipeError:
        raise
    except OSError as error:
        _discard_output()
        return status or _failed(_sentence(error))
    return status


def _failed(message: str) -> int:
    _complain(message)
    return FAILED


def _complain(message: str) -> None:
    """A message; it may have words of the command line in it, and these anything."""
    from kvsh.output.values import shown

    sys.stderr.write(f"kvsh: {shown(message)}\n")


def _discard_output() -> None:
    """What could not be written is lost; keep the interpreter from trying again."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)


def _sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def _configure(environment: Environment, given: Given) -> None:
    terminal = os.isatty(1)
    environment.target.set_terminal(terminal)
    environment.target.eager = terminal
    if terminal:
        from kvsh.terminal import describe

        environment.mode = "box"
        describe(environment)
    for name in ("mode", "headers", "null", "separator", "echo"):
        if given.get(name) is not None:
            setattr(environment, name, given[name])
    if given.get("timer"):
        environment.timer = "on"
    if given.get("parameters"):
        from kvsh.commands.settings import parameter

        environment.parameters |= {n: parameter(v) for n, v in given["parameters"].items()}
    if given.get("statement_timeout"):
        environment.set_timeout(given["statement_timeout"])


def _dispatch(environment: Environment, given: Given) -> int:
    words = list(given.get("words", []))
    inputs = given.get("inputs", [])
    from kvsh.script import Script, signals, terminable

    is_script = given.get("batch", False) or not (os.isatty(0) and os.isatty(1))
    if not words and not inputs and not is_script:
        from btree import resume_collections
        from kvsh.repl.run import run as run_shell

        with terminable(environment):
            resume_collections()
            return run_shell(environment)

    environment.keep_going = given.get("keep_going", False)
    script = Script(environment)
    with signals(environment):
        try:
            _run(script, inputs, words)
            if environment.in_transaction():
                environment.rollback()
                environment.say("kvsh: the transaction that was still open was rolled back")
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            return _failed(_sentence(error))
    return script.status


def _run(script: Script, inputs: list[tuple[str, str]], words: list[str]) -> None:
    from kvsh.script import run_path, run_stdin, run_text, run_words

    for kind, text in inputs:
        if not (run_path(script, text) if kind == "file" else run_text(script, text, "<command>")):
            return
    if words and is_command_word(words):
        run_words(script, words)
    elif words and len(words[0].split()) == 1:  # the words of one statement
        run_text(script, " ".join(words), "<argument>")
    elif words:
        for statement in words:
            if not run_text(script, statement, "<argument>"):
                return
    elif not inputs:
        run_stdin(script)
