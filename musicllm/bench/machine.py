"""What a figure was measured on."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

PACKAGES = ("torch", "transformers", "tokenizers", "datasets", "pyarrow", "numpy", "sentencepiece")
"""Packages whose versions bear on the figures."""


def describe_machine() -> dict[str, Any]:
    """Return processor, cores that this process may use, memory, devices and versions."""
    import torch

    return {
        "processor": _processor(),
        "cores": len(psutil.Process().cpu_affinity() or range(os.cpu_count() or 1)),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "devices": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _processor() -> str:
    """Return the processor's name, which Linux tells in a file."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
