"""Two processes of the real command answer exactly what one answers, and both continue."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from musicllm import artifacts
from musicllm import config as configuration
from musicllm.model import base
from musicllm.runs.settings import model_spec
from tests.helpers import make_corpus
from tests.waiting import PATIENCE_S, wait_for

SMALL = (
    "model.config.hidden_size=64", "model.config.intermediate_size=96",
    "model.config.num_hidden_layers=4",
    "model.config.max_position_embeddings=1024", "hardware.num_threads=1",
)  # fmt: skip
WORDS = (
    "recipe=quickstart/evaluate", *SMALL, "benchmark=[theory,perplexity,generation]",
    "benchmark.theory.num_questions=60",
    "benchmark.theory.num_fewshot=2", "benchmark.generation.num_questions=3",
    "generation.max_new_tokens=8",
)  # fmt: skip
TOGETHER = ("hardware.devices_per_node=2", "strategy=ddp")

pytestmark = pytest.mark.slow


@pytest.fixture
def inputs(tmp_path: Path) -> list[str]:
    made = {name: tmp_path / name for name in ("model", "corpus", "instructions")}
    corpus = make_corpus(made["corpus"])
    make_corpus(made["instructions"], content="messages")
    config, _ = configuration.load([*WORDS])
    tokenizer = base.load_tokenizer(corpus.tokenizer_path)
    with artifacts.writing(made["model"], "model", "m", {}) as (folder, _facts):
        base.build(model_spec(config), seed=0, vocab_size=len(tokenizer)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return [f"inputs.{role}={path}" for role, path in made.items()] + ["~inputs.baseline"]


def command(tmp_path: Path, name: str, *words: str) -> list[str]:
    where = [f"paths.runs={tmp_path / 'runs'}", f"name={name}"]
    return [sys.executable, "-m", "musicllm", *WORDS, *where, *words]


def answers(tmp_path: Path, name: str) -> list[bytes]:
    artifact = tmp_path / "runs" / "quickstart" / "evaluate" / name / "artifact"
    names = ("predictions.jsonl", "generations.jsonl", "results.json")
    return [(artifact / file).read_bytes() for file in names]


def test_two_processes_answer_what_one_answers(tmp_path: Path, inputs: list[str]) -> None:
    for name, words in {"one": (), "two": TOGETHER}.items():
        subprocess.run(command(tmp_path, name, *inputs, *words), check=True, timeout=PATIENCE_S)
    assert answers(tmp_path, "one") == answers(tmp_path, "two")


def test_what_was_killed_continues(tmp_path: Path, inputs: list[str]) -> None:
    words = command(tmp_path, "whole", *inputs)
    subprocess.run(words, check=True, timeout=PATIENCE_S)
    partial = tmp_path / "runs" / "quickstart" / "evaluate" / "killed" / "partial"
    killed = command(tmp_path, "killed", *inputs, *TOGETHER)
    started = subprocess.Popen(killed, start_new_session=True)
    wait_for(lambda: partial.is_dir() and any(partial.iterdir()), started, 0.01)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait(timeout=PATIENCE_S)
    kept = len(list(partial.glob("*.json")))
    assert kept
    done = subprocess.run(killed, check=True, timeout=PATIENCE_S, capture_output=True, text=True)
    assert "kept from the interrupted run" in done.stderr
    assert answers(tmp_path, "killed") == answers(tmp_path, "whole")
    assert json.loads(answers(tmp_path, "killed")[2])["benchmarks"]["theory"]["num_questions"] == 60
