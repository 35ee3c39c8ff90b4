"""What all tests share; imports musicllm before torch, as `MUSICLLM_MINIMAL_MACHINE` needs it."""

from __future__ import annotations

import copy
import dataclasses
import gc
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from musicllm import console, registry

if "PYTEST_XDIST_WORKER" in os.environ:  # two workers on two cores: a thread each, read by torch
    os.environ.setdefault("OMP_NUM_THREADS", "1")
signal.signal(signal.SIGINT, signal.default_int_handler)  # which shells ignore in the background


def pytest_collection_finish() -> None:
    """Take the modules out of each search for garbage, a tenth of the time of a composition."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _parsed_once() -> Iterator[None]:
    """Parse each text of YAML once, a quarter of the time of a composition."""
    from omegaconf import OmegaConf

    load, parsed = OmegaConf.load, {}

    def load_once(file: Any) -> Any:
        if not hasattr(file, "read"):
            return load(file)
        text = file.read()
        if text not in parsed:
            file.seek(0)
            parsed[text] = load(file)
        return copy.deepcopy(parsed[text])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OmegaConf, "load", staticmethod(load_once))
        yield


@pytest.fixture(autouse=True)
def _extensions_end_with_their_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep workers from importing what an earlier test loaded, whose kinds may share names."""
    monkeypatch.setattr(registry, "_loaded", [])


@pytest.fixture(autouse=True)
def _output_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take back what a rank and a contestant of a benchmark do: mute their process."""
    monkeypatch.setattr(console.out, "quiet", False)


@pytest.fixture
def native_bfloat16(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A CPU that says it computes in bfloat16; where it does not, torch emulates it."""
    from musicllm.train import capabilities

    able = dataclasses.replace(capabilities._cpu(), bf16=True)
    monkeypatch.setattr(capabilities, "_cpu", lambda: able)
    capabilities.probe.cache_clear()
    yield
    capabilities.probe.cache_clear()
