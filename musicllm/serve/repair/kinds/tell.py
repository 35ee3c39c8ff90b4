"""The model sees its answer and what is wrong with it, and is to write the whole tune again.

Helps a model that follows corrections. In the language of the last message: Chinese where that has
a Chinese character, else English.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from musicllm.serve.repair import REPAIRS, Repair

if TYPE_CHECKING:
    from musicllm.data.records import Message
    from musicllm.serve.repair.faults import Fault

ASKS = {
    "en": "That answer has faults:\n{faults}\nWrite the whole tune again without them.",
    "zh": "上面的回答有问题：\n{faults}\n请改正，重新写出完整的乐曲。",
}

MAX_FAULTS = 8
"""So many are listed; a model reads no hundred of them."""

MORE = {"en": "and {count} more", "zh": "另有 {count} 处"}


def complaint(faults: Sequence[Fault], language: str) -> str:
    """Return the message that tells the faults of an answer.

    Args:
        faults: at least one.
        language: `en` or `zh`.
    """
    lines = [f"- {fault.text(language)}" for fault in faults[:MAX_FAULTS]]
    if more := len(faults) - MAX_FAULTS:
        lines += [f"- {MORE[language].format(count=more)}"] if more > 0 else []
    return ASKS[language].format(faults="\n".join(lines))


def _follow_up(
    messages: Sequence[Message], answer: str, faults: Sequence[Fault]
) -> Sequence[Message] | None:
    from musicllm.serve.repair.faults import language_of

    if not answer.strip():
        return None
    language = language_of(str(messages[-1]["content"]))
    return (
        *messages,
        {"role": "assistant", "content": answer},
        {"role": "user", "content": complaint(faults, language)},
    )


REPAIRS.register(Repair("tell", "the answer and its faults, to be written anew", _follow_up))
