"""Commands that bring data in and out; the work is done by `kvsh.transfer`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from kvsh.arguments import Arguments, CommandError, Unfulfilled
from kvsh.commands.files import allowed, not_database
from kvsh.environment import located

if TYPE_CHECKING:
    from typing import TextIO

    from kvsh.environment import Environment


def import_(environment: Environment, arguments: Arguments) -> None:
    from kvsh.transfer import TransferError, import_file

    allowed(environment)
    path = arguments.words[0].text
    if path.startswith("|") and not arguments.words[0].quoted and len(path) == 1:
        raise CommandError(
            'a command with blanks is quoted: .import "|COMMAND" TABLE', arguments.column_of(0)
        )
    table = arguments.words[1].text if len(arguments.words) > 1 else None
    delimiter = arguments.text("--delimiter")
    header = None
    if arguments.has("--header") or arguments.has("--no-header"):
        header = arguments.has("--header")
    with environment.recording(f".import {arguments.rest}"):
        try:
            outcome = import_file(
                environment.session,
                path,
                table,
                format="csv" if arguments.has("--csv") else arguments.text("--format"),
                delimiter={"\\t": "\t", "tab": "\t"}.get(delimiter or "", delimiter),
                encoding=arguments.text("--encoding"),
                header=header,
                skip=arguments.number("--skip") or 0,
                null=arguments.text("--null"),
                strict=arguments.has("--strict"),
                report=environment.say,
                progress=_bar(environment),
            )
        except TransferError as error:
            raise CommandError(str(error)) from error
    if environment.interactive or outcome.rejected:
        environment.say(str(outcome))
    if outcome.rejected:
        raise Unfulfilled  # a script should see it


def _bar(environment: Environment) -> TextIO | None:
    """Where a progress bar may be drawn."""
    return environment.err if sys.stderr.isatty() else None


def export(environment: Environment, arguments: Arguments) -> None:
    from kvsh.transfer import TransferError, export_file

    allowed(environment)
    path = not_database(environment, arguments.words[0].text)
    source = " ".join(arguments.texts()[1:]) or None
    try:
        with located(arguments.place_of(1)):
            count = export_file(
                environment.session,
                path,
                source,
                format=arguments.text("--format"),
                parameters=environment.bound(),
                progress=_bar(environment),
            )
    except TransferError as error:
        raise CommandError(str(error)) from error
    if environment.interactive:
        environment.say(f"{count:,} row{'' if count == 1 else 's'} to {path}")


def dump(environment: Environment, arguments: Arguments) -> None:
    from kvsh.transfer import TransferError
    from kvsh.transfer import dump as dump_database

    try:
        dump_database(
            environment.session,
            environment.write_shown,
            tuple(arguments.texts()),
            data_only=arguments.has("--data-only"),
        )
    except TransferError as error:
        raise CommandError(str(error)) from error
