"""`/v1/chat/completions`: an answer to a conversation, whole or streamed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from musicllm.data.records import Message
from musicllm.errors import InputError
from musicllm.inference.requests import WritingRequest
from musicllm.serve.api.bodies import Fields, check_names, kind_of, read_object, shown
from musicllm.serve.api.errors import BadRequestError
from musicllm.serve.api.fields import CHAT, UNSERVED_CHAT
from musicllm.serve.api.options import Options, read_options
from musicllm.serve.api.replies import Form, reply
from musicllm.serve.api.service import ServedModel, Service
from musicllm.serve.api.texts import Writings
from musicllm.serve.chat.settings import is_text
from musicllm.serve.fitting import Fit, fit

MAX_MESSAGES = 1000
"""Of a conversation; a template may take a time that grows with their square."""

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
"""The role in a template for each role of the protocol, where `developer` is a newer word."""


def router(service: Service) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()

    @routes.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        return await answer(request, service)

    return routes


async def answer(request: Request, service: Service) -> Response:
    """Answer a request; raises what `errors` turns into answers."""
    body = service.with_hidden_fields(await read_object(request))
    check_names(body, CHAT, UNSERVED_CHAT)
    fields = Fields(body)
    model = service.model(fields.text("model"))
    options = read_options(fields, service)
    messages = service.with_system(read_messages(fields.raw("messages")))
    drops = fields.choice("long_conversation", ("refuse", "drop_oldest"), "refuse") != "refuse"
    model.ready()
    fitted = await run_in_threadpool(fit_in, model, messages, options, drops=drops)
    settings = options.settings_of(fitted.max_new_tokens)
    writings = await Writings.begin(
        model,
        [
            WritingRequest(fitted.messages, None, settings, seed, options.rules)
            for seed in service.seeds(options.seed, options.num_choices)
        ],
        options.stops,
    )
    form = Form(
        "chat",
        model.name,
        fitted.num_tokens,
        num_left_out=fitted.num_left_out,
        includes_usage=options.includes_usage,
    )
    return await reply(request, writings, form, service, is_streamed=options.is_streamed)


def read_messages(value: object) -> list[Message]:
    """Return the messages of a request.

    Raises:
        BadRequestError: they are no conversation that ends with the user.
    """
    if not isinstance(value, list) or not value:
        raise BadRequestError("messages must be a list of {role, content}", "messages")
    if len(value) > MAX_MESSAGES:
        rule = f"messages has {len(value):,} messages, more than {MAX_MESSAGES:,}"
        raise BadRequestError(f"{rule}; leave the oldest out", "messages")
    messages = [_message(item, f"messages[{index}]") for index, item in enumerate(value)]
    if messages[-1]["role"] != "user":
        raise BadRequestError(
            f"messages ends with one of the {messages[-1]['role']}, and the model answers the "
            f"user; to continue a text write it to /v1/completions",
            "messages",
        )
    return messages


def fit_in(
    model: ServedModel,
    messages: list[Message],
    options: Options,
    *,
    drops: bool,
    param: str = "messages",
) -> Fit:
    """Return what the model sees of a conversation, and how long its answer may be.

    Args:
        model: that is ready.
        messages: of the request.
        options: of the request.
        drops: whether the oldest turns may be left out.
        param: field of the request with the messages.

    Raises:
        BadRequestError: the context has no room for prompt and answer, the model does not chat, or
            its template refuses the messages.
    """
    engine, _ = model.ready()
    longest = options.settings.max_new_tokens
    try:
        if drops:
            head, turns, last = split(messages)
            return fit(model.count, head, turns, last, context=engine.context, longest=longest)
        num_tokens = model.count(messages)
    except InputError as error:
        raise BadRequestError(str(error), param) from None
    room = options.room(num_tokens, engine.context, param)
    return Fit(tuple(messages), num_tokens, 0, room)


def split(
    messages: Sequence[Message],
) -> tuple[Sequence[Message], list[Sequence[Message]], Sequence[Message]]:
    """Return system prompt, turns, each of which begins with the user, and the last message."""
    start = next(index for index, own in enumerate(messages) if own["role"] != "system")
    turns: list[list[Message]] = []
    for message in messages[start:-1]:
        if message["role"] == "user" or not turns:
            turns.append([])
        turns[-1].append(message)
    return messages[:start], list(turns), messages[-1:]


def _message(value: Any, place: str) -> Message:
    if not isinstance(value, dict):
        raise BadRequestError(f"{place} is {kind_of(value)}, and must be {{role, content}}", place)
    role = value.get("role")
    if not isinstance(role, str) or role not in ROLES:
        rule = f"{place}.role={shown(role)} is none of {', '.join(ROLES)}"
        raise BadRequestError(rule, f"{place}.role")
    for name, content in value.items():
        if name not in ("role", "content", "refusal", "annotations") and content:
            rule = f"{place}.{name} is not served: messages have a role and a content"
            raise BadRequestError(rule, f"{place}.{name}")
    content = _content(value.get("content"), f"{place}.content")
    if role == "user" and not content.strip():
        raise BadRequestError(f"{place}.content is empty: there is nothing to answer", place)
    return {"role": ROLES[role], "content": content}


def _content(value: Any, place: str) -> str:
    """Return a text, which the protocol also writes as a list of parts."""
    if isinstance(value, list):
        return "".join(_part(part, f"{place}[{index}]") for index, part in enumerate(value))
    if not is_text(value):
        raise BadRequestError(f"{place} is {kind_of(value)}, and must be a string", place)
    return str(value)


def _part(value: Any, place: str) -> str:
    if not isinstance(value, dict) or value.get("type") != "text":
        kind = shown(value.get("type")) if isinstance(value, dict) else kind_of(value)
        rule = f"{place} is of type {kind}; the models of this server read text only"
        raise BadRequestError(f"{rule}: {{type: text, text: ...}}", place)
    return _content(value.get("text"), f"{place}.text")
