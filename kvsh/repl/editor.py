"""The line editor on a capable terminal: prompt_toolkit, set up.

`Editor.read()` gives the text of one input, which holds whole statements; it raises KeyboardInterrupt for Ctrl-C and
EOFError for Ctrl-D.  The prompt is painted before anything slow is loaded: `on_painted` runs once, after the
first painting, and may start a thread that does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding.vi_state import InputMode
from prompt_toolkit.output import ColorDepth, Output
from prompt_toolkit.shortcuts import CompleteStyle

from kvsh.complete import Completer, Signature, signature_at
from kvsh.config import Config
from kvsh.repl.bindings import editor_bindings
from kvsh.repl.completer import StatementCompleter, SuggestStatement
from kvsh.repl.history import StatementHistory
from kvsh.repl.painting import BracketProcessor, StatementLexer, editor_style, style_class
from kvsh.repl.status import Fragments, Status, prompt_text, signature_line, toolbar
from kvsh.themes import INDEXED, MONOCHROME, SIXTEEN, THEMES

_VI_MODES = {
    InputMode.INSERT: "INSERT",
    InputMode.NAVIGATION: "NORMAL",
    InputMode.REPLACE: "REPLACE",
    InputMode.REPLACE_SINGLE: "REPLACE",
    InputMode.INSERT_MULTIPLE: "INSERT",
}


@dataclass(slots=True)
class Surroundings:
    """What the editor asks of the shell around it."""

    status: Callable[[], Status]
    is_complete: Callable[[str], bool]
    is_command: Callable[[str], bool]
    on_painted: Callable[[], None]
    on_reading: Callable[[], None]  # before the terminal is the editor's for the first time


class Editor:
    """One prompt_toolkit session for the life of the shell."""

    def __init__(
        self,
        surroundings: Surroundings,
        completer: Completer,
        history: StatementHistory,
        config: Config,
        *,
        depth: int,
        unicode: bool,
        input: Input | None = None,
        output: Output | None = None,
    ) -> None:
        self.surroundings = surroundings
        self.config = config
        self.completer = completer
        self.unicode = unicode
        self.depth = depth
        self.painted = False
        self._hinted: tuple[str, int] = ("", -1)
        self._signature: Signature | None = None
        # Room for the menu is kept below the line only while something stands in it: what was printed last
        # stays in view until then.
        while_typing = Condition(
            lambda: self.config["completion"] == "typing" and bool(self.session.default_buffer.text)
        )
        statement_completer = StatementCompleter(completer)
        self.session: PromptSession[str] = PromptSession(
            multiline=True,
            history=history,
            lexer=StatementLexer(surroundings.is_command),
            input_processors=[BracketProcessor()],
            completer=statement_completer,
            complete_in_thread=True,
            complete_while_typing=while_typing,
            complete_style=CompleteStyle.COLUMN,
            auto_suggest=SuggestStatement() if config["suggest"] else None,
            key_bindings=editor_bindings(
                surroundings.is_complete, statement_completer, self._toggle_completion
            ),
            editing_mode=EditingMode.VI if config["keys"] == "vi" else EditingMode.EMACS,
            prompt_continuation=self._continuation,
            bottom_toolbar=self._toolbar if config["toolbar"] else None,
            enable_open_in_editor=True,
            enable_suspend=True,
            tempfile_suffix=".sql",
            search_ignore_case=True,
            color_depth=_DEPTHS.get(depth, ColorDepth.DEPTH_24_BIT),
            style=editor_style(config.theme if depth != MONOCHROME else THEMES["mono"]),
            reserve_space_for_menu=8,
            input=input,
            output=output,
        )
        config.on_change.append(self._setting_changed)

    def read(self, default: str = "") -> str:
        """One input of the user.  Raises KeyboardInterrupt (Ctrl-C) and EOFError (Ctrl-D)."""
        output = self.session.output
        if self.painted:
            # What a command has printed may not end its line.  Blanks as many as there are columns but one leave the
            # cursor in an empty line where it is, and elsewhere take it to the next.
            output.write_raw(" " * (output.get_size().columns - 1))
        # else what was typed until now may have been shown by the terminal
        output.write_raw("\r\x1b[K")
        output.flush()
        return self.session.prompt(
            self._prompt, default=default, pre_run=None if self.painted else self._first_read
        )

    def _first_read(self) -> None:
        self.surroundings.on_reading()
        app = self.session.app

        def painted(_app: object) -> None:
            if not self.painted:
                self.painted = True
                app.after_render -= painted
                self.surroundings.on_painted()

        app.after_render += painted

    # -- what is shown -----------------------------------------------------------------------------

    def _prompt(self) -> StyleAndTextTuples:
        status = self.surroundings.status()
        role = "prompt.transaction" if status.in_transaction else "prompt"
        return [(style_class(role), prompt_text(self.config["prompt"], status))]

    def _continuation(self, width: int, line_number: int, wrap_count: int) -> StyleAndTextTuples:
        dots = "." * 3 + "> "
        text = (
            " " * width if wrap_count else dots.rjust(width)[-width:] if width >= 5 else " " * width
        )
        return [(style_class("prompt.continuation"), text)]

    def _toolbar(self) -> StyleAndTextTuples:
        app = get_app()
        width = app.output.get_size().columns
        buffer = self.session.default_buffer
        signature = self._signature_at(buffer.text, buffer.cursor_position)
        if signature is not None:
            return _styled(signature_line(signature, width))
        usage = self._usage_of(buffer.text)
        if usage:
            return _styled([("toolbar", f" {usage}"[: width - 1])])
        status = self.surroundings.status()
        if app.editing_mode == EditingMode.VI:
            from dataclasses import replace

            status = replace(status, vi_mode=_VI_MODES.get(app.vi_state.input_mode, "VISUAL"))
        return _styled(toolbar(status, width, hint=self._hint(buffer.text), unicode=self.unicode))

    def _hint(self, text: str) -> str:
        if not text.strip():
            return "" if self.session.history.get_strings() else ".help for help"
        if "\n" in text and not self.surroundings.is_complete(text):
            return "; ends a statement, Alt-Enter runs it as it is"
        return ""

    def _usage_of(self, text: str) -> str:
        """How the command that is being typed is used, once its name is whole and something may follow."""
        name = text.lstrip().partition(" ")[0].lower()
        spec = self.completer.commands.get(name)
        if spec is None or " " not in spec.usage or not self.surroundings.is_command(text):
            return ""
        return spec.usage

    def _signature_at(self, text: str, cursor: int) -> Signature | None:
        if (text, cursor) != self._hinted:
            self._hinted = (text, cursor)
            self._signature = (
                signature_at(text, cursor, self.completer.catalog)
                if "(" in text[:cursor] and not self.surroundings.is_command(text)
                else None
            )
        return self._signature

    # -- settings ----------------------------------------------------------------------------------

    def _toggle_completion(self) -> None:
        self.config.set(
            "completion", "tab" if self.config["completion"] == "typing" else "typing", "session"
        )

    def _setting_changed(self, name: str, value: object) -> None:
        if name == "keys":
            self.session.editing_mode = EditingMode.VI if value == "vi" else EditingMode.EMACS
        elif name == "theme":
            self.session.style = editor_style(self.config.theme)
        elif name == "toolbar":
            self.session.bottom_toolbar = self._toolbar if value else None
        elif name == "suggest":
            self.session.auto_suggest = SuggestStatement() if value else None
        elif name == "keyword_case":
            self.completer.keyword_case = str(value)


_DEPTHS = {
    MONOCHROME: ColorDepth.DEPTH_1_BIT,
    SIXTEEN: ColorDepth.DEPTH_4_BIT,
    INDEXED: ColorDepth.DEPTH_8_BIT,
}


def _styled(fragments: Fragments) -> StyleAndTextTuples:
    return [(style_class(role), text) for role, text in fragments]
