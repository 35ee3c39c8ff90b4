"""What the forward pass of Llama keeps for the backward pass, in bytes, by hand.

The accounting follows Korthikanti et al. (arXiv 2205.05198, section 4), adapted to a Llama layer of
transformers under autocast, with LoRA from PEFT and flash-like attention.

Axes: N tokens of a micro-batch, D width, K width of keys, I width of the feed-forward block.
"""

from __future__ import annotations

from dataclasses import dataclass

from musicllm.model.spec import AdapterSpec, ModelSpec
from tests.model.llama_layers import (
    Anatomy,
    Layer,
    Linear,
    anatomy_of,
    layers,
    trains_embeddings,
)

FLOAT32 = 4
BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True)
class Numerics:
    """The dtypes of a run, as sizes in bytes.

    Attributes:
        compute: of matrix products.
        stream: of the residual stream.
        frozen: of a frozen weight that is not in 4 bits.
        recast: frozen weights are stored in another dtype than the compute dtype, so that every
            use makes a copy.
        dropout_mask: an element of a dropout mask: a float on a CPU, a byte on a GPU.
        copies_attention: the output of attention is kept twice, as by `varlen_sdpa`: once per
            document, and concatenated.
    """

    compute: int
    stream: int
    frozen: int
    recast: bool
    dropout_mask: int
    copies_attention: bool


def numerics(
    spec: ModelSpec, adapter: AdapterSpec, *, compute_dtype: str, on_gpu: bool, attention: str
) -> Numerics:
    """Return the dtypes that follow from autocast and torch's promotion rules.

    Without autocast everything is float32. Under autocast trained weights stay float32 and frozen
    ones are stored in `spec.dtype`; the residual stream has the wider dtype of the embeddings'
    output and of what is added to it.

    Args:
        spec: the architecture, and the dtype of its stored weights.
        adapter: what is trained.
        compute_dtype: float32, or float16 or bfloat16 of autocast.
        on_gpu: else on a CPU.
        attention: its name, such as `varlen_sdpa`.
    """
    all_float32 = compute_dtype == "float32" or adapter.kind == "full"
    stored = "float32" if all_float32 else spec.dtype
    quantized = adapter.quantization is not None  # PEFT makes what is not quantized float32
    recast = compute_dtype != stored and not quantized
    wide = trains_embeddings(spec, adapter) or recast or quantized
    return Numerics(
        compute=BYTES[compute_dtype],
        stream=FLOAT32 if wide else BYTES[stored],
        frozen=FLOAT32 if quantized else BYTES[stored],
        recast=recast and adapter.kind != "full",
        dropout_mask=1 if on_gpu else FLOAT32,
        copies_attention=attention == "varlen_sdpa",
    )


def of_decoder(
    spec: ModelSpec, adapter: AdapterSpec, types: Numerics, *, num_tokens: int, checkpointing: bool
) -> int:
    """Return the bytes that a forward pass keeps in the decoder, including the last norm.

    Without checkpointing that is every layer; with it only the input of each, N x D elements of
    the residual stream. The angles of the rotary positions are kept once. Linear in N.

    Args:
        spec: the architecture.
        adapter: what is trained.
        types: of `numerics`.
        num_tokens: N.
        checkpointing: layers are recomputed in the backward pass.
    """
    anatomy = anatomy_of(spec)
    last_norm = _norm(anatomy, types, trained=adapter.kind == "full")
    angles = 2 * types.stream * anatomy.layers[0].head_dim
    total = num_tokens * (last_norm + angles)
    total += autocast_copies(adapter, types, layers(spec, adapter)) if not checkpointing else 0
    for layer in layers(spec, adapter):
        layer_input = types.stream * anatomy.width
        size = layer_input if checkpointing else of_layer(spec, adapter, types, layer)
        total += num_tokens * size
    return total


def of_layer(spec: ModelSpec, adapter: AdapterSpec, types: Numerics, layer: Layer) -> int:
    """Return the bytes that one layer without checkpointing keeps for each token.

    A norm keeps its input in float32 and one scalar (where gradients pass), D x 4 + 4. Attention
    keeps queries, keys, values and its output, 2 (D + K) elements of the compute dtype, and a
    float32 per head. SiLU and the product after it keep three times I. A trained matrix keeps its
    input; with LoRA, A keeps its own copy of the input, B keeps r elements, and dropout a mask;
    DoRA keeps both outputs that it scales. A frozen matrix keeps nothing.

    Args:
        spec: the architecture.
        adapter: what is trained.
        types: of `numerics`.
        layer: of `tests.model.llama_layers`.
    """
    anatomy = anatomy_of(spec)
    q, k, v, o, gate, up, down = layer.linears.values()
    total = 0
    trained = adapter.kind == "full"
    if layer.input_gradient:
        total += _norm(anatomy, types, trained=trained)
    if gate.input_gradient:
        total += _norm(anatomy, types, trained=trained)
    if q.output_gradient or k.output_gradient or v.output_gradient:
        total += types.compute * (2 * q.num_outputs + 2 * k.num_outputs)
        total += FLOAT32 * layer.anatomy.num_heads
    if gate.output_gradient:
        total += types.compute * 2 * gate.num_outputs  # into SiLU, and the other factor
    if up.output_gradient:
        total += types.compute * up.num_outputs
    for shared in ((q, k, v), (gate, up)):
        total += _inputs(shared, adapter, types)
    if types.copies_attention or not o.trained:
        total += _inputs((o,), adapter, types)
    total += _inputs((down,), adapter, types)
    for linear in layer.linears.values():
        if linear.has_lora:
            assert adapter.r is not None, "LoRA without a rank passed the checks"
            total += types.compute * (adapter.r + 2 * linear.num_outputs * adapter.use_dora)
    return total


def autocast_copies(adapter: AdapterSpec, types: Numerics, some: list[Layer]) -> int:
    """Return the bytes of weights that autocast copies into the compute dtype for these layers.

    Copies of trained weights live until the micro-batch ends, since autocast caches them; copies of
    frozen ones as long as the backward pass needs them.
    """
    elements = 0
    for linear in (linear for layer in some for linear in layer.linears.values()):
        if types.compute != FLOAT32:
            if linear.trained:
                elements += linear.size
            if linear.has_lora:
                assert adapter.r is not None, "LoRA without a rank passed the checks"
                elements += adapter.r * (linear.num_inputs + linear.num_outputs)
        if types.recast and linear.input_gradient:
            elements += linear.size
    return types.compute * elements


def _norm(anatomy: Anatomy, types: Numerics, *, trained: bool) -> int:
    return FLOAT32 * (anatomy.width + 1) + trained * types.stream * anatomy.width


def _inputs(shared: tuple[Linear, ...], adapter: AdapterSpec, types: Numerics) -> int:
    """Return the bytes that matrices with the same input keep of it, per token."""
    copies = []
    for linear in shared:
        if linear.trained:
            copies.append(types.compute * linear.num_inputs)
        if linear.has_lora:
            mask = types.dropout_mask if adapter.dropout and linear.input_gradient else 0
            copies.append((types.compute + mask) * linear.num_inputs)
    one_tensor = types.compute == FLOAT32 and not adapter.dropout
    return max(copies, default=0) if one_tensor else sum(copies)
