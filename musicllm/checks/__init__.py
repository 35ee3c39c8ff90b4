"""Rules that the settings must satisfy together; every broken one is reported at once.

`musicllm.config` has already checked names and types. A rule is a function from the configuration
to problems, in the module of its subject; adding one means writing it and naming it in `RULES`.
No rule reads a file, a device or the network, so that `stage=plan` works anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from musicllm.checks import (
    audio,
    benchmarks,
    dashboards,
    data,
    exports,
    inference,
    launch,
    objectives,
    safety,
    synthesis,
    tasks,
    training,
    values,
    watching,
)
from musicllm.errors import ConfigError, Problem
from musicllm.schema import Config

Rule = Callable[[Config], Iterator[Problem]]

RULES: tuple[Rule, ...] = (
    tasks.verbs, tasks.names, values.values, tasks.inputs, benchmarks.of_kinds,
    data.sources, data.indexed, data.rows, data.new_tokens, data.tunes, data.languages, data.mix,
    training.batch, training.length,
    training.step_choices, training.hours,
    training.precision, training.strategy, training.zero3, training.adapter,
    training.lora, training.embeddings, training.model, training.new_tokens, training.optimizer,
    audio.settings, audio.options, objectives.settings, objectives.teachers, objectives.stored,
    exports.settings, synthesis.settings, inference.endpoints, inference.engines, inference.tunes,
    inference.tries, inference.tools, inference.second_models,
    launch.sweeps, launch.launchers, watching.callbacks,
    watching.loggers, watching.evaluations, dashboards.runs, dashboards.sections,
    safety.targets, safety.secrets,
)  # fmt: skip


def check(config: Config) -> None:
    """Apply every rule.

    Raises:
        ConfigError: with all broken rules.
    """
    problems = [problem for rule in RULES for problem in rule(config)]
    if problems:
        raise ConfigError(problems)
