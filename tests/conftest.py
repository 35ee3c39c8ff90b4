"""What all tests share; imports musicllm before torch, as `MUSICLLM_MINIMAL_MACHINE` needs it."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Iterator

import pytest

import musicllm  # noqa: F401

if "PYTEST_XDIST_WORKER" in os.environ:  # two workers on two cores: a thread each, read by torch
    os.environ.setdefault("OMP_NUM_THREADS", "1")
signal.signal(signal.SIGINT, signal.default_int_handler)  # which shells ignore in the background


@pytest.fixture
def native_bfloat16(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A CPU that says it computes in bfloat16; where it does not, torch emulates it."""
    from musicllm.train import capabilities

    able = dataclasses.replace(capabilities._cpu(), bf16=True)
    monkeypatch.setattr(capabilities, "_cpu", lambda: able)
    capabilities.probe.cache_clear()
    yield
    capabilities.probe.cache_clear()
