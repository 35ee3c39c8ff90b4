"""Objectives of training, one module for each: `objective.name`.

The next-token loss of supervised tokens is `sft`; `distillation` adds the distributions of a
teacher. Importing one imports no torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from musicllm.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor, nn

    from musicllm.data.batches import MicroBatch
    from musicllm.errors import Problem
    from musicllm.schema import ObjectiveConfig
    from musicllm.train.distillation.teachers import Teacher


class Objective(ABC):
    """A loss of micro-batches.

    Attributes:
        name: by which it is registered.
        terms: names of the parts of the loss that metrics show beside it, such as `nll`.
        has_teacher: it needs a teacher, from `inputs.teacher` or `inputs.teacher_logits`.
    """

    name: ClassVar[str]
    terms: tuple[str, ...] = ()
    has_teacher: ClassVar[bool] = False

    @abstractmethod
    def loss(self, model: nn.Module, batch: MicroBatch) -> Tensor:
        """Return the sum over a micro-batch, which `module` divides by the tokens of the step.

        Args:
            model: a transformers or PEFT model, under autocast where the run has it.
            batch: on the device of the model; its `num_supervised_in_step` is the divisor.

        Returns:
            float32 scalar with a gradient.
        """

    def loss_and_terms(self, model: nn.Module, batch: MicroBatch) -> tuple[Tensor, Tensor | None]:
        """Return `loss`, and the sums of `terms`, float32 [len(terms)], without a gradient."""
        return self.loss(model, batch), None

    def bound(self, settings: ObjectiveConfig, teacher: Teacher | None) -> Objective:
        """Return the objective of a run.

        Args:
            settings: of the run.
            teacher: where `has_teacher` is set, else None.
        """
        del settings
        assert teacher is None, f"{self.name} has no teacher"
        return self

    def words(self, settings: ObjectiveConfig) -> str:
        """Return what a plan says of it."""
        del settings
        return self.name

    def problems(self, settings: ObjectiveConfig) -> Iterator[Problem]:
        """Yield settings that do not fit each other or have no effect."""
        del settings
        return iter(())


OBJECTIVES: Registry[Objective] = Registry("objective", __name__)
