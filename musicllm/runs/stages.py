"""Declarations of the stages: the artifact that each makes, its inputs and its settings.

Imports nothing that the stages themselves import.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from musicllm.model.audio.bridges import BRIDGES
from musicllm.model.export import EXPORTERS
from musicllm.schema import Config


@dataclass(frozen=True)
class Stage:
    """The declaration of a stage.

    Attributes:
        summary: one line for people.
        kind: of the artifact that it makes; empty for a pipeline, whose steps make them, and for
            a conversation.
        settings: keys and groups of the configuration that decide the result; the fingerprint
            covers them and `ALWAYS`.
        free: other keys that the stage reads, or of these groups, which do not change the result;
            of two names that cover a key the longer takes precedence. `FREE` applies to all stages,
            except for keys and groups in `settings`. Other settings cannot be read; see `view`.
        needs: required roles of `inputs`.
        spreads: runs in one process per device, unless strategy=single.
        repeats: runs again even if its artifact is complete.
        interactive: talks with a person; it makes no artifact, its run folder holds what they save,
            and `settings` alone choose the folder.
        watches: `runs` names trainings, finished or not (`runs.watching`); for other stages they
            are artifacts.
        version: of the result; a new one makes old artifacts out of date.
    """

    summary: str
    kind: str
    settings: tuple[str, ...] = ()
    free: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    spreads: bool = False
    repeats: bool = False
    interactive: bool = False
    watches: bool = False
    version: int = 1


FREE = (
    "task", "stage", "name", "description", "source", "trusted_packages",
    "certify_in_plan",
    "inputs", "runs",  # their artifacts count, not their locations
    "paths", "logger", "launcher", "sweep",
    "strategy", "hardware.name", "hardware.accelerator", "hardware.num_nodes",
    "hardware.devices_per_node", "hardware.num_threads",
)  # fmt: skip
"""Where a job runs, its name, inputs and loggers."""

ALWAYS = ("extensions",)
"""Code of the user, which may change any result."""

SAVING = (
    "training.checkpoint_every_steps",
    "training.keep_last_checkpoints",
    "training.keep_best_checkpoints",
)

SAMPLING = (
    "generation.temperature",
    "generation.top_k",
    "generation.top_p",
    "generation.repetition_penalty",
    "generation.max_new_tokens",
)

SERVING_TASKS = ("demo", "serve")
"""Tasks that answer others; only they can have a second model."""

WRITING = ("generate", "synthesize", "chat", *SERVING_TASKS)
"""Tasks that write with an engine; only they can use an endpoint or a GGUF file."""

MODEL_IN_USE = (
    "model",
    "hardware.accelerator",  # precision=auto follows it
    "hardware.precision",
    "adapter.quantization",
    "allow_other_base",
)

ENDPOINT = (
    "inference.api_key_env",
    "inference.timeout_s",
    "inference.max_tries",
    "inference.num_parallel",
    "inference.context",
)
"""How a server is asked, whatever it is asked."""

SPENDING = (
    "synthesis.requests_per_minute",
    "synthesis.tokens_per_minute",
    "synthesis.input_price",
    "synthesis.output_price",
    "synthesis.max_cost",
    "synthesis.max_tokens",
    "synthesis.max_reject_fraction",
)
"""What a teacher may cost; none of it changes an answer."""

SERVING = ("generation", "inference", "serve", "hardware.max_rows_per_device", "seed")

TOKENIZER_CHECK = ("model.name", "model.config", "training.resize_embeddings", "adapter.kind")
"""Settings of the check that a model has rows for its tokenizer. They do not change a corpus."""

STAGES: dict[str, Stage] = {
    "prepare": Stage(
        "documents -> checked, split and tokenized rows",
        "corpus",
        (
            "data",
            "template",
            "benchmark",
            "model.location",
            "model.revision",
            "audio.bridge",
            "audio.num_frames",
            "seed",
        ),
        free=("engine", "audio", *TOKENIZER_CHECK),
        version=4,
    ),
    "inspect": Stage(
        "a look at a sample of any data, or into a corpus",
        "inspection",
        ("data", "template", "benchmark", "model.location", "model.revision", "inspect", "seed"),
        free=TOKENIZER_CHECK,
        repeats=True,
    ),
    "index": Stage(
        "tunes of a corpus -> an index to find similar ones",
        "index",
        ("data.sources", "index"),
        free=("engine",),
    ),
    "search": Stage(
        "a tune or words -> the tunes of an index that are like it",
        "neighbours",
        ("search",),
        needs=("index",),
        repeats=True,
    ),
    "train": Stage(
        "rows -> trained weights",
        "adapter",
        (
            "model",
            "audio",
            "adapter",
            "objective",
            "optimizer",
            "schedule",
            "training",
            "hardware.precision",
            "callbacks.on_bad_loss",
            "callbacks.loss_spike_factor",
            "callbacks.loss_spike_window",
            "callbacks.extra",
            "seed",
        ),
        free=(  # the device and how a batch is split change the rounding (docs/CHECKPOINTS.md)
            *SAVING,
            "audio.encoder_location",  # the features have the encoder's fingerprint
            "training.log_every_steps",
            "hardware",
            "callbacks",
            *SAMPLING,
            "benchmark",
            "objective.teacher_model",  # for plans
        ),
        needs=("corpus",),
        spreads=True,
        version=3,
    ),
    "teacher_logits": Stage(
        "rows and a teacher -> its most likely next tokens",
        "teacher_logits",
        (
            "objective.top_k",
            "objective.temperature",
            "objective.teacher_dtype",
            "objective.teacher_quantization",
            "model.trust_remote_code",
            "hardware.accelerator",  # precision=auto follows it
            "hardware.precision",
        ),
        free=("objective", "model", "hardware"),
        needs=("corpus", "teacher"),
        spreads=True,
    ),
    "render": Stage(
        "tunes -> clips of audio, and questions with known answers",
        "rendered",
        ("rendering", "seed"),
        free=("engine",),
        needs=("corpus",),
    ),
    "features": Stage(
        "a corpus with audio -> features of its clips",
        "features",
        (
            "audio.encoder",
            "audio.encoder_config",
            "audio.bridge",
            "audio.layer",
            "audio.num_frames",
            "audio.window_s",
            "audio.max_clip_s",
        ),
        free=("audio", "hardware"),
        needs=("corpus",),
    ),
    "merge": Stage(
        "adapter into base -> model",
        "model",
        ("merge", "allow_other_base"),
        needs=("adapter",),
        version=2,
    ),
    "evaluate": Stage(
        "model -> benchmark results",
        "evaluation",
        (*MODEL_IN_USE, "benchmark", *SAMPLING, "seed"),
        spreads=True,
        version=4,
    ),
    "compare": Stage("evaluations -> one table, tests and plots", "comparison", ("seed",)),
    "generate": Stage(
        "model -> tunes as score, MIDI and sound",
        "tunes",
        (*MODEL_IN_USE, "generation", "inference", "seed"),
        free=("hardware.max_rows_per_device", *ENDPOINT),
        version=3,
    ),
    "synthesize": Stage(
        "records -> records that a teacher writes",
        "records",
        (*MODEL_IN_USE, "data.sources", "synthesis", *SAMPLING, "inference", "seed"),
        free=(
            "hardware.max_rows_per_device",
            *ENDPOINT,
            *SPENDING,
        ),
    ),
    "report": Stage("runs -> one page", "report"),
    "dashboard": Stage(
        "trainings -> sections of panels, and a report, in wandb",
        "dashboard",
        ("dashboard",),
        repeats=True,  # trainings go on, and what could not be sent is sent later
        watches=True,
    ),
    "watch": Stage(
        "trainings, finished or not -> one page of their metrics",
        "report",
        ("dashboard",),
        free=("watch", "watch_every_s"),
        repeats=True,  # trainings go on
        watches=True,
    ),
    "pipeline": Stage("recipes one after the other", "", ("steps",)),
    "chat": Stage(
        "a conversation in the terminal",
        "",
        MODEL_IN_USE,
        free=("generation", "inference", "tools", "hardware.max_rows_per_device", "seed"),
        interactive=True,
    ),
    "demo": Stage(
        "a page with score and sound, and the API",
        "",
        MODEL_IN_USE,
        free=SERVING,
        interactive=True,
    ),
    "serve": Stage(
        "the API: OpenAI's protocol, and tunes", "", MODEL_IN_USE, free=SERVING, interactive=True
    ),
    "export": Stage(
        "a model for other programs, with its card",
        "export",
        ("model", "export", *SAMPLING, "hardware.accelerator", "seed"),
        free=("export.push_to_hub", "export.dry_run", "export.private"),
        repeats=True,  # what is complete is not written again, but may be uploaded
    ),
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
        free=SAVING,
        version=2,
    ),
}


def is_deciding(config: Config, key: str) -> bool | None:
    """Return whether a key decides the result of the configured stage; None if it is not declared.

    Args:
        config: the configuration.
        key: of a setting, or of a part of one, with dots.
    """
    cover = _cover(config.task)
    if key.startswith("audio.") and not _hears(config):
        return False
    if key.startswith("objective.") and cover.get("objective") and config.objective.name == "sft":
        return False  # it has no settings
    watches = "callbacks.loss_spike_factor" in cover
    if key == "training.log_every_steps" and watches and config.callbacks.loss_spike_factor:
        return True  # the median is that of logged losses
    while key and key not in cover:
        key = key.rpartition(".")[0]
    return cover.get(key)


def _hears(config: Config) -> bool:
    """Return whether `audio` decides on the result: only of a model that hears.

    A corpus depends on it alone where audio stands in the documents.
    """
    if config.audio.bridge is None:
        return False
    return config.task != "prepare" or BRIDGES[config.audio.bridge].pooling == "frames"


@cache
def _cover(task: str) -> dict[str, bool]:
    """Return key or group -> whether it decides the result of a stage."""
    stage = STAGES[task]
    groups = tuple(f"{name}." for name in stage.settings)
    free = [name for name in FREE if not name.startswith(groups)]
    return dict.fromkeys((*free, *stage.free), False) | dict.fromkeys(
        (*ALWAYS, *stage.settings), True
    )


def makes_artifact(config: Config) -> bool:
    """Return whether the configured stage makes an artifact; a plan and a pipeline make none."""
    return config.stage != "plan" and bool(STAGES[config.task].kind)


def is_interactive(config: Config) -> bool:
    """Return whether the configured stage talks with a person."""
    return config.stage != "plan" and STAGES[config.task].interactive


def artifact_kind(config: Config) -> str:
    """Return the kind of artifact of the configured stage."""
    if config.task == "train" and config.adapter.kind == "full":
        return "model"
    if config.task == "export":
        return EXPORTERS[config.export.format].kind
    return STAGES[config.task].kind
