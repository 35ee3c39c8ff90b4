"""The words of a sweep: which settings stay, which are swept, and over which values.

The syntax is Hydra's: `a=1,2`, `a=choice(1,2)`, `a=range(1,4)`, and for a search also
`a=interval(0.1,1)`, `a=int(interval(4,64))`, `a=tag(log,interval(1e-5,1e-3))`. `glob` is not
offered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from musicllm import config as configuration
from musicllm.errors import ConfigError, Problem

COMMON = ("sweep", "launcher", "name", "stage", "paths")
"""Settings that hold for a sweep as a whole."""


@dataclass(frozen=True)
class Interval:
    """All numbers between two; whole ones when both are int, drawn by their logarithm if `log`."""

    low: float
    high: float
    log: bool


@dataclass(frozen=True)
class Axis:
    """One swept setting: its key as the user wrote it, and its values."""

    key: str
    values: tuple[str, ...] | Interval


@dataclass(frozen=True)
class Space:
    """What a sweep goes over.

    Attributes:
        fixed: words that every job has.
        axes: swept settings, in the order of the command.
    """

    fixed: tuple[str, ...]
    axes: tuple[Axis, ...]

    def without(self, key: str) -> Space:
        """Return the same without a setting that stays."""
        fixed = tuple(word for word in self.fixed if word.split("=")[0] != key)
        return Space(fixed, self.axes)

    def words(self, values: Mapping[str, object]) -> tuple[str, ...]:
        """Return the words of the job that has these values of the swept settings."""
        return (*self.fixed, *(f"{key}={value}" for key, value in values.items()))

    def job_words(self, values: Mapping[str, object]) -> tuple[str, ...]:
        """Return what the job with these values is started with, where `sweep` has no place."""
        own = self.words(values)
        return tuple(word for word in own if re.split("[.=]", word)[0] != "sweep")

    def corner(self) -> dict[str, object]:
        """Return the first value of every swept setting."""
        return {
            axis.key: axis.values.low if isinstance(axis.values, Interval) else axis.values[0]
            for axis in self.axes
        }


def parse(words: Sequence[str]) -> Space:
    """Sort the words of a sweep.

    Raises:
        ConfigError: a word cannot be read, or sweeps a setting that holds for the whole sweep.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        overrides = OverridesParser.create().parse_overrides(list(words))
    except HydraException as error:
        raise ConfigError(configuration.unreadable(words, in_sweep=True)) from error
    swept = [override for override in overrides if override.is_sweep_override()]
    fixed = [word for word, override in zip(words, overrides, strict=True) if override not in swept]
    axes = [_axis(override) for override in swept]
    _refuse_common(axes)
    return Space(tuple(fixed), tuple(axes))


def _axis(override: object) -> Axis:
    from hydra.core.override_parser.types import Glob, IntervalSweep, Override

    assert isinstance(override, Override), "Hydra's parser makes overrides"
    assert override.input_line is not None, "Hydra's parser remembers what it parsed"
    key, text = override.input_line.split("=", 1)
    value = override.value()
    if isinstance(value, Glob):
        raise ConfigError([Problem(key, text, "names no values", "write the options, as in a,b")])
    if isinstance(value, IntervalSweep):
        assert value.start is not None, "Hydra's grammar asks for both ends"
        assert value.end is not None, "Hydra's grammar asks for both ends"
        return Axis(key, Interval(value.start, value.end, "log" in value.tags))
    return Axis(key, tuple(override.sweep_string_iterator()))


def _refuse_common(axes: Iterable[Axis]) -> None:
    problems = [
        Problem(axis.key, "<several values>", "holds for the whole sweep; give it one value")
        for axis in axes
        if axis.key.lstrip("+").split(".")[0] in COMMON
    ]
    if problems:
        raise ConfigError(problems)
