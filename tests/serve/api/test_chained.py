"""Our engine of servers writes through our own server, with all of its sampling."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")
pytest.importorskip("uvicorn", reason="the extra serve is not installed")

from musicllm.inference.engines import EngineSource
from musicllm.inference.engines.endpoint import open_endpoint
from musicllm.inference.requests import Completion, SamplingSettings, WritingRequest
from musicllm.schema import InferenceConfig
from tests.browser.site import SAMPLING, served, service_of
from tests.serve.api.engines import Steered, said

SETTINGS = InferenceConfig(
    engine=None, model_name=None, api_key_env="NO_KEY", timeout_s=60.0, max_tries=1,
    num_parallel=2, context=None, options={},
)  # fmt: skip


def no_weights() -> Any:
    pytest.fail("no weights are needed")


@pytest.mark.parametrize("streams", [False, True])
def test_what_a_request_leaves_open_is_not_as_the_server_is_configured(
    streams: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = Steered()
    usual = dataclasses.replace(SAMPLING, top_k=9, repetition_penalty=1.5)
    service = service_of({"steered": engine}, sampling=usual, uses_grammar=True)
    settings = SamplingSettings(0.5, 0, 0.9, 1.0, 40)
    with served(service) as address:
        source = EngineSource("", no_weights, f"{address}/v1", 1, SETTINGS, Path())
        writer = open_endpoint(source)
        requests = [
            WritingRequest(tuple(said("Hi")), None, settings, 7),
            WritingRequest(None, "X:1", dataclasses.replace(settings, top_k=3), 8),
        ]
        written = dict(writer.write(requests, (lambda *_: None) if streams else None))
    assert writer.context == 1000
    assert written == {
        0: Completion("You said: Hi", 4, True, 12),
        1: Completion(" and so on after X:1", 7, True, 3),
    }
    begun = sorted(engine.requests, key=lambda request: request.seed)
    assert [request.settings for request in begun] == [own.settings for own in requests]
    assert [(request.seed, request.rules) for request in begun] == [(7, None), (8, None)]
    assert "may not follow them" not in capsys.readouterr().err
