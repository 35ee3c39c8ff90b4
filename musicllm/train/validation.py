"""The validation loss, token by token, so that every source of the corpus has its own mean.

Only sums are formed here; they can be added over batches and ranks before anything is divided, so
every supervised token weighs the same, whatever its batch or rank.

Axes: N tokens of the micro-batch, S supervised ones, D documents, H hidden numbers, V vocabulary,
K sources.
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

    Logits exist for at most `LOGITS_AT_ONCE` numbers at a time; no gradient is kept.

    Args:
        hidden: [1, N, H], the decoder's last hidden states.
        head: from hidden states [., H] to logits [., V].
        batch: see `MicroBatch`.
        vocab_size: V.
        num_sources: K; 1 puts all documents together, whatever their source.

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
        sums: what `sums_by_source` returned, added up.
        names: of the sources; empty when they were put together.
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
                functional.cross_entropy(head(some).float(), wanted, reduction="none")
                for some, wanted in loss.pieces(states, tokens, piece)
            ]
        )


def _source_of_tokens(batch: MicroBatch) -> Tensor:
    """Return the source of every token's document, int64 [N]."""
    return torch.repeat_interleave(
        batch["document_sources"],
        batch["cu_seq_lens"].diff(),
        output_size=batch["input_ids"].shape[1],  # known here, so the device need not be asked
    )
