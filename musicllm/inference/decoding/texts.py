"""Texts as they are written: the pieces that new tokens add, and the whole at the end."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from musicllm.data.encoder import Encoder

CONTEXT = 8
"""Tokens of a beginning that are decoded with what goes on from it."""

_UNFINISHED = "\N{REPLACEMENT CHARACTER}"
_BYTE = re.compile("<0x[0-9A-F]{2}>")
"""A token of a byte: bytes in a row are decoded together, once their last one is there."""


class WrittenText:
    """New tokens of one prompt, as text.

    Args:
        encoder: of the tokens.
        beginning: tokens of the text that is continued; empty for an answer, which begins a text.
        emit: is called with pieces, which make up the whole; None: nobody reads along.
    """

    def __init__(
        self, encoder: Encoder, beginning: Sequence[int], emit: Callable[[str], None] | None
    ) -> None:
        self._encoder = encoder
        self._context = list(beginning[-CONTEXT:])
        self._emit = emit
        self._emitted = ""
        self.restart()

    def restart(self) -> None:
        """Forget the tokens; pieces that come again are not emitted again."""
        self.ids: list[int] = []
        self._text = ""
        self._from, self._read = 0, len(self._context)

    def add(self, token: int) -> None:
        """Add a token; decoded together with those before, which its text depends on."""
        self.ids.append(token)
        if self._emit is None:
            return
        ids = self._context + self.ids
        before = self._encoder.decode(ids[self._from : self._read])
        text = self._encoder.decode(ids[self._from :])
        is_whole = not (text.endswith(_UNFINISHED) or self._is_byte(token))
        if len(text) > len(before) and is_whole:
            self._from, self._read = self._read, len(ids)
            self._text += text[len(before) :]
            self._catch_up()

    def finished(self) -> str:
        """Return the whole text, after its last piece was emitted."""
        before = self._encoder.decode(self._context)
        self._text = self._encoder.decode(self._context + self.ids)[len(before) :]
        self._catch_up()
        return self._text

    def _is_byte(self, token: int) -> bool:
        name = self._encoder.lexicon.core.id_to_token(token)
        return name is not None and _BYTE.fullmatch(name) is not None

    def _catch_up(self) -> None:
        if self._emit is not None and len(self._text) > len(self._emitted):
            piece = self._text[len(self._emitted) :]
            self._emitted = self._text
            self._emit(piece)
