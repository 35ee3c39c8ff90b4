"""A prompt, and what is being written after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from musicllm.data.encoder import Encoder
from musicllm.errors import InputError
from musicllm.inference.decoding.constraint import Constraint, Progress
from musicllm.inference.decoding.texts import WrittenText
from musicllm.inference.feed import Ticket
from musicllm.inference.requests import Completion, SamplingSettings


@dataclass(frozen=True)
class Prompt:
    """Tokens to go on from.

    Attributes:
        ids: at least one.
        settings: of the sampling.
        seed: of the random stream of this prompt.
        is_beginning: what is written continues their text; otherwise it is a text of its own.
        constraint: on what is written; None: there is none.
    """

    ids: Sequence[int]
    settings: SamplingSettings
    seed: int
    is_beginning: bool = False
    constraint: Constraint | None = None

    @property
    def most_tokens(self) -> int:
        """Tokens of the prompt and the longest text after it."""
        return len(self.ids) + self.settings.max_new_tokens


class Row:
    """A prompt that waits, or is being continued.

    Args:
        prompt: to go on from.
        encoder: of its tokens.
        emit: takes pieces of text; None: nobody reads along.
        index: among other prompts.
        ticket: of a request that was taken from a feed.

    Attributes:
        is_over: nothing more is written, for whatever reason.
        is_finished: the end token came.
        error: why it cannot be written; None as long as it can.
    """

    def __init__(
        self,
        prompt: Prompt,
        encoder: Encoder,
        emit: Callable[[str], None] | None,
        *,
        index: int = 0,
        ticket: Ticket | None = None,
    ) -> None:
        self.prompt = prompt
        self.index = index
        self.ticket = ticket
        self.text = WrittenText(encoder, prompt.ids if prompt.is_beginning else (), emit)
        self.progress: Progress | None = None
        self.seen: Tensor | None = None
        self.is_over = self.is_finished = False
        self.error: Exception | None = None

    def start(self) -> None:
        """Begin, or begin anew.

        Raises:
            InputError: the budget is smaller than what the constraint demands.
        """
        self.text.restart()
        constraint = self.prompt.constraint
        self.progress = None if constraint is None else constraint.begin()
        self.seen = None
        self.is_over = self.is_finished = False

    @property
    def last(self) -> int:
        """The token that the model has not read yet."""
        return self.text.ids[-1]

    def see(self, ids: Sequence[int], vocab_size: int, device: torch.device) -> None:
        """Note tokens for the repetition penalty, which only those with an output can get."""
        if self.prompt.settings.repetition_penalty == 1:
            return
        if self.seen is None:
            self.seen = torch.zeros(vocab_size, dtype=torch.bool, device=device)
        self.seen[[token for token in ids if token < vocab_size]] = True

    def add(self, token: int, end_ids: Sequence[int]) -> None:
        """Take the next token."""
        self.is_finished = token in end_ids
        if not self.is_finished:
            self.text.add(token)
        limit = self.prompt.settings.max_new_tokens
        self.is_over = self.is_finished or len(self.text.ids) >= limit

    def fail(self, error: Exception) -> None:
        """End with an error."""
        self.error, self.is_over = error, True

    def completion(self) -> Completion:
        """Return what was written.

        Raises:
            Exception: the error with which it ended.
        """
        if self.error is not None:
            raise self.error
        text = self.text.finished()
        return Completion(text, len(self.text.ids), self.is_finished, len(self.prompt.ids))


def check_room(prompts: Sequence[Prompt], model: Any) -> None:
    """Refuse prompts without tokens, and those that leave no room for what is to be written.

    Raises:
        InputError: with the number of the prompt.
    """
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    for number, prompt in enumerate(prompts, start=1):
        length, new = len(prompt.ids), prompt.settings.max_new_tokens
        if not length:
            raise InputError(f"prompt {number} is empty: there is nothing to continue")
        if positions is not None and length + new > positions:
            raise InputError(
                f"prompt {number} has {length} tokens, and with "
                f"generation.max_new_tokens={new} the text could pass the "
                f"model's {positions} positions; at most {max(0, positions - length)} fit"
            )
