"""Two contestants in plain torch: a bare loop like ours, and a padded one.

The bare loop does what our training step does, without Lightning, callbacks and metrics. The padded
loop does what published fine-tuning code does: conversations that were tokenized one by one are
padded to the longest of the batch, passed to the Hugging Face model with its default attention, and
the loss is computed from the logits of all positions.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from musicllm.bench.train.stopwatch import WARM_UP_STEPS, Measurement, Stopwatch
from musicllm.bench.train.task import TrainTask
from musicllm.data.batches import IGNORED, StepBatches
from musicllm.model.adapters import causal_model
from musicllm.model.anatomy import decoder_of
from musicllm.model.attention import packed
from musicllm.model.head import head_of
from musicllm.train.loss import sum_nll

Padded = dict[str, Tensor]


def bare(task: TrainTask) -> Measurement:
    """Train on the batches of our run, with its model, loss and optimizer."""
    stopwatch = Stopwatch(task.device)
    training, plan = task.training, task.plan(task.training.num_steps + WARM_UP_STEPS)
    _use_threads(task)
    model = task.build_packed()
    causal = causal_model(model)
    optimizer = task.build_optimizer(model)
    batches = StepBatches(
        task.rows("train"),
        rows_per_step=plan.rows_per_step,
        rows_per_device=plan.rows_per_device,
        seed=task.seed,
        num_steps=plan.num_steps,
    )
    loader = DataLoader(batches, batch_size=None, num_workers=training.machine.num_data_workers)
    stopwatch.start()
    for number, batch in enumerate(loader, start=1):
        ends_step = number % plan.accumulation == 0
        num_supervised = batch.pop("num_supervised_in_step")
        ids, positions, labels, ends = (
            batch[name].to(task.device)
            for name in ("input_ids", "position_ids", "labels", "cu_seq_lens")
        )
        stopwatch.part("data")
        with task.autocast():
            hidden = decoder_of(causal)(
                input_ids=ids, position_ids=positions, use_cache=False, **packed(ends)
            ).last_hidden_state
            head = head_of(causal)
            size = causal.config.vocab_size
            loss = sum_nll(hidden, head, labels, positions, vocab_size=size) / num_supervised
        stopwatch.part("forward")
        loss.backward()
        stopwatch.part("backward")
        if ends_step:
            _update(model, optimizer, training.gradient_clip)
        stopwatch.part("optimizer")
        stopwatch.count_tokens(ids.numel(), num_supervised if ends_step else 0)
        if ends_step:
            stopwatch.end_step()
    return stopwatch.measured()


def padded(task: TrainTask) -> Measurement:
    """Train on as many padded conversations per step as our run has rows."""
    stopwatch = Stopwatch(task.device)
    training, plan = task.training, task.plan(task.training.num_steps + WARM_UP_STEPS)
    _use_threads(task)
    model = task.build("sdpa")
    optimizer = task.build_optimizer(model)
    batches = _padded_batches(task, plan.rows_per_device)
    stopwatch.start()
    for _ in range(plan.num_steps):
        for _ in range(plan.accumulation):
            batch = {name: tensor.to(task.device) for name, tensor in next(batches).items()}
            stopwatch.part("data")
            with task.autocast():
                loss = model(**batch).loss / plan.accumulation
            stopwatch.part("forward")
            loss.backward()
            stopwatch.part("backward")
            num_supervised = int((batch["labels"][:, 1:] != IGNORED).sum())
            stopwatch.count_tokens(int(batch["attention_mask"].sum()), num_supervised)
        _update(model, optimizer, training.gradient_clip)
        stopwatch.part("optimizer")
        stopwatch.end_step()
    return stopwatch.measured()


def samples(task: TrainTask) -> list[dict[str, list[int]]]:
    """Return ids and labels of each conversation."""
    documents = task.conversations()
    result = []
    for begin, end in zip(documents.offsets[:-1], documents.offsets[1:], strict=True):
        ids = documents.input_ids[begin:end].tolist()
        supervised = documents.supervised[begin:end].tolist()
        labels = [token if keep else IGNORED for token, keep in zip(ids, supervised, strict=True)]
        result.append({"input_ids": ids, "labels": labels})
    return result


def _padded_batches(task: TrainTask, num_rows: int) -> Iterator[Padded]:
    """Yield batches endlessly; conversations are in the order in which they were drawn."""
    conversations = samples(task)
    place = 0
    while True:
        rows = [conversations[(place + i) % len(conversations)] for i in range(num_rows)]
        place += num_rows
        ids, labels = (
            nn.utils.rnn.pad_sequence(
                [torch.tensor(row[name]) for row in rows], batch_first=True, padding_value=value
            )
            for name, value in (("input_ids", 0), ("labels", IGNORED))
        )
        lengths = torch.tensor([len(row["input_ids"]) for row in rows])
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
        yield {"input_ids": ids, "labels": labels, "attention_mask": mask}


def _update(model: nn.Module, optimizer: torch.optim.Optimizer, clip: float) -> None:
    if clip:
        nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], clip)
    optimizer.step()
    optimizer.zero_grad()


def _use_threads(task: TrainTask) -> None:
    if task.training.machine.num_threads is not None:
        torch.set_num_threads(task.training.machine.num_threads)
