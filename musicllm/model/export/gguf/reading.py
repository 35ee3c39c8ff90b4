"""Compares how llama.cpp reads texts with how transformers does: prompts, tokens, their ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from musicllm.errors import StageError
from musicllm.model.export.gguf.runtime import Runtime

HARD_TEXTS = (
    "", " ", "  ", "\n", "\n\n", "\t", " \n ", "a", " a", "  a", "a  b", "a \n b", "\na", "\n a",
    "X:1\nT:The Kesh\nM:6/8\nL:1/8\nK:G\n|: GAG GAB | ABA ABd | edd gdd | edB dBA :|\n",
    "X:1\nL:1/8\nM:4/4\nK:Gm\nB/c/ | d2 d>c B2 AB | GBAG F2 DF | G>AGF D>CDF |]\n",
    "K:D\n\"Am\"A,,2 _B,^c =d'' (3abc [ceg]2 {g}a- a z4 ~f .g !trill!e |1 abc :|2 cba |]",
    "%%text  indented\nw: la-la__ la *  |\n\nX: 2\n",
    "It's 1234 times 5678, isn't it? We'll see; they've 3.14 reasons (at least) -- OK!",
    "\u00d3 Riada: \u00abCeol\u00bb \u2013 na\u00efve caf\u00e9, Stra\u00dfe, \u0141\u00f3d\u017a",
    "\u8bf7\u5199\u4e00\u9996\u516d\u516b\u62cd\u7684\u5409\u683c\u821e\u66f2\uff0cD\u8c03",
    "\u266d\u266f\u266e \U0001f3b5 \U0001f3bb\u200d \u05d0\u05d1 \u0416\u0443\u043a \u30bf\u30f3",
    "tab\tand\r\nreturn\x0b\x0c end \u3000 \xa0 wide",
    "a" * 40 + " " * 20 + "b" * 3 + "\n" * 7 + "c",
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


def compare_special(
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


def compare_texts(
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
                    f"the chat template renders prompt {number} ({shortened(prompt.text)}) "
                    f"otherwise in llama.cpp, from character {position} on: "
                    f"{there[position:][:40]!r} instead of {text[position:][:40]!r}"
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
            f"{what} ({shortened(text)}) has other tokens in llama.cpp, from token {position + 1} "
            f"on: {there[position:][:6]} instead of {here[position:][:6]}; so the file would read "
            f"texts in another way than the model was trained to"
        )


def _encoded(
    tokenizer: PreTrainedTokenizerBase, text: str, *, adds_special: bool = False
) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=adds_special)["input_ids"]
    return ids


def _first_difference(one: Sequence[Any], other: Sequence[Any]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def shortened(text: str) -> str:
    """Return a text in quotes, without its middle if it is long."""
    return repr(text if len(text) <= 60 else f"{text[:28]}...{text[-28:]}")
