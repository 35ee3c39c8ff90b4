"""Serves the page's files under a strict policy, and what the page has to know."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from musicllm.inference.requests import SamplingSettings
from musicllm.schema import GenerationConfig, TuneConfig
from musicllm.schema.keys import settings as keys
from musicllm.serve.api.service import Service
from musicllm.serve.page import compare, compose, sounds
from musicllm.serve.page.examples import EXAMPLES
from musicllm.serve.page.policy import Policy

STATIC = Path(__file__).parent / "static"


def install(app: FastAPI, service: Service) -> None:
    """Add the page to an application."""
    app.add_middleware(Policy)

    @app.get("/", include_in_schema=False)
    async def _index() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    @app.get("/page/settings.json", include_in_schema=False)
    async def _settings() -> dict[str, Any]:
        return settings(service)

    app.include_router(compose.router(service))
    app.include_router(compare.router(service))
    app.include_router(sounds.router())
    app.mount("/static", StaticFiles(directory=STATIC), name="static")


def settings(service: Service) -> dict[str, Any]:
    """Return what the page has to know."""
    models = [
        {
            "name": model.name,
            "state": model.state,
            "error": model.error,
            "follows_grammar": model.follows_grammar,
            "context": None if model.engine is None else model.engine.context,
        }
        for model in service.models.values()
    ]
    return {
        "models": models,
        "defaults": {
            **asdict(service.sampling),
            "grammar": "abc" if service.uses_grammar else None,
            "seed": service.seed,
        },
        "limits": {
            "max_new_tokens": service.settings.max_new_tokens,
            "max_body_mb": service.settings.max_body_mb,
            "time_limit_s": service.settings.time_limit_s,
        },
        "fields": _fields(),
        "rules": asdict(service.rules),
        "rule_meanings": {name: setting.key.meaning for name, setting in keys(TuneConfig).items()},
        "examples": [example._asdict() for example in EXAMPLES],
        "preferences": service.preferences is not None,
        "families": compose.families(),
    }


def _fields() -> dict[str, dict[str, Any]]:
    """Return limits and meaning of each setting of the sampling."""
    of_generation = keys(GenerationConfig)
    chosen = {field.name: of_generation[field.name] for field in fields(SamplingSettings)}
    return {
        name: {
            "low": setting.key.low,
            "high": setting.key.high,
            "is_whole": setting.type is int,
            "meaning": setting.comment,
        }
        for name, setting in chosen.items()
    }
