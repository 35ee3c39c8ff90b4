"""Compose, check, repair: an answer is checked, and what is wrong with it is said to the model.

`faults` finds what is wrong, `loop` writes until nothing is, and a kind of repair says what the
model sees in its next try. A kind is a module of `kinds`, or one of the user's own (`extensions`),
that registers a `Repair`. Nothing of it needs more of an engine than that it writes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from musicllm.registry import Registry

if TYPE_CHECKING:
    from musicllm.data.records import Message
    from musicllm.serve.repair.faults import Fault


@dataclass(frozen=True)
class Repair:
    """A kind of repair.

    Attributes:
        name: value of `generation.repair`.
        meaning: in a few words.
        follow_up: (conversation, answer to it, its faults) -> the conversation of the next try;
            None where this kind has nothing to say, and the first conversation is answered again.
    """

    name: str
    meaning: str
    follow_up: Callable[[Sequence[Message], str, Sequence[Fault]], Sequence[Message] | None]


REPAIRS: Registry[Repair] = Registry("repair", "musicllm.serve.repair.kinds")
