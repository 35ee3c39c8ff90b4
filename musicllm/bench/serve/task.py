"""The task of all contestants: beginnings of tunes to go on from; and what each reports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from musicllm.bench.generate.task import WritingSettings
from musicllm.inference.requests import SamplingSettings, WritingRequest


@dataclass(frozen=True)
class ServingTask:
    """Beginnings and a model, picklable.

    Attributes:
        location: folder or hub id of weights and tokenizer.
        settings: how many texts are written together, and how long; where.
        beginnings: of tunes.
        work: folder for what servers write.
    """

    location: str
    settings: WritingSettings
    beginnings: tuple[str, ...]
    work: Path

    def requests(self) -> list[WritingRequest]:
        """Return what is written: the most likely text after every beginning.

        So all contestants write the same, but for where rounding decides.
        """
        greedy = SamplingSettings(0.0, 0, 1.0, 1.0, self.settings.num_new_tokens)
        return [WritingRequest(None, text, greedy, 0) for text in self.beginnings]


@dataclass(frozen=True)
class Load:
    """What clients got.

    Attributes:
        seconds: from the first request to the last text.
        first_piece_s: of every text, from its request to its first piece.
        texts: that were written.
        num_tokens: of them all.
    """

    seconds: float
    first_piece_s: tuple[float, ...]
    texts: tuple[str, ...]
    num_tokens: int


@dataclass(frozen=True)
class Served:
    """What a contestant reports in one round.

    Attributes:
        single: one client, which sends one request after the other.
        many: all requests at the same time.
    """

    single: Load
    many: Load
