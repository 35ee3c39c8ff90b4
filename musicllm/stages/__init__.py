"""The stages: one file per verb, each a short story told in calls to the rooms.

This module only lists them, so that the command knows them without importing what they need.
"""

from __future__ import annotations

from dataclasses import dataclass

from musicllm.schema import Config


@dataclass(frozen=True)
class Stage:
    """What the command has to know of a verb before it starts.

    Attributes:
        summary: one line for people.
        kind: kind of artifact that it makes.
        settings: keys of the configuration that decide the result; the fingerprint covers them.
        needs: roles of `inputs` without which it cannot run.
        available: it can run in this version; otherwise it only plans.
        spreads: runs in one process per device, unless strategy=single.
        repeats: runs again though its artifact is complete, since it is there to be looked at.
        version: of what the stage makes; a new one makes old artifacts out of date.
    """

    summary: str
    kind: str
    settings: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    available: bool = True
    spreads: bool = False
    repeats: bool = False
    version: int = 1


WATCHING = (
    "training.log_every_steps",
    "training.checkpoint_every_steps",
    "training.keep_last_checkpoints",
    "training.keep_best_checkpoints",
)
"""Settings inside a stage's groups that do not change its result."""

STAGES: dict[str, Stage] = {
    "prepare": Stage(
        "documents -> checked, split and tokenized rows",
        "corpus",
        ("data", "template", "benchmark", "model.location", "model.revision", "seed"),
        version=4,
    ),
    "inspect": Stage(
        "a look at a sample of any data, or into a corpus",
        "inspection",
        ("data", "template", "model.location", "model.revision", "inspect", "seed"),
        repeats=True,
    ),
    "train": Stage(
        "rows -> trained weights",
        "adapter",
        ("model", "adapter", "optimizer", "schedule", "training", "hardware.precision", "seed"),
        ("corpus",),
        spreads=True,
        version=2,
    ),
    "merge": Stage("adapter into base -> model", "model", ("merge",), ("adapter",), version=2),
    "evaluate": Stage(
        "model -> benchmark results",
        "evaluation",
        (
            "model",
            "benchmark",
            "generation",
            "hardware.accelerator",  # precision=auto follows it
            "hardware.precision",
            "adapter.quantization",
            "seed",
        ),
        spreads=True,
        version=3,
    ),
    "compare": Stage("evaluations -> one table, tests and plots", "comparison", ("seed",)),
    "generate": Stage(
        "model -> tunes as score, MIDI and sound", "tunes", ("model", "generation", "seed")
    ),
    "report": Stage("runs -> one page", "report"),
    "pipeline": Stage("recipes one after the other", "pipeline", ("steps",)),
    "chat": Stage("a conversation in the terminal", "chat", available=False),
    "demo": Stage("a page to talk to", "demo", available=False),
    "serve": Stage("an API", "serve", available=False),
    "export": Stage("a model for other programs", "export", available=False),
    "bench": Stage(
        "ours and the baseline, side by side",
        "bench",
        (
            "bench",
            "engine",
            "model",
            "adapter",
            "merge.max_shard_gb",
            "optimizer",
            "training",
            "hardware",
            "strategy",
            "seed",
        ),
    ),
}


def artifact_kind(config: Config) -> str:
    """Return the kind of artifact that the configured stage makes."""
    if config.task == "train" and config.adapter.kind == "full":
        return "model"
    return STAGES[config.task].kind
