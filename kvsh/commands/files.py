"""Commands that open, read and write files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvsh.arguments import Arguments, CommandError

if TYPE_CHECKING:
    from kvsh.environment import Environment

READ_DEPTH_MAX = 20


def allowed(environment: Environment) -> None:
    """--safe: no file but the database is touched."""
    if environment.options.safe:
        raise CommandError("not available with --safe: it reads or writes files")


def open_(environment: Environment, arguments: Arguments) -> None:
    allowed(environment)
    path = arguments.words[0].text if arguments.words else None
    environment.open(path, readonly=arguments.has("--readonly"))


def read(environment: Environment, arguments: Arguments) -> None:
    allowed(environment)
    from kvsh.script import run_file

    run_file(environment, arguments.words[0].text)


def output(environment: Environment, arguments: Arguments) -> None:
    if not arguments.words or arguments.words[0].text in ("stdout", "-"):
        environment.target.restore()
        return
    allowed(environment)
    environment.target.redirect(" ".join(arguments.texts()))


def once(environment: Environment, arguments: Arguments) -> None:
    allowed(environment)
    environment.redirect_once(arguments.words[0].text)


def backup(environment: Environment, arguments: Arguments) -> None:
    allowed(environment)
    path = arguments.words[0].text
    if environment.path is None:
        from btree import open_store
        from sql import Session, copy_database

        target = open_store(path)
        try:
            copy_database(environment.session, Session(target))
        finally:
            target.close()
        return
    environment.store.backup(path)
