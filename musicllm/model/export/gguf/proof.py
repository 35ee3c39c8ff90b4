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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from musicllm.errors import StageError
from musicllm.model.export.gguf.runtime import Runtime, Step

NUM_TOKENS = 64
"""That are compared after a prompt."""

MARGIN = 4.0
"""Times the rounding of the model in transformers is what may differ: the order of sums, and what
llama.cpp rounds besides, such as products of attention, come on top."""

SMALLEST_TOLERANCE = 1e-3
"""In a log-probability; for a model that rounding changes by less."""

LONGEST_TEXT = 384
"""Tokens of a text whose perplexity is compared."""

HARD_TEXTS = (
    "", " ", "  ", "\n", "\n\n", "\t", " \n ", "a", " a", "  a", "a  b", "a \n b", "\na", "\n a",
    "X:1\nT:The Kesh\nM:6/8\nL:1/8\nK:G\n|: GAG GAB | ABA ABd | edd gdd | edB dBA :|\n",
    "X:1\nL:1/8\nM:4/4\nK:Gm\nB/c/ | d2 d>c B2 AB | GBAG F2 DF | G>AGF D>CDF |]\n",
    "K:D\n\"Am\"A,,2 _B,^c =d'' (3abc [ceg]2 {g}a- a z4 ~f .g !trill!e |1 abc :|2 cba |]",
    "%%text  indented\nw: la-la__ la *  |\n\nX: 2\n",
    "It's 1234 times 5678, isn't it? We'll see; they've 3.14 reasons (at least) -- OK!",
    "\u00d3 Riada: \u00abCeol\u00bb \u2013 na\u00efve caf\u00e9, Stra\u00dfe, \u0141\u00f3d\u017a",
    "\u8bf7\u5199\u4e00\u9996\u516d\u516b\u62cd\u7684\u5409\u683c\u821e\u66f2\uff0cD\u5927\u8c03\u3002",
    "\u266d\u266f\u266e \U0001f3b5 \U0001f3bb\u200d \u05d0\u05d1 \u0416\u0443\u043a \u30bf\u30f3\u30b4",
    "tab\tand\r\nreturn\x0b\x0c end \u3000 \xa0 wide", "a" * 40 + " " * 20 + "b" * 3 + "\n" * 7 + "c",
    "<s <|im </ s> [INST <0x0A> {{ }} {% %} \\n \"\"\" ''' `` $x^2$ #1 @a &b",
)  # fmt: skip
"""Texts on which tokenizers differ: blanks, new lines, music, accents, Chinese, signs."""


@dataclass(frozen=True)
class Prompt:
    """What a model is asked.

    Attributes:
        messages: of a conversation; empty for a text that is continued.
        text: as the model reads it: of the chat template, or the text itself.
        ids: its tokens.
    """

    messages: tuple[Mapping[str, Any], ...]
    text: str
    ids: tuple[int, ...]


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


def prompts_of(
    tokenizer: PreTrainedTokenizerBase, requests: Sequence[str], beginnings: Sequence[str]
) -> list[Prompt]:
    """Return prompts by the chat template, or beginnings of texts where there is none.

    Args:
        tokenizer: of the model.
        requests: user messages.
        beginnings: of texts, of which the model has learned to begin with its own first token.
    """
    if not tokenizer.chat_template:
        begin = tokenizer.bos_token or ""
        texts = [begin + text for text in beginnings]
        return [Prompt((), text, tuple(_encoded(tokenizer, text))) for text in texts]
    made = []
    for request in requests:
        messages = ({"role": "user", "content": request},)
        text = rendered(tokenizer, messages)
        made.append(Prompt(messages, text, tuple(_encoded(tokenizer, text))))
    return made


def rendered(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Mapping[str, Any]]) -> str:
    """Return a conversation up to where the assistant begins."""
    text: str = tokenizer.apply_chat_template(
        [dict(message) for message in messages], tokenize=False, add_generation_prompt=True
    )
    return text


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
        _compare_special(runtime, tokenizer, prompts, end_ids)
        num_texts = _compare_texts(runtime, tokenizer, prompts)
        written = [_Written(prompt, *runtime.greedy(prompt.ids, NUM_TOKENS)) for prompt in prompts]
        compared = [_compared(model, each) for each in written]
        tolerance = 0.0
        if is_exact:
            changes = [change for each in compared for change in each.rounding]
            tolerance = max(MARGIN * max(changes), SMALLEST_TOLERANCE)
            for number, (one, other) in enumerate(zip(written, compared, strict=True), start=1):
                _refuse_differences(number, one, other, tokenizer, tolerance, end_ids)
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
        differences: of the log-probabilities of llama.cpp's tokens while they are the same; 0 where it
            does not tell one.
        rounding: how much those of the best tokens change when the model is rounded to 16 bits.
    """

    same: list[bool]
    best: list[int]
    gaps: list[float]
    differences: list[float]
    rounding: list[float]


def _compared(model: PreTrainedModel, written: _Written) -> _Compared:
    """Let the model read what llama.cpp wrote."""
    ids = [*written.prompt.ids, *(step.id for step in written.steps)]
    first = len(written.prompt.ids) - 1
    row = torch.tensor([ids[:-1]])
    exact = _log_softmax(model, row)[first:]
    with _rounded_to_16_bits(model):
        rough = _log_softmax(model, row)[first:]
    best = exact.argmax(-1).tolist()
    same = [one == step.id for one, step in zip(best, written.steps, strict=True)]
    stop = same.index(False) + 1 if False in same else len(same)
    top = exact[:stop].topk(2, dim=-1)
    changes = (rough[:stop].gather(-1, top.indices) - top.values).abs().max(-1).values
    own = exact[torch.arange(stop), torch.tensor([step.id for step in written.steps[:stop]])]
    differences = [
        0.0 if step.logprob is None else step.logprob - value
        for step, value in zip(written.steps[:stop], own.tolist(), strict=True)
    ]
    return _Compared(
        same[:stop], best[:stop], (top.values[:, 0] - own).tolist(), differences, changes.tolist()
    )


def _refuse_differences(
    number: int,
    written: _Written,
    compared: _Compared,
    tokenizer: PreTrainedTokenizerBase,
    tolerance: float,
    end_ids: Sequence[int],
) -> None:
    """Refuse a token that is another, where the model's two best are further apart than rounding.

    Raises:
        StageError: with prompt and position.
    """
    where = f"prompt {number} ({_short(written.prompt.text)})"
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


def _compare_special(
    runtime: Runtime,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Prompt],
    end_ids: Sequence[int],
) -> None:
    """Compare the beginning and end of a text, and what ends an answer.

    Raises:
        StageError: one differs.
    """
    own = (tokenizer.bos_token or "", tokenizer.eos_token or "")
    for name, here, there in zip(("BOS", "EOS"), own, runtime.special_tokens(), strict=True):
        if here and here != there:
            raise StageError(f"{name} is {here!r} in transformers and {there!r} in llama.cpp")
    for number in end_ids:
        if not runtime.ends_at(number, prompts[0].ids):
            name = tokenizer.convert_ids_to_tokens(number)
            raise StageError(f"token {number} ({name}) ends an answer, but not in llama.cpp")


def _compare_texts(
    runtime: Runtime, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt]
) -> int:
    """Compare rendered prompts and tokens; return the number of texts beside the prompts.

    Raises:
        StageError: one differs; with the text and the position.
    """
    adds_bos = _encoded(tokenizer, "a", adds_special=True)[:1] == [tokenizer.bos_token_id]
    for number, prompt in enumerate(prompts, start=1):
        text = prompt.text
        if prompt.messages:
            there = runtime.rendered(prompt.messages)
            # llama.cpp leaves the beginning out where its tokenizer adds it
            if adds_bos and text.startswith(tokenizer.bos_token):
                text = text.removeprefix(tokenizer.bos_token)
            if there != text:
                position = _first_difference(text, there)
                raise StageError(
                    f"the chat template renders prompt {number} ({_short(prompt.text)}) in another "
                    f"way in llama.cpp, from character {position} on: {there[position:][:40]!r} "
                    f"instead of {text[position:][:40]!r}"
                )
        ids = runtime.tokens(text, adds_special=bool(prompt.messages))
        _refuse_other_tokens(f"prompt {number}", prompt.text, list(prompt.ids), ids)
    for text in HARD_TEXTS:
        for adds_special in (False, True):
            here = _encoded(tokenizer, text, adds_special=adds_special)
            there_ids = runtime.tokens(text, adds_special=adds_special)
            _refuse_other_tokens("the text", text, here, there_ids)
    return len(HARD_TEXTS)


def _refuse_other_tokens(what: str, text: str, here: list[int], there: list[int]) -> None:
    """Refuse other tokens of a text.

    Raises:
        StageError: with the text and the position.
    """
    if here != there:
        position = _first_difference(here, there)
        raise StageError(
            f"{what} ({_short(text)}) has other tokens in llama.cpp, from token {position + 1} on: "
            f"{there[position:][:6]} instead of {here[position:][:6]}; so the file would read "
            f"texts in another way than the model was trained to"
        )


@contextmanager
def _rounded_to_16_bits(model: PreTrainedModel) -> Iterator[None]:
    """Round matrices, and what they are multiplied with, to float16 inside the block."""

    def before(module: nn.Linear, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
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


def _logprobs(
    model: PreTrainedModel, ids: Sequence[int], following: Sequence[int]
) -> list[float]:
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


def _encoded(
    tokenizer: PreTrainedTokenizerBase, text: str, *, adds_special: bool = False
) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=adds_special)["input_ids"]
    return ids


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


def _first_difference(one: Sequence[Any], other: Sequence[Any]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:28]}...{text[-28:]}")
