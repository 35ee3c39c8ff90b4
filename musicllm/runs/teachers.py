"""Who a teacher is, and the store of its answers."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from musicllm import artifacts
from musicllm.inference.engines import Engine
from musicllm.inference.engines.endpoint import EndpointEngine
from musicllm.job import Job
from musicllm.runs.engines import engine_name, model_name
from musicllm.schema import Config
from musicllm.synthesis.answers import AnswerStore
from musicllm.synthesis.limits import Prices

STORE = "answers.sqlite"
"""The store of all answers of all teachers, in `paths.cache`."""


class Teacher(NamedTuple):
    """A model that writes records.

    Attributes:
        name: for people, and in the provenance of records.
        identity: equal for whatever gives the same answers; see `teacher_of`.
    """

    name: str
    identity: str


def teacher_of(job: Job, engine: Engine) -> Teacher:
    """Return the teacher of a job.

    A model of this machine is its content with engine, precision and quantization; one of a server
    is the address and the name of the model there, since nothing else is known of it.

    Args:
        job: with a model.
        engine: opened with it.
    """
    config = job.config
    if isinstance(engine, EndpointEngine):
        identity = ["endpoint", config.model.endpoint, engine.model]
        return Teacher(engine.model, artifacts.fingerprint(identity))
    own = {
        role: job.inputs[role].fingerprint for role in ("model", "adapter") if role in job.inputs
    }
    local = job.local.get(("model", "location"))
    place = local.identity if local else [config.model.location, config.model.revision]
    how = [engine_name(job), config.hardware.precision, config.adapter.quantization]
    return Teacher(model_name(job), artifacts.fingerprint([own, place, how]))


def store_of(job: Job) -> AnswerStore:
    """Open the store of answers; errors as `AnswerStore`."""
    return AnswerStore(Path(job.config.paths.cache).expanduser() / STORE, job.fingerprint)


def prices_of(config: Config) -> Prices:
    """Return the prices of the teacher's tokens."""
    return Prices(config.synthesis.input_price, config.synthesis.output_price)
