"""The line editor alone, for tests in a terminal: it prints back what it read.  No database behind it."""

from __future__ import annotations

import sys

from kvsh.complete import ColumnInfo, CommandSpec, Completer, EmptyCatalog, Relation, SchemaNames
from kvsh.config import Config
from kvsh.repl.editor import Editor, Surroundings
from kvsh.repl.history import StatementHistory
from kvsh.repl.status import Status
from kvsh.themes import colour_depth


class Shop(EmptyCatalog):
    def schema(self) -> SchemaNames:
        columns = (ColumnInfo("ArtistId", "INTEGER"), ColumnInfo("Name", "TEXT"))
        wide = (ColumnInfo("国名", "TEXT"),)
        return SchemaNames(
            {"artist": Relation("Artist", columns), "countries": Relation("countries", wide)}
        )


def main() -> None:
    commands = {".help": CommandSpec(".help", "dot", "help for commands")}
    config = Config()
    for argument in sys.argv[1:]:
        name, _, value = argument.partition("=")
        config.set(name, value, "command line")
    encoding = (sys.stdout.encoding or "").lower()
    editor = Editor(
        Surroundings(
            lambda: Status(
                "shop.db", in_transaction="transaction" in sys.argv, last_seconds=0.0123
            ),
            lambda text: text.rstrip().endswith(";") or text.startswith(".") or not text.strip(),
            lambda line: line.startswith("."),
            lambda: None,
            lambda: None,
        ),
        Completer(Shop(), commands),
        StatementHistory(None, 100, print),
        config,
        depth=colour_depth(sys.stdout),
        unicode=encoding.startswith("utf"),
    )
    while True:
        try:
            print("read:", ascii(editor.read()))
        except KeyboardInterrupt:
            print("interrupted")
        except EOFError:
            print("bye")
            return


if __name__ == "__main__":
    main()
