from __future__ import annotations

import pytest
import torch
from torch import Tensor

from musicllm.train import threads
from musicllm.train.threads import candidates, quickest


@pytest.mark.parametrize(
    ("most", "tried"), [(1, (1,)), (2, (1, 2)), (4, (1, 2, 3, 4)), (16, (1, 8, 15, 16))]
)
def test_a_few_numbers_of_threads_are_tried(most: int, tried: tuple[int, ...]) -> None:
    assert candidates(most) == tried


class Work:
    """Takes a known time by number of threads, and may round differently with one."""

    def __init__(self, seconds: dict[int, float], *, rounds: bool = False) -> None:
        self.clock = 0.0
        self.seconds = seconds
        self.rounds = rounds

    def __call__(self) -> Tensor:
        number = torch.get_num_threads()
        self.clock += self.seconds[number]
        return torch.tensor(1.001 if self.rounds and number == 1 else 1.0)


@pytest.mark.parametrize(
    ("work", "number"),
    [
        (Work({1: 0.1, 2: 0.2}), 1),
        (Work({1: 0.2, 2: 0.1}), 2),
        (Work({1: 0.1, 2: 0.2}, rounds=True), 2),  # the result would change
        (Work({1: 0.1, 2: 5.0}), 2),  # too slow to try more
    ],
)
def test_the_fastest_with_the_same_bits_is_taken(
    monkeypatch: pytest.MonkeyPatch, work: Work, number: int
) -> None:
    monkeypatch.setattr(threads.time, "perf_counter", lambda: work.clock)
    before = torch.get_num_threads()
    assert quickest(work, (1, 2)) == number
    assert torch.get_num_threads() == before
