"""A server of the API in this process, with an engine that tests steer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.serve.api.engines import Steered, client_of


@pytest.fixture
def engine() -> Steered:
    return Steered()


@pytest.fixture
def address(engine: Steered) -> Iterator[str]:
    """A server whose model `steered` is the fixture `engine`."""
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    pytest.importorskip("uvicorn", reason="the extra serve is not installed")
    from tests.browser.site import served, service_of

    with served(service_of({"steered": engine}, page=False)) as place:
        yield place
        engine.goes.set()


@pytest.fixture
def client(address: str) -> Iterator[Any]:
    """OpenAI's client of the server."""
    pytest.importorskip("openai", reason="OpenAI's client is not installed")
    with client_of(address) as own:
        yield own
