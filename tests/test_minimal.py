"""The switch that hides what some machines lack."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from musicllm import minimal
from musicllm.train import capabilities

LOOK = """
import sys
import musicllm
assert "torch" not in sys.modules
import shutil, subprocess, torch
from musicllm.train import capabilities
torch.cpu.get_capabilities = lambda: {"avx512_bf16": True, "amx_bf16": True, "bf16": True}
print(shutil.which("sh"), capabilities.probe("cpu").bf16)
try:
    subprocess.run(["sh", "-c", "exit"])
except FileNotFoundError:
    print("no sh")
child = "import shutil, os; print(shutil.which('sh'), os.environ['ATEN_CPU_CAPABILITY'])"
print(subprocess.run([sys.executable, "-c", child], capture_output=True, text=True).stdout.strip())
print(torch.backends.cpu.get_cpu_capability() in ("AVX2", "DEFAULT"))
"""


@pytest.mark.skipif(not minimal.is_x86(), reason="hides instructions of x86-64")
def test_under_the_switch_nothing_is_there() -> None:
    root = str(Path(minimal.__file__).parent.parent)
    environment = {**os.environ, minimal.VARIABLE: "1", "PYTHONPATH": root, "PATH": os.defpath}
    done = subprocess.run(
        [sys.executable, "-c", LOOK], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["None False", "no sh", "None avx2", "True"]


@pytest.mark.parametrize(("value", "expected"), [("1", False), ("0", True), ("", True)])
def test_the_switch_decides(monkeypatch: pytest.MonkeyPatch, value: str, expected: bool) -> None:
    for name in (*minimal.NO_PROGRAMS, *minimal.X86):
        monkeypatch.setenv(name, "as before")
    monkeypatch.setenv(minimal.VARIABLE, value)
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": True})
    minimal.hide()
    assert capabilities._cpu().bf16 is expected
    assert (os.environ["PATH"] == "as before") is expected
    assert (os.environ["ONEDNN_MAX_CPU_ISA"] == "as before") is (expected or not minimal.is_x86())
