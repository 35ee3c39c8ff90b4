"""Training with the command in each precision, against float32 on the CPU."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.gpu.check.finding import Finding, Setting, at_most, attempt

PRECISIONS = {"fp32": 2e-3, "bf16": 0.05, "fp16": 0.05}
"""Precision -> most nats that a loss may be away from the CPU's in float32."""

STEPS = 12


def run(setting: Setting) -> Iterator[Finding]:
    """Yield the largest difference of the losses of all steps, and what else a precision needs."""
    corpus = write_corpus(setting.work)
    expected = losses(train(setting, corpus, "hardware=cpu", "hardware.precision=fp32"))
    yield Finding("steps on the CPU", len(expected), "steps", note=f"losses {_few(expected)}")
    for precision, limit in PRECISIONS.items():
        if setting.device == "cpu" and precision != "fp32":
            yield Finding(precision, verdict="not here", note="it is compared on GPUs")
            continue

        def check(precision: str = precision, limit: float = limit) -> Iterator[Finding]:
            words = [hardware(setting), f"hardware.precision={precision}", f"name={precision}"]
            yield from compare(precision, expected, train(setting, corpus, *words), limit)

        yield from attempt(precision, check)
    yield from attempt("compiled", lambda: _compiled(setting, corpus, expected))


def _compiled(setting: Setting, corpus: Path, expected: list[float]) -> Iterator[Finding]:
    if setting.device == "cpu":
        yield Finding("compiled", verdict="not here", note="it does not pay on a CPU")
        return
    words = [hardware(setting), "hardware.precision=bf16", "training.compile=true", "name=compiled"]
    yield from compare("bf16, compiled", expected, train(setting, corpus, *words), 0.05)


def write_corpus(folder: Path) -> Path:
    """Write a small corpus of tunes, and return its folder."""
    from tests.helpers import make_corpus

    return make_corpus(folder / "corpus", num_tunes=200).path


def hardware(setting: Setting) -> str:
    """Return the word that chooses the device."""
    return "hardware=gpu1" if setting.device == "cuda" else "hardware=cpu"


def train(setting: Setting, corpus: Path, *words: str) -> list[dict[str, Any]]:
    """Train a few steps with the command, and return the lines of metrics.jsonl."""
    from musicllm.launch import runner
    from musicllm.runs import composing
    from musicllm.train import metrics

    outcome = runner.run(
        *composing.load(
            [
                "recipe=quickstart/pretrain",
                f"paths.runs={setting.work / 'runs'}",
                f"inputs.corpus={corpus}",
                "training.step_choices=[]",
                f"training.max_steps={3 if setting.dry else STEPS}",
                "training.log_every_steps=1",
                "training.validate_every_steps=100",
                "optimizer=adamw",
                "callbacks.progress_bar=false",
                f"hardware.num_threads={1 if setting.dry else 8}",
                *words,
            ],
            (),
        )
    )
    return list(metrics.read(outcome.folder / "metrics.jsonl"))


def losses(lines: list[dict[str, Any]]) -> list[float]:
    """Return the training losses of all steps."""
    return [line["train/loss"] for line in lines if "train/loss" in line]


def compare(
    name: str, expected: list[float], lines: list[dict[str, Any]], limit: float
) -> Iterator[Finding]:
    """Yield how far the losses are from those of the CPU, and the loss scale where there is one."""
    actual = losses(lines)
    if len(actual) != len(expected):
        note = f"{len(actual)} steps instead of {len(expected)}"
        yield Finding(name, verdict="wrong", note=note)
        return
    far = max(abs(a - e) for a, e in zip(actual, expected, strict=True))
    note = f"losses {_few(actual)}"
    yield at_most(f"{name}: largest difference", far if math.isfinite(far) else math.inf, limit,
                  "nats", note)  # fmt: skip
    last = next((line for line in reversed(lines) if "train/loss_scale" in line), None)
    if last is not None:
        skipped = last.get("train/skipped_steps", 0.0)
        yield Finding(f"{name}: loss scale", last["train/loss_scale"])
        yield at_most(f"{name}: skipped updates", skipped, len(expected) / 2)


def _few(values: list[float]) -> str:
    return ", ".join(f"{value:.4f}" for value in values[:: max(1, len(values) // 3)])
