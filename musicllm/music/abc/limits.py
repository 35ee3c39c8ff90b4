"""Limits on the size of a tune, and the error for tunes that are not valid ABC.

The limits apply to text from users and from models alike. Tunes stay far below them (the
longest of 4,248 in three printed collections has 5,500 characters); scores for an orchestra may
not, so the preparation can set others (`data.music.max_bars`, `data.music.max_tune_chars`).
"""

from __future__ import annotations

from dataclasses import dataclass

from musicllm.errors import InputError


@dataclass(frozen=True)
class Limits:
    """Sizes above which a tune is rejected.

    Attributes:
        max_line_chars: longest line.
        max_tune_chars: longest tune, all lines together.
        max_bars: most bars of all voices together; a rest of 20 bars (`Z20`) counts 20.
        max_voices: most voices.
        max_note_wholes: longest note or rest, in whole notes.
        max_octave_marks: most `,` or `'` after one note.
        max_tuplet: largest number in a tuplet `(p:q:r`.
        max_ending: largest number of a variant ending.
    """

    max_line_chars: int = 10_000
    max_tune_chars: int = 100_000
    max_bars: int = 5_000
    max_voices: int = 32
    max_note_wholes: int = 16
    max_octave_marks: int = 4
    max_tuplet: int = 32
    max_ending: int = 16


DEFAULT_LIMITS = Limits()
BOOK_LIMITS = Limits(max_line_chars=1 << 20, max_tune_chars=4 << 20)
"""Bounds on the memory for reading a book; its tunes are checked when they are parsed."""


class AbcError(InputError):
    """A tune that is not valid ABC.

    Attributes:
        reason: what is wrong, without the position.
        line: line in the tune's text, from 1; None if the error has no single position.
        column: column in that line, from 1; None for the whole line.
    """

    def __init__(self, reason: str, line: int | None = None, column: int | None = None) -> None:
        self.reason = reason
        self.line = line
        self.column = column
        place = "" if line is None else f"line {line}"
        if line is not None and column is not None:
            place += f", column {column}"
        super().__init__(f"{place}: {reason}" if place else reason)


def shorten(text: str, length: int = 24) -> str:
    """Return text for an error message: one line, at most `length` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= length else flat[: length - 3] + "..."
