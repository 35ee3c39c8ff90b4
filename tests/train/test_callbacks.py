from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from musicllm import console
from musicllm.train import metrics
from musicllm.train.callbacks.metrics import perplexity
from musicllm.train.fit import TrainingRun
from tests.rows import make_documents, write_rows


def test_perplexity() -> None:
    assert perplexity(math.log(8)) == pytest.approx(8)
    assert perplexity(1000.0) == math.inf


def test_the_bar_counts_what_is_left_and_shows_losses(
    make_run: Callable[..., TrainingRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    bars: list[tuple[str, int | None]] = []
    notes: list[str] = []

    class Bar:
        def __init__(self, description: str, total: int | None) -> None:
            bars.append((description, total))

        def __enter__(self) -> Callable[..., None]:
            def advance(*, note: str) -> None:
                notes.append(note)

            return advance

        def __exit__(self, *_: object) -> None:
            bars.append(("closed", None))

    monkeypatch.setattr(console, "progress", Bar)
    make_run(progress_bar=True, max_steps=6, validate_every_steps=4).fit()
    assert bars == [("training", 6), ("closed", None)]
    assert len(notes) == 6
    assert notes[0].startswith("loss 3.")
    assert "validation" not in notes[3]
    assert ", validation 3." in notes[4]


def test_a_line_has_speed_utilisation_and_memory(make_run: Callable[..., TrainingRun]) -> None:
    run = make_run(max_steps=2, log_every_steps=2, flops_per_token=5e6, peak_flops_per_s=1e9)
    run.fit()
    (line,) = [line for line in metrics.read(run.folder / metrics.NAME) if "train/loss" in line]
    assert line["perf/mfu"] == pytest.approx(line["perf/tokens_per_s"] * 5e6 / 1e9)
    assert line["perf/memory_peak_gb"] > 0.05
    assert line["train/perplexity"] == pytest.approx(math.exp(line["train/loss"]))
    assert "train/loss_scale" not in line, "fp16 only"


def test_every_source_has_its_own_validation_loss(
    make_run: Callable[..., TrainingRun], tmp_path: Path
) -> None:
    documents = make_documents([1, 2, 3, 4], [5, 6, 7], [8, 9], unsupervised=[6])
    rows = write_rows(tmp_path / "mixed", documents, "pack", max_length=24, source=[2, 0, 2])
    run = make_run(max_steps=1, source_names=("text", "unused", "music"))
    run = dataclasses.replace(run, validation_rows=rows)
    run.fit()
    (line,) = [line for line in metrics.read(run.folder / metrics.NAME) if "val/loss" in line]
    assert {name for name in line if name.startswith("val/loss/")} == {
        "val/loss/text", "val/loss/music"
    }  # fmt: skip
    # of the supervised tokens, 1 is text and 4 are music
    mean = (line["val/loss/text"] + 4 * line["val/loss/music"]) / 5
    assert line["val/loss"] == pytest.approx(mean, rel=1e-6)
