"""The editor's colours: highlighting while typing, matching brackets, and the theme as prompt_toolkit's style."""

from __future__ import annotations

from collections.abc import Callable

from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
from prompt_toolkit.layout.utils import explode_text_fragments
from prompt_toolkit.lexers import Lexer
from prompt_toolkit.styles import Style

from kvsh.highlight import matching_bracket, spans
from kvsh.themes import Theme

_MENU_STYLES = {
    "completion-menu": "bg:ansibrightblack ansiwhite",
    "completion-menu.completion.current": "bg:ansicyan ansiblack",
    "completion-menu.meta.completion": "bg:ansibrightblack ansigray",
    "completion-menu.meta.completion.current": "bg:ansicyan ansiblack",
    "bottom-toolbar": "noreverse bg:default",
    "matching-bracket": "bold underline",
}


def editor_style(theme: Theme) -> Style:
    """The theme as a style sheet: role `x.y` becomes the class `kv-x-y`."""
    rules = {
        f"kv-{role.replace('.', '-')}": _without_dim(style) for role, style in theme.styles.items()
    }
    rules["auto-suggestion"] = _without_dim(theme.styles.get("suggestion", ""))
    rules.update(_MENU_STYLES)
    if theme.name == "mono":
        rules.update(
            {name: "noinherit reverse" for name in _MENU_STYLES if name.endswith("current")}
        )
        rules["completion-menu"] = rules["completion-menu.meta.completion"] = "noinherit"
    return Style.from_dict(rules)


def _without_dim(style: str) -> str:
    return " ".join(word for word in style.split() if word != "dim")


def style_class(role: str) -> str:
    """The style string of a role, for formatted text."""
    return f"class:kv-{role.replace('.', '-')}"


class StatementLexer(Lexer):
    """Paints the buffer by `kvsh.highlight`; one pass for each change of the text."""

    def __init__(self, is_command: Callable[[str], bool]) -> None:
        self._is_command = is_command

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        lines = painted_lines(document.text, self._is_command)

        def line(number: int) -> StyleAndTextTuples:
            return lines[number] if number < len(lines) else []

        return line


def painted_lines(text: str, is_command: Callable[[str], bool]) -> list[StyleAndTextTuples]:
    """The text line by line as fragments."""
    lines: list[StyleAndTextTuples] = [[]]

    def add(style: str, part: str) -> None:
        for number, piece in enumerate(part.split("\n")):
            if number:
                lines.append([])
            if piece:
                lines[-1].append((style, piece))

    position = 0
    for span in spans(text, is_command):
        if span.start > position:
            add("", text[position : span.start])
        add(style_class(span.role), text[span.start : span.end])
        position = span.end
    add("", text[position:])
    return lines


class BracketProcessor(Processor):
    """Marks the bracket at the cursor and its partner; brackets in strings and comments don't count."""

    def __init__(self) -> None:
        self._seen: tuple[str, int] = ("", -1)
        self._places: tuple[tuple[int, int], ...] = ()

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        document = transformation_input.document
        fragments = transformation_input.fragments
        columns = [
            column for row, column in self._marked(document) if row == transformation_input.lineno
        ]
        if columns:
            fragments = explode_text_fragments(fragments)
            for column in columns:
                at = transformation_input.source_to_display(column)
                if at < len(fragments):
                    style, text, *_ = fragments[at]
                    fragments[at] = (f"{style} class:matching-bracket", text)
        return Transformation(fragments)

    def _marked(self, document: Document) -> tuple[tuple[int, int], ...]:
        seen = (document.text, document.cursor_position)
        if seen != self._seen:
            self._seen = seen
            self._places = self._find(document)
        return self._places

    def _find(self, document: Document) -> tuple[tuple[int, int], ...]:
        text, cursor = document.text, document.cursor_position
        near = text[max(cursor - 1, 0) : cursor + 1]
        if "(" not in near and ")" not in near:
            return ()
        partner = matching_bracket(text, cursor)
        if partner is None:
            return ()
        own = cursor if text[cursor : cursor + 1] in ("(", ")") else cursor - 1
        translate = document.translate_index_to_position
        return (translate(partner), translate(own))
