from __future__ import annotations

import time

from musicllm.bench.memory import Peak, watch

HELD_BYTES = 100_000_000


def hold() -> int:
    held = b"x" * HELD_BYTES
    time.sleep(0.5)
    return len(held)


def rest() -> None:
    time.sleep(0.5)


def test_the_memory_of_another_process_is_seen() -> None:
    holding, resting = Peak(), Peak()
    watch(hold, holding)
    watch(rest, resting)
    assert resting.largest > 0
    assert 0.9 < (holding.largest - resting.largest) / HELD_BYTES < 1.2
    assert holding.together >= holding.largest
