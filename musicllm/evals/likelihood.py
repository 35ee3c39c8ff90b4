"""How probable a causal language model finds texts: exact negative log-likelihoods in nats.

`document_nll` scores whole documents, `choice_nll` the options of questions. Both sort by length
and pad on the right, which causal attention never sees, so a score does not depend on what shares
its batch beyond rounding. Log-probabilities are float32 whatever the weights are, sums float64.
It generates nothing and turns no score into a metric.

Axes: B sequences, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from musicllm import console
from musicllm.errors import InputError

MAX_BATCH_TOKENS = 4096
MAX_BATCH_LOGITS = 2**26
"""Logits of one batch, B x T x V: 256 MiB in float32. One sequence is never divided for it."""

IGNORED = -100


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


@dataclass(frozen=True)
class ChoiceScore:
    """The likelihood of a question's options, in their order.

    Attributes:
        mean_nll: nats per token of prompt and option together; the least is the choice in
            perplexity mode (as OpenCompass, whose divisor also counts the first token).
        option_nll: nats of the option alone.
    """

    mean_nll: tuple[float, ...]
    option_nll: tuple[float, ...]


@dataclass(frozen=True)
class _Sequence:
    """What is fed to the model once; `targets` holds IGNORED where nothing is scored."""

    inputs: tuple[int, ...]
    targets: tuple[int, ...]
    owner: int = 0


def document_nll(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]
) -> list[DocumentScore]:
    """Return the likelihood of each text between the marks of its beginning and end.

    The mark of the beginning is given, every later token is scored. A text longer than the model's
    context is scored in windows of that size that overlap by half: the first scores all its
    tokens, each further one only those that no earlier window scored, so that these have at least
    half a context before them. Nothing is cut off. Time grows with the number of tokens.

    Args:
        model: its dropout is off while it scores.
        tokenizer: needs an end of text; without a beginning of text, the end stands for it.
        texts: in any order.

    Raises:
        InputError: the tokenizer has no mark for the end of a text.
    """
    documents = [_document_ids(tokenizer, text) for text in texts]
    context = model.config.max_position_embeddings
    windows = [
        window for owner, ids in enumerate(documents) for window in _windows(ids, context, owner)
    ]
    sums, counts = [0.0] * len(texts), [0] * len(texts)
    for window, nll, _ in _scored(model, windows, "scoring documents"):
        sums[window.owner] += float(nll.sum(dtype=torch.float64))
        counts[window.owner] += 1
    return [
        DocumentScore(nll, len(ids) - 1, len(text), num_windows)
        for nll, ids, text, num_windows in zip(sums, documents, texts, counts, strict=True)
    ]


def choice_nll(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    options: Sequence[Sequence[str]],
) -> list[ChoiceScore]:
    """Score the options of each question after its prompt.

    Options whose tokens differ in the last one alone share one pass. The option's tokens are those
    behind the beginning that all options share, so a tokenizer that merges the prompt's last blank
    with the option does no harm.

    Args:
        model: its dropout is off while it scores.
        tokenizer: its beginning of text, if it has one, stands before the prompt.
        prompts: what stands before the option.
        options: for each prompt, at least two different continuations.

    Raises:
        InputError: a prompt with its option is longer than the model's context.
    """
    encoded = [
        [_prompt_ids(tokenizer, prompt + option) for option in few]
        for prompt, few in zip(prompts, options, strict=True)
    ]
    _refuse_too_long(encoded, model.config.max_position_embeddings)
    unique = {ids[:-1] for few in encoded for ids in few}
    sequences = [_Sequence(ids, (*ids[1:], IGNORED)) for ids in sorted(unique)]
    known = {
        sequence.inputs: (nll.double(), last)
        for sequence, nll, last in _scored(model, sequences, "scoring options")
    }
    return [_choice(few, [known[ids[:-1]] for ids in few]) for few in encoded]


def _choice(options: list[tuple[int, ...]], passes: list[tuple[Tensor, Tensor]]) -> ChoiceScore:
    """Put the scores of one question together from the passes over all but the last token."""
    shared = _num_shared(options)
    means, alone = [], []
    for ids, (nll, last) in zip(options, passes, strict=True):
        final = -float(last[ids[-1]])
        means.append((float(nll.sum()) + final) / (len(ids) - 1))
        alone.append(float(nll[shared - 1 :].sum()) + final)
    return ChoiceScore(tuple(means), tuple(alone))


def _num_shared(options: list[tuple[int, ...]]) -> int:
    """Return how many tokens all options begin with, leaving each at least one of its own."""
    limit = min(len(ids) for ids in options) - 1
    assert limit > 0, "a prompt needs a token before its option"
    for place in range(limit):
        if len({ids[place] for ids in options}) > 1:
            return max(place, 1)
    return limit


def _document_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    end = tokenizer.eos_token_id
    if end is None:
        raise InputError(
            "the tokenizer has no end of text (eos_token), so the end of a document has no "
            "likelihood; set eos_token in its tokenizer_config.json"
        )
    begin = end if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    return (begin, *tokenizer.encode(text, add_special_tokens=False, verbose=False), end)


def _prompt_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    begin = () if tokenizer.bos_token_id is None else (tokenizer.bos_token_id,)
    return (*begin, *tokenizer.encode(text, add_special_tokens=False, verbose=False))


def _refuse_too_long(encoded: list[list[tuple[int, ...]]], context: int) -> None:
    for number, few in enumerate(encoded):
        longest = max(len(ids) for ids in few)
        if longest > context:
            raise InputError(
                f"question {number} has {longest:,} tokens, and the model's context is "
                f"{context:,}; use fewer examples (num_fewshot) or a model with a longer context"
            )


def _windows(ids: tuple[int, ...], context: int, owner: int) -> Iterator[_Sequence]:
    """Divide a document; every token but the first is the target of exactly one window."""
    inputs, targets = ids[:-1], ids[1:]
    start = scored = 0
    while scored < len(targets):
        end = min(start + context, len(targets))
        hidden = scored - start
        yield _Sequence(inputs[start:end], (IGNORED,) * hidden + targets[scored:end], owner)
        scored, start = end, start + context // 2


def _scored(
    model: PreTrainedModel, sequences: list[_Sequence], description: str
) -> Iterator[tuple[_Sequence, Tensor, Tensor]]:
    """Yield each sequence with its NLL by token [T] and its last log-probabilities [V]."""
    was_training = model.training
    model.eval()
    try:
        with console.progress(description, len(sequences), "sequence") as advance:
            for batch in _batches(sequences, model.config.vocab_size):
                yield from zip(batch, *_forward(model, batch), strict=True)
                advance(len(batch))
    finally:
        model.train(was_training)


def _batches(sequences: list[_Sequence], vocab_size: int) -> Iterator[list[_Sequence]]:
    """Group the longest first, so that memory that does not suffice is found at once."""
    max_tokens = min(MAX_BATCH_TOKENS, MAX_BATCH_LOGITS // vocab_size)
    batch: list[_Sequence] = []
    for sequence in sorted(sequences, key=lambda sequence: -len(sequence.inputs)):
        if batch and (len(batch) + 1) * len(batch[0].inputs) > max_tokens:
            yield batch
            batch = []
        batch.append(sequence)
    if batch:
        yield batch


@torch.inference_mode()
def _forward(model: PreTrainedModel, batch: list[_Sequence]) -> tuple[list[Tensor], list[Tensor]]:
    """Return NLL by token and the log-probabilities behind the last token, on the CPU."""
    lengths = [len(sequence.inputs) for sequence in batch]
    inputs = _padded([sequence.inputs for sequence in batch], 0).to(model.device)
    targets = _padded([sequence.targets for sequence in batch], IGNORED).to(model.device)
    logits = model(input_ids=inputs, use_cache=False).logits.float()
    nll = cross_entropy(
        logits.transpose(1, 2), targets, ignore_index=IGNORED, reduction="none"
    ).cpu()
    ends = torch.tensor(lengths, device=logits.device) - 1
    last = log_softmax(logits[torch.arange(len(batch), device=logits.device), ends], -1).cpu()
    return [row[:length] for row, length in zip(nll, lengths, strict=True)], list(last)


def _padded(rows: list[tuple[int, ...]], filler: int) -> Tensor:
    """Return int64 [B, T], filled on the right."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[filler] * (longest - len(row))] for row in rows])
