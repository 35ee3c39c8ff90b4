"""Floating-point operations of Llama per trained token, by hand; see `musicllm.model.flops`.

Model FLOPs as in PaLM (arXiv 2204.02311, appendix B): required by the mathematics, so neither
recomputation by activation checkpointing nor elementwise operations (norms, rotary positions,
softmax, optimizer) count. Nothing is measured here.
"""

from __future__ import annotations

from musicllm.model.spec import AdapterSpec, ModelSpec
from tests.model.llama_layers import Layer, Linear, head, layers


def train_flops_per_token(
    spec: ModelSpec,
    adapter: AdapterSpec,
    *,
    mean_context: float,
    supervised_share: float,
    vocab_size: int | None = None,
) -> float:
    """Return the FLOPs of training per token of a packed row.

    A multiply-add counts 2. For a matrix of P weights and one token:

        forward                    2 P
        gradient of its input      2 P   if something below it is trained
        gradient of its weight     2 P   if it is trained itself

    so 6 P in full training, and about 4 P with a frozen base. LoRA of rank r on a matrix
    from a to b features (arXiv 2106.09685) has two trained matrices of r a and r b weights, 6 r b
    and 4 r a + 2 r a FLOPs. In attention over c keys with h = heads x head dimension, scores
    and weighted values cost 4 c h forward; the backward pass has four products of 2 c h, for
    queries, keys, values and, unless only values need it, the attention weights. The head counts
    for supervised tokens only (`train.loss` leaves the others out); the embeddings are looked up,
    which costs nothing, forward or backward. Gradients stop below the first trained weight, to the
    matrix exactly. DoRA's norms of whole matrices, once per micro-batch, are not counted.

    Args:
        spec: the architecture.
        adapter: what is trained.
        mean_context: keys that a token attends to, itself included, averaged over tokens:
            (n + 1) / 2 in a causal document of n tokens.
        supervised_share: supervised tokens as a share of all tokens.
        vocab_size: tokens, if a tokenizer decides; None for the option's.
    """
    if vocab_size is not None:
        spec = spec.changed(vocab_size=vocab_size)
    flops = supervised_share * _matrix(head(spec, adapter), adapter.r)
    for layer in layers(spec, adapter):
        flops += sum(_matrix(linear, adapter.r) for linear in layer.linears.values())
        flops += _attention(layer, mean_context)
    return flops


def _matrix(linear: Linear, r: int | None) -> int:
    """Count the FLOPs of one matrix with its LoRA, per token."""
    flops = 2 * linear.size * (1 + linear.input_gradient + linear.trained)
    if linear.has_lora:
        assert r is not None, "LoRA without a rank passed the checks"
        flops += 2 * r * linear.num_inputs * (2 + linear.input_gradient)
        flops += 2 * r * linear.num_outputs * 3
    return flops


def _attention(layer: Layer, mean_context: float) -> float:
    """Count the FLOPs of scores and weighted values of one layer, per token."""
    anatomy = layer.anatomy
    q, k, v = (
        layer.linears[matrix.name].output_gradient
        for matrix in (anatomy.query, anatomy.key, anatomy.value)
    )
    backward = (q or k) + q + k + v
    return (2 + backward) * 2 * mean_context * anatomy.query.num_outputs
