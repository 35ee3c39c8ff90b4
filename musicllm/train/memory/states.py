"""Weights, gradients and optimizer state on each device and in CPU memory, in bytes.

The partitioning is ZeRO's (arXiv 1910.02054, section 5), in the dtypes of our strategies: frozen
weights as stored; trained ones, their gradients and optimizer state in float32.
"""

from __future__ import annotations

from dataclasses import dataclass

from musicllm.model.size import Size
from musicllm.model.spec import AdapterSpec, ModelSpec
from musicllm.train.memory.activations import BYTES, FLOAT32
from musicllm.train.optimizers import OPTIMIZERS
from musicllm.train.zero import BUCKET_ELEMENTS

NF4 = 0.5 + 1 / 64 + FLOAT32 / (64 * 256)
"""Bytes of a weight in NF4 with double quantization: 4 bits, a scale of 8 bits for every 64
weights, and a float32 for every 256 scales (QLoRA, arXiv 2305.14314, section 3)."""

LIVE_PARAMETERS = 1_000_000_000 + 50_000_000
"""Parameters that ZeRO-3 holds gathered: `stage3_max_live_parameters` and
`stage3_prefetch_bucket_size`, at their defaults in DeepSpeed 0.19."""


@dataclass(frozen=True)
class Spread:
    """How training is distributed over devices.

    Attributes:
        kind: single, ddp or deepspeed.
        stage: of ZeRO; 0 without DeepSpeed.
        offload_optimizer: optimizer state and its copy of the weights are in CPU memory.
        offload_parameters: weights are in CPU memory, too; stage 3 only.
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
    spread: Spread,
    *,
    frozen: int,
    optimizer: str,
) -> States:
    """Return what one device holds for the whole run.

    Each of n devices holds, with F bytes of frozen weights, T trained parameters and S bytes of
    optimizer state:

        single        F      4 T          4 T gradients    S
        ddp           F      4 T          4 T (its buckets) S
        ZeRO-1        F      4 T          4 T              S/n + 4 T/n  buckets
        ZeRO-2        F      4 T          4 T/n            S/n + 4 T/n  buckets
        ZeRO-3        F/n    4 T/n        4 T/n            S/n + 4 T/n  buckets, gathered weights

    where 4 T/n beside S/n is DeepSpeed's own float32 copy of the trained weights. Offload of the
    optimizer moves that column and the gradients of stages 2 and 3 to CPU memory; offload of
    parameters moves the weights, too.

    Args:
        adapter: what is trained.
        size: of model and adapter.
        spread: how training is distributed.
        frozen: bytes of a frozen weight, of `frozen_width`.
        optimizer: its name.
    """
    trained = FLOAT32 * size.num_trainable
    state = OPTIMIZERS[optimizer].state_bytes(size.num_trainable, size.num_hidden)
    whole = frozen_bytes(size, adapter, frozen)
    if spread.kind != "deepspeed":
        return States(whole, trained, trained, state, 0, 0)
    share = spread.num_devices
    gradients = trained if spread.stage == 1 else trained // share
    state = (state + trained) // share
    weights, held = trained, whole
    if spread.stage == 3:
        weights, held = trained // share, whole // share
    on_host = 0
    if spread.offload_optimizer:
        on_host += state + trained // share
        state = 0
        gradients = 0 if spread.stage > 1 else gradients
    if spread.offload_parameters:
        on_host += weights + held
        weights = held = 0
    communication = 2 * FLOAT32 * BUCKET_ELEMENTS
    if spread.stage == 3:
        live = min(1.0, LIVE_PARAMETERS / (size.num_frozen + size.num_trainable))
        communication += round((whole + trained) * live)
    return States(held, weights, gradients, state, communication, on_host)


def frozen_width(spec: ModelSpec, adapter: AdapterSpec, compute_dtype: str) -> int:
    """Return the bytes of a frozen weight that is not in 4 bits.

    Without autocast everything is float32. PEFT also makes float32 what bitsandbytes leaves.

    Args:
        spec: of the model; `dtype` is that of stored weights.
        adapter: what is trained.
        compute_dtype: float32, or float16 or bfloat16 of autocast.
    """
    wide = compute_dtype == "float32" or adapter.kind == "full" or adapter.quantization is not None
    return FLOAT32 if wide else BYTES[spec.dtype]


def frozen_bytes(size: Size, adapter: AdapterSpec, frozen: int) -> int:
    """Return the bytes of all frozen weights: in NF4 the matrices of the layers, else as stored.

    Args:
        size: of model and adapter.
        adapter: what is trained.
        frozen: bytes of a weight that is not in 4 bits.
    """
    in_four_bits = size.num_quantizable if adapter.quantization is not None else 0
    return round(NF4 * in_four_bits) + frozen * (size.num_frozen - in_four_bits)
