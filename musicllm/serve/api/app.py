"""Puts the application together: its routes, its errors, its end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from musicllm.serve.api import chat, completions, errors, models, tunes
from musicllm.serve.api.guard import Guard
from musicllm.serve.api.service import Service
from musicllm.serve.page import app as page


def build_app(service: Service) -> FastAPI:
    """Return the application; its models are loaded when it starts.

    It has no pages of FastAPI's own, which load scripts from elsewhere.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        await run_in_threadpool(service.stop)

    app = FastAPI(title="musicllm", lifespan=lifespan, docs_url=None, redoc_url=None)
    errors.install(app)
    app.include_router(models.router(service))
    app.include_router(chat.router(service))
    app.include_router(completions.router(service))
    app.include_router(tunes.router(service))
    app.add_middleware(Guard, service=service)
    if service.page:
        page.install(app, service)
    return app
