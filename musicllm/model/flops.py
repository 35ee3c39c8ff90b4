"""Floating-point operations per trained token: the numerator of MFU.

Model FLOPs as in PaLM (arXiv 2204.02311, appendix B): required by the mathematics, so neither
recomputation by activation checkpointing nor elementwise operations (norms, rotary positions,
softmax, optimizer) count. Matrix products are counted in a `trace`, attention by a formula.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from musicllm.model.trace import AttentionCall, Trace


@dataclass(frozen=True)
class Documents:
    """The lengths of documents, for the keys that their tokens attend to.

    Attributes:
        counts: (length in tokens, number of documents).
    """

    counts: tuple[tuple[float, float], ...]

    @classmethod
    def of(cls, lengths: Iterable[float]) -> Documents:
        """Take the length of every document."""
        return cls(tuple((length, 1) for length in lengths))

    @property
    def typical_length(self) -> float:
        """Return the length of the document that a token lies in, averaged over tokens."""
        return 2 * self.mean_context() - 1

    def mean_context(self, window: int | None = None, chunk: int | None = None) -> float:
        """Return the keys that a token attends to, itself included, averaged over tokens.

        Token i of a document sees i keys, of a window w no more than w: n (n + 1) / 2 pairs in n
        tokens, or w (w + 1) / 2 + (n - w) w. Chunks are like documents.

        Args:
            window: tokens that a token sees at most, itself included.
            chunk: tokens of a chunk, which sees nothing outside.
        """
        pairs = sum(count * _pairs(length, window, chunk) for length, count in self.counts)
        return pairs / sum(length * count for length, count in self.counts)


def train_flops_per_token(trace: Trace, documents: Documents, *, supervised_share: float) -> float:
    """Return the FLOPs of training per token of a packed row.

    A multiply-add counts 2. For a matrix of P weights and one token:

        forward                    2 P
        gradient of its input      2 P   if something below it is trained
        gradient of its weight     2 P   if it is trained itself

    so 6 P in full training, and about 4 P with a frozen base. Of experts those that a token passes
    count. LoRA of rank r on a matrix from a to b features (arXiv 2106.09685) has two trained
    matrices of r a and r b weights, 6 r b and 4 r a + 2 r a FLOPs. For attention see
    `AttentionCall.flops`. The head counts for supervised tokens only (`train.loss` leaves out the
    others); the embeddings are looked up, which costs nothing, forward or backward. Gradients stop
    below the first trained weight, to the matrix exactly. Products of weights with weights, as for
    DoRA's norms once per micro-batch, are not counted. State-space layers count the products of
    their reference implementation.

    Args:
        trace: of the model with its adapter.
        documents: their lengths.
        supervised_share: supervised tokens as a share of all tokens.
    """
    products = sum(layer.flops for layer in trace.layers) + supervised_share * trace.head.flops
    calls = [call for layer in trace.layers for call in layer.attention]
    return products / trace.num_tokens + sum(_attention(call, documents) for call in calls)


def _attention(call: AttentionCall, documents: Documents) -> float:
    return call.flops(documents.mean_context(call.window, call.chunk))


def _pairs(length: float, window: int | None, chunk: int | None) -> float:
    """Return the pairs of a token and a key in a document."""
    if chunk is not None and length > chunk:
        whole, rest = divmod(length, chunk)
        return whole * _pairs(chunk, window, None) + _pairs(rest, window, None)
    seen = length if window is None else min(window, length)
    return seen * (seen + 1) / 2 + (length - seen) * seen
