"""What a teacher said of the rows of a corpus: its place in a training, its size in a plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from musicllm.artifacts import Artifact
from musicllm.data.corpus import Corpus
from musicllm.data.rows import RowStore
from musicllm.data.teacher_logits import SPLIT, TaughtRows, num_bytes, open_for
from musicllm.errors import ConfigError, Problem
from musicllm.job import Job
from musicllm.model.size import count
from musicllm.runs import teacher_plan
from musicllm.runs.settings import model_spec
from musicllm.schema import Config, ObjectiveConfig
from musicllm.train.memory.teacher import NOTHING
from musicllm.train.plan import total

ROLE = "teacher_logits"
"""Among the inputs: what `recipe=distill/logits` stored."""

KEYS = ("top_k", "temperature")
"""Settings of the objective that are those of the store."""


def train_rows(job: Job, corpus: Corpus) -> RowStore:
    """Return the training rows of a corpus.

    Raises:
        ArtifactError: what is stored is of other rows, or damaged.
        ConfigError: it was stored with other settings.
    """
    if ROLE not in job.inputs:
        return corpus.rows(SPLIT)
    stored = job.input(ROLE)
    if problems := list(_differences(job.config.objective, stored)):
        raise ConfigError(problems)
    records = open_for(job.input("corpus"), stored)
    return TaughtRows(corpus.path / "rows" / SPLIT, records)


def plan_rows(config: Config, corpus: Mapping[str, Any] | None) -> list[tuple[str, object]]:
    """Return what storing would take: tokens, bytes, and the time of a forward pass of the corpus.

    Args:
        config: a checked configuration of the stage.
        corpus: facts of the prepared corpus; without it sizes are those of the published data, of
            which every token counts.
    """
    teacher = teacher_plan.architecture(config)
    model = config.model if teacher is None else teacher.model
    vocab_size = model.vocab_size if corpus is None else corpus["vocab_size"]
    top_k = config.objective.top_k
    assert top_k is not None, "checks refuse a missing objective.top_k"
    if corpus is None:
        tokens = supervised = total(source.num_tokens for source in config.data.sources.values())
    else:
        split = corpus["splits"][SPLIT]
        tokens, supervised = split["tokens"], split["supervised_tokens"]
    if tokens is None or supervised is None or vocab_size is None:
        return [("size", "unknown until the corpus is prepared")]
    size, own = (num_bytes(number, top_k, vocab_size) for number in (supervised, 1))
    words = "supervised tokens" if corpus else "tokens, all of them as if supervised"
    return [
        ("teacher", "unknown until it is there" if teacher is None else teacher.model.name),
        ("stored", f"{top_k} of {vocab_size:,} tokens and the rest as one, float16, at "
                   f"temperature {config.objective.temperature:g}"),
        ("size", f"{size / 1e9:.2f} GB: {supervised:,} {words}, {own:,} bytes each"),
        *([] if teacher is None else [("time", _time(teacher, tokens))]),
    ]  # fmt: skip


def _time(teacher: Config, tokens: int) -> str:
    """Return FLOPs and hours of a forward pass, of matrix products with weights alone."""
    hardware = teacher.hardware
    flops = 2.0 * count(model_spec(teacher), NOTHING).num_active * tokens
    text = f"{flops:.3g} FLOPs, one forward pass"
    if hardware.peak_tflops is None or hardware.expected_mfu is None:
        return text
    devices = hardware.num_nodes * hardware.devices_per_node
    hours = flops / (1e12 * hardware.peak_tflops * hardware.expected_mfu * devices) / 3600
    return f"{text}; about {hours:.1f} h on {devices} x {hardware.device}"


def _differences(objective: ObjectiveConfig, stored: Artifact) -> Iterator[Problem]:
    for name in KEYS:
        value, theirs = getattr(objective, name), stored.facts[name]
        if value != theirs:
            key = f"objective.{name}"
            rule = f"is not {theirs:g}, with which inputs.{ROLE}={stored.path} was stored"
            fix = f"write {key}={theirs:g}, or store it again: recipe=distill/logits"
            yield Problem(key, "null" if value is None else value, rule, fix)
