"""The models of a server: one, and a second one to compare it with."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from musicllm import console
from musicllm.errors import ConfigError, Problem
from musicllm.inference.engines import ENGINES, Engine
from musicllm.job import Job
from musicllm.model.weights import WeightFiles, cached_folder
from musicllm.runs.engines import engine_name, model_name, open_engine
from musicllm.runs.models import place_of
from musicllm.serve.chat.conversation import refuse_unseen

if TYPE_CHECKING:
    from musicllm.serve.api.service import ServedModel
    from musicllm.serve.desk import DeskLimits

SECOND = "second_model"
FLOAT32 = 4


def served_models(job: Job, limits: DeskLimits) -> dict[str, ServedModel]:
    """Return the models by name, the default first; none is loaded yet.

    Of two models the memory is said.

    Raises:
        ConfigError: the second one is the first, or the two do not fit into the memory.
        MusicLLMError: as `place_of` does.
    """
    from musicllm.serve.api.service import ServedModel

    roles = ["model", *([SECOND] if SECOND in job.inputs else [])]
    if len(roles) == 2:
        _refuse_same(job)
        _say_memory(job)
    models: dict[str, ServedModel] = {}
    for role in roles:
        name = model_name(job, role)
        name = f"{name} (second)" if name in models else name
        follows = ENGINES[engine_name(job, role)].follows_grammar
        models[name] = ServedModel(name, partial(_open, job, role), follows, limits)
    return models


def _open(job: Job, role: str) -> Engine:
    engine = open_engine(job, role)
    if (system := job.config.generation.system) is not None:
        refuse_unseen(engine, system)
    return engine


def _refuse_same(job: Job) -> None:
    first, second = job.inputs.get("adapter", job.inputs.get("model")), job.inputs[SECOND]
    if first is not None and first.fingerprint == second.fingerprint:
        rule = f"has the same content as {first.path}"
        fix = "name another; one model is compared with and without the grammar by itself"
        raise ConfigError([Problem(f"inputs.{SECOND}", second.path, rule, fix)])


def _say_memory(job: Job) -> None:
    """Say how large the weights of both are, and refuse what does not fit on a CPU."""
    sizes = {role: weights_bytes(job, role) for role in ("model", SECOND)}
    parts = [
        f"{model_name(job, role)}: {'unknown' if size is None else f'{size / 1e9:.2f} GB'}"
        for role, size in sizes.items()
    ]
    on_cpu = job.config.hardware.accelerator == "cpu"
    free = psutil.virtual_memory().available
    rest = f"; {free / 1e9:.1f} GB are free" if on_cpu else ""
    console.say(f"weights in memory: {', '.join(parts)}{rest}")
    total = sum(size or 0 for size in sizes.values())
    if on_cpu and total > free:
        rule = f"does not fit beside the first: {total / 1e9:.1f} GB of weights"
        fix = "serve smaller ones, or GGUF files in 4 bits (export.format=gguf)"
        second = job.config.inputs[SECOND]
        raise ConfigError([Problem(f"inputs.{SECOND}", second, f"{rule}{rest}", fix)])


def weights_bytes(job: Job, role: str) -> int | None:
    """Return the bytes of a model's weights in the memory of this machine.

    None where the files are not here. Without an adapter's own weights, which are small beside it.
    """
    name = engine_name(job, role)
    if name == "endpoint":
        return 0
    place = place_of(job, role)
    if Path(place.path).is_file():
        return Path(place.path).stat().st_size
    folder = cached_folder(place.path, place.revision)
    if folder is None:
        return None
    files = WeightFiles.of_model(folder)
    if name == "transformers" and job.config.hardware.accelerator == "cpu":
        return FLOAT32 * sum(math.prod(shape) for shape in files.shapes.values())
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))
