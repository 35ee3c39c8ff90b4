"""Chooses the engine that writes with the model of a job, and opens it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from musicllm.inference.engines import ENGINES, Engine, EngineSource
from musicllm.job import Job
from musicllm.runs.models import load_model, place_of


def engine_name(job: Job) -> str:
    """Return the engine of `inference.engine` or, where it is null, the one the model needs.

    Raises:
        MusicLLMError: as `place_of` does.
    """
    config = job.config
    if config.inference.engine is not None:
        return config.inference.engine
    if config.model.endpoint is not None:
        return "endpoint"
    return "gguf" if place_of(job).path.endswith(".gguf") else "transformers"


def open_engine(job: Job) -> Engine:
    """Open the engine that writes with `inputs.model`, or with the model of the configuration.

    Raises:
        MusicLLMError: as `place_of`, `load_model` and the engine do.
    """
    config = job.config
    endpoint = config.model.endpoint
    return ENGINES[engine_name(job)].open(
        EngineSource(
            model="" if endpoint else place_of(job).path,
            load=partial(load_model, job),
            endpoint=endpoint,
            batch_size=config.hardware.max_rows_per_device,
            settings=config.inference,
            cache=Path(config.paths.cache),
        )
    )
