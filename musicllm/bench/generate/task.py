"""The task of all contestants: beginnings of tunes to go on from; and what each reports."""

from __future__ import annotations

from dataclasses import dataclass

from musicllm.inference.requests import SamplingSettings
from musicllm.model.spec import ModelSpec


@dataclass(frozen=True)
class WritingSettings:
    """Settings of the bench of writing.

    Attributes:
        batch_size: texts that are written together.
        num_new_tokens: longest continuation.
        device: `cpu` or `cuda`.
        num_threads: of torch on a CPU; None for all cores.
    """

    batch_size: int
    num_new_tokens: int
    device: str
    num_threads: int | None

    @property
    def sampling(self) -> SamplingSettings:
        """What `conf/generation/sampling.yaml` has."""
        return SamplingSettings(0.8, 0, 0.95, 1.0, self.num_new_tokens)


@dataclass(frozen=True)
class WritingTask:
    """Beginnings and a model, picklable.

    Attributes:
        model: its `location` is a folder or hub id of weights and tokenizer.
        settings: of the bench.
        beginnings: of tunes, each a legal one.
        seed: of the sampling.
    """

    model: ModelSpec
    settings: WritingSettings
    beginnings: tuple[str, ...]
    seed: int


@dataclass(frozen=True)
class Written:
    """What a contestant wrote in one round.

    Attributes:
        seconds: from the beginnings as texts to the last text, without loading.
        num_tokens: that were written, ends aside.
        num_tunes: tunes in the texts that end with a whole bar, and parse.
        num_fitting: those of them of which every bar fits.
    """

    seconds: float
    num_tokens: int
    num_tunes: int
    num_fitting: int
