"""What a trace records: FLOPs, gradients and bytes of every layer, for one row of tokens."""

from __future__ import annotations

from dataclasses import dataclass

from musicllm.model.trace.attention import AttentionCall
from musicllm.model.trace.recorder import Bytes


@dataclass(frozen=True)
class LayerTrace:
    """A layer of the decoder.

    Attributes:
        flops: of matrix products and convolutions, forward and backward, without attention.
        attention: its calls.
        kept: for the backward pass, with autocast's copies of weights.
        copied: of `kept`, copies of trained weights, which autocast caches until the forward pass
            of the micro-batch ends.
        input: the hidden states that come in, which activation checkpointing keeps.
        keeps_input: `input` is among `kept`.
        forward: the most that exists during the forward pass beyond what there was before.
        backward: the most that exists during the backward pass beyond what was kept.
        input_gradient: the hidden states that come in need a gradient.
        output_gradient: those that go out need one.
    """

    flops: int
    attention: tuple[AttentionCall, ...]
    kept: Bytes
    copied: int
    input: Bytes
    keeps_input: bool
    forward: Bytes
    backward: Bytes
    input_gradient: bool
    output_gradient: bool


@dataclass(frozen=True)
class Head:
    """The output head, as if every token were supervised.

    Attributes:
        num_inputs: features of a hidden state.
        num_outputs: rows of the vocabulary.
        trained: its own matrix is trained.
        has_lora: it has LoRA.
        flops: of the row, forward and backward.
    """

    num_inputs: int
    num_outputs: int
    trained: bool
    has_lora: bool
    flops: int

    @property
    def size(self) -> int:
        """Number of weights, without those of LoRA."""
        return self.num_inputs * self.num_outputs


@dataclass(frozen=True)
class Trace:
    """A decoder.

    Attributes:
        num_tokens: of the row.
        layers: from the bottom to the top.
        around: kept outside of the layers, or by several of them: positions, last norm.
        hidden: the hidden states that the head gets.
        head: the output head.
    """

    num_tokens: int
    layers: tuple[LayerTrace, ...]
    around: Bytes
    hidden: Bytes
    head: Head
