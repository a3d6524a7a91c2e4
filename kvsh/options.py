"""The options of the command line, by click."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any, cast

import click

from kvsh.cli import is_command_word
from kvsh.output import MODES

if TYPE_CHECKING:
    from kvsh.opened import Given


def parse_options(arguments: list[str]) -> Given | int:
    """What the arguments ask for; an exit status if they were wrong, or asked for help."""
    found: Given = {}
    protected, order = _arrangement(arguments)

    def callback(**given: Any) -> None:
        found.update(cast("Given", _arranged(given, order)))

    command = click.Command(
        "kvsh",
        callback=callback,
        params=_parameters(),
        help=_HELP,
        context_settings={"ignore_unknown_options": False, "help_option_names": ["-h", "--help"]},
        epilog="Without a statement: a shell on a terminal, else a script on standard input.",
    )
    try:
        command.main(protected, prog_name="kvsh", standalone_mode=False)
    except click.exceptions.Exit as leaving:
        return int(leaving.exit_code)
    except click.ClickException as error:
        click.echo(f"kvsh: {error.format_message()}", err=True)
        click.echo("kvsh --help says more", err=True)
        return 2
    except click.Abort:
        return 130
    except SystemExit:  # what click makes of a closed pipe: its reader has seen enough
        return 0
    except OSError as error:  # of printing the help or the version
        click.echo(f"kvsh: standard output: {error.strerror}", err=True)
        return 1
    return found if found else 0


_VALUED = frozenset(
    (
        "-c", "--command", "-f", "--file", "--mode", "--null", "--separator", "--at", "--durability",
        "--timeout", "--statement-timeout", "--cache", "--log-file", "-p", "--param",
    )
)  # fmt: skip


def _arrangement(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The arguments with a `--` before the words of a command, whose options are its own; and the
    order of -c and -f."""
    order: list[str] = []
    positions: list[int] = []
    at = 0
    arguments = list(arguments)
    while at < len(arguments):
        argument = arguments[at] = _with_two_dashes(arguments[at])
        name = argument.partition("=")[0]
        if argument == "--":
            break
        if not argument.startswith("-") or argument == "-":
            positions.append(at)
            if len(positions) == 2 and is_command_word(arguments[at:]):
                return [*arguments[:at], "--", *arguments[at:]], order
        elif name in ("-c", "--command") or argument[:2] == "-c":
            order.append("command")
        elif name in ("-f", "--file") or argument[:2] == "-f":
            order.append("file")
        at += 2 if argument in _VALUED else 1
    return arguments, order


_ELSEWHERE = {
    "-cmd": "--command",
    "-header": "--headers",
    "--header": "--headers",
    "--no-header": "--no-headers",
    "-noheader": "--no-headers",
    "-nullvalue": "--null",
    "-init": "--file",
}
"""Options of sqlite3's by other names."""


def _with_two_dashes(argument: str) -> str:
    """An option as it is written here: sqlite3's have one dash, as -csv."""
    if argument in _ELSEWHERE:
        return _ELSEWHERE[argument]
    if len(argument) <= 2 or argument[0] != "-" or argument[1] == "-":
        return argument
    is_short = argument[1] in _SHORT and f"-{argument}" not in option_names()
    return argument if is_short else f"-{argument}"


_SHORT = "cfpvh"
"""The options of one letter, behind which more may follow: -vv, -cTEXT."""


_HELP = """A database in one file: raw keys and SQL, in one shell.

\b
kvsh app.db                           a shell (or a script on stdin)
kvsh app.db "SELECT count(*) FROM t"  one statement, or several
kvsh app.db put user:1 "Ada"          a raw command
kvsh app.db < load.sql                a script; also -f load.sql
kvsh                                  a scratch database in memory
"""


def _parameters() -> list[click.Parameter]:
    flag: dict[str, Any] = {"is_flag": True}
    options: list[click.Parameter] = [
        click.Argument(["database"], required=False),
        click.Argument(["words"], nargs=-1, type=click.UNPROCESSED),
        click.Option(
            ["-c", "--command", "commands"],
            multiple=True,
            metavar="TEXT",
            help="Run SQL or a command; repeatable.",
        ),
        click.Option(
            ["-f", "--file", "files"],
            multiple=True,
            metavar="FILE",
            help="Run a script (- is stdin); repeatable.",
        ),
        click.Option(
            ["--mode"],
            type=click.Choice(MODES),
            help="How results look; also --box, --csv, --json ...",
        ),
    ]
    options += [
        click.Option([f"--{mode}"], is_flag=True, hidden=True)  # --mode tells of them
        for mode in MODES
    ]
    options += [
        click.Option(
            ["-p", "--param", "parameters"],
            multiple=True,
            metavar="NAME=VALUE",
            help="A value for :NAME; see .help .param.",
        ),
        click.Option(["--headers/--no-headers"], default=None, help="Print column names or not."),
        click.Option(["--null"], help="What NULL prints as."),
        click.Option(["--separator"], help="What stands between columns of list, csv, quote."),
        click.Option(["--readonly"], **flag, help="Change nothing in the file."),
        click.Option(["--at"], type=int, metavar="N", help="The database as it was at commit N."),
        click.Option(
            ["--durability"],
            type=click.Choice(("full", "normal", "off")),
            default="full",
            help="A power cut loses no commit (full), or the last ones (normal, off).",
            show_default=True,
        ),
        click.Option(
            ["--timeout"],
            default="5s",
            metavar="TIME",
            show_default=True,
            help="How long to wait for another writer.",
        ),
        click.Option(
            ["--statement-timeout"], metavar="TIME", help="Cancel statements that run longer."
        ),
        click.Option(
            ["--cache"],
            type=click.IntRange(min=1),
            default=256,
            metavar="MB",
            show_default=True,
            help="Memory for pages.",
        ),
        click.Option(
            ["--no-bail/--bail", "keep_going"], default=False, help="Go on after an error, or stop."
        ),
        click.Option(["--batch"], **flag, help="A script, on a terminal too."),
        click.Option(["--safe"], **flag, help="Touch no file but the database."),
        click.Option(["--yes"], **flag, help="Ask nothing, as before a DELETE of all rows."),
        click.Option(["--timer"], **flag, help="Print how long statements take."),
        click.Option(["--echo"], **flag, help="Print statements before they run."),
        click.Option(
            ["-v", "--verbose"], count=True, help="Log what the engine does; -vv more of it."
        ),
        click.Option(["--log-file"], metavar="FILE", help="Where to log it, in place of stderr."),
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_version,
            help="Print the version.",
        ),
    ]
    return options


def option_names() -> list[str]:
    """The long options, for the completion of a login shell."""
    options = [item for item in _parameters() if isinstance(item, click.Option)]
    names = [name for option in options for name in (*option.opts, *option.secondary_opts)]
    return [*(name for name in names if name.startswith("--")), "--help"]


def _version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        click.echo(f"kvsh {version('kvsh')}")
        context.exit()


def _arranged(given: dict[str, Any], order: list[str]) -> dict[str, Any]:
    from kvsh.arguments import UsageError, seconds

    chosen = [mode for mode in MODES if given.pop(mode)]
    named = [given["mode"]] if given["mode"] is not None else []
    if len(chosen + named) > 1:
        raise click.UsageError(f"more than one output mode: {', '.join(named + chosen)}")
    if chosen:
        given["mode"] = chosen[0]
    texts = {"command": list(given.pop("commands")), "file": list(given.pop("files"))}
    given["inputs"] = [(kind, texts[kind].pop(0)) for kind in order if texts[kind]]
    given["parameters"] = dict(map(_parameter, given["parameters"]))
    try:
        given["timeout"] = seconds(given["timeout"])
        if given["statement_timeout"]:
            given["statement_timeout"] = seconds(given["statement_timeout"])
    except UsageError as error:
        raise click.UsageError(error.message) from None
    given["cache_bytes"] = max(given.pop("cache"), 1) << 20
    _log(given.pop("verbose"), given.pop("log_file"))
    return given


def _parameter(text: str) -> tuple[str, str]:
    """NAME=VALUE as the name and the value."""
    name, equals, value = text.partition("=")
    name = name.strip().lstrip(":@$")
    if not equals or not name:
        raise click.UsageError(f"--param takes NAME=VALUE, not {text!r}")
    return name, value


def _log(verbose: int, path: str | None) -> None:
    """Recoveries, checkpoints, compactions, lock waits: silent unless asked for."""
    if not verbose and path is None:
        return
    import logging

    handler: logging.Handler
    try:
        handler = logging.StreamHandler() if path is None else logging.FileHandler(path)
    except OSError as error:
        raise click.UsageError(f"{path}: {error.strerror}") from None
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s: %(message)s"))
    logger = logging.getLogger("kvsh")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if verbose > 1 else logging.INFO)
