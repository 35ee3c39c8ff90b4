"""How probable a causal language model finds texts: exact negative log-likelihoods in nats.

`document_nll` scores whole documents, `choice_nll` the options of questions. Sums are float64. It
generates nothing and turns no score into a metric; how a model is fed is in `passes`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from musicllm.data.encoder import Encoder
from musicllm.errors import InputError
from musicllm.evals.passes import Pass, begin, scored
from musicllm.evals.scorer.planning import Item
from musicllm.evals.scorer.scorer import Kept, Scorer


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


def document_nll(
    scorer: Scorer,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    ends: bool,
    kept: Kept | None = None,
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
        kept: where finished portions are kept and looked for.

    Raises:
        InputError: the tokenizer has no mark for the end of a text.
    """
    documents = _document_ids(tokenizer, texts, ends=ends)
    context = scorer.reader.context or max(map(len, documents))
    windows = [
        (owner, item) for owner, ids in enumerate(documents) for item in _windows(ids, context)
    ]
    sums, counts = [0.0] * len(texts), [0] * len(texts)
    found = scorer.score([item for _, item in windows], "scoring documents", kept)
    for (owner, _), one in zip(windows, found, strict=True):
        sums[owner] -= one.logprob
        counts[owner] += 1
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

    What all prompts begin with (a hint, solved examples) goes through the model once, and so does
    an option whose tokens, but for the last, begin another one's; letters mostly share one pass.
    The option's tokens are those behind the beginning that all options of its question share, so
    a tokenizer that merges the prompt's last blank with the option does no harm.

    Args:
        model: its dropout is off while it scores.
        tokenizer: its beginning of text, if it has one, stands before the prompt.
        prompts: what stands before the option.
        options: for each prompt, at least two different continuations.

    Raises:
        InputError: a prompt with its option is longer than the model's context.
    """
    encoder = Encoder(tokenizer)
    encoded = [
        [tuple(encoder.text(prompt + option, is_whole=False)) for option in few]
        for prompt, few in zip(prompts, options, strict=True)
    ]
    _refuse_too_long(encoded, model.config.max_position_embeddings)
    common = _num_shared([ids for few in encoded for ids in few])
    begun, cache = begin(model, encoded[0][0][:common])
    start = common - 1  # the last common token is fed again: it predicts what differs
    passes, members = _choice_passes([[ids[start:] for ids in few] for few in encoded])
    found: list[dict[int, list[float]]] = [{} for _ in encoded]
    for one, nll in scored(model, passes, "scoring options", cache):
        known = dict(zip(zip(one.positions, one.tokens, strict=True), nll.tolist(), strict=True))
        question, places = members[one.owner]
        for place in places:
            ids = encoded[question][place][start:]
            found[question][place] = [known[step] for step in enumerate(ids[1:])]
    return [
        _choice(few, [nll[place] for place in range(len(few))], begun, start)
        for few, nll in zip(encoded, found, strict=True)
    ]


def _choice_passes(
    questions: list[list[tuple[int, ...]]],
) -> tuple[list[Pass], list[tuple[int, list[int]]]]:
    """Return the fewest passes that score all options, with the question and options of each."""
    passes: list[Pass] = []
    members: list[tuple[int, list[int]]] = []
    for question, few in enumerate(questions):
        waiting = sorted(range(len(few)), key=lambda place: -len(few[place]))
        while waiting:
            inputs = few[waiting[0]][:-1]
            own = [place for place in waiting if inputs[: len(few[place]) - 1] == few[place][:-1]]
            waiting = [place for place in waiting if place not in own]
            steps = sorted({step for place in own for step in enumerate(few[place][1:])})
            positions, tokens = zip(*steps, strict=True)
            passes.append(Pass(len(members), inputs, positions, tokens))
            members.append((question, own))
    return passes, members


def _choice(
    options: list[tuple[int, ...]], nll: list[list[float]], begun: float, start: int
) -> ChoiceScore:
    """Put one question's scores together; `nll` is by option and token behind `start`."""
    own = _num_shared(options) - 1 - start
    means = [
        (begun + sum(tokens)) / (len(ids) - 1) for ids, tokens in zip(options, nll, strict=True)
    ]
    return ChoiceScore(tuple(means), tuple(sum(tokens[own:]) for tokens in nll))


def _num_shared(options: list[tuple[int, ...]]) -> int:
    """Return how many tokens all begin with, at least one, leaving each one of its own."""
    limit = min(len(ids) for ids in options) - 1
    assert limit > 0, "a prompt needs a token before its option"
    for place in range(1, limit):
        if len({ids[place] for ids in options}) > 1:
            return place
    return limit


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


def _refuse_too_long(encoded: list[list[tuple[int, ...]]], context: int) -> None:
    for number, few in enumerate(encoded):
        longest = max(len(ids) for ids in few)
        if longest > context:
            raise InputError(
                f"question {number} has {longest:,} tokens, and the model's context is "
                f"{context:,}; use fewer examples (num_fewshot) or a model with a longer context"
            )


def _windows(ids: Sequence[int], context: int) -> Iterator[Item]:
    """Divide a document; every token but the first is scored in exactly one window."""
    start, done = 0, 1
    while done < len(ids):
        end = min(start + context + 1, len(ids))
        yield Item(tuple(ids[start:end]), done - start)
        done, start = end, start + context // 2
