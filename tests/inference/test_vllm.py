"""The engine of vLLM: the process that it starts, and the protocol that it speaks with it."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from musicllm.data.encoder import Encoder
from musicllm.errors import ConfigError, InputError, NotAvailableError
from musicllm.inference.engines import EngineSource, vllm
from musicllm.inference.engines.vllm import VllmEngine, open_vllm
from musicllm.inference.requests import Completion, SamplingSettings, WritingRequest
from musicllm.music.grammar import TuneRules
from musicllm.schema import InferenceConfig
from tests.helpers import TEMPLATE, make_tune
from tests.inference import stub_vllm

SETTINGS = SamplingSettings(0.7, 5, 0.9, 1.2, 16)
MESSAGES = ({"role": "user", "content": "A reel in D."},)
Open = Callable[..., VllmEngine]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    from musicllm.data.vocabulary import train_tokenizer

    folder = tmp_path / "model"
    train_tokenizer(map(make_tune, range(4)), 270, TEMPLATE).save_pretrained(folder)
    return folder


@pytest.fixture
def source(model: Path, tmp_path: Path) -> Callable[..., EngineSource]:
    """Return what the engine is opened with, with the stub in vLLM's place."""
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {stub_vllm.__file__} "$@"\n')
    program.chmod(0o755)

    def make(*arguments: str, options: dict[str, Any] | None = None, **more: Any) -> EngineSource:
        own = {
            "python": str(program),
            "arguments": ["--record", str(tmp_path / "record.jsonl"), *arguments],
        }
        settings = InferenceConfig(
            engine="vllm", model_name=None, api_key_env="KEY", timeout_s=5.0, max_tries=1,
            num_parallel=3, context=128, options=own if options is None else options,
        )  # fmt: skip
        load = lambda: pytest.fail("no weights are loaded here")  # noqa: E731
        return dataclasses.replace(
            EngineSource(str(model), load, None, 1, settings, tmp_path), **more
        )

    return make


def test_prompts_are_the_tokens_of_the_training_data(
    source: Callable[..., EngineSource], model: Path, tmp_path: Path
) -> None:
    encoder = Encoder.load(model)
    engine = open_vllm(source())
    try:
        assert engine.context == 128
        assert engine.count_tokens(MESSAGES) == len(encoder.prompt(MESSAGES))
        requests = [
            WritingRequest(MESSAGES, None, SETTINGS, 2**31 + 3, TuneRules(required=True)),
            WritingRequest(None, "X:1\n", SETTINGS, 4, TuneRules(required=True)),
        ]
        pieces: list[tuple[int, str]] = []
        written = dict(engine.write(requests))
        streamed = dict(engine.write(requests, lambda *piece: pieces.append(piece)))
    finally:
        engine.close()
    prompts = [encoder.prompt(MESSAGES), encoder.text("X:1\n", is_whole=False)]
    assert written == streamed
    assert written == {
        index: Completion(" ".join(map(str, ids)), 3, True, len(ids))
        for index, ids in enumerate(prompts)
    }
    assert sorted(pieces) == [(index, written[index].text) for index in range(2)]
    asked = [json.loads(line) for line in (tmp_path / "record.jsonl").read_text().splitlines()]
    by_prompt = {len(body["prompt"]): body for body in asked[:2]}
    first, second = (by_prompt[len(ids)] for ids in prompts)
    sampling = {"temperature": 0.7, "top_k": 5, "top_p": 0.9, "repetition_penalty": 1.2,
                "min_p": 0.0, "max_tokens": 16, "seed": 3, "model": "model",
                "stop_token_ids": encoder.end_ids}  # fmt: skip
    assert {name: first[name] for name in sampling} == sampling
    assert first["structured_outputs"]["grammar"].startswith("start: tune")
    assert "structured_outputs" not in second  # the grammar is of whole tunes


def test_the_process_ends_with_the_engine(source: Callable[..., EngineSource]) -> None:
    engine = open_vllm(source())
    process = engine._process._process
    assert process.poll() is None
    engine.close()
    assert process.poll() is not None


def test_a_process_that_ends_says_why(source: Callable[..., EngineSource]) -> None:
    with pytest.raises(NotAvailableError, match=r"(?s)status 3; its log .*RuntimeError: no device"):
        open_vllm(source("--misbehave", "at once"))
    engine = open_vllm(source("--misbehave", "later"))
    with pytest.raises(NotAvailableError, match=r"(?s)status 4; its log .*EngineDeadError"):
        list(engine.write([WritingRequest(MESSAGES, None, SETTINGS, 1)]))
    engine.close()


def test_a_long_prompt_is_refused_before_anything_is_written(
    source: Callable[..., EngineSource],
) -> None:
    engine = open_vllm(source())
    try:
        with pytest.raises(InputError, match=r"prompt 1 has .* the model's 128 positions"):
            list(engine.write([WritingRequest(None, "|" * 200, SETTINGS, 1)]))
    finally:
        engine.close()


def test_what_it_cannot_be_opened_with_is_refused(
    source: Callable[..., EngineSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm, "find_spec", lambda _name: None)
    with pytest.raises(NotAvailableError, match=r"needs vLLM, which is not installed here: pip"):
        open_vllm(source(options={}))
    with pytest.raises(InputError, match=r"takes whole models, and .*lora is an adapter; merge it"):
        open_vllm(source(adapter=Path("lora")))
    with pytest.raises(ConfigError) as error:
        open_vllm(source(options={"python": "/no/python", "arguments": "--x", "dtype": "half"}))
    assert [str(problem) for problem in error.value.problems] == [
        "inference.options.dtype=half is no option of vllm: python, arguments",
        "inference.options.python=/no/python is no program",
        "inference.options.arguments=--x is no list; write such as [--dtype,float32]",
    ]


def test_the_key_is_not_in_the_command(source: Callable[..., EngineSource]) -> None:
    engine = open_vllm(source())
    try:
        command = Path(f"/proc/{engine._process._process.pid}/cmdline").read_bytes()
        assert engine._server.key is not None
        assert engine._server.key.encode() not in command
        assert "VLLM_API_KEY" not in os.environ
    finally:
        engine.close()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="prctl is of Linux")
def test_a_killed_run_leaves_no_process(source: Callable[..., EngineSource]) -> None:
    opened = source()
    words = [opened.settings.options["python"], "-m", "x", "--max-model-len", "64"]
    script = (
        "import os, signal\n"
        "from musicllm.inference.engines.vllm import VllmProcess\n"
        f"process = VllmProcess({words!r})\n"
        "print('pid', process._process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == -signal.SIGKILL, run.stderr
    pid = run.stdout.split("pid ")[1].strip()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}/cmdline").exists() and time.monotonic() < deadline:
        if not Path(f"/proc/{pid}/cmdline").read_bytes():
            return  # it has ended, and waits for its parent to take notice
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()
