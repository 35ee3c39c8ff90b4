"""A contestant for GPUs: `transformers.Trainer` with PEFT and its fastest settings.

Half precision, fused AdamW, activation checkpointing like ours, and padding-free batches
(`DataCollatorWithFlattening`) if FlashAttention-2 isolates their documents; else padded batches of
similar lengths. A batch has as many tokens as ours.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from transformers import (
    DataCollatorWithFlattening,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from musicllm.bench.train.loops import samples
from musicllm.bench.train.stopwatch import WARM_UP_STEPS, Measurement, Stopwatch
from musicllm.bench.train.task import TrainTask
from musicllm.data.batches import IGNORED
from musicllm.model.adapters import causal_model
from musicllm.train.capabilities import probe


def hf_trainer(task: TrainTask) -> Measurement:
    """Train on as many conversations per step as fill our rows."""
    stopwatch = Stopwatch(task.device)
    training, plan = task.training, task.plan(task.training.num_steps + WARM_UP_STEPS)
    flat = task.device.type == "cuda" and "flash_attention_2" not in probe("gpu").lacking
    model = task.build("sdpa")
    if flat:  # transformers' own
        causal_model(model).set_attn_implementation("flash_attention_2")
    conversations = samples(task)
    mean_length = sum(len(row["input_ids"]) for row in conversations) / len(conversations)
    per_batch = max(1, round(plan.rows_per_device * training.max_length / mean_length))
    needed = per_batch * (plan.accumulation * plan.num_steps + 1)  # one is collated ahead
    arguments = _arguments(task, per_batch, plan.accumulation, plan.num_steps, by_length=not flat)
    Trainer(
        model=model,
        args=arguments,
        train_dataset=(conversations * math.ceil(needed / len(conversations)))[:needed],
        data_collator=_Counting(stopwatch, flat=flat),
        callbacks=[_StepEnds(stopwatch)],
    ).train()
    return stopwatch.measured()


class _StepEnds(TrainerCallback):  # type: ignore[misc]
    """Reports steps to a stopwatch; they cannot be split into parts."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        self._stopwatch = stopwatch

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._stopwatch.start()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self._stopwatch.part("optimizer")
        self._stopwatch.end_step()


class _Counting:
    """Collates batches and counts their tokens; batches, and so counts, are one ahead."""

    def __init__(self, stopwatch: Stopwatch, *, flat: bool) -> None:
        self._stopwatch = stopwatch
        self._flatten = DataCollatorWithFlattening(return_flash_attn_kwargs=True) if flat else None

    def __call__(self, rows: list[dict[str, list[int]]]) -> dict[str, Any]:
        labels = [label for row in rows for label in row["labels"][1:]]
        tokens = sum(len(row["input_ids"]) for row in rows)
        self._stopwatch.count_tokens(tokens, sum(label != IGNORED for label in labels))
        if self._flatten is not None:
            flat: dict[str, Any] = self._flatten(rows)
            return flat
        longest = max(len(row["input_ids"]) for row in rows)
        return {
            name: torch.tensor([_filled(row[key], longest, value) for row in rows])
            for name, key, value in (("input_ids", "input_ids", 0), ("labels", "labels", IGNORED))
        } | {
            "attention_mask": torch.tensor(
                [_filled([1] * len(row["input_ids"]), longest, 0) for row in rows]
            )
        }


def _filled(values: list[int], length: int, value: int) -> list[int]:
    return values + [value] * (length - len(values))


def _arguments(
    task: TrainTask, per_batch: int, accumulation: int, num_steps: int, *, by_length: bool
) -> TrainingArguments:
    training = task.training
    spec = training.optimizer
    return TrainingArguments(
        output_dir=str(task.work / "trainer"),
        max_steps=num_steps,
        per_device_train_batch_size=per_batch,
        gradient_accumulation_steps=accumulation,
        gradient_checkpointing=training.activation_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False},
        bf16=task.compute_dtype == torch.bfloat16,
        fp16=task.compute_dtype == torch.float16,
        optim="adamw_torch_fused",
        learning_rate=spec.lr,
        adam_beta1=spec.betas[0],
        adam_beta2=spec.betas[1],
        weight_decay=spec.weight_decay,
        max_grad_norm=training.gradient_clip,
        lr_scheduler_type="constant",
        train_sampling_strategy="group_by_length" if by_length else "random",
        remove_unused_columns=False,
        use_cpu=task.device.type == "cpu",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        logging_strategy="no",
        seed=task.seed,
    )
