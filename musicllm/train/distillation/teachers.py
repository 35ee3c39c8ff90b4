"""Where a teacher's distributions come from: a model on the fly, or a store beside the rows.

A teacher on the fly is whole on every rank, frozen, in its own dtype or in 4 bits, without dropout
and without autocast: it computes what it computes alone. Its hidden states of the supervised tokens
are in memory during the student's passes, its logits for one piece of tokens at a time.

Axes: N tokens of the micro-batch, S supervised ones, P of them in a piece, D width of the teacher,
V vocabulary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn

from musicllm.data.batches import MicroBatch, TeacherTop
from musicllm.model import isolation
from musicllm.model.adapters import causal_model
from musicllm.model.head import head_of
from musicllm.train.distillation import targets
from musicllm.train.distillation.targets import Settings

Compare: TypeAlias = Callable[[Tensor, slice], tuple[Tensor, Tensor]]
"""From the student's logits, float32 [P, V], and their places among the S supervised tokens to the
divergence, float32 [P], and its derivative in the logits, float32 [P, V]."""


class Teacher(ABC):
    """A source of distributions."""

    @abstractmethod
    def comparison(self, batch: MicroBatch, positions: Tensor, settings: Settings) -> Compare:
        """Return how a student is compared with this teacher on a micro-batch.

        Args:
            batch: on the device of the student.
            positions: int64 [S], which of its tokens predict a supervised one; see
                `train.loss.supervised_positions`.
            settings: of the comparison.
        """


class ModelTeacher(Teacher):
    """A model that is run beside the student."""

    def __init__(self, model: nn.Module, *, num_tokens: int, top_k: int | None = None) -> None:
        """Freeze the model.

        Args:
            model: a transformers model; moved to the device of the first micro-batch.
            num_tokens: of the vocabulary; further rows of its head stand for nothing.
            top_k: most probable tokens that are used; None for the whole vocabulary.
        """
        self.model = model.eval().requires_grad_(False)
        self._num_tokens = num_tokens
        self._top_k = top_k

    @torch.no_grad()
    def states(self, batch: MicroBatch, positions: Tensor) -> Tensor:
        """Return the inputs of the head, [S, D]."""
        device = batch["input_ids"].device
        causal = causal_model(self.model)
        if causal.device != device:
            self.model.to(device)
        with torch.autocast(device.type, enabled=False):
            hidden = isolation.decode(
                causal,
                {"input_ids": batch["input_ids"]},
                batch["position_ids"],
                batch["cu_seq_lens"],
            )
        return hidden[0].index_select(0, positions)

    @torch.no_grad()
    def logits(self, states: Tensor) -> Tensor:
        """Return the logits of all tokens, float32 [P, tokens], of hidden states [P, D]."""
        with torch.autocast(states.device.type, enabled=False):
            logits = head_of(causal_model(self.model))(states)
        return logits[:, : self._num_tokens].float()

    def comparison(self, batch: MicroBatch, positions: Tensor, settings: Settings) -> Compare:
        """See `Teacher`."""
        states = self.states(batch, positions)

        def compare(logits: Tensor, part: slice) -> tuple[Tensor, Tensor]:
            theirs = self.logits(states[part])
            if self._top_k is not None:
                top = targets.top_of(theirs, self._top_k, settings.temperature)
                return targets.of_top(logits, top, settings)
            return targets.of_vocabulary(logits, theirs, settings)

        return compare


class StoredTeacher(Teacher):
    """What was stored beside the rows: `MicroBatch.teacher`."""

    def comparison(self, batch: MicroBatch, positions: Tensor, settings: Settings) -> Compare:
        """See `Teacher`."""
        top = batch["teacher"]
        stored, needed = len(top["rest"]), len(positions)
        assert stored == needed, f"{stored} distributions for {needed} supervised tokens"

        def compare(logits: Tensor, part: slice) -> tuple[Tensor, Tensor]:
            piece: TeacherTop = {
                "values": top["values"][part],
                "ids": top["ids"][part],
                "rest": top["rest"][part],
            }
            return targets.of_top(logits, piece, settings)

        return compare
