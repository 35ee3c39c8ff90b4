"""Compares the contestants: speed, agreement and memory.

The backend runs with each of BATCH_SIZES. Speed and memory are compared with the faster one,
answers with those of all, in every round.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from musicllm.bench.eval.task import Answers, largest_difference, share_identical
from musicllm.bench.measuring import Timing

OURS = "ours"
BATCH_SIZES = (1, 8)


def backend(batch_size: int) -> str:
    """Return the name of the backend of the harness."""
    return f"harness, hf, batch {batch_size}"


def label(contestant: str, shots: int) -> str:
    """Return the name of a contestant with a number of examples in the prompt."""
    return f"{contestant}, {shots}-shot"


@dataclass(frozen=True)
class EvalComparison:
    """The answers of all contestants.

    Attributes:
        answers: (contestant, number of examples) -> answers by round.
        num_questions: of a round.
    """

    answers: Mapping[tuple[str, int], Sequence[Answers]]
    num_questions: int

    @cached_property
    def timings(self) -> dict[tuple[str, int], Timing]:
        """Return the timing of each contestant."""
        return {
            key: Timing(tuple(a.seconds for a in rounds), self.num_questions, "questions")
            for key, rounds in self.answers.items()
        }

    @property
    def shots(self) -> list[int]:
        """Return the numbers of examples, in order."""
        return list(dict.fromkeys(shots for _, shots in self.answers))

    def batch_size(self, shots: int) -> int:
        """Return the batch size with which the backend was faster."""
        return max(BATCH_SIZES, key=lambda size: self.timings[backend(size), shots].rate)

    def peak_bytes(self, contestant: str, shots: int) -> int:
        """Return the peak memory over all rounds."""
        return max(answers.peak_bytes for answers in self.answers[contestant, shots])

    def ratios(self) -> dict[str, float]:
        """Return the key figures."""
        pairs = list(self._pairs())
        return {f"vs_harness_{shots}shot": self._speed(shots) for shots in self.shots} | {
            "max_abs_loglikelihood_difference": max(largest_difference(*pair) for pair in pairs),
            "predictions_identical": min(share_identical(*pair) for pair in pairs),
            "peak_memory_vs_harness": max(map(self._memory, self.shots)),
        }

    def _speed(self, shots: int) -> float:
        theirs = self.timings[backend(self.batch_size(shots)), shots]
        return self.timings[OURS, shots].rate / theirs.rate

    def _memory(self, shots: int) -> float:
        theirs = self.peak_bytes(backend(self.batch_size(shots)), shots)
        return self.peak_bytes(OURS, shots) / theirs

    def _pairs(self) -> Iterator[tuple[Answers, Answers]]:
        """Yield our answers and those of the backend in the same round."""
        for shots in self.shots:
            for size in BATCH_SIZES:
                rounds = self.answers[OURS, shots], self.answers[backend(size), shots]
                yield from zip(*rounds, strict=True)
