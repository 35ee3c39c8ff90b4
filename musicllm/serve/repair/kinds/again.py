"""The same conversation is answered again, with other random numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from musicllm.serve.repair import REPAIRS, Repair

if TYPE_CHECKING:
    from musicllm.data.records import Message
    from musicllm.serve.repair.faults import Fault


def _nothing(messages: Sequence[Message], answer: str, faults: Sequence[Fault]) -> None:
    """Say nothing: the first conversation is answered again."""


REPAIRS.register(Repair("again", "the same conversation, with another seed", _nothing))
