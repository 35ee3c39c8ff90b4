"""What every contestant does: the same requests to the same weights, and what it answers.

Nothing is measured here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from musicllm.evals.questions import LETTERS
from musicllm.model import base
from musicllm.model.spec import ModelSpec


@dataclass(frozen=True)
class EvalSettings:
    """How evaluation is measured.

    Attributes:
        questions: folder of MMLU's questions, in one of its layouts; None: questions of their
            lengths are made.
        cache: folder of models that are unpacked once.
        device: `cpu` or `cuda`.
        num_threads: of torch on a CPU; None: all cores.
    """

    questions: Path | None
    cache: Path
    device: str
    num_threads: int | None


@dataclass(frozen=True)
class Task:
    """Requests to a model, picklable.

    Attributes:
        model: its `location` is a folder or hub id of weights and tokenizer.
        settings: where it runs.
        requests: contexts with the continuation whose log-likelihood is wanted; the options of a
            question follow one another.
    """

    model: ModelSpec
    settings: EvalSettings
    requests: tuple[tuple[str, str], ...]

    @property
    def location(self) -> str:
        """Where the weights are."""
        assert self.model.location is not None, "random weights are written to a folder first"
        return self.model.location

    @property
    def dtype(self) -> str:
        """Type of the weights in memory: float32 on a CPU, as stored on a GPU."""
        if self.settings.device == "cpu":
            return "float32"
        stored = base.load_config(
            self.location,
            revision=self.model.revision,
            trust_remote_code=self.model.trust_remote_code,
        ).dtype
        return str(stored).removeprefix("torch.")


@dataclass(frozen=True)
class Answers:
    """What a contestant gave in one round.

    Attributes:
        seconds: from the requests as texts to the last answer; loading does not count.
        peak_bytes: most memory so far, of the process on a CPU, of torch's allocator on a GPU.
        logprobs: nats, one per request.
    """

    seconds: float
    peak_bytes: int
    logprobs: tuple[float, ...]

    @property
    def choices(self) -> list[int]:
        """Return the most probable option of every question."""
        width = len(LETTERS)
        questions = [
            self.logprobs[place : place + width] for place in range(0, len(self.logprobs), width)
        ]
        return [few.index(max(few)) for few in questions]


def largest_difference(one: Answers, other: Answers) -> float:
    """Return by how much the log-likelihood of a request differs at most, in nats."""
    pairs = zip(one.logprobs, other.logprobs, strict=True)
    return max(abs(a - b) if math.isfinite(a - b) else math.inf for a, b in pairs)


def share_identical(one: Answers, other: Answers) -> float:
    """Return on which share of the questions both choose the same option."""
    same = [a == b for a, b in zip(one.choices, other.choices, strict=True)]
    return sum(same) / len(same)
