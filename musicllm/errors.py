"""The errors that a user can cause.

    MusicLLMError
    ├── ConfigError           one or more settings break a rule (has every Problem)
    ├── InputError            a file, record or tune of the user cannot be read
    ├── ArtifactError         an artifact is missing, incomplete, damaged or of another kind
    ├── RenderError           a tune could not be rendered as score or sound
    ├── StageError            the result of a stage failed a check
    └── NotAvailableError     a part of musicllm, an extra or a device is not available

The command line prints these without a traceback (with `HYDRA_FULL_ERROR=1`, with it).
Bugs of musicllm raise `AssertionError` with a message, never one of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class MusicLLMError(Exception):
    """Base class of all errors that the user can fix."""


@dataclass(frozen=True)
class Problem:
    """One setting that breaks a rule.

    Attributes:
        key: full key, such as `training.rows_per_step`.
        value: its current value.
        rule: that the value breaks, and how.
        fix: what to write instead; empty if the rule says it.
    """

    key: str
    value: object
    rule: str
    fix: str = ""

    def __str__(self) -> str:
        """Return `key=value rule; fix` on one line."""
        line = f"{self.key}={self.value} {self.rule}"
        return f"{line}; {self.fix}" if self.fix else line


class ConfigError(MusicLLMError):
    """The configuration breaks one or more rules; all of them are in `problems`."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        assert problems, "ConfigError needs at least one problem"
        self.problems = tuple(problems)
        count = len(self.problems)
        head = "1 problem" if count == 1 else f"{count} problems"
        lines = [f"{head} in the configuration:", *(f"  {problem}" for problem in problems)]
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[Sequence[Problem]]]:
        """Support pickling, which calls the class with the problems."""
        return type(self), (self.problems,)


class InputError(MusicLLMError):
    """A file, record or tune of the user cannot be read; the message says where and why."""


class ArtifactError(MusicLLMError):
    """An artifact is missing, incomplete, damaged, or of the wrong kind."""


class RenderError(MusicLLMError):
    """A tune could not be rendered as score or sound."""


class StageError(MusicLLMError):
    """The result of a stage failed a check, such as a merge that changed logits."""


class NotAvailableError(MusicLLMError):
    """A part of musicllm, an optional package or a device is not available here."""
