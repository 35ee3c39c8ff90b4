"""Marks beside a turn that say whether a model is to learn it, as other tools write them.

A turn is trained or it is not: a share between 0 and 1, and marks on parts of a turn, are refused,
since the loss has one weight for all supervised tokens. Sources: OpenAI's and Mistral's fine-tuning
formats (`weight`), axolotl's `chat_template` (`train`, `training`, `train_detail`), ms-swift
(`loss`), XTuner's `openai_map_fn` and `encode_fn` (`loss`, `output_with_loss`, `need_eos_token`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from musicllm.files.misfit import Misfit

MARKS = (
    "weight", "loss_weight", "loss_scale", "loss", "output_with_loss", "train", "training",
)  # fmt: skip
"""0 or false masks a turn, 1 or true trains it."""

_OF_ANY_ROLE = ("train", "training")
"""axolotl's marks also train what the user says; the others count for the assistant alone."""

_OF_PARTS = ("train_detail", "training_detail")

REASON = "has a mark on a turn that cannot be followed"


def is_trained(turn: Mapping[str, Any], role: str, number: int) -> bool:
    """Return whether the assistant's turn is trained; turns of others never are.

    Args:
        turn: as it stands in the data; a mark that is null is none.
        role: whose turn it is, a value of `ROLES`.
        number: of the turn, from 1, for messages.

    Raises:
        Misfit: a mark is neither 0 nor 1, marks contradict each other, or one asks for what is
            not done here: parts of a turn, an answer without its end, the user's words.
    """
    values = {name: turn[name] for name in MARKS if turn.get(name) is not None}
    for name, value in values.items():
        if not isinstance(value, int | float) or value not in (0, 1):
            raise _refused(number, f"{name} is {value!r}; 0 masks a turn, and 1 trains it")
    if len(set(map(bool, values.values()))) > 1:
        marks = ", ".join(f"{name} is {value!r}" for name, value in values.items())
        raise _refused(number, f"{marks}, which contradict each other")
    for name in _OF_PARTS:
        if turn.get(name):
            raise _refused(number, f"{name} marks parts of it; only whole turns can be masked")
    if turn.get("need_eos_token") in (False, 0):
        raise _refused(number, "need_eos_token is false; every answer ends with its token here")
    if role != "assistant" and any(values.get(name) for name in _OF_ANY_ROLE):
        raise _refused(number, f"asks to train on the {role}; only the assistant's are trained")
    return role == "assistant" and all(values.values())


def _refused(number: int, detail: str) -> Misfit:
    return Misfit(REASON, f"turn {number}: {detail}")
