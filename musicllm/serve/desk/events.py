"""What a client of the desk is told, and the errors of the desk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from musicllm.errors import MusicLLMError
from musicllm.inference.requests import Completion

End = Literal["model", "length", "time", "stopped"]
"""Who ended a text: the model, the limit of its length, the limit of time, or its client (and a
server that is stopped)."""


@dataclass(frozen=True)
class Waiting:
    """The request waits.

    Attributes:
        position: requests that come before it.
    """

    position: int


@dataclass(frozen=True)
class Piece:
    """Text that was just written."""

    text: str


@dataclass(frozen=True)
class Done:
    """The whole text; the last event."""

    completion: Completion
    end: End


Event = Waiting | Piece | Done


class BusyError(MusicLLMError):
    """The queue is full; try again later."""


class ClosedError(MusicLLMError):
    """The server is being stopped and takes no new requests."""
