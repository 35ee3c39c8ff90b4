"""DeepSpeed under Lightning: ZeRO 1, 2 and 3, with offload, on GPUs and on CPUs.

DeepSpeed's configuration is generated from ours and nowhere written by hand. The engine computes in
the types that it finds: frozen weights in the base's, trained ones in float32, products under
autocast by the module. That is the arithmetic of a single device, where DeepSpeed's own bf16 and
fp16 modes would round adapters to 16 bits. Loss scaling for fp16 is kept here.

On a CPU (gloo) it trains as on GPUs, for which Lightning and DeepSpeed have to be told three small
things. Sources: ZeRO, arXiv 1910.02054; DeepSpeed 0.19, Lightning 2.6.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.seed import reset_seed
from lightning.pytorch import LightningModule
from lightning.pytorch.plugins.precision import DeepSpeedPrecision
from lightning.pytorch.strategies import DeepSpeedStrategy
from torch import Tensor, nn
from torch.optim import Optimizer

from musicllm import artifacts

BUCKET_NUMBERS = 50_000_000
"""Numbers that are reduced or gathered in one message; a bucket is held while that happens."""


@dataclass(frozen=True)
class ZeroSpec:
    """What is spread over the devices.

    Attributes:
        stage: 1 (optimizer state), 2 (and gradients), 3 (and weights).
        offload_optimizer: its state lies in CPU memory.
        offload_parameters: weights lie in CPU memory; stage 3 only.
    """

    stage: int
    offload_optimizer: bool
    offload_parameters: bool


@dataclass
class LossScale:
    """fp16's factor in front of the loss; `torch.amp.GradScaler` moves in the same way.

    Attributes:
        value: the factor.
        good_steps: finite steps since it last moved.
        period: finite steps after which it doubles.
    """

    value: float = 2.0**16
    good_steps: int = 0
    period: int = 2000

    def update(self, *, overflow: bool) -> None:
        """Halve it after a step that was not finite, double it after many that were."""
        if overflow:
            self.value, self.good_steps = self.value / 2, 0
            return
        self.good_steps += 1
        if self.good_steps == self.period:
            self.value, self.good_steps = self.value * 2, 0


def engine_config(
    spec: ZeroSpec, *, rows_per_device: int, gradient_clip: float, on_gpu: bool
) -> dict[str, Any]:
    """Return DeepSpeed's configuration; Lightning adds the accumulation, the optimizer is ours.

    Args:
        spec: what is spread.
        rows_per_device: rows of a micro-batch.
        gradient_clip: L2 norm; 0 is off.
        on_gpu: overlap messages with computing, and pin CPU memory.
    """
    zero: dict[str, Any] = {
        "stage": spec.stage,
        "contiguous_gradients": True,
        "overlap_comm": on_gpu,
        "reduce_bucket_size": BUCKET_NUMBERS,
        "allgather_bucket_size": BUCKET_NUMBERS,
    }
    in_memory = {"device": "cpu", "pin_memory": on_gpu}
    if spec.offload_optimizer:
        zero["offload_optimizer"] = in_memory
    if spec.offload_parameters:
        zero["offload_param"] = in_memory
    return {
        "train_micro_batch_size_per_gpu": rows_per_device,
        "gradient_clipping": gradient_clip,
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,  # torch's AdamW, so that no compiler is needed
    }


class ZeroStrategy(DeepSpeedStrategy):  # type: ignore[misc]
    """Lightning's DeepSpeed strategy, on CPUs, too."""

    def __init__(
        self, spec: ZeroSpec, config: dict[str, Any], loss_scale: LossScale | None, record: Path
    ) -> None:
        """Spread training over the processes.

        Args:
            spec: what is spread.
            config: of `engine_config`.
            loss_scale: of fp16; None for other precisions.
            record: file that shows the whole configuration, as the engine got it.
        """
        super().__init__(
            config=config, precision_plugin=OwnTypes(loss_scale), logging_level=logging.ERROR
        )
        self.spec = spec
        self._record = record

    def setup_environment(self) -> None:
        """Set up, without asking for a GPU."""
        import deepspeed.ops

        # gloo does; this would be compiled at the first use, for a minute
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        super(DeepSpeedStrategy, self).setup_environment()

    def setup_distributed(self) -> None:
        """Set up, with devices that have no index when they are CPUs."""
        reset_seed()
        self.set_world_ranks()
        self._init_deepspeed_distributed()  # private; the inherited method wants device indices

    def _setup_model_and_optimizer(
        self, model: nn.Module, optimizer: Optimizer | None, lr_scheduler: Any = None
    ) -> tuple[Any, Any]:
        """Make the engine, with the rank as its device where devices have no index.

        The inherited method is private; it calls DeepSpeed with the index of the device.
        """
        import deepspeed

        if self.is_global_zero:
            artifacts.write_json(self._record, self.config)
        engine, zero_optimizer, _, _ = deepspeed.initialize(
            args=argparse.Namespace(device_rank=self.local_rank),
            config=self.config,
            model=model,
            model_parameters=[weight for weight in model.parameters() if weight.requires_grad],
            optimizer=optimizer,
            lr_scheduler=lr_scheduler,
            dist_init_required=False,
        )
        self.precision_plugin.adopt(zero_optimizer)
        return engine, zero_optimizer

    def grad_norm(self) -> Tensor | float:
        """Return the L2 norm of the last step's gradient, before clipping; nothing waits for it."""
        norm: Tensor | float | None = self.model.get_global_grad_norm()
        return 0.0 if norm is None else norm


class OwnTypes(DeepSpeedPrecision):  # type: ignore[misc]
    """Leaves every weight in its own type, and scales the loss if there is a scale."""

    def __init__(self, loss_scale: LossScale | None) -> None:
        """Begin; see `ZeroStrategy`."""
        super().__init__("32-true")
        self.loss_scale = loss_scale
        self._zero_optimizer: Any = None

    def adopt(self, zero_optimizer: Any) -> None:
        """Let the engine's optimizer scale by ours."""
        self._zero_optimizer = zero_optimizer
        self._tell_scale()

    def _tell_scale(self) -> None:
        if self.loss_scale is not None and self._zero_optimizer is not None:
            self._zero_optimizer.override_loss_scale(self.loss_scale.value)

    def convert_module(self, module: nn.Module) -> nn.Module:
        """Return it as it is."""
        return module

    def backward(
        self, tensor: Tensor, model: LightningModule, _optimizer: Any, *args: Any, **kwargs: Any
    ) -> None:
        """Propagate back; Lightning has divided by the accumulation already."""
        model.trainer.model.backward(tensor, *args, scale_wrt_gas=False, **kwargs)

    def optimizer_step(
        self, optimizer: Any, model: LightningModule, closure: Callable[[], Any], **kwargs: Any
    ) -> Any:
        """Compute a micro-batch, and let the engine decide whether it ends a step."""
        engine = model.trainer.model
        ends_step = engine.is_gradient_accumulation_boundary()
        result = super().optimizer_step(optimizer, model, closure, **kwargs)
        if self.loss_scale is not None and ends_step:
            self.loss_scale.update(overflow=bool(engine.optimizer.overflow))
            self._tell_scale()
        return result

    def state_dict(self) -> dict[str, Any]:
        """Return the loss scale, as plain numbers."""
        return {} if self.loss_scale is None else dict(vars(self.loss_scale))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        if self.loss_scale is not None:
            vars(self.loss_scale).update(state_dict)
            self._tell_scale()
