"""Committed ratios per kind of machine, with which a bench compares its own.

`python -m musicllm.bench.baselines bench.json ...` writes the ratios of finished benches into
baselines.json: kind of machine -> recipe -> fingerprint of the run and ratios.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from musicllm import artifacts

FILE = Path(__file__).with_name("baselines.json")

TOLERANCE = 0.05
"""Share of the baseline by which a ratio may be worse without a mark."""


def machine_kind(accelerator: str) -> str:
    """Return the devices of a machine, such as `CPU AVX2` or `2 x NVIDIA H200`.

    Args:
        accelerator: cpu or gpu.
    """
    import torch

    if accelerator == "cpu":
        return f"CPU {torch.backends.cpu.get_cpu_capability()}"
    number = torch.cuda.device_count()
    return f"{number} x {torch.cuda.get_device_name(0)}"


def baseline_of(content: Mapping[str, Any]) -> dict[str, float] | None:
    """Return the ratios to compare with: same kind of machine, recipe and settings; else None.

    Args:
        content: of bench.json.
    """
    baseline = _read().get(content["machine"]["kind"], {}).get(content["recipe"])
    if baseline is None or baseline["fingerprint"] != content["fingerprint"]:
        return None
    ratios: dict[str, float] = baseline["ratios"]
    return ratios


def loss_against(baseline: float, value: float, goal: str) -> float:
    """Return the share of the baseline by which a value is worse; at least 0.

    A goal begins with `at least` or `at most`; a figure without one is neither better nor worse.
    """
    losses = {"at least": baseline - value, "at most": value - baseline}
    loss = max(0.0, losses.get(" ".join(goal.split()[:2]), 0.0))
    return loss and (loss / baseline if baseline else float("inf"))


def write_baseline(bench: Path) -> None:
    """Write the ratios of a bench.json into the file of baselines, in place of older ones."""
    content = json.loads(bench.read_text(encoding="utf-8"))
    baselines = _read()
    fields = ("fingerprint", "ratios", "command", "date")
    baselines.setdefault(content["machine"]["kind"], {})[content["recipe"]] = {
        name: content[name] for name in fields
    }
    text = json.dumps(baselines, indent=2, sort_keys=True)
    artifacts.write_text(FILE, f"{text}\n")


def _read() -> dict[str, Any]:
    baselines: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return baselines


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        write_baseline(Path(argument))
