"""The peak memory of a training step on one device, part by part.

`activations` and `states` hold the formulas; this module adds the rest and determines when the peak
occurs. For its accuracy see docs/PLAN.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from musicllm.model.architecture import config_of
from musicllm.model.head import adjustment_of
from musicllm.model.size import Size
from musicllm.model.spec import AdapterSpec, ModelSpec
from musicllm.model.trace import Run, Trace, trace
from musicllm.train.loss import LOGITS_AT_ONCE, TIMES_ON_GPU
from musicllm.train.memory.activations import BYTES, FLOAT32, of_decoder
from musicllm.train.memory.states import Spread, frozen_width, states

CUDA_CONTEXT = 800_000_000
"""Bytes of the driver, cuBLAS and NCCL on a GPU, which torch's allocator does not count."""

PYTHON = 700_000_000
"""Bytes of a process that has imported torch, transformers and Lightning, and holds no model."""

FRAGMENTS = 0.05
"""Fragmentation of torch's allocator on a GPU, as a share of the memory that is not static."""


@dataclass(frozen=True)
class Workload:
    """What determines the memory of a step, beside the model.

    Attributes:
        num_tokens: of a micro-batch.
        document_length: tokens of a document; see `musicllm.model.trace.Run`.
        checkpointing: activations are recomputed in the backward pass.
        compute_dtype: float32, or float16 or bfloat16 of autocast.
        on_gpu: else on a CPU.
        attention: its name, such as `varlen_sdpa`.
        optimizer: its name.
        spread: how training is distributed.
    """

    num_tokens: int
    document_length: int
    checkpointing: bool
    compute_dtype: str
    on_gpu: bool
    attention: str
    optimizer: str
    spread: Spread


@dataclass(frozen=True)
class Memory:
    """Bytes on one device at the peak of a step; `on_host` is in CPU memory, per device.

    Attributes:
        frozen_weights: of the base.
        trained_weights: in float32.
        gradients: of trained weights, in float32.
        optimizer: its state, and DeepSpeed's own copy of the weights.
        activations: what all layers keep for the backward pass.
        layer: what one layer needs in addition during its backward pass.
        logits: what the loss needs. It is freed before the layers' backward pass, so only the
            larger of `layer` and `logits` counts.
        communication: buckets, and weights that ZeRO-3 has gathered.
        reserve: the CUDA context and the allocator's fragmentation on a GPU, the process itself on
            a CPU.
        on_host: see above.
        teacher_weights: of a teacher on the fly; see `teacher`.
        teacher_forward: what its forward pass needs, before that of the student.
        teacher_states: its hidden states during the student's passes.
    """

    frozen_weights: int
    trained_weights: int
    gradients: int
    optimizer: int
    activations: int
    layer: int
    logits: int
    communication: int
    reserve: int
    on_host: int
    teacher_weights: int = 0
    teacher_forward: int = 0
    teacher_states: int = 0

    @property
    def allocated(self) -> int:
        """Peak of all tensors, which is `torch.cuda.max_memory_allocated` on a GPU."""
        states = self.frozen_weights + self.trained_weights + self.gradients + self.optimizer
        return states + self.communication + self.teacher_weights + self.moving

    @property
    def moving(self) -> int:
        """Peak of what exists within a step alone."""
        own = self.activations + max(self.layer, self.logits)
        return max(self.teacher_states + own, self.teacher_forward)

    @property
    def total(self) -> int:
        """Bytes that the device must have."""
        return self.allocated + self.reserve


def estimate(spec: ModelSpec, adapter: AdapterSpec, size: Size, work: Workload) -> Memory:
    """Return the memory of a step.

    The peak is at the end of the forward pass, when the loss is computed, or in the backward pass
    of a layer. Gradients count at full size throughout, since Lightning clears those of the last
    step between the two passes. With checkpointing autocast still caches its copies of all trained
    weights when the loss is computed.

    Args:
        spec: the architecture.
        adapter: what is trained.
        size: of model and adapter.
        work: the rest.
    """
    traced = trace_of(spec, adapter, work)
    frozen = frozen_width(spec, adapter, work.compute_dtype)
    static = states(adapter, size, work.spread, frozen=frozen, optimizer=work.optimizer)
    moving = of_decoder(traced, num_tokens=work.num_tokens, checkpointing=work.checkpointing)
    layer = moving.working
    if adapter.quantization is not None:
        layer += BYTES[work.compute_dtype] * size.largest_matrix  # dequantized
    adjusted = not adjustment_of(config_of(spec)).is_none
    logits = moving.cached + _logits(traced, frozen, work, adjusted=adjusted)
    if adapter.new_rows:  # the head's matrix with its new rows
        logits += frozen * traced.head.size
    return Memory(
        frozen_weights=static.frozen_weights,
        trained_weights=static.trained_weights,
        gradients=static.gradients,
        optimizer=static.optimizer,
        activations=moving.kept,
        layer=layer,
        logits=logits,
        communication=static.communication,
        reserve=_reserve(moving.kept + max(layer, logits), work),
        on_host=static.on_host,
    )


def trace_of(spec: ModelSpec, adapter: AdapterSpec, work: Workload) -> Trace:
    """Return the trace of a workload."""
    run = Run(work.document_length, work.compute_dtype, work.on_gpu, work.attention)
    return trace(spec, adapter, run)


def _reserve(moving: int, work: Workload) -> int:
    return CUDA_CONTEXT + round(FRAGMENTS * moving) if work.on_gpu else PYTHON


def _logits(traced: Trace, frozen: int, work: Workload, *, adjusted: bool) -> int:
    """Return the bytes of the loss when every token is supervised; see `train.loss` and `fused`.

    Logits of one piece, their softmax in float32 and its gradient in the compute dtype take 8 bytes
    per logit; 10 on a CPU, which copies half-precision logits before the softmax, and where they
    are `adjusted` (a scale or a soft cap) in float32; 12 where autograd keeps them (a head with
    LoRA, or gathered by ZeRO-3). Hidden states are selected, cast, and get
    a gradient. The head's matrix is copied where it is not stored in the compute dtype, and the
    gradient of a trained one is summed in float32.
    """
    head, compute = traced.head, BYTES[work.compute_dtype]
    num_logits = LOGITS_AT_ONCE * (TIMES_ON_GPU if work.on_gpu else 1)
    is_lean = compute == FLOAT32 or (work.on_gpu and not adjusted)
    bytes_per_logit = 8 if is_lean else 10
    if head.has_lora or work.spread.stage == 3:
        bytes_per_logit = 12
    logits = bytes_per_logit * min(work.num_tokens * head.num_outputs, num_logits)
    stream = traced.hidden.of_tokens // (traced.num_tokens * head.num_inputs)
    cast = compute if stream != compute else 0
    states = work.num_tokens * head.num_inputs * (stream + cast + compute)
    stored = FLOAT32 if head.trained else frozen
    matrix = compute * (stored != compute) + (FLOAT32 + compute) * head.trained
    return logits + states + matrix * head.size
