"""Tunes during training, from the configuration to files in the run folder."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from musicllm import config as configuration
from musicllm.data.corpus import Corpus
from musicllm.errors import InputError
from musicllm.evals import samples_in_training
from musicllm.inference.requests import Completion
from musicllm.model import base
from musicllm.runs.settings import sampling_settings
from musicllm.schema import Config
from musicllm.stages import train
from musicllm.train import metrics
from musicllm.train.tunes import SampleWriter
from tests.helpers import make_corpus, make_tune
from tests.stages.test_train import job_of

WRITING = ("callbacks.samples_every_steps=2", "callbacks.num_samples=2")


def writer(config: Config, corpus: Corpus) -> SampleWriter:
    return samples_in_training.sample_writer(
        config.callbacks,
        sampling_settings(config),
        corpus,
        seed=config.seed,
        batch_size=config.hardware.max_rows_per_device,
    )


def config_of(*words: str) -> Config:
    config, _ = configuration.load(["recipe=quickstart/pretrain", *WRITING, *words])
    return config


def answering(monkeypatch: pytest.MonkeyPatch, texts: Sequence[str]) -> list[dict[str, Any]]:
    """Let the model answer so, and return what it is asked."""
    calls: list[dict[str, Any]] = []

    def sample(_model: Any, encoder: Any, prompts: Any, settings: Any, **rest: Any) -> Any:
        inputs = [encoder.decode(prompt) for prompt in prompts]
        calls.append({"prompts": inputs, "settings": settings, **rest})
        return [Completion(text, 9, finished=True, num_prompt_tokens=5) for text in texts]

    monkeypatch.setattr(samples_in_training, "sample", sample)
    return calls


def test_a_run_writes_tunes_and_measures_them(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    job = job_of(tmp_path, "quickstart/pretrain", corpus, *WRITING)
    train.run(job)
    lines = list(metrics.read(job.folder / "metrics.jsonl"))
    reports = [line for line in lines if "music/parse_share" in line]
    assert [line["step"] for line in reports] == [2, 3], "every second, and the last"
    listed = json.loads((job.folder / "samples/step-00000003/tunes.json").read_text())
    assert [tune["prompt"] for tune in listed] == ["X:1\n", "X:1\n"]
    assert all(tune["text"].startswith("X:1\n") for tune in listed)
    assert {"val/loss/made", "val/loss/other"} & {name for line in lines for name in line}


def test_tunes_that_parse_are_drawn_and_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    calls = answering(monkeypatch, [make_tune(1).removeprefix("X:1\n"), "no tune at all"])
    write = writer(config_of(), corpus)
    folder = tmp_path / "step"
    folder.mkdir()
    report = write(None, 2, folder)  # type: ignore[arg-type]
    assert calls[0]["prompts"] == ["X:1\n", "X:1\n"]
    assert calls[0]["settings"].max_new_tokens < 256, "rows of the corpus are no longer"
    assert report.metrics["music/parse_share"] == 0.5
    assert report.metrics["music/bars_fitting"] == 1.0
    assert 0.5 < report.metrics["music/key_fit"] <= 1.0
    assert "music/copy_share" not in report.metrics
    tune, nothing = report.tunes
    assert tune.text == make_tune(1)
    assert tune.score == folder / "001.png"
    assert tune.score.read_bytes().startswith(b"\x89PNG")
    assert (folder / "001.svg").exists()
    assert (folder / "001.abc").read_text() == make_tune(1)
    assert tune.sound is not None
    assert tune.sound.stat().st_size > 1000
    assert (nothing.score, nothing.sound) == (None, None)


def test_a_corpus_of_conversations_is_asked_in_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = make_corpus(tmp_path / "corpus", content="messages")
    calls = answering(monkeypatch, [make_tune(1), make_tune(2)])
    report = writer(config_of(), corpus)(None, 2, None)  # type: ignore[arg-type]
    assert (report.metrics, report.tunes) == ({}, []), "not rank 0"
    assert len(calls[0]["prompts"]) == 2
    assert all("Write a reel in D." in prompt for prompt in calls[0]["prompts"])
    config = config_of("callbacks.sample_prompts=[Write a jig.]")
    writer(config, corpus)(None, 2, None)  # type: ignore[arg-type]
    assert all("Write a jig." in prompt for prompt in calls[1]["prompts"])


def test_prompts_without_room_or_without_requests_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    long = dataclasses.replace(config_of().callbacks, sample_prompts=["X:1\n" * 200])
    with pytest.raises(InputError, match=r"^callbacks.sample_prompts: 'X:1.* has \d+ tokens, and"):
        writer(dataclasses.replace(config_of(), callbacks=long), corpus)
    talk = make_corpus(tmp_path / "talk", content="messages")
    monkeypatch.setattr(samples_in_training, "asks_for_tune", lambda _: False)
    with pytest.raises(InputError) as error:
        writer(config_of(), talk)
    assert str(error.value) == (
        f"nobody asks for a tune in the validation split of {talk.path}; write "
        f"callbacks.sample_prompts, or callbacks.samples_every_steps=null for no samples"
    )


@pytest.mark.slow
def test_writing_leaves_the_weights_of_the_run_as_they_are(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    plain = job_of(tmp_path, "quickstart/pretrain", corpus, "name=plain")
    train.run(plain)
    watched = job_of(tmp_path, "quickstart/pretrain", corpus, "name=watched", *WRITING)
    train.run(watched)
    assert plain.existing().files == watched.existing().files  # type: ignore[union-attr]
    assert base.load_tokenizer(watched.artifact_path)
