"""The validation loss, over all tokens and for each source of the corpus.

Sums are added over batches and ranks before they are divided, so every supervised token has the
same weight, whatever its batch or rank.

Axes: N tokens of the micro-batch, S supervised ones, H width, V vocabulary, K sources.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from musicllm.data.batches import MicroBatch
from musicllm.train import loss
from musicllm.train.loss import supervised_positions


def sums_by_source(
    hidden: Tensor,
    head: Callable[[Tensor], Tensor],
    batch: MicroBatch,
    *,
    vocab_size: int,
    num_sources: int,
) -> Tensor:
    """Return the summed negative log-likelihood and the supervised tokens of every source.

    At most `LOGITS_AT_ONCE` logits exist at a time; no gradient is kept.

    Args:
        hidden: [1, N, H], the decoder's last hidden states.
        head: from hidden states [., H] to the model's logits [., V].
        batch: see `MicroBatch`.
        vocab_size: V.
        num_sources: K; 1 does not distinguish sources.

    Returns:
        float64 [K, 2], in nats and in tokens.
    """
    positions, tokens = supervised_positions(batch["labels"], batch["position_ids"])
    states = hidden[0].detach().index_select(0, positions)
    nll = _token_nll(states, tokens, head, vocab_size)
    sums = torch.zeros(num_sources, 2, dtype=torch.double, device=hidden.device)
    pairs = torch.stack([nll.double(), torch.ones_like(nll, dtype=torch.double)], dim=1)
    if num_sources == 1:
        return sums + pairs.sum(0)
    return sums.index_add_(0, _source_of_tokens(batch).index_select(0, positions), pairs)


def means(sums: Sequence[Sequence[float]], names: Sequence[str]) -> tuple[float, dict[str, float]]:
    """Return the mean over all supervised tokens, and that of each source which has some.

    Args:
        sums: of `sums_by_source`, over all batches.
        names: of the sources; empty when they are not distinguished.
    """
    nll, count = (sum(column) for column in zip(*sums, strict=True))
    by_name = zip(names, sums, strict=False)
    return nll / max(1.0, count), {name: own / number for name, (own, number) in by_name if number}


def _token_nll(
    states: Tensor, tokens: Tensor, head: Callable[[Tensor], Tensor], vocab_size: int
) -> Tensor:
    """Return the negative log-likelihood of every token, float32 [S]."""
    piece = max(1, loss.LOGITS_AT_ONCE // vocab_size)
    with torch.no_grad():
        return torch.cat(
            [
                functional.cross_entropy(head(inputs).float(), targets, reduction="none")
                for inputs, targets in loss.pieces(states, tokens, piece)
            ]
        )


def _source_of_tokens(batch: MicroBatch) -> Tensor:
    """Return the source of every token's document, int64 [N]."""
    return torch.repeat_interleave(
        batch["document_sources"],
        batch["cu_seq_lens"].diff(),
        output_size=batch["input_ids"].shape[1],  # avoids a sync with the device
    )
