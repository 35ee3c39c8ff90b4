"""Bad losses: found, recorded with the rows that made them, and answered by a policy.

A loss is bad when it, or outside fp16 the gradient's norm, is not finite, or when it is far above
the median of the last lines of metrics.jsonl. The policies: `stop` ends the run; `skip` makes no
update in that step, for which every step waits for its loss before the update; `roll_back` goes
back to the last checkpoint and leaves the step out, for which whoever runs the training catches
`RollBack`. What stays of an incident in the run folder is described in `records`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from lightning.pytorch import Callback, Trainer
from torch import nn
from torch.optim import Optimizer

from musicllm import console
from musicllm.data.batches import MicroBatch, StepBatches
from musicllm.errors import StageError
from musicllm.train import group, metrics
from musicllm.train.module import CausalLMModule
from musicllm.train.readings import Reading
from musicllm.train.records import Records, leave_out
from musicllm.train.scaling import loss_scale

ADVICE = "a lower optimizer.lr, a longer warm-up, or bf16 instead of fp16 usually helps"


class RollBack(Exception):  # noqa: N818 - it is a request, and no error
    """Asks to continue from the last checkpoint before a step, without that step.

    Attributes:
        step: the bad one, which `records.left_out_steps` names from now on.
    """

    def __init__(self, step: int) -> None:
        """Ask."""
        super().__init__(f"roll back to before step {step}")
        self.step = step


@dataclass(frozen=True)
class IncidentPolicy:
    """What counts as bad, and what is done then.

    Attributes:
        on_bad_loss: stop, skip or roll_back.
        loss_spike_factor: a loss above so many times the median is bad; None looks only for what
            is not finite.
        loss_spike_window: lines of metrics.jsonl whose median it is; with fewer, none is a spike.
        max_incidents: more than these end the run whatever the policy.
    """

    on_bad_loss: str
    loss_spike_factor: float | None
    loss_spike_window: int
    max_incidents: int

    def fault(self, loss: float, grad_norm: float, logged: Sequence[float]) -> str | None:
        """Return what is wrong with a step, or None.

        Args:
            loss: of the step, in nats.
            grad_norm: of the step, before clipping.
            logged: finite losses of earlier lines, the newest last.
        """
        if not math.isfinite(loss):
            return f"is {loss}"
        if not math.isfinite(grad_norm):
            return f"is {loss:.4g}, but the norm of its gradient is {grad_norm}"
        window = logged[-self.loss_spike_window :]
        if self.loss_spike_factor is None or len(window) < self.loss_spike_window:
            return None
        usual = median(window)
        if loss <= self.loss_spike_factor * usual:
            return None
        factor = f"callbacks.loss_spike_factor={self.loss_spike_factor:g}"
        return f"is {loss:.4g}, more than {factor} times the usual {usual:.4g}"


class Incidents(Callback):  # type: ignore[misc]
    """Looks at the loss of every step; stands after `Metrics` and before what saves.

    With `skip` a loss is read before the update. Otherwise it is read after the step, and on a GPU
    one step late, so that nothing waits for it; but at once before a checkpoint and at the end.
    """

    def __init__(
        self,
        folder: Path,
        batches: StepBatches,
        policy: IncidentPolicy,
        *,
        source_names: Sequence[str],
        log_every_steps: int,
        checkpoint_every_steps: int,
    ) -> None:
        """Watch a run.

        Args:
            folder: the run folder.
            batches: which rows a step has.
            policy: see `IncidentPolicy`.
            source_names: by the numbers in the rows; () leaves the numbers.
            log_every_steps: between its lines.
            checkpoint_every_steps: after so many steps a loss must be known at once.
        """
        self._folder = folder
        self._records = Records(folder, batches, source_names)
        self._metrics_file = folder / metrics.NAME
        self._policy = policy
        self._log_every = log_every_steps
        self._save_every = checkpoint_every_steps
        self._logged: list[float] = []
        self._underway = 0
        self._judged = 0

    def on_train_start(self, _trainer: Trainer, module: CausalLMModule) -> None:
        """Take up the losses that were logged before this start."""
        self._judged = module.start_step
        self._logged = group.from_main(self._losses_in_file)

    def on_train_batch_start(
        self, _trainer: Trainer, module: CausalLMModule, _batch: MicroBatch, batch_idx: int
    ) -> None:
        """Note which step this is."""
        begun = batch_idx // module.accumulation + 1
        self._underway = module.finished_steps(begun * module.accumulation) or 0

    def on_before_optimizer_step(
        self, trainer: Trainer, module: CausalLMModule, _optimizer: Optimizer
    ) -> None:
        """With `skip`, judge the step before it changes anything.

        Raises:
            StageError: it is bad, and there were too many like it.
        """
        if self._policy.on_bad_loss == "skip":
            loss = float(module.totals_of_step()[0])
            norm = 0.0 if loss_scale(trainer) else _gradient_norm(module)
            if fault := self._policy.fault(loss, norm, self._logged):
                self._act(self._underway, loss, fault)
                module.skip_step()

    def on_train_batch_end(
        self, trainer: Trainer, module: CausalLMModule, _: Any, _batch: MicroBatch, batch_idx: int
    ) -> None:
        """Judge what can be read without waiting, or what must be known now.

        Raises:
            StageError: a step is bad, and the policy is to stop, or there were too many like it.
            RollBack: a step is bad, and the policy is to go back.
        """
        step = module.finished_steps(batch_idx + 1)
        if step is None:
            return
        if step % self._save_every == 0 or trainer.should_stop:
            self.settle(trainer, module)
        else:
            self._judge(trainer, module.readings.settled)

    def settle(self, trainer: Trainer, module: CausalLMModule) -> None:
        """Judge every finished step now, such as before it is saved; raises as a step's end."""
        self._judge(trainer, module.readings.settled)
        self._judge(trainer, module.readings.newest)

    def _judge(self, trainer: Trainer, reading: Reading | None) -> None:
        if reading is None or reading.step <= self._judged:
            return
        self._judged = reading.step
        norm = 0.0 if loss_scale(trainer) else reading.grad_norm
        fault = self._policy.fault(reading.loss, norm, self._logged)
        if reading.step % self._log_every == 0 and math.isfinite(reading.loss):
            self._logged.append(reading.loss)
        if fault and self._policy.on_bad_loss != "skip":
            self._act(reading.step, reading.loss, fault)

    def _act(self, step: int, loss: float, fault: str) -> None:
        """Do what the policy says, on every rank alike."""
        said = f"the loss of step {step} {fault}"
        num_incidents = group.from_main(lambda: self._record(step, loss, said))
        path, most = self._records.path(step), self._policy.max_incidents
        if num_incidents > most:
            raise StageError(
                f"{said}; that is incident {num_incidents} of this run, and "
                f"callbacks.max_incidents={most} are allowed; {path.parent} lists the rows of "
                f"each; {ADVICE}"
            )
        if self._policy.on_bad_loss == "stop":
            raise StageError(
                f"{said}; its rows of the training split are listed in {path}; {ADVICE}, and "
                f"callbacks.on_bad_loss=roll_back, in a run of its own, leaves these rows out"
            )
        if self._policy.on_bad_loss == "roll_back":
            raise RollBack(step)

    def _record(self, step: int, loss: float, said: str) -> int:
        """Write down what is known, and return how many incidents this run has had."""
        policy = self._policy.on_bad_loss
        num_incidents = self._records.write(step, loss, said, policy)
        if policy == "roll_back":
            leave_out(self._folder, step)
        if policy != "stop":
            done = {"skip": "it changes nothing", "roll_back": "going back to before it"}[policy]
            console.note(f"{said}; {done}; its rows are listed in {self._records.path(step)}")
        return num_incidents

    def _losses_in_file(self) -> list[float]:
        found = (line.get("train/loss") for line in metrics.read(self._metrics_file))
        return [loss for loss in found if loss is not None][-self._policy.loss_spike_window :]


def _gradient_norm(module: CausalLMModule) -> float:
    gradients = [weight.grad for weight in module.model.parameters() if weight.grad is not None]
    return float(nn.utils.get_total_norm(gradients))
