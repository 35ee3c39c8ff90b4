"""`/v1/tunes`, and below it `check` and `render`: what is known of tunes, and files of them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal, TypeVar
from urllib.parse import quote

from fastapi import APIRouter, FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool

from musicllm.music.render import Playing
from musicllm.serve.api import tune_requests
from musicllm.serve.api.bodies import read_object
from musicllm.serve.api.errors import BadRequestError
from musicllm.serve.api.service import Service
from musicllm.serve.api.texts import until_cut
from musicllm.serve.tunes import (
    MAX_CHARS,
    FieldError,
    FileRequest,
    TuneFile,
    TuneWorkshops,
    file_name,
)

B = TypeVar("B", bound=BaseModel)


class CheckBody(BaseModel):
    """Body of `/v1/tunes/check`; null is as left out.

    Attributes:
        abc: a text with tunes.
        is_tune: the whole text is one tune.
        offsets: what places count.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    abc: str = Field(max_length=MAX_CHARS)
    is_tune: bool | None = None
    offsets: Literal["characters", "utf-16"] | None = None


class RenderBody(BaseModel):
    """Body of `/v1/tunes/render`; null is as left out.

    Attributes:
        abc: one tune.
        format: such as `midi`.
        transpose: semitones up.
        tempo: factor on the tempo.
        program: General MIDI number of the instrument, from 0.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    abc: str = Field(max_length=MAX_CHARS)
    format: str
    transpose: int | None = None
    tempo: float | None = Field(None, allow_inf_nan=False)
    program: int | None = None

    def request(self) -> FileRequest:
        """Return what is to be made.

        Raises:
            FieldError: a value is none that is allowed.
        """
        tempo = 1.0 if self.tempo is None else self.tempo
        playing = Playing(self.transpose or 0, tempo, self.program)
        return FileRequest(self.abc, self.format, playing)


def router(service: Service) -> APIRouter:
    """Return the routes; their threads end with the application."""
    workshops = TuneWorkshops()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(workshops.close)

    routes = APIRouter(prefix="/v1/tunes", lifespan=lifespan)

    @routes.post("")
    async def tunes(request: Request) -> Response:
        return await tune_requests.answer(request, service, workshops)

    @routes.post("/check")
    async def check(request: Request) -> Response:
        body = await _read(request, CheckBody)
        utf16 = body.offsets == "utf-16"
        work = workshops.check(body.abc, is_tune=bool(body.is_tune), utf16=utf16)
        content = await until_cut(work, service.closing)
        return Response(content, media_type="application/json")

    @routes.post("/render")
    async def render(request: Request) -> Response:
        body = await _read(request, RenderBody)
        try:
            wanted = body.request()
            file = await until_cut(workshops.file(wanted), service.closing)
        except FieldError as error:
            raise BadRequestError(str(error), error.field) from None
        return Response(file.content, media_type=file.media_type, headers=_headers(wanted, file))

    return routes


async def _read(request: Request, model: type[B]) -> B:
    """Return the body of a request.

    Raises:
        BadRequestError: it is no JSON object, or a field is missing, unknown or of another type.
    """
    values = await read_object(request)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise BadRequestError(f"{place}: {first['msg']}", place) from None


def _headers(request: FileRequest, file: TuneFile) -> dict[str, str]:
    """Return the headers of a file: its name, and what is not as the tune says, as JSON."""
    plain, own = file_name(request), quote(file_name(request, is_plain=False), safe="")
    extended = "" if own == plain else f"; filename*=UTF-8''{own}"  # RFC 6266
    headers = {
        "Content-Disposition": f'attachment; filename="{plain}"{extended}',
        "X-MusicLLM-Problems": json.dumps(file.problems),
    }
    if file.sound_engine:
        headers["X-MusicLLM-Sound-Engine"] = file.sound_engine
    return headers
