"""How probable a causal language model finds texts: exact negative log-likelihoods in nats.

Documents are divided into windows here; how a model is fed is in `scorer`, and no score is turned
into a metric.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from musicllm.data.encoder import Encoder
from musicllm.errors import InputError
from musicllm.inference.scorer.planning import Item
from musicllm.inference.scorer.scorer import Memoize, Scorer


@dataclass(frozen=True)
class DocumentScore:
    """A document's likelihood.

    Attributes:
        nll_nats: sum over its tokens, the end of text included.
        num_tokens: how many tokens that sum has.
        num_characters: of the text.
        num_windows: 1, or more when the document is longer than the model's context.
    """

    nll_nats: float
    num_tokens: int
    num_characters: int
    num_windows: int


def document_nll(
    scorer: Scorer,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    ends: bool,
    memoize: Memoize | None = None,
) -> list[DocumentScore]:
    """Return the likelihood of each text behind the mark of its beginning.

    The mark of the beginning is given, every later token is scored. A text longer than the model's
    context is scored in windows of that size that overlap by half: the first scores all its
    tokens, each further one only those that no earlier window scored, so that these have at least
    half a context before them. Nothing is cut off. Time grows with the number of tokens.

    Args:
        scorer: of the model.
        tokenizer: needs an end of text; without a beginning of text, the end stands for it.
        texts: in any order.
        ends: whether the mark of the end is scored, too: that of a tune belongs to it, that of a
            general text may be all that a training in chat changed.
        memoize: where finished portions are stored and looked up.

    Raises:
        InputError: the tokenizer has no mark for the end of a text.
    """
    documents = _document_ids(tokenizer, texts, ends=ends)
    context = scorer.reader.context or max(map(len, documents))
    windows = [
        (owner, item) for owner, ids in enumerate(documents) for item in _windows(ids, context)
    ]
    sums, counts = [0.0] * len(texts), [0] * len(texts)
    scored = scorer.score([item for _, item in windows], "scoring documents", memoize)
    for (owner, _), score in zip(windows, scored, strict=True):
        sums[owner] -= score.logprob
        counts[owner] += 1
    return [
        DocumentScore(nll, len(ids) - 1, len(text), num_windows)
        for nll, ids, text, num_windows in zip(sums, documents, texts, counts, strict=True)
    ]


def _document_ids(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], *, ends: bool
) -> list[list[int]]:
    end = tokenizer.eos_token_id
    if end is None:
        raise InputError(
            "the tokenizer has no end of text (eos_token), so the end of a document has no "
            "likelihood; set eos_token in its tokenizer_config.json"
        )
    encoder = Encoder(tokenizer)
    first = [end] if tokenizer.bos_token_id is None else []
    return [first + encoder.text(text, is_whole=ends) for text in texts]


def _windows(ids: Sequence[int], context: int) -> Iterator[Item]:
    """Divide a document; every token but the first is scored in exactly one window."""
    start, done = 0, 1
    while done < len(ids):
        end = min(start + context + 1, len(ids))
        yield Item(tuple(ids[start:end]), done - start)
        done, start = end, start + context // 2
