from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from musicllm import cli
from musicllm.bench import baselines
from musicllm.bench.measuring import Timing
from musicllm.bench.registry import BENCHES
from musicllm.bench.results import BenchResult, BenchSettings
from musicllm.runs import needs

WORDS = ["recipe=bench/prepare", "bench.num_rounds=2", "engine.num_workers=1"]


@pytest.fixture(autouse=True)
def everything_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "find_spec", lambda name: name)


def found(settings: BenchSettings) -> BenchResult:
    assert settings.work.is_dir()
    assert settings.num_rounds == 2
    assert settings.engine().num_workers == 1  # type: ignore[attr-defined]
    timings = {"ours": Timing((2.0, 4.0), 30, "tokens")}
    return BenchResult({"vs_it": 0.75}, {"vs_it": "at least 0.7"}, timings, {"documents": 1200})


def test_figures_are_printed_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(BENCHES, "prepare", found)
    assert cli.main([*WORDS, f"paths.runs={tmp_path}"]) == 0
    (folder,) = (each for each in (tmp_path / "bench" / "prepare").iterdir() if each.is_dir())
    content = json.loads((folder / "bench.json").read_text())
    assert {"ratios", "medians", "spread", "machine", "command", "date"} <= set(content)
    assert content["ratios"] == {"vs_it": 0.75}
    assert content["medians"] == {"ours": 10.0}
    assert content["command"].startswith("python -m musicllm")
    assert (folder / "artifact" / "bench.json").read_bytes() == (folder / "bench.json").read_bytes()
    assert not (folder / "work").exists()
    said = capsys.readouterr().out
    assert "at least 0.7" in said
    assert "10 tokens/s" in said


def test_what_is_more_than_five_percent_worse_than_the_baseline_is_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(baselines, "FILE", tmp_path / "baselines.json")
    (tmp_path / "baselines.json").write_text("{}")

    def measured(ratio: float, runs: str) -> tuple[str, Path]:
        def bench(settings: BenchSettings) -> BenchResult:
            return dataclasses.replace(found(settings), ratios={"vs_it": ratio})

        monkeypatch.setitem(BENCHES, "prepare", bench)
        assert cli.main([*WORDS, f"paths.runs={tmp_path / runs}"]) == 0
        captured = capsys.readouterr()
        (file,) = (tmp_path / runs).glob("bench/prepare/*/bench.json")
        return captured.out + captured.err, file

    said, file = measured(0.8, "first")
    assert f"python -m musicllm.bench.baselines {file}" in "".join(said.split("\n"))
    baselines.write_baseline(file)
    said, _ = measured(0.77, "second")
    assert "there is no baseline" not in said
    assert re.search(r"at least 0\.7 +0\.80 *\n", said)
    said, _ = measured(0.75, "third")
    assert "0.80, 6% worse" in said


def test_an_unknown_bench_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*WORDS, "bench.name=swim", f"paths.runs={tmp_path}"]) == 2
    assert "bench.name=swim is no bench; there are prepare, memory" in capsys.readouterr().err


def test_a_vocabulary_needs_a_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*WORDS, "bench.vocab_size=null", f"paths.runs={tmp_path}"]) == 2
    assert "bench.vocab_size=null" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["bench.num_steps", "bench.max_length"])
def test_training_needs_steps_and_rows(
    key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["recipe=bench/train", f"{key}=null", f"paths.runs={tmp_path}"]) == 2
    assert "give bench.num_steps and bench.max_length a number" in capsys.readouterr().err


@pytest.mark.slow
def test_the_real_bench_runs_on_a_few_texts(tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece", reason="the extra bench")
    few = ["bench.num_documents=300", "bench.num_slow_documents=50", "bench.vocab_size=2000"]
    words = ["recipe=bench/prepare", "bench.num_rounds=1", *few, f"paths.runs={tmp_path}"]
    assert cli.main(words) == 0
    (file,) = (tmp_path / "bench" / "prepare").glob("*/bench.json")
    assert set(json.loads(file.read_text())["ratios"]) == {
        "vs_tokenizers_plain", "vs_tokenizers_full", "vs_slow_loop", "vs_slow_loop_all_cores",
        "abc_checks_per_s_per_core",
    }  # fmt: skip
