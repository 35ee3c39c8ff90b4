"""Every error that a user can cause, and nothing else.

    MusicLLMError
    ├── ConfigError           one or more settings break a rule (carries every Problem found)
    ├── InputError            a file, record or tune that the user gave cannot be read
    ├── ArtifactError         an artifact is missing, incomplete, damaged or of another kind
    ├── RenderError           a score or a sound could not be made from a tune
    ├── StageError            a stage ran and its result cannot be trusted
    └── NotAvailableError     a part of musicllm, an extra or a device that is not there

The command prints these as one block without a traceback (with `HYDRA_FULL_ERROR=1`, with it).
Our own bugs are `assert`s with a message, never one of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class MusicLLMError(Exception):
    """Base of all errors that the user can act on."""


@dataclass(frozen=True)
class Problem:
    """One setting that breaks a rule.

    Attributes:
        key: full key, such as `training.rows_per_step`.
        value: the value it has now.
        rule: what the value must satisfy, and why it does not.
        fix: what to write instead; empty when the rule already says it.
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
        """Let a process hand it to another one."""
        return type(self), (self.problems,)


class InputError(MusicLLMError):
    """A file, record or tune that the user gave cannot be read; the text says where and why."""


class ArtifactError(MusicLLMError):
    """An artifact is missing, incomplete, damaged, or not of the kind that a stage needs."""


class RenderError(MusicLLMError):
    """A score or a sound could not be made from a tune."""


class StageError(MusicLLMError):
    """A stage ran to its end, but its result breaks a promise, say a merge that changed logits."""


class NotAvailableError(MusicLLMError):
    """A part of musicllm, an optional package or a device that this installation lacks."""
