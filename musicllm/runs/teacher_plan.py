"""The teacher in the plan of a training: its architecture, parameters, memory and FLOPs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from musicllm import config as configuration
from musicllm.errors import ArtifactError, ConfigError, Problem
from musicllm.model import published, size
from musicllm.model.flops import Documents, train_flops_per_token
from musicllm.model.size import Size
from musicllm.runs.inputs import find_input
from musicllm.runs.settings import compute_dtype, model_spec
from musicllm.runs.view import view_of, whole
from musicllm.schema import Config
from musicllm.schema.training import Dtype, ModelConfig
from musicllm.train.memory import Memory, Workload, trace_of
from musicllm.train.memory.teacher import NOTHING, TeacherMemory, beside, of_model
from musicllm.train.objectives import OBJECTIVES


@dataclass(frozen=True)
class TeacherPlan:
    """A teacher on the fly.

    Attributes:
        name: for people.
        size: its parameters.
        memory: what it adds to a step.
        flops_per_token: of its forward pass, per token of a row.
    """

    name: str
    size: Size
    memory: TeacherMemory
    flops_per_token: float

    def beside(self, memory: Memory) -> Memory:
        """Return the memory of a step with it."""
        return beside(memory, self.memory)


def with_teacher(config: Config, location: str | Path) -> Config:
    """Return the configuration with the model in a folder in the place of the one that is trained.

    Raises:
        InputError: there is no config.json.
    """
    raw = published.read(location)
    return _with_model(
        config,
        dataclasses.replace(
            config.model,
            name=f"the model in {location}",
            location=str(location),
            revision=None,
            config=raw,
            ignored_tensors=[],
        ),
    )


def _with_model(config: Config, model: ModelConfig) -> Config:
    model = dataclasses.replace(model, dtype=teacher_dtype(config))
    return view_of(dataclasses.replace(whole(config), model=model))


def teacher_dtype(config: Config) -> Dtype:
    """Return the dtype of the teacher's weights in memory."""
    return config.objective.teacher_dtype or cast(Dtype, compute_dtype(config))


def architecture(config: Config) -> Config | None:
    """Return the configuration with the teacher as its model; None if nothing tells what it is.

    Raises:
        ConfigError: `objective.teacher_model` is no option.
    """
    if not OBJECTIVES[config.objective.name].has_teacher or "teacher" not in config.inputs:
        return None
    try:
        artifact = find_input("inputs.teacher", config.inputs["teacher"], config)
        return with_teacher(config, artifact.path)
    except ArtifactError:  # a plan before the teacher is there
        name = config.objective.teacher_model
    if name is None:
        return None
    names = configuration.options("model")
    if name not in names:
        rule = "is not an option of the group model"
        fix = configuration.nearest(name, names)
        raise ConfigError([Problem("objective.teacher_model", name, rule, fix)])
    option = configuration.load(["recipe=pretrain", f"model={name}"])[0].model
    return _with_model(config, option)


def plan(teacher: Config, work: Workload, documents: Documents, supervised: float) -> TeacherPlan:
    """Return what a teacher adds to a training.

    Args:
        teacher: of `architecture`.
        work: of the student.
        documents: lengths of the corpus's documents.
        supervised: supervised tokens as a share of all.
    """
    spec, quantization = model_spec(teacher), teacher.objective.teacher_quantization
    counted = size.count(spec, NOTHING)
    own = dataclasses.replace(work, compute_dtype=spec.dtype)
    traced = trace_of(spec, NOTHING, own)
    return TeacherPlan(
        name=teacher.model.name,
        size=counted,
        memory=of_model(spec, quantization, counted, work),
        flops_per_token=train_flops_per_token(traced, documents, supervised_share=supervised),
    )
