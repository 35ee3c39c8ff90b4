"""The `Modelfile` by which Ollama runs a GGUF file: template, stop words and sampling.

Ollama has templates of Go instead of Jinja. Most chat templates put something before each message
that depends on its role and on that of the message before it, and something behind the last one.
These pieces are read off rendered conversations, and the template is only written if they make the
same text in others. Source: Ollama, docs/modelfile.mdx and docs/template.mdx; Go, text/template.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from jinja2 import TemplateError

Messages = Sequence[Mapping[str, str]]
Render = Callable[[Messages], str]
"""Renders a conversation up to where the assistant begins."""

SYSTEM, USER, ASSISTANT = "system", "user", "assistant"
NOBODY = ""

PARAMETERS = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "repetition_penalty": "repeat_penalty",
    "max_new_tokens": "num_predict",
}
"""Settings of the sampling -> Ollama's names."""

_MARKS = {SYSTEM: "qSystemq", USER: "qUserq", ASSISTANT: "qAnswerq"}

_CONVERSATIONS = (
    ((USER, "Write a jig in D."),),
    ((USER, "a\n\nb  {{ c }} {% d %} <e> \"f\" 'g'"),),
    ((USER, "one"), (ASSISTANT, "X:1\nK:D\nabc |"), (USER, "two")),
    ((USER, "1"), (ASSISTANT, "2"), (USER, "3"), (ASSISTANT, "4\n"), (USER, "5")),
)


@dataclass(frozen=True)
class Pieces:
    """What a chat template writes around contents.

    Attributes:
        before: (role of the message before, role) -> text before the content.
        end: behind the last message, which is a user's, up to where the assistant begins.
    """

    before: dict[tuple[str, str], str]
    end: str

    def render(self, messages: Messages) -> str:
        """Return a conversation."""
        roles = [NOBODY, *(message["role"] for message in messages)]
        contents = (message["content"] for message in messages)
        parts = [
            self.before[pair] + content
            for pair, content in zip(pairwise(roles), contents, strict=True)
        ]
        return "".join(parts) + self.end


def pieces_of(render: Render) -> Pieces | None:
    """Return the pieces of a chat template, or None where it does not consist of such pieces."""
    try:
        before, end = _read_off(render, (USER, ASSISTANT, USER))
        single, _ = _read_off(render, (USER,))
    except (TemplateError, ValueError):
        return None
    pieces = Pieces(before | single, end)
    conversations = [_messages(conversation) for conversation in _CONVERSATIONS]
    try:
        with_system, _ = _read_off(render, (SYSTEM, USER, ASSISTANT, USER))
        pieces = Pieces(with_system | pieces.before, end)
        first = {"role": SYSTEM, "content": "Be brief."}
        conversations += [[first, *conversation] for conversation in conversations]
    except (TemplateError, ValueError):  # the template knows no such role, or leaves it out
        pass
    if any(pieces.render(each) != render(each) for each in conversations):
        return None
    return pieces


def modelfile(
    file: str,
    pieces: Pieces | None,
    *,
    begin: str,
    stops: Sequence[str],
    sampling: Mapping[str, float],
) -> str:
    """Return the content of a Modelfile.

    Args:
        file: name of the GGUF file beside it.
        pieces: of the chat template; None for one that continues texts.
        begin: text of the token that Ollama puts before a prompt by itself; "" if it does not.
        stops: texts at which an answer ends.
        sampling: settings by their names in `generation`.
    """
    template = "{{ .Prompt }}" if pieces is None else go_template(pieces, begin)
    lines = [f"FROM ./{file}", f'TEMPLATE """{template}"""']
    lines += [f"PARAMETER stop {json.dumps(stop, ensure_ascii=False)}" for stop in stops]
    lines += [f"PARAMETER {PARAMETERS[name]} {value:g}" for name, value in sampling.items()]
    return "\n".join(lines) + "\n"


def go_template(pieces: Pieces, begin: str) -> str:
    """Return the template in Go's language.

    Args:
        pieces: of the chat template.
        begin: what stands at the beginning of a conversation and is left out.
    """
    roles = dict.fromkeys(role for _, role in pieces.before)
    text = '{{- $before := "" }}{{- range .Messages }}'
    for role in roles:
        text += f'{{{{- if eq .Role "{role}" }}}}'
        pairs = [pair for pair in pieces.before if pair[1] == role]
        for pair in pairs:
            piece = pieces.before[pair]
            if pair[0] == NOBODY:
                piece = piece.removeprefix(begin)
            text += f'{{{{- if eq $before "{pair[0]}" }}}}{_quoted(piece)}{{{{- end }}}}'
        text += "{{- .Content }}{{- end }}"
    return text + "{{- $before = .Role }}{{- end }}" + _quoted(pieces.end)


def _read_off(render: Render, roles: Sequence[str]) -> tuple[dict[tuple[str, str], str], str]:
    """Return what stands before each message of a conversation, and behind the last one.

    Raises:
        ValueError: a content is not in the text once.
    """
    messages = [{"role": role, "content": f"{_MARKS[role]}{i}"} for i, role in enumerate(roles)]
    rest, before = render(messages), {}
    for previous, message in zip([NOBODY, *roles], messages, strict=False):
        head, mark, rest = rest.partition(message["content"])
        if not mark or message["content"] in rest:
            raise ValueError(message["content"])
        before[previous, message["role"]] = head
    return before, rest


def _messages(conversation: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in conversation]


def _quoted(text: str) -> str:
    """Return an action of Go that writes a text."""
    return f"{{{{- {json.dumps(text, ensure_ascii=False)} }}}}" if text else ""
