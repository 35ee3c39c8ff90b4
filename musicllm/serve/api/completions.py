"""`/v1/completions`: continues texts, whole or streamed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from musicllm.errors import InputError
from musicllm.inference.requests import WritingRequest
from musicllm.serve.api.bodies import Fields, check_names, kind_of, read_object
from musicllm.serve.api.errors import BadRequestError
from musicllm.serve.api.fields import TEXT, UNSERVED_TEXT
from musicllm.serve.api.options import MAX_CHOICES, Options, read_options
from musicllm.serve.api.replies import Form, reply
from musicllm.serve.api.service import ServedModel, Service
from musicllm.serve.api.texts import Writings
from musicllm.serve.chat.settings import is_text
from musicllm.serve.prompts import grammar_of


class Beginning(NamedTuple):
    """A text that is continued.

    Attributes:
        text: not empty.
        num_tokens: None if the engine cannot say.
        max_new_tokens: how long its continuation may be.
    """

    text: str
    num_tokens: int | None
    max_new_tokens: int


def router(service: Service) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()

    @routes.post("/v1/completions")
    async def completions(request: Request) -> Response:
        return await answer(request, service)

    return routes


async def answer(request: Request, service: Service) -> Response:
    """Answer a request; raises what `errors` turns into answers."""
    body = await read_object(request)
    check_names(body, TEXT, UNSERVED_TEXT)
    fields = Fields(body)
    model = service.model(fields.text("model"))
    options = read_options(fields, service)
    prompts = read_prompts(fields.raw("prompt"))
    if len(prompts) * options.num_choices > MAX_CHOICES:
        raise BadRequestError(f"prompt and n are more than {MAX_CHOICES} texts; send fewer", "n")
    echoes = fields.flag("echo")
    model.ready()
    beginnings = await run_in_threadpool(fit_in, model, prompts, options)
    texts = [beginning for beginning in beginnings for _ in range(options.num_choices)]
    seeds = service.seeds(options.seed, options.num_choices) * len(beginnings)
    requests = [
        WritingRequest(None, own.text, options.settings_of(own.max_new_tokens), seed, options.rules)
        for own, seed in zip(texts, seeds, strict=True)
    ]
    writings = await Writings.begin(model, requests, options.stops)
    counts = [own.num_tokens for own in beginnings]
    form = Form(
        "text",
        model.name,
        None if None in counts else sum(count or 0 for count in counts),
        includes_usage=options.includes_usage,
        echoes=[own.text for own in texts] if echoes else (),
    )
    return await reply(request, writings, form, service, is_streamed=options.is_streamed)


def read_prompts(value: object) -> list[str]:
    """Return the texts of a request.

    Raises:
        BadRequestError: there is none, or they are tokens.
    """
    prompts = value if isinstance(value, list) else [value]
    if prompts and all(is_text(prompt) and prompt for prompt in prompts):
        return [str(prompt) for prompt in prompts]
    rule = "must be a text that is not empty, or a list of such texts (tokens are not served)"
    is_empty = value in ("", []) or (isinstance(value, list) and "" in value)
    raise BadRequestError(
        f"prompt is {'empty' if is_empty else kind_of(value)}, and {rule}", "prompt"
    )


def fit_in(model: ServedModel, prompts: Sequence[str], options: Options) -> list[Beginning]:
    """Return what is continued, and how long each continuation may be.

    Raises:
        BadRequestError: the context has no room, or no legal tune begins with a prompt.
    """
    engine, _ = model.ready()
    counts = [model.count(prompt) for prompt in prompts]
    if options.rules is not None:
        for prompt in prompts:
            try:
                grammar_of(options.rules).start(prompt)
            except InputError as error:
                rule = f"no legal tune begins with prompt: {error}; mend it, or write grammar=null"
                raise BadRequestError(rule, "prompt") from None
    return [
        Beginning(prompt, count, options.room(count, engine.context, "prompt"))
        for prompt, count in zip(prompts, counts, strict=True)
    ]
