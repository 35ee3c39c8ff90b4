"""Chat templates: from messages to text in which the assistant's part is known.

A template marks what the assistant says, its end included, by `{% generation %}` blocks. Where a
tokenizer carries one without, the answers are found by rendering the beginnings of a conversation:
an answer is what its beginning up to there has more than the prompt before it.

Renders as transformers does (`apply_chat_template`), in Jinja's sandbox, but needs no transformers,
whose import would cost every worker process a second. What tokens the text becomes is decided in
`encoder`; the templates that come with musicllm stand in `conf/template`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from musicllm.data.records import Message, is_masked
from musicllm.errors import InputError

Part = tuple[str, bool]
"""A piece of a rendered conversation, and whether the assistant says it."""

START, STOP = "\ufdd0", "\ufdd1"
"""Stand around a generation block while it is rendered; Unicode has no characters there."""

_SHOWN = ("role", "content")

_BORDER = re.compile(f"[{START}{STOP}]")
_BLOCK = re.compile(r"\{%-?\s*generation\s*-?%\}")


def without_bos(source: str) -> str:
    """Return a template that writes no beginning of text, whatever it is rendered by."""
    return "{%- set bos_token = '' -%}" + source


class UnfitError(InputError):
    """A conversation that a template cannot render, or whose answers cannot be found."""


class ChatTemplate:
    """One compiled template."""

    def __init__(
        self, source: str, named_tokens: Mapping[str, str], special_tokens: Sequence[str]
    ) -> None:
        """Compile a template.

        Args:
            source: Jinja.
            named_tokens: such as `bos_token`, for the template to write.
            special_tokens: all of the tokenizer; one of them ends an answer.

        Raises:
            InputError: the source is no Jinja.
        """
        try:
            self._template = _environment().from_string(source)
        except jinja2.TemplateSyntaxError as error:
            raise InputError(f"template.jinja: line {error.lineno}: {error.message}") from error
        self._named_tokens = dict(named_tokens)
        self._ends = tuple(special_tokens)
        self._has_blocks = _BLOCK.search(source) is not None

    def parts(self, messages: Sequence[Message], *, ends_in_prompt: bool = False) -> list[Part]:
        """Render a conversation and cut it where the assistant's parts begin and end.

        Without generation blocks, time grows with the square of the number of turns.

        Args:
            messages: the conversation.
            ends_in_prompt: whether the text goes on to where the assistant begins.

        Raises:
            UnfitError: the template refuses these messages, or its answers cannot be found.
        """
        text = self._render(messages, ends_in_prompt)
        if self._has_blocks:
            texts = _BORDER.split(text)
        else:
            borders = [0, *self._borders(messages, text), len(text)]
            texts = [text[start:stop] for start, stop in pairwise(borders)]
        return [(part, number % 2 == 1) for number, part in enumerate(texts) if part]

    def _render(self, messages: Sequence[Message], ends_in_prompt: bool) -> str:
        try:
            return self._template.render(
                messages=[{key: message[key] for key in _SHOWN} for message in messages],
                tools=messages[0].get("tools") if messages else None,
                documents=None,
                add_generation_prompt=ends_in_prompt,
                **self._named_tokens,
            )
        except jinja2.TemplateError as error:
            raise UnfitError(f"the chat template says: {error}") from error

    def _borders(self, messages: Sequence[Message], text: str) -> Iterator[int]:
        for number, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            prompt = self._render(messages[:number], ends_in_prompt=True)
            answered = self._render(messages[: number + 1], ends_in_prompt=False)
            if not (text.startswith(answered) and answered.startswith(prompt)):
                raise UnfitError(
                    "the chat template has no {% generation %} blocks, and what the assistant says "
                    f"in message {number + 1} cannot be told from the rest: the conversation does "
                    "not begin with the text that it had up to there; choose another template"
                )
            yield len(prompt)
            yield self._end_of_answer(answered, len(prompt))

    def _end_of_answer(self, answered: str, start: int) -> int:
        """Leave out white space after the end token: the model is stopped before it."""
        stripped = answered.rstrip()
        is_ended = len(stripped) > start and stripped.endswith(self._ends)
        return len(stripped) if is_ended else len(answered)


def without_masked(parts: Sequence[Part], messages: Sequence[Message]) -> list[Part]:
    """Return parts among which only what is to be learned counts as the assistant's.

    Args:
        parts: of a whole conversation.
        messages: the same conversation; see `records` for how one is masked.

    Raises:
        UnfitError: a message is masked, and the template does not write one part for each answer.
    """
    answers = [message for message in messages if message["role"] == "assistant"]
    if not any(map(is_masked, answers)):
        return list(parts)
    num_parts = sum(is_answer for _, is_answer in parts)
    if num_parts != len(answers):
        raise UnfitError(
            f"a turn is masked, and the chat template writes {num_parts} answers for the "
            f"{len(answers)} turns of the assistant, so it cannot be told which one that is"
        )
    learned = iter([not is_masked(answer) for answer in answers])
    return [(text, is_answer and next(learned)) for text, is_answer in parts]


def continued(parts: Sequence[Part], special_tokens: Sequence[str]) -> Iterator[Part]:
    """Take from answers the blank that a tokenizer gives back that begins every text with one.

    After a special token it begins a text anyway, and the blank of the answer is a second one.
    """
    previous = ""
    for text, is_answer in parts:
        goes_on = previous and not previous.endswith(tuple(special_tokens))
        yield (text[1:] if is_answer and goes_on and text[0] == " " else text), is_answer
        previous = text


class _GenerationBlock(Extension):
    """`{% generation %}`: what stands in it goes between START and STOP."""

    tags = {"generation"}  # noqa: RUF012 - Jinja declares it like this

    def parse(self, parser: Parser) -> list[nodes.Node]:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        start, stop = (nodes.Output([nodes.TemplateData(mark)]) for mark in (START, STOP))
        return [start.set_lineno(line), *body, stop.set_lineno(line)]


def _environment() -> ImmutableSandboxedEnvironment:
    """Return what chat templates are written for: see transformers' `chat_template_utils`."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationBlock, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _refuse(message: str) -> None:
    raise jinja2.TemplateError(message)
