"""Statements kept under a name, as litecli and mycli have them: `.fs` keeps one, `.f` runs it, `.fd` forgets it.

They stand in `favourites.toml` beside the configuration, which is the user's own to write and so left alone.  What
`.f NAME VALUE...` is given is bound to the statement's parameters, never spliced into its text.
"""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from kvsh.arguments import Arguments, CommandError, UsageError
from kvsh.commands.files import allowed
from kvsh.commands.settings import number_or_text
from kvsh.config import config_path

if TYPE_CHECKING:
    from kvsh.environment import Environment


def _path() -> Path:
    """Where favourites are kept.  Raises CommandError if nowhere."""
    config = config_path()
    if config is None:
        raise CommandError("there is no place for favourites: KVSH_CONFIG is set to nothing")
    return config.with_name("favourites.toml")


def load() -> dict[str, str]:
    """All of them by their names.  Raises CommandError for a file that is none, OSError."""
    path = _path()
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CommandError(f"{path}: {error}") from error
    for name, text in found.items():
        if not isinstance(text, str):
            raise CommandError(f"{path}: {name} is no text")
    return found


def _store(favourites: dict[str, str]) -> None:
    """Write them to a new file that takes the old one's place; nobody else may read it.  Raises OSError."""
    path = _path()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    lines = [f"{_toml(name)} = {_toml(text)}\n" for name, text in sorted(favourites.items())]
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.writelines(lines)
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def _toml(text: str) -> str:
    """A basic string of TOML, which is one of JSON but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def names() -> dict[str, str]:
    """What completion offers; nothing if they can't be read."""
    try:
        return load()
    except (CommandError, OSError):
        return {}


def run(environment: Environment, arguments: Arguments) -> None:
    allowed(environment)
    favourites = load()
    if not arguments.words:
        for name, text in favourites.items():
            environment.write_shown(f"{name}: {' '.join(text.split())}\n")
        return
    text = _known(favourites, arguments)
    from kvsh.reader import Reader

    reader = Reader()
    reader.feed(text)
    kept = environment.parameters
    values = {
        str(place): word.bytes
        if word.data is not None
        else word.text
        if word.quoted
        else number_or_text(word.text)
        for place, word in enumerate(arguments.words[1:], 1)
    }
    environment.parameters = {**kept, **values}
    try:
        for unit in reader.units(final=True):
            environment.run(unit)
    finally:
        environment.parameters = kept


def _known(favourites: dict[str, str], arguments: Arguments) -> str:
    name = arguments.words[0].text
    if name not in favourites:
        from kvsh.themes import nearest

        raise CommandError(
            f"no such favourite: {name}{nearest(name, list(favourites))}", arguments.column_of(0)
        )
    return favourites[name]


def save(environment: Environment, arguments: Arguments) -> None:
    allowed(environment)
    name, _, statement = arguments.rest.partition(" ")
    statement = statement.strip() or environment.last_statement.strip()
    if not name or not statement:
        raise UsageError("usage: .fs NAME [STATEMENT]", 4)
    if statement.startswith((".f ", "\\f ", ".fs", "\\fs", ".fd", "\\fd")):
        raise CommandError("a favourite is a statement or a command, no other favourite")
    _store({**load(), name: statement})
    environment.say(f"kept: .f {name}")


def forget(environment: Environment, arguments: Arguments) -> None:
    allowed(environment)
    favourites = load()
    _known(favourites, arguments)
    del favourites[arguments.words[0].text]
    _store(favourites)
    environment.say(f"forgotten: {arguments.words[0].text}")
