from __future__ import annotations

import dataclasses
from collections.abc import Callable

from musicllm.train.memory.advice import Choice, nearest, overrides
from musicllm.train.memory.states import Spread

ZERO_2 = Spread("deepspeed", 2, False, False, 8)
NOW = Choice(rows_per_device=4, checkpointing=False, spread=ZERO_2, quantization=None)


def advised(
    fits: Callable[[Choice], bool], now: Choice = NOW, *, on_gpu: bool = True
) -> str | None:
    found = nearest(now, fits, micro_batches=[4, 2, 1], on_gpu=on_gpu, can_quantize=True)
    return None if found is None else overrides(now, found)


def test_a_smaller_micro_batch_is_the_mildest_change() -> None:
    assert advised(lambda one: one.rows_per_device <= 2) == "hardware.max_rows_per_device=2"


def test_changes_are_combined() -> None:
    assert advised(lambda one: one.checkpointing and one.rows_per_device == 2) == (
        "hardware.max_rows_per_device=2 training.activation_checkpointing=true"
    )


def test_checkpointing_alone_goes_before_both() -> None:
    assert advised(lambda one: one.checkpointing) == "training.activation_checkpointing=true"


def test_higher_stages_then_offload_then_four_bits() -> None:
    assert advised(lambda one: one.spread.stage == 3) == "strategy=zero3"
    assert advised(lambda one: one.spread.offload_optimizer) == "strategy.offload_optimizer=true"
    assert advised(lambda one: one.spread.offload_parameters) == "strategy=zero3_offload"
    assert advised(lambda one: one.quantization == "nf4") == "adapter.quantization=nf4"


def test_one_device_shares_with_nobody_but_can_offload() -> None:
    single = dataclasses.replace(NOW, spread=Spread("single", 0, False, False, 1))
    stages: set[tuple[int, bool]] = set()

    def look(choice: Choice) -> bool:
        stages.add((choice.spread.stage, choice.spread.offload_optimizer))
        return choice.spread.offload_optimizer

    assert advised(look, single) == "strategy=zero2 strategy.offload_optimizer=true"
    assert (1, False) not in stages
    assert (3, False) not in stages


def test_zero_3_and_four_bits_are_never_proposed_together() -> None:
    assert advised(lambda one: one.spread.stage == 3 and one.quantization == "nf4") is None


def test_a_cpu_has_neither_zero_nor_four_bits() -> None:
    tried: list[Choice] = []
    assert advised(lambda one: bool(tried.append(one)), on_gpu=False) is None
    assert len(tried) == 3 * 2
    assert {one.spread for one in tried} == {ZERO_2}
