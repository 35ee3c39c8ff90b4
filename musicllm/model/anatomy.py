"""What a decoder is made of, as far as FLOPs, memory and gradients depend on it.

The only place that knows the shapes of Llama's layout (`base.LAYOUTS`): counts of parameters,
FLOPs and the memory estimate start from an `Anatomy`. A model of another shape needs its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from musicllm.model.spec import ModelSpec

PARTS = {
    "norm": "norms",
    "self_attn": "attention",
    "mlp": "mlp",
    "embed_tokens": "embeddings",
    "lm_head": "head",
}
"""What the name of a parameter contains -> the part of the model that it belongs to."""

HEAD = "lm_head"
"""Name of the output head."""


@dataclass(frozen=True)
class Matrix:
    """A linear layer by its name in the model, such as `q_proj`."""

    name: str
    num_inputs: int
    num_outputs: int


@dataclass(frozen=True)
class LayerAnatomy:
    """A decoder layer: attention and a gated feed-forward block, each beside the residual stream.

    Attributes:
        query, key, value, output: projections of attention.
        gate, up, down: of the feed-forward block, down(silu(gate) * up).
        num_heads: of queries.
        head_dim: features of a head.
    """

    query: Matrix
    key: Matrix
    value: Matrix
    output: Matrix
    gate: Matrix
    up: Matrix
    down: Matrix
    num_heads: int
    head_dim: int


@dataclass(frozen=True)
class Anatomy:
    """A decoder.

    Attributes:
        width: features of the residual stream.
        vocab_size: tokens.
        tied: the output head is the embedding matrix.
        layers: from the bottom to the top.
    """

    width: int
    vocab_size: int
    tied: bool
    layers: tuple[LayerAnatomy, ...]


def anatomy_of(spec: ModelSpec) -> Anatomy:
    """Return the anatomy of an architecture in Llama's layout."""
    width, inner = spec.hidden_size, spec.intermediate_size
    head_dim = width // spec.num_attention_heads
    narrow = head_dim * spec.num_key_value_heads
    layer = LayerAnatomy(
        query=Matrix("q_proj", width, width),
        key=Matrix("k_proj", width, narrow),
        value=Matrix("v_proj", width, narrow),
        output=Matrix("o_proj", width, width),
        gate=Matrix("gate_proj", width, inner),
        up=Matrix("up_proj", width, inner),
        down=Matrix("down_proj", inner, width),
        num_heads=spec.num_attention_heads,
        head_dim=head_dim,
    )
    return Anatomy(
        width, spec.vocab_size, spec.tie_word_embeddings, (layer,) * spec.num_hidden_layers
    )
