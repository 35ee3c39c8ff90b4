"""Clients of OpenAI's `/v1/completions`, which note when the first piece of every text comes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import httpx2 as httpx

from musicllm.bench.serve.task import Load
from musicllm.errors import StageError
from musicllm.inference.requests import WritingRequest

PATIENCE_S = 1e4


class _Answer(NamedTuple):
    first_piece_s: float
    text: str
    num_tokens: int


class Site(NamedTuple):
    """A server.

    Attributes:
        url: of its root.
        model: its name there.
        fields: of every request, by which it says how many tokens it wrote.
    """

    url: str
    model: str
    fields: Mapping[str, Any]


def one_by_one(site: Site, requests: Sequence[WritingRequest]) -> Load:
    """Send one request after the other."""
    return asyncio.run(_load(site, requests, together=False))


def at_once(site: Site, requests: Sequence[WritingRequest]) -> Load:
    """Send all requests at the same time."""
    return asyncio.run(_load(site, requests, together=True))


async def _load(site: Site, requests: Sequence[WritingRequest], *, together: bool) -> Load:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=PATIENCE_S, limits=limits, trust_env=False) as client:
        began = time.perf_counter()
        if together:
            answers = await asyncio.gather(*(_ask(client, site, one) for one in requests))
        else:
            answers = [await _ask(client, site, one) for one in requests]
        seconds = time.perf_counter() - began
    return Load(
        seconds,
        tuple(answer.first_piece_s for answer in answers),
        tuple(answer.text for answer in answers),
        sum(answer.num_tokens for answer in answers),
    )


async def _ask(client: httpx.AsyncClient, site: Site, request: WritingRequest) -> _Answer:
    body = {
        **site.fields,
        "model": site.model,
        "prompt": request.text,
        "max_tokens": request.settings.max_new_tokens,
        "temperature": request.settings.temperature,
        "stream": True,
    }
    began = time.perf_counter()
    first, num_tokens = 0.0, 0
    pieces: list[str] = []
    async with client.stream("POST", f"{site.url}/v1/completions", json=body) as response:
        if response.is_error:
            raise StageError(
                f"{site.url} answers {response.status_code}: {await response.aread()!r}"
            )
        async for line in response.aiter_lines():
            if not line.startswith("data: {"):
                continue
            event = json.loads(line.removeprefix("data: "))
            text = "".join(choice.get("text") or "" for choice in event.get("choices", ()))
            num_tokens = (event.get("usage") or {}).get("completion_tokens", num_tokens)
            if text and not pieces:
                first = time.perf_counter() - began
            pieces += [text] if text else []
    return _Answer(first, "".join(pieces), num_tokens)
