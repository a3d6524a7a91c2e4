"""What the table says of a command."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from kvsh.arguments import Arguments
    from kvsh.environment import Environment


class Command:
    """A command: `kind` raw or dot; `handler` is "module:function" under `kvsh.commands`.

    `arguments` are completion hints, one per argument (`...` at the end of the last one: repeatable);
    `least` how many must be there; `is_verbatim`: the handler takes the line as it is;
    `may_end_in`: query or parentheses, which are taken as they are written."""

    __slots__ = (
        "_function",
        "aliases",
        "arguments",
        "example",
        "handler",
        "help",
        "is_verbatim",
        "kind",
        "least",
        "may_end_in",
        "name",
        "options",
        "summary",
        "usage",
    )

    def __init__(
        self,
        name: str,
        kind: str,
        handler: str,
        usage: str,
        summary: str,
        help_text: str,
        example: str,
        *,
        arguments: tuple[str, ...] = (),
        options: dict[str, str] | None = None,
        least: int = 0,
        aliases: tuple[str, ...] = (),
        is_verbatim: bool = False,
        may_end_in: str = "",
    ) -> None:
        self.name = name
        self.kind = kind
        self.handler = handler
        self.usage = usage
        self.summary = summary
        self.help = help_text
        self.example = example
        self.arguments = arguments
        self.options = options or {}
        self.least = least
        self.aliases = aliases
        self.is_verbatim = is_verbatim
        self.may_end_in = may_end_in
        self._function: Callable[[Environment, Arguments], None] | None = (
            None  # the handler, once it was called
        )

    @property
    def has_names(self) -> bool:
        """Whether words are names of tables, which may stand in a database."""
        return any(hint.startswith("table") for hint in self.arguments)

    @property
    def ends_in_text(self) -> bool:
        """Whether a semicolon at the line's end is part of the last word, and not a habit."""
        if self.kind == "raw":
            return False
        return self.is_verbatim or (bool(self.arguments) and not self.arguments[-1].rstrip("."))

    def call(self, environment: Environment, arguments: Arguments) -> None:
        """Run the handler."""
        function = self._function
        if function is None:
            module, _, name = self.handler.partition(":")
            function = self._function = getattr(import_module(f"kvsh.commands.{module}"), name)
        function(environment, arguments)

    def at_home(self, arguments: Arguments) -> None:
        """Resolve `~/` at the beginning of files' names, as a login shell does with words that have no quotes."""
        for hint, word in zip(self.arguments, arguments.words, strict=False):
            is_path = hint.rstrip(".") in ("file", "directory")
            if is_path and word.text.startswith("~") and not word.quoted:
                word.text = os.path.expanduser(word.text)

    def run(self, environment: Environment, arguments: Arguments) -> None:
        """Check the number of arguments, then run the handler.  Raises UsageError."""
        from kvsh.arguments import UsageError

        count = len(arguments.words)
        most = len(self.arguments)
        repeatable = most > 0 and self.arguments[-1].endswith("...")
        if count < self.least or (count > most and not repeatable):
            column = len(self.name) + 2
            if count > most and most < len(arguments.words):
                column += max(arguments.words[most].column - 1, 0)
            raise UsageError(f"usage: {self.usage}", column)
        if "file" in (argument.rstrip(".") for argument in self.arguments):
            for word in arguments.words:
                if "\0" in word.text:
                    column = len(self.name) + 1 + word.column
                    raise UsageError("no file or command has a NUL in its name", column)
            for hint, word in zip(self.arguments, arguments.words, strict=False):
                if not word.text and hint.rstrip(".") == "file":
                    column = len(self.name) + 1 + word.column
                    raise UsageError("a file's name is empty", column)
        self.call(environment, arguments)
