"""The quickstart's recipes from end to end, on a small tune book and for a few steps."""

from __future__ import annotations

import html
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from musicllm import cli, config, quoting
from musicllm.command import parse
from musicllm.stages import pipeline
from musicllm.train.interruption import REQUEUE_EXIT_CODE
from tests.helpers import make_tune
from tests.waiting import PATIENCE_S, wait_for

RUNS = "läufe (neu), O'Neill's = [1]"
"""A name with all that the shell and Hydra's grammar take for something else."""

STEPS = config.load(["recipe=quickstart"])[0].steps
SMALL = [
    "model.config.hidden_size=32",
    "model.config.intermediate_size=48",
    "model.config.num_hidden_layers=1",
    "training.max_steps=4",
    "training.checkpoint_every_steps=2",
    "data.max_length=256",
    "generation.max_new_tokens=96",
    "benchmark=[perplexity,compression,theory,generation]",
    "benchmark.theory.num_questions=24",
    "benchmark.generation.num_questions=4",
    "generation.num_prompts=1",
    "generation.render=[]",
    "hardware.num_threads=1",
    "training.validate_every_steps=2",
]


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    book = tmp_path / "books" / "mine"
    book.mkdir(parents=True)
    tunes = [make_tune(seed).replace("X:1", f"X:{seed}") for seed in range(60)]
    (book / "reels.abc").write_text(
        "\n".join(tunes) + "\nX:99\nT:broken\nL:1/8\nM:4/4\nK:D\nDE[F\n"
    )
    source = "data.sources.music21_books"
    own = [f"{source}.reader=files", quoting.argument(f"{source}.location", tmp_path / "books")]
    return [*own, quoting.argument("paths.runs", tmp_path / RUNS), *SMALL]


def refuse(command: object, **_: object) -> None:
    raise AssertionError(f"{command} is started though everything is up to date")


def test_every_step_runs_and_the_pipeline_is_up_to_date_afterwards(
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for step in STEPS:
        fitting = pipeline.fitting(step, parse(words))
        assert cli.main([f"recipe={step}", *fitting]) == 0, capsys.readouterr().err
    text = capsys.readouterr().out
    assert "does not parse" in text  # the broken tune is counted
    assert "largest difference after merging" in text
    runs = tmp_path / RUNS / "quickstart"
    page = html.unescape(next(runs.glob("report/*/report.html")).read_text())
    tune = json.loads(next(runs.glob("generate/*/artifact/generations.jsonl")).read_text())
    assert f"<blockquote>{tune['prompt']}</blockquote>" in page
    assert "There is no sound of this tune." in page  # generation.render=[]
    results = next(runs.glob("evaluate/*/artifact/results.json"))
    assert json.loads(results.read_text())["models"]["model"]["compression"]["ratio_xz"] > 0
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", refuse)  # no step starts
        assert cli.main(["recipe=quickstart", *words]) == 0
    assert capsys.readouterr().out.count("up to date: ") == len(STEPS)


@pytest.mark.slow
def test_a_killed_pipeline_continues_and_a_stopped_one_saves(
    words: list[str], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "musicllm", "recipe=quickstart", *words]
    command += ["steps=[quickstart/prepare,quickstart/pretrain]", "training.max_steps=2000"]
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parent.parent)}
    runs = tmp_path / RUNS / "quickstart" / "pretrain"
    first = subprocess.Popen(command, start_new_session=True, env=environment, stdout=-3)
    wait_for(lambda: list(runs.glob("*/checkpoints/*/manifest.json")), first)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    second = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert second.stdout is not None
    said = ""
    while "continuing after step" not in said:  # from here on Lightning or musicllm listens
        line = second.stdout.readline()
        assert line, f"it did not continue: {said}"
        said += line
    assert "up to date: " in said  # the corpus
    second.terminate()
    rest, _ = second.communicate(timeout=PATIENCE_S)
    assert second.returncode == REQUEUE_EXIT_CODE, said + rest
    assert "the same command" in rest
