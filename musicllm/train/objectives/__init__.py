"""Objectives of training, one module for each.

The only one so far is the next-token loss of supervised tokens (`sft`), and no setting selects it;
objectives for preference pairs or rewards would be registered here. Importing one imports no torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from musicllm.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor, nn

    from musicllm.data.batches import MicroBatch


class Objective(ABC):
    """A loss of micro-batches.

    Attributes:
        name: by which it is registered.
    """

    name: ClassVar[str]

    @abstractmethod
    def loss(self, model: nn.Module, batch: MicroBatch) -> Tensor:
        """Return the sum over a micro-batch, which `module` divides by the tokens of the step.

        Args:
            model: a transformers or PEFT model, under autocast where the run has it.
            batch: on the device of the model; its `num_supervised_in_step` is the divisor.

        Returns:
            float32 scalar with a gradient.
        """


OBJECTIVES: Registry[Objective] = Registry("objective", __name__)
