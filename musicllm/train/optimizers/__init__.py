"""Optimizers by name, one module for each kind.

A kind has everything that depends on the optimizer: its construction, the checks of its settings,
the memory of its state, the FLOPs of an update and its rows in a plan. The learning rate schedule
is `schedule`. Importing a kind imports no torch, since `checks` uses the kinds, too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from musicllm.errors import Problem
from musicllm.registry import Registry
from musicllm.schema import OptimizerConfig

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

FLOAT32 = 4


class OptimizerKind(ABC):
    """A kind of optimizer.

    Attributes:
        name: value of `optimizer.name`.
        needs_whole_matrices: its update depends on the shape of a matrix, so ZeRO, which cuts
            parameters into flat pieces, is refused.
        has_lora_plus: it follows `optimizer.lora_plus_ratio`.
    """

    name: ClassVar[str]
    needs_whole_matrices: ClassVar[bool] = False
    has_lora_plus: ClassVar[bool] = False

    @abstractmethod
    def build(self, model: nn.Module, settings: OptimizerConfig, *, has_bf16: bool) -> Optimizer:
        """Return the optimizer of the trained parameters of a model.

        Args:
            model: a transformers or PEFT model.
            settings: `optimizer` of the configuration.
            has_bf16: the device supports bfloat16 natively.
        """

    @abstractmethod
    def state_bytes(self, num_trainable: int, num_hidden: int) -> int:
        """Return the bytes of the state.

        Args:
            num_trainable: trained parameters.
            num_hidden: of them, those of matrices that are neither embeddings nor the head.
        """

    def problems(self, settings: OptimizerConfig) -> Iterator[Problem]:
        """Yield settings that are missing, wrong, or have no effect on this kind."""
        if settings.options:
            rule = f"has no effect on optimizer.name={self.name}"
            yield Problem("optimizer.options", settings.options, rule, "write {}")
        if settings.lora_plus_ratio is not None and not self.has_lora_plus:
            rule = f"has no effect on optimizer.name={self.name}"
            yield Problem("optimizer.lora_plus_ratio", settings.lora_plus_ratio, rule, "write null")

    def update_flops(self, _shapes: Mapping[tuple[int, ...], int]) -> float:
        """Return the FLOPs of an update; elementwise work counts nothing, as in `model.flops`.

        Args:
            _shapes: of trained matrices that are neither embeddings nor the head, and how many
                there are of each.
        """
        return 0.0

    def plan_rows(
        self, _settings: OptimizerConfig, *, device: str, has_bf16: bool
    ) -> list[tuple[str, str]]:
        """Return rows for the table of the plan, beside `optimizer.lr`.

        Args:
            _settings: `optimizer` of the configuration.
            device: its name.
            has_bf16: as for `build`.
        """
        del device, has_bf16
        return []


OPTIMIZERS: Registry[OptimizerKind] = Registry("optimizer", __name__)
