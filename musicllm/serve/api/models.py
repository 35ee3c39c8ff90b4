"""`/v1/models` and `/health`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from musicllm.serve.api.service import ServedModel, Service


def router(service: Service) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()

    @routes.get("/health")
    async def health() -> dict[str, Any]:
        return {"models": {name: model.state for name, model in service.models.items()}}

    @routes.get("/v1/models")
    async def models() -> dict[str, Any]:
        data = [_shown(model, service) for model in service.models.values()]
        return {"object": "list", "data": data}

    @routes.get("/v1/models/{name:path}")
    async def model(name: str) -> dict[str, Any]:
        return _shown(service.listed(name), service)

    return routes


def _shown(model: ServedModel, service: Service) -> dict[str, Any]:
    """Return a model in OpenAI's form, with its state and context."""
    return {
        "id": model.name,
        "object": "model",
        "created": service.started,
        "owned_by": "musicllm",
        "musicllm": {
            "state": model.state,
            "error": model.error or None,
            "follows_grammar": model.follows_grammar,
            "context": None if model.engine is None else model.engine.context,
        },
    }
