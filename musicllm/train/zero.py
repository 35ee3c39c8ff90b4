"""DeepSpeed under Lightning: ZeRO 1, 2 and 3, with offload, on GPUs and on CPUs.

DeepSpeed's configuration is generated from ours. The engine leaves every weight in its own dtype:
frozen weights in that of the base, trained ones in float32, matrix products under the module's
autocast. That is the arithmetic of a single device, where DeepSpeed's own bf16 and fp16 modes would
round adapters to 16 bits. Loss scaling for fp16 is implemented here.

Three overrides make it train on CPUs (gloo), too. Sources: ZeRO, arXiv 1910.02054; DeepSpeed 0.19,
Lightning 2.6.
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
from musicllm.schema import StrategyConfig

BUCKET_ELEMENTS = 50_000_000
"""Elements that are reduced or gathered in one message, and the size of its buffer."""


@dataclass
class LossScale:
    """The loss scale of fp16, updated as in `torch.amp.GradScaler`.

    Attributes:
        value: the factor.
        good_steps: finite steps since it last changed.
        period: finite steps after which it doubles.
    """

    value: float = 2.0**16
    good_steps: int = 0
    period: int = 2000

    def update(self, *, overflow: bool) -> None:
        """Halve it after an overflow, double it after `period` finite steps."""
        if overflow:
            self.value, self.good_steps = self.value / 2, 0
            return
        self.good_steps += 1
        if self.good_steps == self.period:
            self.value, self.good_steps = self.value * 2, 0


def engine_config(
    settings: StrategyConfig, *, rows_per_device: int, gradient_clip: float, on_gpu: bool
) -> dict[str, Any]:
    """Return DeepSpeed's configuration; Lightning adds the accumulation, the optimizer is ours.

    Args:
        settings: with a ZeRO stage.
        rows_per_device: rows of a micro-batch.
        gradient_clip: L2 norm; 0 is off.
        on_gpu: overlap communication with computation, and pin CPU memory.
    """
    zero: dict[str, Any] = {
        "stage": settings.zero_stage,
        "contiguous_gradients": True,
        "overlap_comm": on_gpu,
        "reduce_bucket_size": BUCKET_ELEMENTS,
        "allgather_bucket_size": BUCKET_ELEMENTS,
    }
    in_memory = {"device": "cpu", "pin_memory": on_gpu}
    if settings.offload_optimizer:
        zero["offload_optimizer"] = in_memory
    if settings.offload_parameters:
        zero["offload_param"] = in_memory
    return {
        "train_micro_batch_size_per_gpu": rows_per_device,
        "gradient_clipping": gradient_clip,
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,  # torch's AdamW, so that no compiler is needed
    }


class ZeroStrategy(DeepSpeedStrategy):  # type: ignore[misc]
    """Lightning's DeepSpeed strategy, on CPUs, too.

    Attributes:
        stage: of ZeRO.
    """

    def __init__(self, config: dict[str, Any], loss_scale: LossScale | None, record: Path) -> None:
        """Distribute training over the processes.

        Args:
            config: of `engine_config`.
            loss_scale: of fp16; None for other precisions.
            record: JSON file to which the engine's complete configuration is written.
        """
        super().__init__(
            config=config, precision_plugin=OwnDtypes(loss_scale), logging_level=logging.ERROR
        )
        self.stage: int = config["zero_optimization"]["stage"]
        self._record = record

    def setup_environment(self) -> None:
        """Set up, without requiring a GPU."""
        import deepspeed.ops

        # gloo is used instead; this would be compiled at the first use, for a minute
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        super(DeepSpeedStrategy, self).setup_environment()

    def setup_distributed(self) -> None:
        """Set up, with devices that have no index when they are CPUs."""
        reset_seed()
        self.set_world_ranks()
        self._init_deepspeed_distributed()  # private; the inherited method needs device indices

    def _setup_model_and_optimizer(
        self, model: nn.Module, optimizer: Optimizer | None, lr_scheduler: Any = None
    ) -> tuple[Any, Any]:
        """Create the engine, with the local rank as its device, since CPUs have no index.

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
        """Return the L2 norm of the last step's gradient, before clipping, without a sync."""
        norm: Tensor | float | None = self.model.get_global_grad_norm()
        return 0.0 if norm is None else norm


class OwnDtypes(DeepSpeedPrecision):  # type: ignore[misc]
    """Leaves every weight in its own dtype, and scales the loss in fp16."""

    def __init__(self, loss_scale: LossScale | None) -> None:
        """See `ZeroStrategy`."""
        super().__init__("32-true")
        self.loss_scale = loss_scale
        self._zero_optimizer: Any = None

    def adopt(self, zero_optimizer: Any) -> None:
        """Let the engine's optimizer use our loss scale."""
        self._zero_optimizer = zero_optimizer
        self._apply_scale()

    def _apply_scale(self) -> None:
        if self.loss_scale is not None and self._zero_optimizer is not None:
            self._zero_optimizer.override_loss_scale(self.loss_scale.value)

    def convert_module(self, module: nn.Module) -> nn.Module:
        """Return it unchanged."""
        return module

    def backward(
        self, tensor: Tensor, model: LightningModule, _optimizer: Any, *args: Any, **kwargs: Any
    ) -> None:
        """Run the backward pass; Lightning has divided by the accumulation already."""
        model.trainer.model.backward(tensor, *args, scale_wrt_gas=False, **kwargs)

    def optimizer_step(
        self, optimizer: Any, model: LightningModule, closure: Callable[[], Any], **kwargs: Any
    ) -> Any:
        """Compute a micro-batch; the engine decides whether it ends a step."""
        engine = model.trainer.model
        ends_step = engine.is_gradient_accumulation_boundary()
        result = super().optimizer_step(optimizer, model, closure, **kwargs)
        if self.loss_scale is not None and ends_step:
            self.loss_scale.update(overflow=bool(engine.optimizer.overflow))
            self._apply_scale()
        return result

    def state_dict(self) -> dict[str, Any]:
        """Return the loss scale as plain values."""
        return {} if self.loss_scale is None else dict(vars(self.loss_scale))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        if self.loss_scale is not None:
            vars(self.loss_scale).update(state_dict)
            self._apply_scale()
