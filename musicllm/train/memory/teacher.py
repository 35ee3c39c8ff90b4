"""What a teacher on the fly adds to the memory of a step, in bytes.

Its weights are whole on every device, for the whole run. Its forward pass comes before the
student's, when no activations exist, and only its hidden states of the supervised tokens are left
of it. The losses of distillation then need more of a piece of logits than the plain one
(`train.distillation.losses`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from musicllm.model.size import Size
from musicllm.model.spec import AdapterSpec, ModelSpec
from musicllm.model.trace import Bytes
from musicllm.train.loss import LOGITS_AT_ONCE, TIMES_ON_GPU
from musicllm.train.memory.activations import BYTES
from musicllm.train.memory.estimate import Memory, Workload, trace_of
from musicllm.train.memory.states import frozen_bytes

MORE_BYTES_PER_LOGIT = 22
"""Beyond the plain loss, which takes 8 to 12: the teacher's logits and both distributions in
float32, and their difference. Measured: 28 to 29 in all, 33 with Jensen-Shannon, 24 with few
tokens of the teacher."""


@dataclass(frozen=True)
class TeacherMemory:
    """Bytes of a teacher.

    Attributes:
        weights: for the whole run.
        forward: the most in its forward pass.
        states: its hidden states, during the student's passes.
        logits: of the loss, beyond the plain one.
    """

    weights: int
    forward: int
    states: int
    logits: int


def of_model(
    spec: ModelSpec, quantization: str | None, size: Size, work: Workload
) -> TeacherMemory:
    """Return the memory of a teacher that is run beside the student.

    Args:
        spec: of the teacher; `dtype` is that of its weights in memory.
        quantization: nf4, or None.
        size: of the teacher, with nothing trained.
        work: of the student; every token counts as supervised.
    """
    adapter = dataclasses.replace(NOTHING, quantization=quantization)
    traced = trace_of(spec, adapter, dataclasses.replace(work, compute_dtype=spec.dtype))

    def scaled(size: Bytes) -> int:
        return round(size.of_tokens * work.num_tokens / traced.num_tokens) + size.of_weights

    forward = max(scaled(layer.input + layer.forward) for layer in traced.layers)
    if quantization is not None:
        forward += BYTES[spec.dtype] * size.largest_matrix
    times = TIMES_ON_GPU if work.on_gpu else 1
    num_logits = min(work.num_tokens * traced.head.num_outputs, times * LOGITS_AT_ONCE)
    return TeacherMemory(
        weights=frozen_bytes(size, adapter, BYTES[spec.dtype]),
        forward=forward,
        states=work.num_tokens * traced.head.num_inputs * BYTES[spec.dtype],
        logits=MORE_BYTES_PER_LOGIT * num_logits,
    )


def beside(memory: Memory, teacher: TeacherMemory) -> Memory:
    """Return the memory of a step with a teacher."""
    return dataclasses.replace(
        memory,
        logits=memory.logits + teacher.logits,
        teacher_weights=teacher.weights,
        teacher_forward=teacher.forward,
        teacher_states=teacher.states,
    )


NOTHING = AdapterSpec("none", None, None, None, (), False, False, False, None, None, None, range(0))
"""Nothing is trained."""
