"""Keys of the editor, on top of prompt_toolkit's emacs or vi bindings.

Enter        runs complete input, else continues the line (keeping its indentation); closes an open menu
Alt-Enter    runs whatever is there
Tab          completes: the only proposal at once, else the menu; Shift-Tab goes back in it
Ctrl-D       leaves when the line is empty (bound by prompt_toolkit), deletes to the right otherwise
Ctrl-Z       stops the shell; `fg` of the login shell goes on with it (prompt_toolkit)
Right, End   accept the grey suggestion (prompt_toolkit); Alt-Right one word of it
F2           toggles vi and emacs keys; F3 toggles completion while typing
Ctrl-X Ctrl-E  opens the text in $EDITOR
"""

from __future__ import annotations

from collections.abc import Callable

from prompt_toolkit.application.current import get_app
from prompt_toolkit.buffer import Buffer, CompletionState
from prompt_toolkit.completion import CompleteEvent, Completer, get_common_complete_suffix
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.filters import (
    Condition,
    completion_is_selected,
    has_completions,
    has_focus,
    has_selection,
    is_searching,
    vi_insert_mode,
    vi_mode,
)
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent


def editor_bindings(
    is_complete: Callable[[str], bool],
    completer: Completer,
    toggle_completion: Callable[[], None],
) -> KeyBindings:
    """The bindings; `is_complete` decides what Enter does, Tab asks `completer` at once."""
    bindings = KeyBindings()
    editing = has_focus("DEFAULT_BUFFER") & ~is_searching

    @bindings.add("enter", filter=editing & completion_is_selected)
    def _close_menu(event: KeyPressEvent) -> None:
        event.current_buffer.complete_state = None

    @bindings.add("enter", filter=editing & ~completion_is_selected & (~vi_mode | vi_insert_mode))
    def _enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if is_complete(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n" + _indentation(buffer.document.current_line_before_cursor))

    @bindings.add("enter", filter=editing & vi_mode & ~vi_insert_mode)
    def _enter_in_vi_normal_mode(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if is_complete(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.cursor_down()

    @bindings.add("escape", "enter", filter=editing)
    def _force(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @bindings.add("tab", filter=editing & ~has_selection)
    def _complete(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if not buffer.document.current_line_before_cursor.strip() and buffer.text.strip():
            buffer.insert_text("    ")
        elif buffer.complete_state:
            buffer.complete_next()
        else:
            complete_now(buffer, completer)

    @bindings.add("escape", filter=editing & has_completions & ~vi_mode, eager=True)
    def _cancel_menu(event: KeyPressEvent) -> None:
        event.current_buffer.cancel_completion()

    @bindings.add("f2")
    def _toggle_vi(event: KeyPressEvent) -> None:
        app = event.app
        app.editing_mode = (
            EditingMode.EMACS if app.editing_mode == EditingMode.VI else EditingMode.VI
        )

    @bindings.add("f3")
    def _toggle_completion(event: KeyPressEvent) -> None:
        toggle_completion()

    has_suggestion = Condition(lambda: bool(get_app().current_buffer.suggestion))

    @bindings.add("escape", "right", filter=editing & has_suggestion)
    def _accept_word(event: KeyPressEvent) -> None:
        suggestion = event.current_buffer.suggestion
        if suggestion is not None and suggestion.text:
            event.current_buffer.insert_text(_first_word(suggestion.text))

    return bindings


def complete_now(buffer: Buffer, completer: Completer) -> None:
    """Tab: the only proposal is inserted, else what all share, and the menu opens.

    Asked for here and not in the completer's thread, where a Tab that follows a letter within a millisecond
    would be dropped in favour of the completion while typing."""
    document = buffer.document
    event = CompleteEvent(completion_requested=True)
    completions = list(completer.get_completions(document, event))
    if len(completions) == 1:
        buffer.apply_completion(completions[0])
        return
    common = get_common_complete_suffix(document, completions) if completions else ""
    if common:
        buffer.insert_text(common, fire_event=False)
        completions = [one.new_completion_from_position(len(common)) for one in completions]
    if completions:
        buffer.complete_state = CompletionState(buffer.document, completions)
        buffer.on_completions_changed.fire()


def _indentation(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _first_word(text: str) -> str:
    """The leading blanks and the word after them."""
    start = len(text) - len(text.lstrip())
    end = text.find(" ", start)
    return text if end < 0 else text[:end]
