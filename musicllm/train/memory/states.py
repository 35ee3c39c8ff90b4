"""Weights, gradients and optimizer state on each device, and what of them lies in CPU memory.

The partitioning is ZeRO's (arXiv 1910.02054, section 5), in the types that our strategies use:
frozen weights as stored, trained ones, their gradients and optimizer state in float32. In bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from musicllm.model.size import Size
from musicllm.model.spec import AdapterSpec
from musicllm.train.memory.activations import FLOAT32, Numerics
from musicllm.train.optimizers import OPTIMIZERS
from musicllm.train.zero import BUCKET_NUMBERS

NF4 = 0.5 + 1 / 64 + FLOAT32 / (64 * 256)
"""Bytes of a weight in NF4 with double quantization: 4 bits, a scale of 8 bits for every 64
weights, and a float32 for every 256 scales (QLoRA, arXiv 2305.14314, section 3)."""

LIVE_NUMBERS = 1_000_000_000 + 50_000_000
"""Weights that ZeRO-3 holds gathered: `stage3_max_live_parameters` and what it fetches ahead
(`stage3_prefetch_bucket_size`), both as DeepSpeed 0.19 sets them when nothing is said."""


@dataclass(frozen=True)
class Spread:
    """How training is spread.

    Attributes:
        kind: single, ddp or deepspeed.
        stage: of ZeRO; 0 without DeepSpeed.
        offload_optimizer: optimizer state and its copy of the weights lie in CPU memory.
        offload_parameters: weights lie there, too; stage 3 only.
        num_devices: over all machines.
    """

    kind: str
    stage: int
    offload_optimizer: bool
    offload_parameters: bool
    num_devices: int


@dataclass(frozen=True)
class States:
    """Bytes per device; `on_host` are those in CPU memory, also per device."""

    frozen_weights: int
    trained_weights: int
    gradients: int
    optimizer: int
    communication: int
    on_host: int


def states(
    adapter: AdapterSpec,
    size: Size,
    types: Numerics,
    spread: Spread,
    *,
    optimizer: str,
) -> States:
    """Return what one device holds for the whole run.

    Of n devices each holds, with F bytes of frozen weights, T trained numbers and S bytes of state:

        single        F      4 T          4 T gradients    S
        ddp           F      4 T          4 T (its buckets) S
        ZeRO-1        F      4 T          4 T              S/n + 4 T/n  buckets
        ZeRO-2        F      4 T          4 T/n            S/n + 4 T/n  buckets
        ZeRO-3        F/n    4 T/n        4 T/n            S/n + 4 T/n  buckets, gathered weights

    where the second summand under S is DeepSpeed's own float32 copy of the weights that it updates.
    Offload of the optimizer moves that column and the gradients of ZeRO to CPU memory; offload of
    parameters moves the weights, too.

    Args:
        adapter: what is trained.
        size: of model and adapter.
        types: of `activations.numerics`.
        spread: over the devices.
        optimizer: its name.
    """
    trained = FLOAT32 * size.num_trainable
    state = OPTIMIZERS[optimizer].state_bytes(size.num_trainable, size.num_hidden)
    frozen = frozen_bytes(size, adapter, types)
    if spread.kind != "deepspeed":
        return States(frozen, trained, trained, state, 0, 0)
    share = spread.num_devices
    gradients = trained if spread.stage == 1 else trained // share
    state = (state + trained) // share
    weights, whole = trained, frozen
    if spread.stage == 3:
        weights, frozen = trained // share, frozen // share
    on_host = 0
    if spread.offload_optimizer:
        on_host += state + trained // share
        state = 0
        gradients = 0 if spread.stage > 1 else gradients
    if spread.offload_parameters:
        on_host += weights + frozen
        weights = frozen = 0
    communication = 2 * FLOAT32 * BUCKET_NUMBERS
    if spread.stage == 3:
        communication += _gathered(size, whole, trained)
    return States(frozen, weights, gradients, state, communication, on_host)


def frozen_bytes(size: Size, adapter: AdapterSpec, types: Numerics) -> int:
    """Return the bytes of all frozen weights: in NF4 the matrices of the layers, else as stored."""
    in_four_bits = 0
    if adapter.quantization is not None:
        in_four_bits = size.parts["attention"] + size.parts["mlp"]
    return round(NF4 * in_four_bits) + types.frozen * (size.num_frozen - in_four_bits)


def _gathered(size: Size, frozen: int, trained: int) -> int:
    """Return the bytes of weights that ZeRO-3 has gathered at a time."""
    numbers = size.num_frozen + size.num_trainable
    return round((frozen + trained) * min(1.0, LIVE_NUMBERS / numbers))
