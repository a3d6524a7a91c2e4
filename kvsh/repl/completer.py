"""The completion core as prompt_toolkit wants it, and the suggestion of the rest of a line from the history."""

from __future__ import annotations

from collections.abc import Iterable

from prompt_toolkit.auto_suggest import AutoSuggest, Suggestion
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completion
from prompt_toolkit.completion import Completer as PromptCompleter
from prompt_toolkit.document import Document

from kvsh.complete import Completer
from kvsh.repl.painting import style_class

_ROLES = {
    "keyword": "keyword",
    "function": "function",
    "value": "value",
    "key": "key",
    "keys": "key",
    "command": "command",
    "option": "option",
}
_NOTE_WIDTH_MAX = 40
_ASKING = (".", "'", '"', ":", "/", "(")


class StatementCompleter(PromptCompleter):
    """Runs in a thread of its own (see the editor), so that a slow disk never holds up typing."""

    def __init__(self, completer: Completer) -> None:
        self.core = completer

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        text, cursor = document.text, document.cursor_position
        if not complete_event.completion_requested and not _is_asking(document):
            return
        for proposal in self.core.complete(text, cursor):
            yield Completion(
                proposal.insert,
                start_position=proposal.start - cursor,
                display=_one_line(proposal.display),
                display_meta=_one_line(proposal.note)[:_NOTE_WIDTH_MAX],
                style=style_class(_ROLES[proposal.kind]) if proposal.kind in _ROLES else "",
            )


def _is_asking(document: Document) -> bool:
    """Whether completions are worth a menu without being asked for: inside a word, after `.`, `'`, `FROM `."""
    before = document.text_before_cursor
    last = before[-1:]
    if last.isalnum() or last == "_" or last in _ASKING:
        return not document.char_before_cursor.isdigit() or not _last_word(before).isdigit()
    if last == " ":
        return _last_word(before.rstrip()).upper() in (
            "FROM",
            "JOIN",
            "ON",
            "INTO",
            "UPDATE",
            "SET",
            "TABLE",
        )
    return False


def _last_word(text: str) -> str:
    end = len(text)
    start = end
    while start > 0 and (text[start - 1].isalnum() or text[start - 1] == "_"):
        start -= 1
    return text[start:end]


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


class SuggestStatement(AutoSuggest):
    """The newest statement of the history that starts with the whole buffer; its rest up to the line's end."""

    def get_suggestion(self, buffer: Buffer, document: Document) -> Suggestion | None:
        text = document.text
        if not text.strip() or not document.is_cursor_at_the_end:
            return None
        for entry in reversed(buffer.history.get_strings()):
            if len(entry) > len(text) and entry.startswith(text):
                rest = entry[len(text) :].split("\n", 1)[0]
                return Suggestion(rest) if rest else None
        return None
