"""Rules on what a training minimises, and its teacher."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from musicllm.errors import Problem
from musicllm.schema import Config
from musicllm.train.objectives import OBJECTIVES

TEACHERS = ("teacher", "teacher_logits")
"""Roles of a teacher: a model on the fly, and what one has said before."""


def settings(config: Config) -> Iterator[Problem]:
    """Yield what the kind of objective says of its settings, and settings without an effect."""
    group = config.objective
    if config.task != "train" or group.name not in OBJECTIVES:
        return  # a problem of `values`
    yield from OBJECTIVES[group.name].problems(group)
    if group.name != "sft":
        return
    for field in fields(group):
        value = getattr(group, field.name)
        if field.name != "name" and value not in (None, {}):
            rule = "has no effect on objective.name=sft"
            yield Problem(f"objective.{field.name}", value, rule, "use objective=distillation")


def teachers(config: Config) -> Iterator[Problem]:
    """Yield a missing teacher, one without an effect, and settings of another kind of teacher."""
    name = config.objective.name
    if config.task != "train" or name not in OBJECTIVES:
        return
    roles = [role for role in TEACHERS if role in config.inputs]
    if not OBJECTIVES[name].has_teacher:
        for role in roles:
            rule = f"has no effect on objective.name={name}"
            yield Problem(f"inputs.{role}", config.inputs[role], rule, "use objective=distillation")
        return
    if not roles:
        rule = f"is missing: objective.name={name} learns from a teacher"
        fix = "name a recipe or the folder of a model, or inputs.teacher_logits=<what it said>"
        yield Problem("inputs.teacher", "???", rule, fix)
    if len(roles) == 2:
        rule = "stands beside inputs.teacher, and one of them is the teacher"
        yield Problem("inputs.teacher_logits", config.inputs["teacher_logits"], rule, "leave one")


def stored(config: Config) -> Iterator[Problem]:
    """Yield what is needed to store what a teacher says, or to train from it, and is not set."""
    group, stores = config.objective, config.task == "teacher_logits"
    if stores and group.temperature is None:
        yield Problem("objective.temperature", "null", "must be set", "use objective=distillation")
    if stores and group.top_k is None:
        rule = "must be set: the most likely tokens are stored, not the whole vocabulary"
        yield Problem("objective.top_k", "null", rule, "write 64")
    trains = config.task == "train" and "teacher_logits" in config.inputs
    if trains and OBJECTIVES.get(group.name) and group.top_k is None:
        rule = "must be that with which inputs.teacher_logits was stored"
        yield Problem("objective.top_k", "null", rule, "write it")
