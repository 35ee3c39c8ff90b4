"""The formats that data sets come in, and how an object of each becomes a record.

Converters return what a record has besides `id` and `source`. They are pure and know nothing of
files.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from musicllm.data.sources.conversations import (
    Turn,
    conversation,
    has_marks,
    listed,
    question_and_answer,
)
from musicllm.data.sources.marks import is_trained
from musicllm.files.misfit import Misfit

Raw = Mapping[str, Any]

_TEXT = ("text", "content", "document")
_TUNE = ("abc notation", "abc")
_INPUT = ("input", "context")
_OUTPUT = ("output", "response")
_PROMPT = ("prompt", "question")
_COMPLETION = ("completion", "response", "answer")
_OWN_EXTRAS = ("task", "conditions", "fingerprint_group", "control_code", "published")


@dataclass(frozen=True)
class Format:
    """A way to write records down.

    Attributes:
        name: key in `FORMATS`.
        requires: fields that an object must have; of several in a group, one.
        optional: fields that are read when they are there.
        convert: gives a record's content; raises `Misfit`.
    """

    name: str
    requires: tuple[tuple[str, ...], ...]
    optional: tuple[str, ...]
    convert: Callable[[Raw], dict[str, Any]]

    @property
    def fields(self) -> frozenset[str]:
        """Every field that is read."""
        return frozenset(self.optional).union(*self.requires)

    @property
    def expects(self) -> str:
        """The fields in words, such as `prompt or question, completion`."""
        return ", ".join(" or ".join(group) for group in self.requires)

    def fits(self, fields: Collection[str]) -> bool:
        """Whether an object with these fields can be of this format."""
        return all(any(name in fields for name in group) for group in self.requires)


def _text(raw: Raw) -> dict[str, Any]:
    return {"text": _document(raw, _TEXT)}


def _abc(raw: Raw) -> dict[str, Any]:
    record = {"text": _document(raw, _TUNE)}
    if code := _string(raw, ("control code",)):
        record["control_code"] = code
    return record


def _instruction(raw: Raw) -> dict[str, Any]:
    instruction, context = _string(raw, ("instruction",)), _string(raw, _INPUT)
    question, answer = _joined(instruction, context), _string(raw, _OUTPUT)
    history = [_pair(item) for item in raw.get("history") or ()]
    system = _string(raw, ("system",))
    record: dict[str, Any] = {"messages": question_and_answer(question, answer, system, history)}
    if has_marks(question, answer) or not (history or system):
        record["published"] = [instruction + context, answer]
    return record


def _openai(raw: Raw) -> dict[str, Any]:
    return {"messages": conversation(listed(raw["messages"], "role", "content"))}


def _sharegpt(raw: Raw) -> dict[str, Any]:
    turns = listed(raw["conversations"], "from", "value")
    if system := _string(raw, ("system",)):
        turns.insert(0, Turn("system", system))
    return {"messages": conversation(turns)}


def _xtuner(raw: Raw) -> dict[str, Any]:
    exchanges = raw["conversation"]
    exchanges = [exchanges] if isinstance(exchanges, dict) else exchanges
    if not isinstance(exchanges, list) or not all(isinstance(item, dict) for item in exchanges):
        raise Misfit("is not a conversation", "a list of {system, input, output} is expected")
    turns: list[Turn] = []
    for item in exchanges:
        if system := _string(item, ("system",)):
            turns.append(Turn("system", system))
        if "output" not in item:
            raise Misfit("has other fields", "a turn without output; expected input, output")
        if not (question := _string(item, ("input",))) and len(exchanges) == 1 and not system:
            return {"text": _document(item, ("output",))}  # how XTuner writes pre-training text
        number = len(turns) + 2
        is_learned = is_trained(item, "assistant", number)
        answer = Turn("assistant", _string(item, ("output",)), is_learned)
        turns += [Turn("user", question), answer]
    return {"messages": conversation(turns)}


def _prompt_completion(raw: Raw) -> dict[str, Any]:
    system = _string(raw, ("system",))
    return {
        "messages": question_and_answer(_string(raw, _PROMPT), _string(raw, _COMPLETION), system)
    }


def _preference(raw: Raw) -> dict[str, Any]:
    """Return the prompt with the chosen answer, which alone is learned."""
    prompt, chosen = raw["prompt"], raw["chosen"]
    if isinstance(prompt, str) and isinstance(chosen, str):
        return {"messages": question_and_answer(prompt, chosen)}
    if isinstance(prompt, list) and isinstance(chosen, list):
        before = [turn._replace(is_trained=False) for turn in listed(prompt, "role", "content")]
        return {"messages": conversation([*before, *listed(chosen, "role", "content")])}
    raise Misfit(
        "is not a conversation",
        "prompt and chosen must both be texts, or both lists of {role, content}",
    )


def _record(raw: Raw) -> dict[str, Any]:
    content = _openai(raw) if raw.get("messages") is not None else _text(raw)
    extras = {name: raw[name] for name in _OWN_EXTRAS if raw.get(name) is not None}
    return {**content, **extras}


def _string(raw: Raw, names: tuple[str, ...]) -> str:
    """Return the first field of these that is there; an empty string for none or null."""
    for name in names:
        value = raw.get(name)
        if isinstance(value, str):
            return value
        if value is not None:
            raise Misfit("is not text", f"{name} is {type(value).__name__}, not a string")
    return ""


def _document(raw: Raw, names: tuple[str, ...]) -> str:
    text = _string(raw, names)
    if not text or text.isspace():
        raise Misfit("is empty", f"{' or '.join(name for name in names if name in raw)} is empty")
    return text


def _joined(instruction: str, context: str) -> str:
    """Put an input under its instruction, unless either brings white space along."""
    if not context or not instruction or instruction[-1].isspace() or context[0].isspace():
        return instruction + context
    return f"{instruction}\n{context}"


def _pair(item: Any) -> tuple[str, str]:
    is_pair = isinstance(item, list | tuple) and len(item) == 2
    if not is_pair or not all(isinstance(text, str) for text in item):
        raise Misfit("is not a conversation", "history is not a list of [question, answer]")
    return item[0], item[1]


FORMATS = {
    record_format.name: record_format
    for record_format in (
        Format("record", (("id",), ("source",), ("text", "messages")), _OWN_EXTRAS, _record),
        Format("openai", (("messages",),), (), _openai),
        Format("sharegpt", (("conversations",),), ("system",), _sharegpt),
        Format("xtuner", (("conversation",),), (), _xtuner),
        Format(
            "instruction",
            (("instruction",), _OUTPUT),
            (*_INPUT, "system", "history"),
            _instruction,
        ),
        Format("preference", (("prompt",), ("chosen",), ("rejected",)), (), _preference),
        Format("prompt_completion", (_PROMPT, _COMPLETION), ("system",), _prompt_completion),
        Format("abc", (_TUNE,), ("control code",), _abc),
        Format("text", (_TEXT,), (), _text),
    )
}
"""In the order in which they are tried: Alpaca's files have a field `text` beside the others.

- `record`: our own, such as `records/` of a prepared corpus.
- `openai`: `messages` of `{role, content}`, content a string or a list of `{type: text, text}`.
- `sharegpt`: `conversations` of `{from, value}`.
- `xtuner`: `conversation`, a list of `{system, input, output}`; one bare output is a text.
  Turns of these three may carry `marks`.
- `instruction`: Alpaca, Dolly, and MusicPile-sft with `Human:` and `</s> Assistant:` in the fields;
  a record keeps source and target as they were in `published`, for `data.compat=reference`, unless
  it has what the published code does not read: a history or a system prompt.
- `preference`: TRL's pairs with an explicit prompt; the chosen answer is the record's.
- `prompt_completion`: likewise with a prompt or a question.
- `abc`: irishman; `control code` is kept as `control_code`.
- `text`: one document.
"""


def detect(fields: Collection[str]) -> Format | None:
    """Return the first format that an object with these fields fits, or None."""
    return next((entry for entry in FORMATS.values() if entry.fits(fields)), None)
