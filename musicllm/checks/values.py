"""Rules on single settings: a fixed set of values, or a range of numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from musicllm.config import nearest
from musicllm.errors import Problem
from musicllm.schema import Config

CHOICES = {
    "data.music.on_fault": ("drop", "keep"),
    "data.mix.by": ("source", "kind"),
    "data.mix.unit": ("documents", "tokens"),
    "data.long_conversations": ("drop", "stop"),
    "data.compat": (None, "reference"),
    "data.row_former": ("pack", "chunk", "single"),
    "data.tokenizer": ("train", "inherit", "model"),
    "engine.name": ("local", "ray"),
    "inspect.split": ("train", "validation", "test"),
    "merge.dtype": ("auto", "float32", "float16", "bfloat16"),
    "merge.quantized_base": ("full_precision", "dequantize"),
    "model.dtype": ("float32", "float16", "bfloat16"),
    "adapter.kind": ("lora", "full", "none"),
    "adapter.quantization": (None, "nf4"),
    "schedule.name": ("cosine", "linear", "constant"),
    "hardware.accelerator": ("cpu", "gpu"),
    "hardware.precision": ("fp32", "bf16", "fp16", "auto"),
    "hardware.attention": ("auto", "varlen_sdpa", "flex", "flash_attention_2", "varlen"),
    "callbacks.on_bad_loss": ("stop", "skip", "roll_back"),
    "strategy.kind": ("single", "ddp", "deepspeed"),
    "strategy.zero_stage": (None, 1, 2, 3),
    "sweep.name": ("grid", "optuna"),
    "sweep.direction": ("minimize", "maximize"),
    "launcher.name": ("local", "slurm"),
    "launcher.cluster": (None, "slurm", "local"),
}
"""Settings with a fixed set of values."""

RANGES = {
    "seed": (0, 2**32 - 1),
    "data.max_length": (2, 1 << 20),
    "data.validation_fraction": (0, 0.5),
    "data.test_fraction": (0, 0.5),
    "data.music.min_share_fitting": (0, 1),
    "data.music.min_bars": (0, 1_000_000),
    "data.music.min_notes": (0, 1_000_000),
    "data.music.max_bars": (1, 1_000_000),
    "data.music.max_tune_chars": (1, 4 << 20),
    "data.duplicates.near_similarity": (0.5, 1),
    "data.duplicates.melodic_similarity": (0.01, 1),
    "data.duplicates.related_similarity": (0.01, 1),
    "data.max_reject_fraction": (0, 1),
    "data.instructions.samples_per_tune": (1, 1000),
    "data.instructions.max_turns": (1, 100),
    "data.vocab_size": (260, 1 << 20),
    "engine.num_workers": (1, 100_000),
    "inspect.num_samples": (1, 10_000),
    "inspect.num_records": (1, 10_000_000),
    "inspect.num_drops": (0, 1000),
    "inspect.num_bars": (0, 1000),
    "bench.num_rounds": (1, 1000),
    "bench.num_documents": (1, 1 << 40),
    "bench.num_slow_documents": (1, 1 << 40),
    "bench.vocab_size": (260, 1 << 20),
    "bench.num_steps": (1, 1 << 20),
    "bench.max_length": (16, 1 << 20),
    "sweep.num_trials": (1, 1_000_000),
    "launcher.num_parallel": (1, 10_000),
    "launcher.time_minutes": (1, 1_000_000),
    "launcher.num_cpus_per_device": (1, 1024),
    "launcher.memory_gb": (1, 100_000),
    "launcher.signal_delay_s": (1, 3600),
    "launcher.num_requeues": (0, 10_000),
    "merge.max_shard_gb": (0.001, 1000),
    "model.attention_dropout": (0, 0.9),
    "adapter.r": (1, 4096),
    "adapter.alpha": (1e-6, 1e6),
    "adapter.dropout": (0, 0.9),
    "optimizer.lr": (1e-12, 10),
    "optimizer.eps": (1e-16, 1),
    "optimizer.weight_decay": (0, 10),
    "optimizer.muon_lr": (1e-12, 10),
    "optimizer.muon_momentum": (0, 0.9999),
    "schedule.warmup_fraction": (0, 1),
    "schedule.min_lr_ratio": (0, 1),
    "training.rows_per_step": (1, 1 << 20),
    "training.num_epochs": (1e-6, 1e6),
    "training.max_steps": (1, 1 << 40),
    "training.time_budget_min": (0.01, 1e6),
    "training.gradient_clip": (0, 1e6),
    "training.log_every_steps": (1, 1 << 40),
    "training.validate_every_steps": (1, 1 << 40),
    "training.num_validation_rows": (1, 1 << 40),
    "training.checkpoint_every_steps": (1, 1 << 40),
    "training.keep_last_checkpoints": (1, 10_000),
    "training.keep_best_checkpoints": (0, 10_000),
    "callbacks.loss_spike_factor": (1, 1e6),
    "callbacks.loss_spike_window": (1, 100_000),
    "callbacks.max_incidents": (0, 1_000_000),
    "callbacks.max_skipped_steps": (0, 1_000_000),
    "callbacks.samples_every_steps": (1, 1 << 40),
    "callbacks.num_samples": (1, 1000),
    "callbacks.evaluate_every_steps": (1, 1 << 40),
    "callbacks.num_eval_questions": (1, 1 << 40),
    "hardware.num_nodes": (1, 100_000),
    "hardware.devices_per_node": (1, 1024),
    "hardware.max_rows_per_device": (1, 1 << 16),
    "hardware.num_threads": (1, 4096),
    "hardware.num_data_workers": (0, 1024),
    "generation.temperature": (0, 100),
    "generation.top_k": (0, 1 << 20),
    "generation.top_p": (1e-6, 1),
    "generation.repetition_penalty": (0.01, 100),
    "generation.max_new_tokens": (1, 1 << 20),
    "generation.num_tunes": (1, 1_000_000),
}
"""Smallest and largest sensible value of every number; null is always allowed by the schema."""


def get(config: Config, key: str) -> Any:
    """Return the value of a dotted key of the schema."""
    value: Any = config
    for name in key.split("."):
        value = getattr(value, name)
    return value


def choices(config: Config) -> Iterator[Problem]:
    """Yield settings that are not one of their values."""
    for key, allowed in CHOICES.items():
        value = get(config, key)
        if value not in allowed:
            words = ["null" if word is None else str(word) for word in allowed]
            rule = f"must be one of {', '.join(words)}"
            yield Problem(key, value, rule, nearest(str(value), words))


def ranges(config: Config) -> Iterator[Problem]:
    """Yield numbers outside their range."""
    for key, (low, high) in RANGES.items():
        value = get(config, key)
        if value is not None and not low <= value <= high:
            yield Problem(key, value, f"must be from {low:g} to {high:g}")
