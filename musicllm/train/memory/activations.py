"""What the forward pass keeps for the backward pass, in bytes, from a trace of the decoder.

For weights, gradients and optimizer state see `states`; for the trace `musicllm.model.trace`. Its
row is scaled to the tokens of a micro-batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from musicllm.model.trace import Bytes, LayerTrace, Trace

FLOAT32 = 4
BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True)
class Activations:
    """Bytes of a micro-batch.

    Attributes:
        kept: by the whole decoder at the end of the forward pass.
        working: needed beyond `kept` at the peak of the two passes.
        cached: copies of trained weights that autocast still caches at the end of the forward
            pass, beyond `kept`.
    """

    kept: int
    working: int
    cached: int


def of_decoder(trace: Trace, *, num_tokens: int, checkpointing: bool) -> Activations:
    """Return the bytes of a forward and backward pass through the decoder.

    Without checkpointing everything is kept that autograd keeps; with it only the input of each
    layer, and in the backward pass a layer is computed again before its gradients are. Both passes
    free what they no longer need, so the peak of the backward pass is in the top layer or in one
    that needs more; that of the forward pass counts as well.

    Args:
        trace: of one row.
        num_tokens: of the micro-batch.
        checkpointing: layers are recomputed in the backward pass.
    """

    def scaled(size: Bytes) -> int:
        return round(size.of_tokens * num_tokens / trace.num_tokens) + size.of_weights

    def kept(layer: LayerTrace) -> int:
        return scaled(layer.input if checkpointing else layer.kept)

    def most(layer: LayerTrace) -> int:
        """Return the highest in a layer beyond what is kept below it."""
        computed = max(scaled(layer.forward), scaled(layer.kept + layer.backward))
        apart = checkpointing and not layer.keeps_input
        return computed + (scaled(layer.input) if apart else 0)

    totals = list(accumulate(map(kept, trace.layers), initial=scaled(trace.around)))
    peak = max(below + most(layer) for below, layer in zip(totals, trace.layers, strict=False))
    cached = sum(layer.copied for layer in trace.layers) if checkpointing else 0
    return Activations(totals[-1], peak - totals[-1], cached)
