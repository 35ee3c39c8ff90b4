"""`training.max_hours`: what fits is measured once, and the run equals one of that many steps."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from musicllm.data.corpus import Corpus
from musicllm.errors import StageError
from musicllm.runs import hours
from musicllm.train import metrics
from musicllm.train.fit import TrainingRun
from musicllm.train.hours import Pace
from tests.helpers import make_corpus
from tests.stages.test_train import pretrained

HOURS = ["training.step_choices=[]", "training.max_steps=null", "training.num_epochs=null"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus") / "corpus")


def paced(monkeypatch: pytest.MonkeyPatch, step_s: float) -> list[Path]:
    """Let a measurement return a pace; return the folders of the measurements."""
    folders: list[Path] = []

    def measure(run: TrainingRun, *_: object) -> Pace:
        folders.append(run.folder)
        return Pace(step_s, start_s=0.0, end_s=0.0, num_steps=3)

    monkeypatch.setattr(TrainingRun, "measure", measure)
    return folders


def test_the_first_steps_fix_the_length_once(
    tmp_path: Path, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = paced(monkeypatch, 1000.0)
    words = [*HOURS, "training.max_hours=1", "training.checkpoint_every_steps=1"]
    job, summary = pretrained(tmp_path, corpus, *words)
    assert summary["steps"] == "3"  # 3,600 s without 2 %
    first = job.existing()
    assert first is not None
    assert first.facts["chosen"] == {"num_steps": 3}
    plan = json.loads((job.folder / "plan.json").read_text())
    assert plan["num_steps"] == 3
    assert plan["duration"]["hours"] == 3 * 1000 / 3600, "by the measured time of a step"
    assert plan["length"]["why"].startswith(
        "the most that end within 60 min at 1e+03 s a step, measured over 3 steps"
    )
    assert not (job.folder / hours.FOLDER).exists()

    paced(monkeypatch, 1.0)  # faster now, but the length is fixed
    shutil.rmtree(job.artifact_path)
    again, summary = pretrained(tmp_path, corpus, *words)
    assert summary["steps"] == "3, of which 3 were done before"
    assert again.existing() is not None
    assert len(folders) == 1

    shutil.rmtree(job.folder)  # a new run of the same settings: another length, another identity
    paced(monkeypatch, 600.0)
    other, summary = pretrained(tmp_path, corpus, *words)
    second = other.existing()
    assert summary["steps"] == "5"
    assert second is not None
    assert second.fingerprint != first.fingerprint


def test_hours_that_are_too_short_are_refused_before_training(
    tmp_path: Path, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    paced(monkeypatch, 4000.0)
    with pytest.raises(StageError, match=r"training\.max_hours=1 is over before the first step"):
        pretrained(tmp_path, corpus, *HOURS, "training.max_hours=1")


def test_the_price_of_this_start_is_in_the_summary(tmp_path: Path, corpus: Corpus) -> None:
    _, summary = pretrained(tmp_path, corpus, "hardware.price_per_hour=7200")
    price, _, seconds, unit, *devices = str(summary["price"]).split()
    assert float(price.replace(",", "")) == pytest.approx(2 * float(seconds), abs=0.011)
    assert [unit, *devices] == ["s", "of", "1", "x", "CPU"]
    assert "price" not in pretrained(tmp_path, corpus, "seed=2")[1]


def test_a_measured_run_equals_one_whose_steps_are_set(tmp_path: Path, corpus: Corpus) -> None:
    """Nothing of the measurement remains: weights, metrics and schedule are those of `max_steps`.

    The measured pace of a tiny model allows more steps than `training.max_steps`, which limits.
    """
    runs = {}
    for name, words in {"hours": ["training.max_hours=0.05"], "steps": []}.items():
        limits = [*HOURS, "training.max_steps=4", "schedule=cosine", *words]
        job, _ = pretrained(tmp_path / name, corpus, *limits)
        losses = [
            {key: value for key, value in line.items() if not key.startswith("perf/")}
            for line in metrics.read(job.folder / "metrics.jsonl")
        ]
        runs[name] = ((job.artifact_path / "model.safetensors").read_bytes(), losses)
        length = json.loads((job.folder / "plan.json").read_text())["length"]
        if name == "hours":
            expected = "all of training.num_epochs or max_steps, which end within 3 min"
            assert length["why"].startswith(expected)
    assert runs["hours"] == runs["steps"]
