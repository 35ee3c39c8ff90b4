"""The linear layers of Llama, and which of them gradients pass through, by hand.

A frozen matrix needs no gradient of its own, and everything below the first trained weight needs
none at all. Traces, which know nothing of Llama, are compared with formulas on this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from musicllm.model.architecture import config_of
from musicllm.model.spec import AdapterSpec, ModelSpec

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
    config = config_of(spec)
    width, inner = config.hidden_size, config.intermediate_size
    head_dim = width // config.num_attention_heads
    narrow = head_dim * config.num_key_value_heads
    layer = LayerAnatomy(
        query=Matrix("q_proj", width, width),
        key=Matrix("k_proj", width, narrow),
        value=Matrix("v_proj", width, narrow),
        output=Matrix("o_proj", width, width),
        gate=Matrix("gate_proj", width, inner),
        up=Matrix("up_proj", width, inner),
        down=Matrix("down_proj", inner, width),
        num_heads=config.num_attention_heads,
        head_dim=head_dim,
    )
    return Anatomy(
        width, config.vocab_size, config.tie_word_embeddings, (layer,) * config.num_hidden_layers
    )


@dataclass(frozen=True)
class Linear:
    """A linear layer.

    Attributes:
        num_inputs: input features.
        num_outputs: output features.
        trained: whether its own weight is trained.
        has_lora: whether it has LoRA.
        input_gradient: something below is trained, so its input needs a gradient.
    """

    num_inputs: int
    num_outputs: int
    trained: bool
    has_lora: bool
    input_gradient: bool

    @property
    def output_gradient(self) -> bool:
        """Whether the backward pass reaches this layer."""
        return self.input_gradient or self.trained or self.has_lora

    @property
    def size(self) -> int:
        """Number of weights, without those of LoRA."""
        return self.num_inputs * self.num_outputs


@dataclass(frozen=True)
class Layer:
    """A decoder layer: `linears` by name, and whether its input and its output need gradients."""

    linears: Mapping[str, Linear]
    anatomy: LayerAnatomy
    input_gradient: bool
    output_gradient: bool


def layers(spec: ModelSpec, adapter: AdapterSpec) -> list[Layer]:
    """Return the decoder layers from the bottom to the top."""
    return list(_walk(spec, adapter))


def trains_embeddings(spec: ModelSpec, adapter: AdapterSpec) -> bool:
    """Return whether the embedding matrix, which a tied head shares, is trained."""
    head = anatomy_of(spec).tied and adapter.train_output_head
    return adapter.kind == "full" or (adapter.kind == "lora" and (adapter.train_embeddings or head))


def head(spec: ModelSpec, adapter: AdapterSpec) -> Linear:
    """Return the output head, also if it is tied to the embeddings."""
    tied = anatomy_of(spec).tied and trains_embeddings(spec, adapter)
    whole = adapter.kind == "full" or (adapter.kind == "lora" and adapter.train_output_head)
    with_lora = adapter.kind == "lora" and HEAD in adapter.targets
    reached = layers(spec, adapter)[-1].output_gradient
    anatomy = anatomy_of(spec)
    return Linear(anatomy.width, anatomy.vocab_size, whole or tied, with_lora, reached)


def _walk(spec: ModelSpec, adapter: AdapterSpec) -> Iterator[Layer]:
    reached = trains_embeddings(spec, adapter)
    for anatomy in anatomy_of(spec).layers:
        layer = _layer(anatomy, adapter, reached)
        yield layer
        reached = layer.output_gradient


def _layer(anatomy: LayerAnatomy, adapter: AdapterSpec, reached: bool) -> Layer:
    """Follow the data through attention and the feed-forward block, each beside the residual."""

    def linear(matrix: Matrix, input_gradient: bool) -> Linear:
        part = "mlp" if matrix in (anatomy.gate, anatomy.up, anatomy.down) else "attention"
        named = matrix.name in adapter.targets or part in adapter.targets
        with_lora = adapter.kind == "lora" and named
        is_full = adapter.kind == "full"
        return Linear(matrix.num_inputs, matrix.num_outputs, is_full, with_lora, input_gradient)

    query, key, value = (
        linear(matrix, reached) for matrix in (anatomy.query, anatomy.key, anatomy.value)
    )
    output = linear(anatomy.output, any(part.output_gradient for part in (query, key, value)))
    between = reached or output.output_gradient
    gate, up = linear(anatomy.gate, between), linear(anatomy.up, between)
    down = linear(anatomy.down, gate.output_gradient or up.output_gradient)
    return Layer(
        {
            anatomy.query.name: query,
            anatomy.key.name: key,
            anatomy.value.name: value,
            anatomy.output.name: output,
            anatomy.gate.name: gate,
            anatomy.up.name: up,
            anatomy.down.name: down,
        },
        anatomy,
        reached,
        between or down.output_gradient,
    )
