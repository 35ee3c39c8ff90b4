"""Chooses the engine that writes with the model of a job, and opens it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from musicllm.errors import ConfigError, Problem
from musicllm.inference.engines import ENGINES, Engine, EngineSource
from musicllm.job import Job
from musicllm.model.gguf_file import SUFFIX
from musicllm.runs.bases import Place
from musicllm.runs.models import load_model, place_of

NEEDS_FOLDER = ("transformers", "vllm")
"""Engines that load a folder of transformers."""


def engine_name(job: Job, role: str = "model") -> str:
    """Return the engine of `inference.engine` or, where it is null, the one the model needs.

    Args:
        job: the job.
        role: of the model among the inputs.

    Raises:
        MusicLLMError: as `place_of` does.
    """
    config = job.config
    if config.inference.engine is not None:
        return config.inference.engine
    if config.model.endpoint is not None and role == "model":
        return "endpoint"
    return "gguf" if place_of(job, role).path.endswith(SUFFIX) else "transformers"


def open_engine(job: Job, role: str = "model") -> Engine:
    """Open the engine that writes with `inputs.model`, or with the model of the configuration.

    Args:
        job: the job.
        role: of another model among the inputs.

    Raises:
        MusicLLMError: as `place_of`, `load_model` and the engine do.
    """
    config = job.config
    endpoint = config.model.endpoint if role == "model" else None
    place = Place("") if endpoint else place_of(job, role)
    name = engine_name(job, role)
    if name in NEEDS_FOLDER and place.path.endswith(SUFFIX):
        rule = f"does not write with a GGUF file, which {place.path} is"
        raise ConfigError([Problem("inference.engine", name, rule, "write null or gguf")])
    return ENGINES[name].open(
        EngineSource(
            model=place.path,
            load=partial(load_model, job, role),
            endpoint=endpoint,
            batch_size=config.hardware.max_rows_per_device,
            settings=config.inference,
            cache=Path(config.paths.cache),
            revision=place.revision,
            adapter=place.adapter,
            num_threads=config.hardware.num_threads,
        )
    )


def model_name(job: Job, role: str = "model") -> str:
    """Return what the model is called: as the command names it, or as its option does.

    Of the path of a folder or file it is the last part.
    """
    inputs = job.config.inputs
    roles = ("adapter", "model") if role == "model" else (role,)
    named = [inputs[own] for own in roles if own in inputs]
    named = [Path(name).resolve().name if Path(name).exists() else name for name in named]
    return " on ".join(named) or job.config.model.endpoint or job.config.model.name
