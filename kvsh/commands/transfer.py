"""Commands that bring data in and out; the work is done by `kvsh.transfer`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from kvsh.arguments import Arguments, CommandError, Unfulfilled
from kvsh.commands.files import allowed, not_database

if TYPE_CHECKING:
    from typing import TextIO

    from kvsh.environment import Environment


def import_(environment: Environment, arguments: Arguments) -> None:
    from kvsh.transfer import TransferError, import_file

    allowed(environment)
    path = arguments.words[0].text
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
    kind = arguments.text("--format") or path.rpartition(".")[2].lower()
    if kind in ("md", "markdown", "html"):
        _export_drawn(environment, path, source, "markdown" if kind == "md" else kind)
        return
    try:
        count = export_file(
            environment.session,
            path,
            source,
            format=arguments.text("--format"),
            progress=_bar(environment),
        )
    except TransferError as error:
        raise CommandError(str(error)) from error
    if environment.interactive:
        environment.say(f"{count:,} row{'' if count == 1 else 's'} to {path}")


def _export_drawn(environment: Environment, path: str, source: str | None, mode: str) -> None:
    """A table or query in one of the output modes."""
    from kvsh.output import Style, write_rows

    if source is None:
        raise CommandError(f"which table?  .export {path} TABLE")
    is_query = " " in source
    doubled = source.replace('"', '""')
    query = source if is_query else f'SELECT * FROM "{doubled}"'
    result = environment.session.execute(query)
    try:
        names = [column.name for column in result.columns or ()]
        with open(path, "w", encoding="utf-8") as stream:
            write_rows(stream.write, mode, names, result.batches(), Style())
    finally:
        result.close()


def dump(environment: Environment, arguments: Arguments) -> None:
    from kvsh.transfer import TransferError
    from kvsh.transfer import dump as dump_database

    try:
        dump_database(environment.session, environment.write, tuple(arguments.texts()))
    except TransferError as error:
        raise CommandError(str(error)) from error
