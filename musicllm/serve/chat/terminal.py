"""The loop of a chat: a line, its answer, the next line."""

from __future__ import annotations

from musicllm import console
from musicllm.errors import InputError, StageError
from musicllm.serve.chat.commands import Quit, handle
from musicllm.serve.chat.lines import Lines
from musicllm.serve.chat.session import Session, fail


def talk(session: Session, lines: Lines) -> None:
    """Hold a conversation until its lines end or /quit; what was written is saved however it ends.

    In a pipe, a line that fails leaves the others to be answered.

    Raises:
        StageError: lines of a pipe failed; the errors were printed.
        KeyboardInterrupt: Ctrl-C in a pipe.
    """
    try:
        _talk(session, lines)
    except Quit:
        pass
    finally:
        session.player.stop()
        if session.saved is not None and session.saved.is_file():
            console.note(f"the conversation is in {session.saved}")
    if session.num_failed and not session.is_interactive:
        count = "a line" if session.num_failed == 1 else f"{session.num_failed} lines"
        raise StageError(f"{count} of the input failed; the errors are above")


def _talk(session: Session, lines: Lines) -> None:
    while True:
        try:
            line = lines.read()
            if line is None:
                return
            handle(session, lines, line)
        except InputError as error:
            fail(session, error)
        except KeyboardInterrupt:
            if not session.is_interactive:
                raise
            console.note("Ctrl-D or /quit ends the conversation")
