"""Putting the interactive shell together: configuration, editor, completion, guards, and the loop.

The banner and the prompt are on the screen before the line editor is imported, which takes longer than all that comes
before it.  What is typed meanwhile waits in the terminal, and the editor begins with it (`unready`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from kvsh.commands import COMMANDS
from kvsh.complete import Candidate, CommandSpec, Completer
from kvsh.config import SETTINGS, config_path, history_path, load
from kvsh.environment import describe_path
from kvsh.output.tables import width_of
from kvsh.output.target import pager_command
from kvsh.reader import is_command, is_complete
from kvsh.repl.ask import ask
from kvsh.repl.live import LiveCatalog
from kvsh.repl.plain import PlainEditor
from kvsh.repl.shell import LineSource, Shell
from kvsh.repl.status import Status, prompt_text
from kvsh.repl.typed_ahead import keys_kept
from kvsh.repl.upkeep import Upkeep
from kvsh.terminal import echo, measure
from kvsh.themes import MONOCHROME, Painter, colour_depth
from kvsh.undo import UndoLog

if TYPE_CHECKING:
    from kvsh.config import Config
    from kvsh.environment import Environment


def run(environment: Environment) -> int:
    """The shell on a terminal; the exit status."""
    config = environment.config = load(config_path())
    for problem in config.problems:
        environment.say(f"warning: {problem}")
    _apply(environment, config)
    environment.interactive = True
    environment.changes_shown = True
    environment.undo_log = UndoLog(environment.store)
    catalog = LiveCatalog(environment.session)
    environment.on_open.append(lambda: catalog.attach(environment.session))
    environment.on_open.append(lambda: _new_undo_log(environment))
    shell: Shell
    if config["banner"]:
        environment.say(_banner(environment))
    # What is typed while something runs is shown by the editor, when it reads that: the terminal would show it as well.
    with echo(sys.stdin, on=_is_dumb()), ExitStack() as unready:
        source, on_read = _source(environment, config, catalog, lambda: shell.warm_up(), unready)
        shell = Shell(environment, source, catalog, on_read=on_read)
        upkeep = Upkeep()
        environment.on_idle = lambda: upkeep.consider(environment.store)
        if isinstance(source, PlainEditor):
            shell.warm_up()
        if config["init"]:
            unready.close()
        for text in config["init"]:
            shell.execute(text)
        try:
            status = shell.run()
        finally:
            upkeep.stop()
    shell.wait_for_warming()
    return status


def _banner(environment: Environment) -> str:
    """What is open, and what to type first: one line."""
    hint = ".help lists the commands, Tab completes, Ctrl-D leaves"
    if environment.path is None:
        return f"a scratch database in memory, gone when you leave: .backup FILE keeps it\n{hint}"
    from kvsh.output.values import escaped

    parts = [escaped(describe_path(environment.path))]
    stats: dict[str, int] = environment.store.stats()  # type: ignore[attr-defined]  # of a file
    if environment.options.at is not None:
        parts.append(f"as of commit {environment.options.at:,}")
    elif not stats["commit"]:
        parts.append("a new database")
    else:
        from kvsh.draw.pen import size_text

        parts.append(size_text(stats["file_bytes"]))
    if environment.store.readonly:
        parts.append("read-only")
    line = f"{', '.join(parts)}; {hint}"
    return line if width_of(line) <= (environment.screen or 80) else line.replace("; ", "\n", 1)


def _new_undo_log(environment: Environment) -> None:
    environment.undo_log = UndoLog(environment.store)


def _apply(environment: Environment, config: Config) -> None:
    """Let the settings count, now and whenever they change."""

    def changed(name: str, value: object) -> None:
        if name == "mode":
            environment.mode = str(value)
        elif name == "nullvalue":
            environment.null = str(value)
        elif name == "headers":
            environment.headers = None if value else False
        elif name == "timer":
            environment.timer = "typed" if value else "off"
        elif name == "theme":
            depth = colour_depth(sys.stdout)
            environment.paint = Painter(config.theme, depth) if depth != MONOCHROME else None
        elif name == "unicode":
            environment.unicode = unicode_shown if value == "auto" else value == "on"
        elif name == "confirm":
            environment.confirm = _confirm if value else None
        elif name == "pager":
            environment.target.pager = pager_command(str(value))
        elif name == "timeout":
            from kvsh.arguments import seconds

            environment.set_timeout(seconds(str(value)) or None)

    unicode_shown = environment.unicode
    given = {name: getattr(environment, name) for name in _GIVEN}
    for name in _LIVE_SETTINGS:
        changed(name, config[name])
    for name, default in _GIVEN.items():
        if given[name] != default:  # the command line wins
            setattr(environment, name, given[name])
    config.on_change.append(changed)


_LIVE_SETTINGS = (
    "mode", "nullvalue", "headers", "timer", "theme", "unicode", "timeout", "confirm", "pager",
)  # fmt: skip
_GIVEN: dict[str, object] = {"mode": "box", "null": "", "headers": None, "timer": "off"}


def _confirm(question: str) -> bool:
    return ask(question, "yn", "n", source=sys.stdin, output=sys.stdout) == "y"


def _pending(environment: Environment) -> str:
    """What the next open would have to replay, in words; "" for nothing."""
    count = getattr(environment.store, "pending_commits", None)
    waiting = 0 if count is None else count()
    return f"redo: {waiting:,} commit{'' if waiting == 1 else 's'}" if waiting else ""


def _status(environment: Environment) -> Status:
    """What the prompt and the toolbar show now."""
    if environment.on_idle is not None and not environment.in_transaction():
        environment.on_idle()
    measure(environment)
    return Status(
        database=describe_path(environment.path),
        in_transaction=environment.in_transaction(),
        changes=environment.changes(),
        readonly=environment.store.readonly,
        mode=environment.mode,
        pending=_pending(environment),
        last_seconds=environment.last_seconds,
        at=environment.options.at,
    )


def _is_dumb() -> bool:
    """Whether the terminal can't move its cursor, so that no editor can work on it."""
    return os.environ.get("TERM", "") in ("dumb", "unknown", "")


def _source(
    environment: Environment,
    config: Config,
    catalog: LiveCatalog,
    on_painted: Callable[[], None],
    unready: ExitStack,
) -> tuple[LineSource, Callable[[], None]]:
    """The line editor, and what to do when it has read; plain lines on a dumb terminal.

    `unready` is left as the editor begins to read: until then its prompt is shown, and keys are kept."""
    if _is_dumb():
        editor = PlainEditor(
            is_complete,
            lambda: prompt_text(config["prompt"], _status(environment)),
            source=sys.stdin,
            output=sys.stdout,
        )
        return editor, lambda: None
    unready.enter_context(_foreshown(environment, config))
    from kvsh.repl.editor import Editor, Surroundings
    from kvsh.repl.history import StatementHistory

    complaints: list[str] = []  # told behind what is read: until then the screen is the editor's
    history = StatementHistory(history_path(), config["history_size"], complaints.append)

    def complain() -> None:
        while complaints:
            environment.say(f"warning: {complaints.pop(0)}")

    completer = Completer(
        catalog, command_specs(), _hints(config), is_command, config["keyword_case"]
    )
    interactive = Editor(
        Surroundings(
            lambda: _status(environment), is_complete, is_command, on_painted, unready.close
        ),
        completer,
        history,
        config,
        depth=colour_depth(sys.stdout),
        unicode=environment.unicode,
    )
    return interactive, complain


@contextmanager
def _foreshown(environment: Environment, config: Config) -> Iterator[None]:
    """The prompt that the editor is going to paint is shown already; at the end nothing is, and the cursor where it began."""
    text = prompt_text(config["prompt"], _status(environment))
    if not text.isprintable() or width_of(text) >= (environment.screen or 80):
        yield
        return
    with keys_kept(sys.stdin):
        sys.stdout.write(environment.paint("prompt", text) if environment.paint else text)
        sys.stdout.flush()
        try:
            yield
        finally:
            sys.stdout.write("\r\x1b[K")
            sys.stdout.flush()


def command_specs() -> dict[str, CommandSpec]:
    """The table of commands as completion wants it."""
    return {
        name: CommandSpec(
            command.name,
            command.kind,
            command.summary,
            command.arguments,
            command.options,
            may_end_in_query=command.may_end_in == "query",
            usage=command.usage,
        )
        for name, command in COMMANDS.items()
    }


def _hints(config: Config) -> Callable[[str, str], list[Candidate]]:
    """Values of the hints that only the shell knows."""

    def hints(hint: str, typed: str) -> list[Candidate]:
        if hint == "setting":
            return [
                Candidate(name, "option", setting.help, 1) for name, setting in SETTINGS.items()
            ]
        if hint == "favourite":
            from kvsh.commands.favourites import names

            return [Candidate(name, "argument", text, 1) for name, text in names().items()]
        if hint in ("theme", "value of theme"):
            return [Candidate(name, "option", "", 1) for name in config.themes]
        if hint.startswith("value of "):
            known = SETTINGS.get(hint.removeprefix("value of "))
            return [] if known is None else [Candidate(v, "argument", "", 1) for v in known.values]
        return []

    return hints
