"""From the spellings of a conversation to our messages, or why it is none.

A conversation has an optional system prompt, then user and assistant in turns, and ends with the
assistant. Nothing is guessed: whatever breaks this is a `Misfit`. An answer that the data marks as
not to be learned (see `marks`) keeps that mark, as `weight: 0`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from musicllm.data.sources.marks import is_trained
from musicllm.files.misfit import Misfit

Messages = list[dict[str, Any]]
"""As in `records`."""

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "model": "assistant",
}
"""Role names of OpenAI's and ShareGPT's formats."""

_MARK = re.compile(r"</s>\s*(Human|Assistant):")
_OPENING_MARK = re.compile(r"\s*(?:</s>\s*)?(?:Human|Assistant):")


class Turn(NamedTuple):
    """One turn.

    Attributes:
        role: a value of `ROLES`.
        content: its text.
        is_trained: whether the assistant's is to be learned; means nothing for the others.
    """

    role: str
    content: str
    is_trained: bool = True


def conversation(turns: Sequence[Turn]) -> Messages:
    """Return the messages of turns, after checking them.

    Args:
        turns: in order; an empty system prompt is left out.

    Raises:
        Misfit: the roles are out of order, a turn is empty, or no answer is to be learned.
    """
    if turns and turns[0].role == "system" and not turns[0].content.strip():
        turns = turns[1:]
    num_system = 1 if turns and turns[0].role == "system" else 0
    for number, (role, content, _) in enumerate(turns, start=1):
        expected = ("user", "assistant")[(number - 1 - num_system) % 2]
        if role != expected and number > num_system:
            raise _broken(f"turn {number} is the {role}'s, where the {expected}'s is expected")
        if not content.strip():
            raise _broken(f"turn {number}, the {role}'s, is empty")
    if not turns or turns[-1].role != "assistant":
        raise _broken(f"it ends with the {turns[-1].role}" if turns else "it has no turns")
    if not any(turn.is_trained for turn in turns if turn.role == "assistant"):
        raise Misfit("has nothing to learn", "every turn of the assistant is masked")
    return [_message(turn) for turn in turns]


def _message(turn: Turn) -> dict[str, Any]:
    is_masked = turn.role == "assistant" and not turn.is_trained
    mark = {"weight": 0} if is_masked else {}
    return {"role": turn.role, "content": turn.content, **mark}


def listed(value: Any, role_key: str, content_key: str) -> list[Turn]:
    """Return the turns of a list of objects, each with a role, a content and perhaps a mark.

    Raises:
        Misfit: not such a list, a role that is not in `ROLES`, or a mark as in `is_trained`.
    """
    if not isinstance(value, list):
        raise _broken(f"a list of turns is expected, found {type(value).__name__}")
    turns = []
    for number, turn in enumerate(value, start=1):
        if not isinstance(turn, dict) or role_key not in turn:
            raise _broken(f"turn {number} has no field {role_key}")
        role = ROLES.get(turn[role_key]) if isinstance(turn[role_key], str) else None
        if role is None:
            raise _broken(f"turn {number} has the role {turn[role_key]!r}")
        content = _content(turn.get(content_key), number)
        turns.append(Turn(role, content, is_trained(turn, role, number)))
    return turns


def has_marks(question: str, answer: str) -> bool:
    """Whether turns are written into these texts, as `Human: ... </s> Assistant: ... </s>`."""
    return any("</s>" in text or _OPENING_MARK.match(text) for text in (question, answer))


def turns_in(text: str) -> list[tuple[str, str]]:
    """Return the turns that are written into a plain text (see `has_marks`): role and content.

    Empty for a text that does not open with a mark, or in which nobody answers.
    """
    if not _OPENING_MARK.match(text):
        return []
    _, *rest = _MARK.split(f"</s>{text.strip().removeprefix('</s>')}")
    turns = [
        ("user" if mark == "Human" else "assistant", _without_end(content).strip())
        for mark, content in zip(rest[::2], rest[1::2], strict=True)
    ]
    return turns if any(role == "assistant" for role, _ in turns) else []


def question_and_answer(
    question: str, answer: str, system: str = "", history: Sequence[tuple[str, str]] = ()
) -> Messages:
    """Return the messages of one exchange, with those before it.

    ChatMusician's data write the turns into the fields, one or several (see `has_marks`). Such
    marks are taken out, and white space beside them.

    Raises:
        Misfit: not a conversation.
    """
    turns = [Turn("system", system)] if system else []
    for before, after in history:
        turns += [Turn("user", before), Turn("assistant", after)]
    if has_marks(question, answer):
        turns += _unmarked(question, answer)
    else:
        turns += [Turn("user", question), Turn("assistant", answer)]
    return conversation(turns)


def _unmarked(question: str, answer: str) -> list[Turn]:
    if not _OPENING_MARK.match(answer):
        answer = f"Assistant: {answer}"
        question = question.rstrip().removesuffix("Assistant:")
    transcript = f"</s>{_without_end(question)}</s>{_without_end(answer)}"
    before, *rest = _MARK.split(transcript)
    before = before.removeprefix("</s>").strip()
    turns = [Turn("user", before)] if before else []
    for mark, content in zip(rest[::2], rest[1::2], strict=True):
        role = "user" if mark == "Human" else "assistant"
        turns.append(Turn(role, _without_end(content).strip()))
    return turns


def _without_end(text: str) -> str:
    text = text.rstrip()
    while text.endswith("</s>"):
        text = text[: -len("</s>")].rstrip()
    return text


def _content(value: Any, number: int) -> str:
    """Return a turn's text, which OpenAI's format also writes as a list of parts."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        texts = [part.get("text") for part in value if isinstance(part, dict)]
        strings = [text for text in texts if isinstance(text, str)]
        if len(strings) == len(value):
            return "".join(strings)
        raise _broken(f"turn {number} has a part that is not text")
    raise _broken(f"turn {number} has no text, but {type(value).__name__}")


def _broken(detail: str) -> Misfit:
    return Misfit("is not a conversation", detail)
