"""The Lightning module of a causal language model.

It computes losses and counts tokens; logging is done in `callbacks`, saving in `checkpoints`. Steps
are counted over the whole run: Lightning sees only the remaining ones, as one epoch, so no state of
its loop has to be restored.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from musicllm.data.batches import MicroBatch, remaining_steps
from musicllm.errors import NotAvailableError
from musicllm.model import router
from musicllm.model.adapters import causal_model
from musicllm.model.anatomy import decoder_of
from musicllm.model.head import KEYS, head_of
from musicllm.train import validation
from musicllm.train.forward import hidden_states
from musicllm.train.objectives import Objective
from musicllm.train.objectives.sft import SFT
from musicllm.train.readings import Reading, Readings
from musicllm.train.schedule import Schedule
from musicllm.train.zero import ZeroStrategy


class CausalLMModule(LightningModule):  # type: ignore[misc]
    """A causal language model with its optimizer and schedule.

    Attributes:
        model: a transformers or PEFT model; parameters that require gradients are trained.
        start_step: optimizer steps that earlier processes finished.
        left_out: steps, counted from 0, that are skipped.
        accumulation: micro-batches of an optimizer step on this rank.
        readings: of the last finished steps.
        grad_norm: L2 norm of the last step's gradient, before clipping.
        source_names: by the indices in `document_sources`; () when sources are not distinguished.
        objective: what is minimised; the validation loss is that of supervised tokens.
        validation_loss: mean over the supervised tokens of the last validation, in nats.
        validation_losses: the same by name of the source, for sources with supervised tokens.
    """

    def __init__(
        self,
        model: nn.Module,
        make_optimizer: Callable[[nn.Module], Optimizer],
        schedule: Schedule,
        *,
        accumulation: int,
        start_step: int = 0,
        left_out: Collection[int] = (),
        seed: int = 0,
        autocast: torch.dtype | None = None,
        source_names: tuple[str, ...] = (),
    ) -> None:
        """Wrap a model.

        Args:
            model: see the class.
            make_optimizer: from the model to its optimizer.
            schedule: of the learning rate.
            accumulation: see the class.
            start_step: see the class.
            left_out: see the class.
            seed: of dropout.
            autocast: dtype of matrix products; None where Lightning applies autocast.
            source_names: see the class.
        """
        super().__init__()
        self.model = model
        self.schedule = schedule
        self.accumulation = accumulation
        self.start_step = start_step
        self.source_names = source_names
        self.objective: Objective = SFT
        self.readings = Readings()
        self.grad_norm: Tensor | float = 0.0
        self.validation_loss = float("nan")
        self.validation_losses: dict[str, float] = {}
        self._make_optimizer = make_optimizer
        self._seed = seed
        self._autocast = autocast
        self._steps = remaining_steps(start_step, schedule.num_steps, left_out)
        self._step_totals = torch.zeros(2, dtype=torch.double)
        self._router_total = torch.zeros((), dtype=torch.double)
        self._term_totals = torch.zeros(0, dtype=torch.double)
        self._validation_sums = torch.zeros(0)

    def finished_steps(self, micro_batches: int) -> int | None:
        """Return the finished steps after a number of micro-batches, or None within a step."""
        steps, within = divmod(micro_batches, self.accumulation)
        if within:
            return None
        return self.start_step if steps == 0 else int(self._steps[steps - 1]) + 1

    def configure_optimizers(self) -> dict[str, Any]:
        """Return the optimizer and its schedule, in Lightning's form."""
        optimizer = self._make_optimizer(self.model)
        last = len(self._steps) - 1
        scheduler = LambdaLR(
            optimizer, lambda updates: self.schedule.lr_scale(int(self._steps[min(updates, last)]))
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def on_train_start(self) -> None:
        """Reset the totals, on the device of the model."""
        self._step_totals = torch.zeros(2, dtype=torch.double, device=self.device)
        self._router_total = torch.zeros((), dtype=torch.double, device=self.device)
        num_terms = len(self.objective.terms)
        self._term_totals = torch.zeros(num_terms, dtype=torch.double, device=self.device)

    def training_step(self, batch: MicroBatch, batch_idx: int) -> Tensor:
        """Return this micro-batch's share of the step's loss.

        Lightning divides by the accumulation and averages gradients over ranks; both are undone
        here, so that the loss is the mean over all supervised tokens of the step.
        """
        self._seed_dropout(batch_idx)
        with self.mixed():
            loss, balance = self._losses(batch)
        num_tokens = loss.new_tensor(batch["input_ids"].numel(), dtype=torch.double)
        self._step_totals = self._step_totals + torch.stack([loss.detach().double(), num_tokens])
        num_shares = self.accumulation * int(self.trainer.world_size)
        if balance is None:
            return loss * num_shares
        self._router_total = self._router_total + balance.detach().double()
        return (loss + balance) * num_shares

    def _losses(self, batch: MicroBatch) -> tuple[Tensor, Tensor | None]:
        """Return the shares of the step's losses: of tokens, and of routers where they have one."""
        router_loss = router.router_loss_of(causal_model(self.model))
        if router_loss is None:
            return self._objective_loss(batch), None
        with router.recording(causal_model(self.model)) as logits:
            loss = self._objective_loss(batch)
        balance = router_loss.sum_over_rows(logits, batch["row_lengths"])
        return loss, balance / batch["num_rows_in_step"]

    def _objective_loss(self, batch: MicroBatch) -> Tensor:
        """Return the share of the objective, and add its terms to their totals."""
        denominator = max(1, batch["num_supervised_in_step"])
        loss, terms = self.objective.loss_and_terms(self.model, batch)
        if terms is not None:
            self._term_totals = self._term_totals + terms.double() / denominator
        return loss / denominator

    def totals_of_step(self) -> Tensor:
        """Return the loss of the step so far and its tokens, over all ranks, without a sync.

        Returns:
            float64 [2] on the device of the model.
        """
        totals: Tensor = self.trainer.strategy.reduce(self._step_totals, reduce_op="sum")
        return totals

    def finish_step(self, step: int) -> Reading:
        """Record the reading of a finished step, and reset the totals."""
        if isinstance(self.trainer.strategy, ZeroStrategy):
            self.grad_norm = self.trainer.strategy.grad_norm()
        norm = torch.as_tensor(self.grad_norm, dtype=torch.double, device=self.device)
        values, names = [self.totals_of_step(), norm.reshape(1)], list(self.objective.terms)
        if router.router_loss_of(causal_model(self.model)) is not None:
            total = self.trainer.strategy.reduce(self._router_total, reduce_op="sum")
            values.append(total.reshape(1))
            names.insert(0, "router_loss")
            self._router_total = torch.zeros_like(self._router_total)
        if self.objective.terms:
            values.append(self.trainer.strategy.reduce(self._term_totals, reduce_op="sum"))
            self._term_totals = torch.zeros_like(self._term_totals)
        reading = Reading(step, torch.cat(values), names)
        self.readings.add(reading)
        self._step_totals = torch.zeros_like(self._step_totals)
        return reading

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of a finished step, of the first parameter group."""
        peak: float = self.trainer.optimizers[0].param_groups[0]["initial_lr"]
        return peak * self.schedule.lr_scale(step - 1)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        **_algorithm: Any,
    ) -> None:
        """Clip by the L2 norm of all gradients, and record the norm; DeepSpeed clips itself."""
        if isinstance(self.trainer.strategy, ZeroStrategy):
            return
        trained = [p for group in optimizer.param_groups for p in group["params"]]
        self.grad_norm = nn.utils.clip_grad_norm_(trained, gradient_clip_val or float("inf"))

    def skip_step(self) -> None:
        """Drop the gradients of the coming update; not with DeepSpeed or a loss scaler."""
        self.model.zero_grad(set_to_none=True)

    def on_validation_epoch_start(self) -> None:
        """Reset the sums."""
        num_sources = len(self.source_names) or 1
        self._validation_sums = torch.zeros(num_sources, 2, dtype=torch.double, device=self.device)

    def validation_step(self, batch: MicroBatch) -> None:
        """Add a micro-batch to the sums over the validation rows."""
        causal = causal_model(self.model)
        with self.mixed():
            self._validation_sums = self._validation_sums + validation.sums_by_source(
                hidden_states(self.model, batch),
                head_of(causal),
                batch,
                vocab_size=causal.config.vocab_size,
                num_sources=len(self._validation_sums),
            )

    def on_validation_epoch_end(self) -> None:
        """Compute the means; every supervised token has the same weight."""
        sums = self.trainer.strategy.reduce(self._validation_sums, reduce_op="sum").tolist()
        self.validation_loss, self.validation_losses = validation.means(sums, self.source_names)

    def mixed(self) -> AbstractContextManager[Any]:
        """Return the autocast context of the model; empty where Lightning applies autocast."""
        if self._autocast is None:
            return nullcontext()
        return torch.autocast(self.device.type, self._autocast)

    def _seed_dropout(self, batch_idx: int) -> None:
        """Seed dropout by step, micro-batch and rank, so that no random state has to be saved."""
        step, micro_batch = divmod(batch_idx, self.accumulation)
        place = [self._seed, int(self._steps[step]), micro_batch, self.trainer.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0]))


def check_head(model: nn.Module) -> None:
    """Make sure that the logits are those of `model.head.head_of`, as the loss assumes.

    Raises:
        NotAvailableError: the model changes them in another way than by its scale and soft cap.
    """
    causal = causal_model(model)
    ids = torch.zeros((1, 2), dtype=torch.long, device=causal.device)
    was_training = model.training
    model.eval()
    floats = (weight.dtype for weight in causal.parameters() if weight.is_floating_point())
    half = set(floats) - {torch.float32}  # what bitsandbytes packs is uint8
    mixed = torch.autocast(ids.device.type, min(half, key=str, default=None), enabled=bool(half))
    with torch.no_grad(), mixed:  # frozen weights in their own dtype, trained ones in float32
        whole = causal(input_ids=ids, use_cache=False).logits
        hidden = decoder_of(causal)(input_ids=ids, use_cache=False).last_hidden_state
        parts = head_of(causal)(hidden)
    model.train(was_training)
    if not torch.allclose(whole.float(), parts.float(), rtol=1e-2, atol=1e-3):
        raise NotAvailableError(
            f"{type(causal).__name__} changes its logits after the output head in a way that its "
            f"config.json does not tell (known are {', '.join(KEYS)}), and would be trained wrongly"
        )
