"""The Lightning module: what a micro-batch does to a causal language model.

It computes losses and counts tokens; who writes them down is `callbacks`, and what is saved is
`checkpoints`. Positions are counted in optimizer steps of the whole run: Lightning sees only the
part that is left, as one epoch, so nothing of its loop has to be restored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from musicllm.data.batches import MicroBatch
from musicllm.errors import NotAvailableError
from musicllm.model.attention import packed
from musicllm.train.loss import sum_nll, supervised_positions
from musicllm.train.schedule import Schedule


class CausalLMModule(LightningModule):  # type: ignore[misc]
    """A causal language model with its optimizer and schedule.

    Attributes:
        model: a transformers or PEFT model; parameters that require gradients are trained.
        start_step: optimizer steps that were finished before this process.
        accumulation: micro-batches of an optimizer step on this rank.
        step_loss: mean over the supervised tokens of the last finished step, in nats.
        grad_norm: L2 norm of the last step's gradient, before clipping.
        validation_loss: mean over the supervised tokens of the last validation, in nats.
    """

    def __init__(
        self,
        model: nn.Module,
        make_optimizer: Callable[[nn.Module], Optimizer],
        schedule: Schedule,
        *,
        accumulation: int,
        start_step: int = 0,
        seed: int = 0,
    ) -> None:
        """Wrap a model.

        Args:
            model: see the class.
            make_optimizer: from the model to its optimizer.
            schedule: of the learning rate.
            accumulation: see the class.
            start_step: see the class.
            seed: of dropout.
        """
        super().__init__()
        self.model = model
        self.schedule = schedule
        self.accumulation = accumulation
        self.start_step = start_step
        self.step_loss = float("nan")
        self.grad_norm: Tensor | float = 0.0
        self.validation_loss = float("nan")
        self._make_optimizer = make_optimizer
        self._seed = seed
        self._step_totals = torch.zeros(2, dtype=torch.double)
        self._validation_totals = torch.zeros(2, dtype=torch.double)

    def finished_steps(self, micro_batches: int) -> int | None:
        """Return the steps finished after so many micro-batches, or None within a step."""
        steps, within = divmod(micro_batches, self.accumulation)
        return None if within else self.start_step + steps

    def configure_optimizers(self) -> dict[str, Any]:
        """Return the optimizer and its schedule, in Lightning's form."""
        optimizer = self._make_optimizer(self.model)
        scheduler = LambdaLR(optimizer, self.schedule.lr_scale)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def on_train_start(self) -> None:
        """Begin the first step, on the device of the model."""
        self._step_totals = torch.zeros(2, dtype=torch.double, device=self.device)

    def training_step(self, batch: MicroBatch, batch_idx: int) -> Tensor:
        """Return this micro-batch's share of the step's loss.

        Lightning divides by the accumulation and averages gradients over ranks; both are undone
        here, so that what remains is the sum over all supervised tokens of the step over their
        number.
        """
        self._seed_dropout(batch_idx)
        nll = self._nll(batch) / max(1, batch["num_supervised_in_step"])
        tokens = batch["input_ids"].numel()
        self._step_totals = self._step_totals + _pair(nll.detach(), tokens)
        num_shares = self.accumulation * int(self.trainer.world_size)
        return nll * num_shares

    def finish_step(self) -> int:
        """Set `step_loss`, return the step's tokens over all ranks, and begin the next step."""
        self.step_loss, num_tokens = self._summed_over_ranks(self._step_totals)
        self._step_totals = torch.zeros_like(self._step_totals)
        return int(num_tokens)

    def learning_rate(self, step: int) -> float:
        """Return the rate that a finished step used, of the first parameter group."""
        peak: float = self.trainer.optimizers[0].param_groups[0]["initial_lr"]
        return peak * self.schedule.lr_scale(step - 1)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        **_algorithm: Any,
    ) -> None:
        """Clip by the L2 norm of all gradients, and keep the norm."""
        trained = [p for group in optimizer.param_groups for p in group["params"]]
        self.grad_norm = nn.utils.clip_grad_norm_(trained, gradient_clip_val or float("inf"))

    def on_validation_epoch_start(self) -> None:
        """Begin a validation."""
        self._validation_totals = torch.zeros(2, dtype=torch.double, device=self.device)

    def validation_step(self, batch: MicroBatch) -> None:
        """Add a micro-batch to the sums over the validation rows."""
        _, targets = supervised_positions(batch["labels"], batch["position_ids"])
        totals = _pair(self._nll(batch), len(targets))
        self._validation_totals = self._validation_totals + totals

    def on_validation_epoch_end(self) -> None:
        """Divide: every supervised token weighs the same, whatever its batch or rank."""
        nll, count = self._summed_over_ranks(self._validation_totals)
        self.validation_loss = nll / max(1.0, count)

    def _nll(self, batch: MicroBatch) -> Tensor:
        causal = _causal_model(self.model)
        hidden = causal.get_decoder()(
            input_ids=batch["input_ids"],
            position_ids=batch["position_ids"],
            use_cache=False,
            **packed(batch["cu_seq_lens"]),
        ).last_hidden_state
        return sum_nll(
            hidden,
            causal.get_output_embeddings(),
            batch["labels"],
            batch["position_ids"],
            vocab_size=causal.config.vocab_size,
        )

    def _seed_dropout(self, batch_idx: int) -> None:
        """Make dropout a function of the position, so that no random state needs saving."""
        step, micro_batch = divmod(batch_idx, self.accumulation)
        place = [self._seed, self.start_step + step, micro_batch, self.trainer.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0]))

    def _summed_over_ranks(self, totals: Tensor) -> list[float]:
        summed: Tensor = self.trainer.strategy.reduce(totals, reduce_op="sum")
        return [float(value) for value in summed.tolist()]


def check_head(model: nn.Module) -> None:
    """Make sure that the logits are the head's output on the decoder's, as the loss takes them.

    Raises:
        NotAvailableError: the model does more, such as a soft cap or a scale.
    """
    causal = _causal_model(model)
    ids = torch.zeros((1, 2), dtype=torch.long, device=causal.device)
    was_training = model.training
    model.eval()
    half = {weight.dtype for weight in causal.parameters()} - {torch.float32}
    mixed = torch.autocast(ids.device.type, min(half, key=str, default=None), enabled=bool(half))
    with torch.no_grad(), mixed:  # frozen weights in their own type, trained ones in float32
        whole = causal(input_ids=ids, use_cache=False).logits
        hidden = causal.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
        parts = causal.get_output_embeddings()(hidden)
    model.train(was_training)
    if not torch.allclose(whole.float(), parts.float(), rtol=1e-2, atol=1e-3):
        raise NotAvailableError(
            f"{type(causal).__name__} changes its logits after the output head (a soft cap or a "
            f"scale), and training does not follow that yet"
        )


def _causal_model(model: nn.Module) -> Any:
    """Return the transformers model, which PEFT has changed from within."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model  # type: ignore[operator]


def _pair(total: Tensor, count: int) -> Tensor:
    return torch.stack([total.double(), total.new_tensor(count, dtype=torch.double)])
