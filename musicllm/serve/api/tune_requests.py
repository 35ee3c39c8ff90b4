"""`/v1/tunes`: a request in words or in fields; the answer with its tunes, checked and as files."""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson
from fastapi import Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from musicllm.errors import InputError, MusicLLMError
from musicllm.inference.requests import WritingRequest
from musicllm.music.grammar import TuneRules
from musicllm.music.render import Playing
from musicllm.serve import composing
from musicllm.serve.api.bodies import Fields, Unserved, check_names, read_object
from musicllm.serve.api.chat import fit_in
from musicllm.serve.api.errors import BadRequestError
from musicllm.serve.api.fields import LABELS, OWN, SAMPLING
from musicllm.serve.api.options import Options, read_options
from musicllm.serve.api.replies import CLIENT_LEFT, FINISHES, Form
from musicllm.serve.api.service import ServedModel, Service
from musicllm.serve.api.texts import Collected, Text, Writings, until_cut, until_left
from musicllm.serve.composing import Brief
from musicllm.serve.tunes import FileRequest, TuneWorkshops, file_name, formats

FIELDS = ("model", "prompt", "brief", "wording", "formats", *SAMPLING, *OWN, *LABELS)
UNSERVED = {
    "stream": Unserved("/v1/chat/completions streams; tunes are checked when whole", (False,)),
    "messages": Unserved("write prompt or brief, or a conversation to /v1/chat/completions"),
}
DEFAULT_FORMATS = ("musicxml", "midi", "svg")
MAX_CHOICES = 16
"""Of `n`: every choice has files."""
MAX_TUNES = 16
"""Tunes of a choice that get files."""
MAX_WORDING = 1_000_000


@dataclass(frozen=True)
class Wanted:
    """What a request wants.

    Attributes:
        words: that the model is asked with.
        brief: that they were made of; None for a request in words.
        options: of the writing; their rules are those of the brief.
        formats: of the files.
    """

    words: str
    brief: Brief | None
    options: Options
    formats: Sequence[str]


async def answer(request: Request, service: Service, workshops: TuneWorkshops) -> Response:
    """Answer a request; raises what `errors` turns into answers."""
    body = service.with_hidden_fields(await read_object(request))
    check_names(body, FIELDS, UNSERVED)
    fields = Fields(body)
    model = service.model(fields.text("model"))
    wanted = await run_in_threadpool(read_wanted, fields, service)
    model.ready()
    messages = service.with_system([{"role": "user", "content": wanted.words}])
    options, param = wanted.options, "prompt" if wanted.brief is None else "brief"
    fitted = await run_in_threadpool(fit_in, model, messages, options, drops=False, param=param)
    settings = options.settings_of(fitted.max_new_tokens)
    requests = [
        WritingRequest(fitted.messages, None, settings, seed, options.rules)
        for seed in service.seeds(options.seed, options.num_choices)
    ]
    writings = await Writings.begin(model, requests, options.stops)
    form = Form("chat", model.name, fitted.num_tokens)
    result: dict[str, Any] = {}

    async def work() -> None:
        collected = Collected(writings.count)
        await writings.follow(collected)
        result.update(await _whole(collected.texts, wanted, model, form, workshops))

    try:
        await until_left(until_cut(work(), service.closing), request.receive)
    finally:
        await writings.close()
    return JSONResponse(result) if result else Response(status_code=CLIENT_LEFT)


def read_wanted(fields: Fields, service: Service) -> Wanted:
    """Return what a request wants.

    Raises:
        BadRequestError: a field has the wrong type or range, or contradicts another.
    """
    fields.whole("n", 1, MAX_CHOICES, 1)
    options = read_options(fields, service)
    wanted_formats = _formats(fields)
    prompt, values = fields.text("prompt"), fields.raw("brief")
    if (prompt is None) == (values is None):
        rule = "write either prompt, a request in words, or brief, an object of fields"
        raise BadRequestError(rule, "prompt")
    if prompt is not None:
        if fields.has("wording"):
            raise BadRequestError("wording is only for a brief", "wording")
        if not prompt.strip():
            raise BadRequestError("prompt is empty: there is nothing to answer", "prompt")
        return Wanted(prompt, None, options, wanted_formats)
    if not isinstance(values, dict):
        raise fields.error("brief", "must be an object {...}")
    if fields.has("tune"):
        raise BadRequestError("tune is stated by the brief; leave one of them out", "tune")
    brief, rules = _brief(values, options.rules)
    wording = fields.whole("wording", 0, MAX_WORDING, 0)
    try:
        words = composing.request(brief, wording)
    except InputError as error:
        raise BadRequestError(f"brief: {error}", "brief") from None
    return Wanted(words, brief, replace(options, rules=rules), wanted_formats)


def _brief(values: Mapping[str, Any], base: TuneRules | None) -> tuple[Brief, TuneRules | None]:
    """Return a brief and the rules of its tune; None without the grammar, or an answer in words.

    Raises:
        BadRequestError: a field is unknown, wrong or missing, or contradicts another.
    """
    try:
        brief = Brief.read(values)
    except InputError as error:
        raise BadRequestError(f"brief: {error}", "brief") from None
    uses_grammar = base is not None and brief.writes_tune
    if complaints := composing.complaints(brief, uses_grammar=uses_grammar):
        rules = "; ".join(f"brief.{own.field} {own.text}" for own in complaints)
        raise BadRequestError(rules, f"brief.{complaints[0].field}")
    if base is None or not brief.writes_tune:
        return brief, None
    return brief, composing.rules(brief, base)


def _formats(fields: Fields) -> tuple[str, ...]:
    value = fields.raw("formats")
    known = formats()
    if value is None:
        return DEFAULT_FORMATS
    if not isinstance(value, list) or not all(isinstance(own, str) for own in value):
        raise fields.error("formats", f"must be a list of {', '.join(sorted(known))}")
    if unknown := [own for own in value if own not in known]:
        rule = f"formats has {unknown[0]}, which is none of {', '.join(sorted(known))}"
        raise BadRequestError(rule, "formats")
    return tuple(dict.fromkeys(value))


async def _whole(
    texts: Sequence[Text],
    wanted: Wanted,
    model: ServedModel,
    form: Form,
    workshops: TuneWorkshops,
) -> dict[str, Any]:
    """Return the answer to a request whose texts are written."""
    rules, usage = wanted.options.rules, form.usage(texts)
    result: dict[str, Any] = {
        "id": f"tunes-{secrets.token_hex(12)}",
        "object": "tunes",
        "created": int(time.time()),
        "model": model.name,
        "request": wanted.words,
        "grammar": None if rules is None else "abc",
        "tune": None if rules is None else asdict(rules),
        "choices": [],
        "right_answer": None,
        **({} if usage is None else {"usage": usage}),
    }
    if wanted.brief is not None:
        result["right_answer"] = await run_in_threadpool(composing.right_answer, wanted.brief)
    for index, text in enumerate(texts):
        choice = {
            "index": index,
            "text": text.text,
            "finish_reason": FINISHES[text.end],
            "musicllm": form.own(text),
            "met": [],
            "breach": text.breach or "",
        }
        if wanted.brief is not None:
            met = await run_in_threadpool(composing.met, wanted.brief, text.text)
            choice["met"] = [asdict(own) for own in met]
        result["choices"].append(choice | await _tunes(text.text, wanted.formats, workshops))
    return result


async def _tunes(text: str, names: Sequence[str], workshops: TuneWorkshops) -> dict[str, Any]:
    """Return the tunes of a text with their files, and why there is none."""
    try:
        found: dict[str, Any] = orjson.loads(await workshops.check(text))
    except InputError as error:
        return {"tunes": [], "problem": str(error)}
    for place, tune in enumerate(found["tunes"]):
        reason = "the tune does not parse" if not tune["parses"] else ""
        if place >= MAX_TUNES:
            reason = f"only the first {MAX_TUNES} tunes get files"
        if reason:
            files = [{"format": name, "problems": [f"no {name}: {reason}"]} for name in names]
            tune["files"] = files
            continue
        works = [_file(tune["abc"], name, workshops) for name in names]
        tune["files"] = list(await asyncio.gather(*works))
    return found


async def _file(abc: str, name: str, workshops: TuneWorkshops) -> dict[str, Any]:
    """Return a file as JSON: text as it is, other bytes in base 64; or why there is none."""
    request = FileRequest(abc, name, Playing())
    result = {"format": name, "name": file_name(request)}
    try:
        file = await workshops.file(request)
    except MusicLLMError as error:
        return {**result, "problems": [f"no {name}: {error}"]}
    result |= {"media_type": file.media_type}
    if file.media_type.endswith("xml"):
        content = {"text": file.content.decode()}
    else:
        content = {"base64": base64.b64encode(file.content).decode()}
    return {**result, **content, "problems": list(file.problems)}
