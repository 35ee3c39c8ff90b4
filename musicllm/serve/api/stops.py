"""Cuts a text at stop strings while it is written."""

from __future__ import annotations

from collections.abc import Sequence


class Cutter:
    """Passes a text on up to the first stop string, which is not shown.

    What could be the beginning of a stop string is held back until it is none.

    Attributes:
        is_stopped: a stop string came.
        text: all that was passed on.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""
        self.is_stopped = False
        self.text = ""

    def take(self, piece: str) -> str:
        """Return what can be shown now that a piece is written."""
        if self.is_stopped:
            return ""
        whole = self._held + piece
        places = [place for stop in self._stops if (place := whole.find(stop)) >= 0]
        if places:
            self.is_stopped = True
            return self._pass(whole[: min(places)])
        num_held = max((_overlap(whole, stop) for stop in self._stops), default=0)
        cut = len(whole) - num_held
        self._held = whole[cut:]
        return self._pass(whole[:cut])

    def rest(self) -> str:
        """Return what was held back, at the end of the text."""
        held, self._held = self._held, ""
        return "" if self.is_stopped else self._pass(held)

    def _pass(self, text: str) -> str:
        self.text += text
        return text


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest end of `text` that begins `stop`."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
