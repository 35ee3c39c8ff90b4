"""Which settings decide what a stage makes: these and no others change its identity."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest

from musicllm import config
from musicllm.errors import ConfigError
from musicllm.job import public
from musicllm.runs import binding
from musicllm.runs.stages import STAGES, is_deciding
from musicllm.schema import Config
from musicllm.schema.keys import walk

RECIPES = {
    "prepare": ["recipe=quickstart/instructions"],
    "inspect": ["recipe=inspect"],
    "train": ["recipe=quickstart/sft"],
    "teacher_logits": ["recipe=distill/logits"],
    "index": ["recipe=index"],
    "search": ["recipe=index/search"],
    "synthesize": ["recipe=synthesize"],
    "render": ["recipe=mu_llama/small/render"],
    "features": ["recipe=mu_llama/features", "inputs.corpus=mine"],
    "merge": ["recipe=merge"],
    "evaluate": ["recipe=quickstart/evaluate"],
    "generate": ["recipe=quickstart/generate"],
    "compare": ["recipe=compare"],
    "report": ["recipe=quickstart/report"],
    "pipeline": ["recipe=quickstart"],
    "bench": ["recipe=bench/eval"],
    "chat": ["recipe=quickstart/chat"],
    "export": ["recipe=export"],
    "demo": ["recipe=quickstart/demo"],
    "serve": ["recipe=quickstart/serve"],
    "dashboard": ["recipe=dashboard"],
    "watch": ["recipe=report"],
}
APART = ("task", "stage", "inputs", "runs")
"""Not changed here: a stage is not another one, and artifacts count by their fingerprints."""

ISSUES = {
    "generate": (
        "hardware.precision", "hardware.accelerator", "adapter.quantization",
    ),
    "train": (
        "callbacks.extra", "callbacks.on_bad_loss", "callbacks.loss_spike_factor",
        "callbacks.loss_spike_window",
    ),
    "inspect": ("benchmark.mmlu.location",),
    "features": ("audio.encoder", "audio.window_s", "audio.bridge"),
}  # fmt: skip


@cache
def values_of(stage: str) -> dict[str, Any]:
    values = public(config.load([*RECIPES[stage], "logger=[csv]", "benchmark=[mmlu]"])[0])
    return values | {"inputs": {}, "runs": []}


def identity(values: dict[str, Any]) -> str:
    return binding.bind(config.typed(values), "recipe").fingerprint


def settings(values: dict[str, Any]) -> dict[str, Any]:
    """Return what the identity covers of settings, which is quicker than to bind each of them."""
    return binding.deciding_settings(config.typed(values), {})


@cache
def choices() -> dict[re.Pattern[str], tuple[Any, ...]]:
    """Return the allowed values of settings that choose a kind, by a pattern of their names."""
    pairs = ((key, setting) for key, setting in walk(Config) if setting.key.kinds)
    named = re.escape("<name>")
    return {
        re.compile(re.escape(key).replace(named, "[^.]+")): setting.choices
        for key, setting in pairs
        if not setting.is_list
    }


def others(key: str, value: Any) -> list[Any]:
    """Return other values, one of which has the type of the setting."""
    for pattern, kinds in choices().items():
        if pattern.fullmatch(key):
            return [kind for kind in kinds if kind != value]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, dict):
        section = {"title": "y", "is_open": True, "panels": {}}
        return [{"x": {"_target_": "y"}}, {"x": 1.0}, {"x": 1}, {"x": "y"}, {"x": section}]
    if isinstance(value, list):
        return [[*value, 1], [*value, "x"]]
    return [value + 1] if isinstance(value, int | float) else [f"{value}x", 1, 1.0, True]


def changed(values: dict[str, Any], key: str) -> dict[str, Any]:
    """Return a configuration in which one setting has another value."""
    *groups, name = key.split(".")
    top = place = dict(values)
    for group in groups:
        place[group] = dict(place[group])
        place = place[group]
    for other in others(key, place[name]):
        place[name] = other
        try:
            config.typed(top)
        except ConfigError:
            continue
        return top
    raise AssertionError(f"no other value for {key}")


@pytest.mark.parametrize("stage", RECIPES)
def test_what_is_said_to_decide_changes_the_identity_and_the_rest_does_not(stage: str) -> None:
    values = values_of(stage)
    before, plain = settings(values), config.typed(values)
    keys = [key for key, _ in binding.leaves(values) if key.split(".")[0] not in APART]
    free = values
    for key in keys:
        if is_deciding(plain, key):
            assert settings(changed(values, key)) != before, key
        elif stage == "train" and key in ("objective.name", "audio.bridge"):  # they open settings
            assert settings(changed(values, key)) != before
        elif key != "name":
            free = changed(free, key)
    assert settings(free) == before
    assert identity(free) == identity(values)


@pytest.mark.parametrize("stage", ISSUES)
def test_settings_that_decide(stage: str) -> None:
    plain = config.typed(values_of(stage))
    assert all(is_deciding(plain, key) for key in ISSUES[stage])


def test_every_stage_that_runs_is_here() -> None:
    assert RECIPES.keys() == STAGES.keys()


def test_logged_losses_decide_only_where_they_say_what_is_usual() -> None:
    values = values_of("train")
    spikes = changed(values, "callbacks.loss_spike_factor")
    for some, decides in ((values, False), (spikes, True)):
        other = identity(changed(some, "training.log_every_steps"))
        assert (other != identity(some)) is decides
