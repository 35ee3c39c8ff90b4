"""Compares a GGUF file, as llama.cpp runs it, with the model that it was made of.

Four comparisons, the first of which that fails refuses the file:

1. The chat template renders the same prompts, byte for byte; the beginning and the end of a text
   are the same tokens, and answers end at the same ones.
2. Texts become the same tokens, id by id: the prompts, and texts on which tokenizers differ.
3. f16: the most likely tokens after 50 prompts are the same ids, up to 64 each. Where they differ,
   the two best have to be closer than the rounding: how much log-probabilities of the model change
   in transformers when its matrices and their inputs are rounded to 16 bits, as llama.cpp does. The
   log-probabilities of all these tokens differ by no more than that, either.
4. The perplexity of texts is at most a share above that of the model.

Whether a file is right is decided here and not by how it was written.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from musicllm.errors import StageError
from musicllm.model.export.gguf.reading import (
    Prompt,
    compare_special,
    compare_texts,
    shortened,
)
from musicllm.model.export.gguf.runtime import Runtime, Step

NUM_TOKENS = 64
"""That are compared after a prompt."""

MARGIN = 2.0
"""Times the rounding of the model in transformers is what may differ: the order of sums, and what
llama.cpp rounds besides, such as products of attention, come on top."""

SMALLEST_TOLERANCE = 1e-3
"""In a log-probability; for a model that rounding changes by less."""

LONGEST_TEXT = 384
"""Tokens of a text whose perplexity is compared."""


@dataclass(frozen=True)
class Proof:
    """What was compared.

    Attributes:
        num_prompts: rendered and encoded in the same way.
        num_texts: encoded in the same way, besides the prompts.
        num_tokens: most likely tokens that are the same.
        num_ties: prompts whose tokens differ from somewhere on, where two were as likely.
        max_difference: the largest of a log-probability of these tokens; 0 if not compared.
        tolerance: of it.
        same_tokens: share of most likely tokens that are the same.
        perplexity: of the file.
        reference_perplexity: of the model.
    """

    num_prompts: int
    num_texts: int
    num_tokens: int
    num_ties: int
    max_difference: float
    tolerance: float
    same_tokens: float
    perplexity: float
    reference_perplexity: float


def prove(
    path: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Prompt],
    texts: Sequence[Sequence[int]],
    *,
    end_ids: Sequence[int],
    is_exact: bool,
    max_rise: float,
) -> Proof:
    """Compare a file with its model.

    Args:
        path: of the file.
        model: in float32, with the stored weights.
        tokenizer: of the model.
        prompts: of `prompts_of`.
        texts: tokens of texts, for perplexities.
        end_ids: tokens that end an answer.
        is_exact: the file is in 16 bits, so that the most likely tokens are the same.
        max_rise: of the perplexity, as a share.

    Raises:
        StageError: something differs; the message has the prompt and the position.
        NotAvailableError: xllamacpp is not installed.
    """
    cut = list(_readable(tokenizer, texts, end_ids))
    lengths = [len(prompt.ids) + NUM_TOKENS for prompt in prompts]
    assert cut, "the texts that come with a proof are readable"
    context = min(max(lengths + [len(text) for text in cut]) + 8, _positions(model))
    with Runtime(path, context) as runtime, torch.inference_mode():
        compare_special(runtime, tokenizer, prompts, end_ids)
        num_texts = compare_texts(runtime, tokenizer, prompts)
        written = [_Written(prompt, *runtime.greedy(prompt.ids, NUM_TOKENS)) for prompt in prompts]
        compared = [_compared(model, each) for each in written]
        tolerance = 0.0
        if is_exact:
            tolerance = max(MARGIN * _rounding(model, written, compared), SMALLEST_TOLERANCE)
            for number, (one, other) in enumerate(zip(written, compared, strict=True), start=1):
                _refuse_differences(
                    number, one, other, tokenizer=tokenizer, tolerance=tolerance, end_ids=end_ids
                )
        perplexity = _perplexity([runtime.forced(text[:1], text[1:]) for text in cut])
    reference = _perplexity([_logprobs(model, text[:1], text[1:]) for text in cut])
    if not perplexity <= reference * (1.0 + max_rise):
        raise StageError(
            f"{path.name} has a perplexity of {perplexity:.4f} on {len(cut)} texts, "
            f"{perplexity / reference - 1:.1%} above the {reference:.4f} of its model; "
            f"export.max_perplexity_rise={max_rise} allows {max_rise:.1%}: choose a quantization "
            f"with more bits, such as export.quantization=q8_0"
        )
    same = [flag for each in compared for flag in each.same]
    return Proof(
        num_prompts=len(prompts),
        num_texts=num_texts,
        num_tokens=sum(same),
        num_ties=sum(not all(each.same) for each in compared),
        max_difference=max(abs(d) for e in compared for d in e.differences[: sum(e.same)]),
        tolerance=tolerance,
        same_tokens=sum(same) / max(1, len(same)),
        perplexity=perplexity,
        reference_perplexity=reference,
    )


@dataclass(frozen=True)
class _Written:
    """The tokens that llama.cpp writes after a prompt."""

    prompt: Prompt
    steps: list[Step]
    has_ended: bool


@dataclass(frozen=True)
class _Compared:
    """A model's view of what llama.cpp wrote, up to the first token that is another.

    Attributes:
        same: of every step, whether it is the most likely one.
        best: the most likely token of every step.
        gaps: by how much llama.cpp's token is less likely than that, as log-probability.
        differences: of the log-probabilities of llama.cpp's tokens; 0 where it does not tell one.
        likeliest: the two most likely tokens of every step and their log-probabilities, [T, 2].
    """

    same: list[bool]
    best: list[int]
    gaps: list[float]
    differences: list[float]
    likeliest: tuple[Tensor, Tensor]


def _compared(model: PreTrainedModel, written: _Written) -> _Compared:
    """Let the model read what llama.cpp wrote."""
    scores = _scores(model, written)
    best = scores.argmax(-1).tolist()
    same = [one == step.id for one, step in zip(best, written.steps, strict=True)]
    stop = same.index(False) + 1 if False in same else len(same)
    steps = written.steps[:stop]
    values, indices = scores[:stop].topk(2, dim=-1)
    own = scores[torch.arange(stop), torch.tensor([step.id for step in steps])]
    differences = [
        0.0 if step.logprob is None else step.logprob - value
        for step, value in zip(steps, own.tolist(), strict=True)
    ]
    gaps = (values[:, 0] - own).tolist()
    return _Compared(same[:stop], best[:stop], gaps, differences, (indices, values))


def _rounding(
    model: PreTrainedModel, written: Sequence[_Written], compared: Sequence[_Compared]
) -> float:
    """Return how much a log-probability of the best tokens changes when the model is rounded."""
    largest = 0.0
    with _rounded_to_16_bits(model):
        for one, other in zip(written, compared, strict=True):
            indices, values = other.likeliest
            scores = _scores(model, one)[: len(values)]
            change = (scores.gather(-1, indices) - values).abs().max()
            largest = max(largest, float(change))
    return largest


def _scores(model: PreTrainedModel, written: _Written) -> Tensor:
    """Return the log-probabilities [T, V] of what follows a prompt and what was written."""
    ids = [*written.prompt.ids, *(step.id for step in written.steps)]
    return _log_softmax(model, torch.tensor([ids[:-1]]))[len(written.prompt.ids) - 1 :]


def _refuse_differences(
    number: int,
    written: _Written,
    compared: _Compared,
    *,
    tokenizer: PreTrainedTokenizerBase,
    tolerance: float,
    end_ids: Sequence[int],
) -> None:
    """Refuse a token that is another, where the model's two best are further apart than rounding.

    Raises:
        StageError: with prompt and position.
    """
    where = f"prompt {number} ({shortened(written.prompt.text)})"
    for position, is_same in enumerate(compared.same):
        step, gap = written.steps[position], compared.gaps[position]
        if not is_same:
            if gap <= tolerance:
                return
            names = tokenizer.convert_ids_to_tokens([step.id, compared.best[position]])
            raise StageError(
                f"the GGUF file is not the model: token {position + 1} after {where} is {step.id} "
                f"({names[0]}) in llama.cpp and {compared.best[position]} ({names[1]}) in "
                f"transformers, which is more likely by {gap:.4g} in log-probability, and rounding "
                f"explains {tolerance:.2g}"
            )
        difference = abs(compared.differences[position])
        if difference > tolerance:
            raise StageError(
                f"the GGUF file is not the model: token {position + 1} after {where}, {step.id}, "
                f"has a log-probability that differs by {difference:.4g}, and rounding explains "
                f"{tolerance:.2g}"
            )
        if step.id in end_ids and not (written.has_ended and position + 1 == len(written.steps)):
            raise StageError(
                f"{where} ends at token {position + 1} in transformers, and llama.cpp goes on"
            )


@contextmanager
def _rounded_to_16_bits(model: PreTrainedModel) -> Iterator[None]:
    """Round matrices, and what they are multiplied with, to float16 inside the block."""

    def before(_module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (args[0].half().to(args[0].dtype), *args[1:])

    handles, originals = [], {}
    for module in model.modules():
        if isinstance(module, nn.Linear):
            handles.append(module.register_forward_pre_hook(before))
        if isinstance(module, nn.Linear | nn.Embedding) and id(module.weight) not in originals:
            originals[id(module.weight)] = (module.weight, module.weight.data)
            module.weight.data = module.weight.data.half().to(module.weight.dtype)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for weight, data in originals.values():
            weight.data = data


def _logprobs(model: PreTrainedModel, ids: Sequence[int], following: Sequence[int]) -> list[float]:
    """Return the log-probabilities of tokens after others."""
    row = torch.tensor([[*ids, *following]])
    with torch.inference_mode():
        scores = _log_softmax(model, row[:, :-1])[len(ids) - 1 :]
    picked: list[float] = scores[torch.arange(len(following)), torch.tensor(following)].tolist()
    return picked


def _log_softmax(model: PreTrainedModel, row: Tensor) -> Tensor:
    """Return log-probabilities [T, V] of what follows each of [1, T] tokens, in float32."""
    logits: Tensor = model(input_ids=row).logits[0]
    return logits.float().log_softmax(-1)


def _perplexity(logprobs: Sequence[Sequence[float]]) -> float:
    """Return the perplexity of all tokens together."""
    together = [value for each in logprobs for value in each]
    return math.exp(-sum(together) / len(together))


def _positions(model: PreTrainedModel) -> int:
    return int(model.config.max_position_embeddings)


def _readable(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[Sequence[int]], end_ids: Sequence[int]
) -> Iterator[list[int]]:
    """Yield the beginnings of texts up to a token that llama.cpp cannot be made to write.

    It stops at one that ends a text, and takes no part of a character from a grammar.
    """
    for text in texts:
        ids = list(text[:LONGEST_TEXT])
        for place, number in enumerate(ids):
            if place and (number in end_ids or "\ufffd" in tokenizer.decode([number])):
                ids = ids[:place]
                break
        if len(ids) > 1:
            yield ids
