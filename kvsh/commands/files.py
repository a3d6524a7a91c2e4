"""Commands that open, read and write files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from kvsh.arguments import Arguments, CommandError, UsageError
from kvsh.terminal import echo

if TYPE_CHECKING:
    from kvsh.environment import Environment


def allowed(environment: Environment) -> None:
    """--safe: no file but the database is touched."""
    if environment.options.safe:
        raise CommandError("not available with --safe: it reads or writes files")


def open_(environment: Environment, arguments: Arguments) -> None:
    allowed(environment)
    name = arguments.words[0].text if arguments.words else None
    from btree import StoreError
    from kvsh.opened import advice

    try:
        environment.open(name, readonly=arguments.has("--readonly"))
    except StoreError as error:
        more = advice(name)
        if not more:
            raise
        raise CommandError(f"{error}{more}") from error


def read(environment: Environment, arguments: Arguments) -> None:
    allowed(environment)
    from kvsh.script import run_file

    word = arguments.words[0]
    path = word.text
    if path.startswith("|"):
        path = path if word.quoted else arguments.rest
    elif len(arguments.words) > 1:
        raise UsageError(
            "one file, or |COMMAND; a name with blanks is quoted", arguments.column_of(1)
        )
    with environment.recording(f".read {arguments.rest}"):
        run_file(environment, path)


def cd(environment: Environment, arguments: Arguments) -> None:
    allowed(environment)
    if not arguments.words:
        environment.write_shown(f"{os.getcwd()}\n")
        return
    before = os.getcwd()
    os.chdir(arguments.words[0].text)
    environment.moved_from(before)


def output(environment: Environment, arguments: Arguments) -> None:
    if not arguments.words or arguments.words[0].text in ("stdout", "-"):
        environment.target.restore()
        return
    environment.target.redirect(_goal(environment, arguments))


def once(environment: Environment, arguments: Arguments) -> None:
    environment.redirect_once(_goal(environment, arguments))


def _goal(environment: Environment, arguments: Arguments) -> str:
    """The file, or the command behind a bar, that output goes to."""
    allowed(environment)
    if arguments.words[0].text.startswith("|"):
        bare = not arguments.words[0].quoted
        return arguments.rest if bare else arguments.words[0].text
    if len(arguments.words) > 1:
        raise UsageError("one file, or |COMMAND; a name with blanks is quoted")
    word = arguments.words[0]
    if word.text.startswith("-") and not word.quoted:
        raise UsageError(
            f"no such option: {word.text} (./{word.text} is a file of that name)",
            arguments.column_of(0),
        )
    return os.devnull if word.text == "off" else not_database(environment, word.text)


def not_database(environment: Environment, path: str) -> str:
    """The path of a file to write, if that is not the open database's own.  Raises CommandError."""
    for own in (environment.path, *environment.attached_paths()):
        try:
            is_own = own is not None and os.path.samefile(path, own)
        except FileNotFoundError:
            is_own = False
        if is_own:
            which = "the open" if own == environment.path else "an attached"
            raise CommandError(f"{path} is {which} database itself")
    return path


def system(environment: Environment, arguments: Arguments) -> None:
    allowed(environment)
    environment.target.flush()
    status = _status_of(environment, arguments.rest)
    if status:
        raise CommandError(f"the command ended with status {status}")


def _status_of(environment: Environment, command: str) -> int:
    """Run a command and wait for its end.  Ctrl-C is the command's own business, which has got it, too:
    it interrupts the caller if the command dies of it.  Raises KeyboardInterrupt."""
    with echo(sys.stdin, on=True), subprocess.Popen(command, shell=True) as process:
        try:
            with environment.waiting():
                if environment.terminated:  # before the waiting began
                    raise SystemExit(environment.terminated)
                if environment.interrupted:
                    raise KeyboardInterrupt
                return process.wait()
        except KeyboardInterrupt:
            if process.wait() == -signal.SIGINT:
                raise
            environment.forget_interrupt()
            return process.returncode
        except SystemExit:
            process.terminate()
            raise


def backup(environment: Environment, arguments: Arguments) -> None:
    allowed(environment)
    from kvsh.commands.upkeep import watched

    texts = arguments.texts()
    if len(texts) == 2 and texts[0].lower() == "main":
        del texts[0]  # as sqlite3's shell has it
    if len(texts) > 1:
        raise UsageError("usage: .backup FILE   (of main; VACUUM name INTO 'FILE' of an attached)")
    path = not_database(environment, texts[0])
    if environment.path is None:
        from btree import open_store
        from sql import Session, copy_database

        target = open_store(path)
        try:
            with watched(environment, "backup", unit="entries") as progress:
                copy_database(environment.session, Session(target), progress)
        finally:
            target.close()
        return
    with watched(environment, "backup") as progress:
        environment.store.backup(path, progress=progress)
