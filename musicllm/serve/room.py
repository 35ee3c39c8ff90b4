"""Prompts that leave no room for their answers in the context of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from musicllm.errors import InputError
from musicllm.serve.prompts import Prompt

SHOWN = 5
"""So many prompts are shown; the others are counted."""


class Tight(NamedTuple):
    """A prompt without room for its answer.

    Attributes:
        number: of the prompt.
        place: where it stands.
        num_tokens: of the prompt.
        max_new_tokens: of its answer.
        context: positions of the model.
    """

    number: int
    place: str
    num_tokens: int
    max_new_tokens: int
    context: int

    @property
    def room(self) -> int:
        """Tokens that an answer can have; 0 or less if the prompt is too long by itself."""
        return self.context - self.num_tokens

    def __str__(self) -> str:
        """Say what is too long."""
        if self.room <= 0:
            return f"has {self.num_tokens:,} tokens, and the model {self.context:,} positions"
        return (
            f"has {self.num_tokens:,} tokens, which leaves {self.room:,} of {self.context:,} "
            f"positions for max_new_tokens={self.max_new_tokens}"
        )


def tight_prompts(
    prompts: Iterable[Prompt],
    count_tokens: Callable[[Prompt], int | None],
    max_new_tokens: Callable[[Prompt], int],
    context: int,
) -> list[Tight]:
    """Return the prompts that, with the longest answer, are longer than the context.

    Cost: every prompt is tokenized. What an engine does not count is passed over.
    """
    tight = []
    for prompt in prompts:
        num_tokens, num_new = count_tokens(prompt), max_new_tokens(prompt)
        if num_tokens is not None and num_tokens + num_new > context:
            tight.append(Tight(prompt.number, prompt.place, num_tokens, num_new, context))
    return tight


def refuse(tight: Sequence[Tight], num_prompts: int) -> None:
    """Refuse prompts without room, at least one.

    Raises:
        InputError: which, how many, and what to do.
    """
    from musicllm.serve.showing import visible_line

    shown = "".join(f"\n  {visible_line(own.place)} {own}" for own in tight[:SHOWN])
    more = f"\n  and {len(tight) - SHOWN:,} more" if len(tight) > SHOWN else ""
    room = min((own.room for own in tight if own.room > 0), default=None)
    count = sum(own.room > 0 for own in tight)
    if room is None:
        fix = "shorten them"
    elif count == len(tight):
        fix = f"write generation.max_new_tokens={room}, with which all fit, or shorten them"
    else:
        fix = f"shorten them, or write generation.max_new_tokens={room}, with which {count:,} fit"
    raise InputError(
        f"{len(tight):,} of {num_prompts:,} prompts leave no room for their answers:{shown}{more}\n"
        f"{fix}; generation.long_prompts=skip leaves them without an answer"
    )
