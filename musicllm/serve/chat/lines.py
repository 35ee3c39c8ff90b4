"""Where the lines of a chat come from: an editor in a terminal, or a pipe.

In a terminal prompt_toolkit edits the line, with the lines of earlier chats (arrow up, Ctrl-R) and
the commands (Tab); a pasted text keeps its line feeds, and Alt+Enter types one. In a pipe every
line is a message. A line that ends with a backslash goes on with the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from musicllm import console
from musicllm.errors import InputError
from musicllm.serve.showing import visible

if TYPE_CHECKING:
    from prompt_toolkit.history import History
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

PROMPT, GOES_ON = "> ", "\\"


class Lines(Protocol):
    """A source of messages and commands."""

    def read(self) -> str | None:
        """Return the next message or command, without white space around it; None at the end.

        Raises:
            KeyboardInterrupt: Ctrl-C was typed.
            InputError: a line is not UTF-8.
        """

    def edit(self, text: str, /) -> str | None:
        """Return what a person makes of a text; None if it is left alone.

        Raises:
            KeyboardInterrupt: Ctrl-C was typed.
            InputError: there is no person.
        """


class PipedLines:
    """Lines of a pipe; each is repeated in the output, which so reads as a conversation."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._number = 0

    def read(self) -> str | None:
        """Return the next one; see `Lines`."""
        text = ""
        while raw := self._file.readline():
            self._number += 1
            line = _decoded(raw, self._number).rstrip("\r\n")
            text += line.removesuffix(GOES_ON)
            if not line.endswith(GOES_ON):
                break
            text += "\n"
        else:
            if not text:
                return None
        if text.strip():
            console.stream(f"{PROMPT}{visible(text.strip())}\n")
        return text.strip()

    def edit(self, _text: str, /) -> str | None:
        """Refuse; see `Lines`."""
        raise InputError("/edit needs the new message where there is no terminal: /edit <message>")


class TypedLines:
    """Lines that a person types into a terminal."""

    def __init__(self, history: Path, words: Sequence[str], status: Callable[[], str]) -> None:
        """Open the editor.

        Args:
            history: file of the lines of earlier chats; where it cannot be written there are none.
            words: that Tab completes.
            status: one line shown below the one that is typed.
        """
        from prompt_toolkit import PromptSession
        from prompt_toolkit.completion import WordCompleter

        self._session: PromptSession[str] = PromptSession(
            history=_history(history),
            completer=WordCompleter(list(words), sentence=True),
            complete_while_typing=False,
            bottom_toolbar=status,
            key_bindings=_keys(),
        )

    def read(self) -> str | None:
        """Return the next one; see `Lines`."""
        return self._read("")

    def edit(self, text: str, /) -> str | None:
        """Return what becomes of it; see `Lines`."""
        return self._read(text) or None

    def _read(self, default: str) -> str | None:
        text = ""
        while True:
            try:
                line = self._session.prompt(PROMPT if not text else "  ", default=default)
            except EOFError:
                return None
            text, default = text + line.removesuffix(GOES_ON), ""
            if not line.endswith(GOES_ON):
                return text.strip()
            text += "\n"


def _decoded(raw: bytes, number: int) -> str:
    try:
        return raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"line {number} of the input is not UTF-8: {error}") from None


def _history(file: Path) -> History:
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    except OSError as error:
        console.note(f"the lines of this chat are not kept for the next one: {error}")
        return InMemoryHistory()
    return FileHistory(file)


def _keys() -> KeyBindings:
    from prompt_toolkit.key_binding import KeyBindings

    keys = KeyBindings()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys
