from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from musicllm import cli, console
from musicllm.bench.generate import run
from musicllm.bench.generate.contestants import generate, ours
from musicllm.bench.generate.task import WritingSettings, WritingTask, Written
from musicllm.music.grammar import Grammar, TuneRules
from tests.model import families
from tests.models import TINY

SETTINGS = WritingSettings(batch_size=3, num_new_tokens=24, device="cpu", num_threads=None)


def test_rates_are_of_tokens_and_costs_of_medians() -> None:
    task = WritingTask(TINY, SETTINGS, ("X:1\n",), 0)
    result = run.compared(
        {
            run.OURS: [Written(2.0, 100, 1, 0), Written(9.0, 100, 1, 0), Written(3.0, 100, 1, 0)],
            run.CONSTRAINED: [Written(1.65, 50, 1, 1)] * 3,
            run.BASELINE: [Written(4.0, 100, 1, 0)] * 3,
        },
        task,
    )
    assert result.ratios["constrained_overhead"] == pytest.approx(1.1)
    assert result.ratios["vs_transformers_generate"] == pytest.approx(4 / 3)
    assert set(result.ratios) == set(result.goals)
    assert result.timings[run.OURS].rate == pytest.approx(100 / 3)
    assert result.facts["tunes_of_which_all_bars_fit"][run.CONSTRAINED] == 1


def test_beginnings_are_legal_and_of_unlike_lengths() -> None:
    texts = run.beginnings(6)
    assert len(texts) == 6
    assert all(Grammar(TuneRules()).start(text) for text in texts)
    assert len({len(text) for text in texts}) > 3


@pytest.mark.filterwarnings("ignore")
def test_all_contestants_go_on_from_all_beginnings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console.out, "quiet", True)  # a contestant mutes its process
    folder = families.write(tmp_path / "model", "llama", max_position_embeddings=4096)
    task = WritingTask(
        dataclasses.replace(TINY, location=str(folder)), SETTINGS, run.beginnings(4), 0
    )
    plain, constrained, baseline = ours(task, None), ours(task, TuneRules()), generate(task)
    assert 0 < constrained.num_tokens <= 4 * 24
    assert all(0 < one.num_tokens <= 4 * 24 for one in (plain, baseline))
    assert all(one.seconds > 0 for one in (plain, constrained, baseline))


def test_random_weights_and_no_tokens_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = ["model.location=null", "bench.num_new_tokens=null", f"paths.runs={tmp_path}"]
    assert cli.main(["recipe=bench/generate", *wrong]) != 0
    told = " ".join("".join(capsys.readouterr()).split())
    assert "bench.num_new_tokens=null must be set" in told
    assert "model.location=null has random weights here" in told
