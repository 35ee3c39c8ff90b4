"""The linear layers of the decoder, and which of them gradients pass through.

A frozen matrix needs no gradient of its own, and everything below the first trained weight needs
none at all. `flops` and the memory estimate of the plan use this. Shapes are those of Llama's
layout (`base.LAYOUTS`), in the order of the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from musicllm.model.spec import AdapterSpec, ModelSpec


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
    input_gradient: bool
    output_gradient: bool


def layers(spec: ModelSpec, adapter: AdapterSpec) -> list[Layer]:
    """Return the decoder layers from the bottom to the top."""
    return list(_walk(spec, adapter))


def trains_embeddings(spec: ModelSpec, adapter: AdapterSpec) -> bool:
    """Return whether the embedding matrix, which a tied head shares, is trained."""
    head = spec.tie_word_embeddings and adapter.train_output_head
    return adapter.kind == "full" or (adapter.kind == "lora" and (adapter.train_embeddings or head))


def head(spec: ModelSpec, adapter: AdapterSpec) -> Linear:
    """Return the output head, also if it is tied to the embeddings."""
    tied = spec.tie_word_embeddings and trains_embeddings(spec, adapter)
    whole = adapter.kind == "full" or (adapter.kind == "lora" and adapter.train_output_head)
    with_lora = adapter.kind == "lora" and "lm_head" in adapter.target_modules
    reached = layers(spec, adapter)[-1].output_gradient
    return Linear(spec.hidden_size, spec.vocab_size, whole or tied, with_lora, reached)


def _walk(spec: ModelSpec, adapter: AdapterSpec) -> Iterator[Layer]:
    reached = trains_embeddings(spec, adapter)
    for _ in range(spec.num_hidden_layers):
        layer = _layer(spec, adapter, reached)
        yield layer
        reached = layer.output_gradient


def _layer(spec: ModelSpec, adapter: AdapterSpec, reached: bool) -> Layer:
    """Follow the data through attention and the feed-forward block, each beside the residual."""
    width, inner = spec.hidden_size, spec.intermediate_size
    narrow = width // spec.num_attention_heads * spec.num_key_value_heads

    def linear(name: str, num_inputs: int, num_outputs: int, input_gradient: bool) -> Linear:
        with_lora = adapter.kind == "lora" and name in adapter.target_modules
        return Linear(num_inputs, num_outputs, adapter.kind == "full", with_lora, input_gradient)

    q = linear("q_proj", width, width, reached)
    k = linear("k_proj", width, narrow, reached)
    v = linear("v_proj", width, narrow, reached)
    o = linear("o_proj", width, width, any(projection.output_gradient for projection in (q, k, v)))
    between = reached or o.output_gradient
    gate = linear("gate_proj", width, inner, between)
    up = linear("up_proj", width, inner, between)
    down = linear("down_proj", inner, width, gate.output_gradient or up.output_gradient)
    names = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    linears = dict(zip(names, (q, k, v, o, gate, up, down), strict=True))
    return Layer(linears, reached, between or down.output_gradient)
