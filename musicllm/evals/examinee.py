"""A model under test, as kinds of benchmark use it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from torch import nn
from transformers import PreTrainedTokenizerBase

from musicllm.data.encoder import Encoder
from musicllm.evals.materials import Materials
from musicllm.evals.partial import Partial
from musicllm.inference.likelihood import DocumentScore, document_nll
from musicllm.inference.requests import Completion, SamplingSettings
from musicllm.inference.scorer.scorer import Scorer
from musicllm.inference.scorer.team import Team
from musicllm.inference.shared_sampling import sample_all


class Examinee:
    """A model and the data of its benchmarks; weights are loaded at the first measurement.

    Args:
        load: returns the model and its tokenizer.
        materials: data of the benchmarks.
        role: of the model, under which its measurements are stored.
        team: the processes that share the work; None: this one.
        partial: stores finished measurements; None stores nothing.
    """

    def __init__(
        self,
        load: Callable[[], tuple[nn.Module, PreTrainedTokenizerBase]],
        materials: Materials,
        *,
        role: str = "model",
        team: Team | None = None,
        partial: Partial | None = None,
    ) -> None:
        self.materials = materials
        self._load = load
        self._role = role
        self._team = team
        self._partial = partial

    @cached_property
    def _loaded(self) -> tuple[nn.Module, PreTrainedTokenizerBase]:
        return self._load()

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Its tokenizer."""
        return self._loaded[1]

    @cached_property
    def scorer(self) -> Scorer:
        """What scores token sequences under it."""
        return Scorer(self._loaded[0], self._team)

    def memoize(self, name: str, measure: Callable[[], Any]) -> Any:
        """Return the JSON value that an interrupted run measured, or measure and store it."""
        if self._partial is None:
            return measure()
        return self._partial.get(f"{self._role}-{name}", measure)

    def document_scores(self, texts: Sequence[str], *, ends: bool) -> list[DocumentScore]:
        """Return the likelihood of each text; see `document_nll`."""
        return document_nll(self.scorer, self.tokenizer, texts, ends=ends, memoize=self.memoize)

    def answer(
        self,
        conversations: Sequence[Sequence[Mapping[str, str]]],
        sampling: SamplingSettings,
        batch_size: int,
    ) -> list[Completion]:
        """Return what the model answers to the last message of each conversation.

        Args:
            conversations: messages with `role` and `content`.
            sampling: settings of the sampling.
            batch_size: answers that are sampled together.
        """
        encoder = Encoder(self.tokenizer)
        return sample_all(
            self.scorer.reader.model,
            encoder,
            [encoder.prompt(messages) for messages in conversations],
            sampling,
            seed=self.materials.seed,
            batch_size=batch_size,
            team=self.scorer.team,
            memoize=self.memoize,
        )
