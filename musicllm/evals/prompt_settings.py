"""Settings of the prompts of a benchmark: plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mode = Literal["likelihood", "perplexity", "generation"]

LongPrompts = Literal["drop_last_shots", "drop_first_shots", "truncate", "skip", "stop"]


@dataclass(frozen=True)
class PromptSettings:
    """How questions are put to a model, and how its choice is read.

    Attributes:
        benchmark: name, for tasks and messages.
        prompt_format: a key of `prompts.FORMATS`.
        mode: `likelihood` chooses the option that is most probable after the prompt, `perplexity`
            the one whose whole prompt has the least mean negative log-likelihood (OpenCompass's
            PPL mode), `generation` reads the letter out of what the model writes.
        num_fewshot: solved examples before a question.
        add_bos: whether the mark of the beginning stands before a prompt.
        as_chat: whether a prompt that is answered in words goes through the chat template.
        max_length: tokens of a prompt with its longest option or its answer; None: the model's
            context.
        long_prompts: what happens to one that is longer. `drop_last_shots` and `drop_first_shots`
            leave out examples until it fits, and the question itself where none is left;
            `truncate` cuts tokens at its beginning; `skip` leaves out the question; `stop`
            refuses it. All but `stop` are counted.
        max_new_tokens: of an answer in generation mode; None in the others.
    """

    benchmark: str
    prompt_format: str
    mode: Mode
    num_fewshot: int
    add_bos: bool
    as_chat: bool
    max_length: int | None
    long_prompts: LongPrompts
    max_new_tokens: int | None
