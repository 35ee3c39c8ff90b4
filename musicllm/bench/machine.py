"""Describes the machine of a measurement."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import psutil

from musicllm.data.engines.local import num_cores
from musicllm.facts import or_none, version

PACKAGES = ("torch", "transformers", "tokenizers", "datasets", "pyarrow", "numpy", "sentencepiece")
"""Packages whose versions affect the figures."""


def describe_machine() -> dict[str, Any]:
    """Return processor, cores available to this process, memory, devices and versions.

    What cannot be determined is None.
    """
    return {
        "processor": or_none(_processor),
        "cores": or_none(num_cores),
        "memory_gb": or_none(lambda: round(psutil.virtual_memory().total / 1e9, 1)),
        "devices": or_none(_devices),
        "system": or_none(platform.platform),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def _devices() -> list[str]:
    import torch

    return [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]


def _processor() -> str:
    """Return the name of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
