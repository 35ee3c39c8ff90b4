"""The nearest settings that fit into memory, when the configured ones do not.

Changes are tried from the mildest on, alone and combined: a smaller micro-batch and activation
checkpointing (same result, slower), a higher ZeRO stage and offload (same result, slower still), a
base in 4 bits (another model).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from musicllm.train.memory.states import Spread


@dataclass(frozen=True)
class Choice:
    """The settings that may change.

    Attributes:
        rows_per_device: rows of a micro-batch.
        checkpointing: of activations.
        spread: how training is distributed.
        quantization: of the frozen base: nf4 or None.
    """

    rows_per_device: int
    checkpointing: bool
    spread: Spread
    quantization: str | None


def nearest(
    now: Choice,
    fits: Callable[[Choice], bool],
    *,
    micro_batches: Sequence[int],
    on_gpu: bool,
    can_quantize: bool,
) -> Choice | None:
    """Return the first choice that fits, or None.

    Args:
        now: the configured settings.
        fits: whether a choice fits into memory.
        micro_batches: divisors of the batch, in rows, from `now.rows_per_device` downwards.
        on_gpu: ZeRO, offload and 4 bits are only for GPUs.
        can_quantize: the base is frozen.
    """
    quantizations = [now.quantization]
    if on_gpu and can_quantize and now.quantization is None:
        quantizations.append("nf4")
    spreads = list(_spreads(now.spread)) if on_gpu else [now.spread]
    checkpointings = [False, True] if not now.checkpointing else [True]
    tried = itertools.product(quantizations, spreads, checkpointings, micro_batches)
    for quantization, spread, checkpointing, rows in tried:
        if quantization is not None and spread.stage == 3:
            continue  # bitsandbytes' packed weights cannot be cut by ZeRO-3
        choice = Choice(rows, checkpointing, spread, quantization)
        if fits(choice):
            return choice
    return None


def overrides(now: Choice, then: Choice) -> str:
    """Return the overrides on the command line that change one choice into the other."""
    words = []
    if then.rows_per_device != now.rows_per_device:
        words.append(f"hardware.max_rows_per_device={then.rows_per_device}")
    if then.checkpointing != now.checkpointing:
        words.append("training.activation_checkpointing=true")
    if then.spread != now.spread:
        words += _spread_overrides(now.spread, then.spread)
    if then.quantization != now.quantization:
        words.append(f"adapter.quantization={then.quantization}")
    return " ".join(words)


def _spread_overrides(now: Spread, then: Spread) -> Iterator[str]:
    if then.stage == 3 and then.offload_optimizer and then.offload_parameters:
        yield "strategy=zero3_offload"
        return
    if then.stage != now.stage:
        yield f"strategy=zero{then.stage}"
    if then.offload_optimizer:
        yield "strategy.offload_optimizer=true"


def _spreads(now: Spread) -> Iterator[Spread]:
    """Yield the strategy itself, higher stages with several devices, then offload."""
    yield now
    by_stage = [replace(now, kind="deepspeed", stage=stage) for stage in range(now.stage + 1, 4)]
    if now.num_devices > 1:
        yield from by_stage
    if not now.offload_optimizer:
        lowest = now if now.stage >= 2 else replace(now, kind="deepspeed", stage=2)
        for spread in (lowest, *(later for later in by_stage if later.stage > lowest.stage)):
            yield replace(spread, offload_optimizer=True)
    if not now.offload_parameters:
        yield Spread("deepspeed", 3, True, True, now.num_devices)
