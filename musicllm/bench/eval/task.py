"""The task of all contestants: the same requests to the same weights; and their answers.

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
    """Settings of the evaluation bench.

    Attributes:
        questions: folder of MMLU questions, in one of its layouts; None for synthetic questions of
            similar length.
        cache: folder of unpacked models.
        device: `cpu` or `cuda`.
        num_threads: of torch on a CPU; None for all cores.
    """

    questions: Path | None
    cache: Path
    device: str
    num_threads: int | None


@dataclass(frozen=True)
class EvalTask:
    """Requests to a model, picklable.

    Attributes:
        model: its `location` is a folder or hub id of weights and tokenizer.
        settings: of the bench.
        requests: pairs of context and continuation whose log-likelihood is computed; the options of
            a question are consecutive.
    """

    model: ModelSpec
    settings: EvalSettings
    requests: tuple[tuple[str, str], ...]

    @property
    def location(self) -> str:
        """Folder or hub id of the weights."""
        assert self.model.location is not None, "random weights are written to a folder first"
        return self.model.location

    @property
    def dtype(self) -> str:
        """Dtype of the weights in memory: float32 on a CPU, as stored on a GPU."""
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
    """The answers of a contestant in one round.

    Attributes:
        seconds: from the requests as texts to the last answer, without loading.
        peak_bytes: peak memory, of the process on a CPU, of torch's allocator on a GPU.
        logprobs: in nats, one per request.
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


def largest_difference(answers: Answers, other: Answers) -> float:
    """Return the maximum difference of log-likelihoods, in nats."""
    pairs = zip(answers.logprobs, other.logprobs, strict=True)
    return max(abs(a - b) if math.isfinite(a - b) else math.inf for a, b in pairs)


def share_identical(answers: Answers, other: Answers) -> float:
    """Return the share of questions for which both choose the same option."""
    same = [a == b for a, b in zip(answers.choices, other.choices, strict=True)]
    return sum(same) / len(same)
