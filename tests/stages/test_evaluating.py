"""Benchmarks during training, from the configuration to lines of metrics.jsonl."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from musicllm import config as configuration
from musicllm.data.corpus import Corpus
from musicllm.errors import InputError, NotAvailableError
from musicllm.job import Job
from musicllm.model import base
from musicllm.runs.settings import model_spec
from musicllm.schema import Config
from musicllm.stages import train
from musicllm.train import metrics
from tests.helpers import make_corpus, make_tune
from tests.stages.test_train import SMALL, job_of

ASKING = ("callbacks.evaluate_every_steps=2", "callbacks.num_eval_questions=6")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("made") / "corpus")


def config_of(*words: str) -> Config:
    config, _ = configuration.load(["recipe=quickstart/pretrain", *ASKING, *words])
    return config


def write_questions(path: Path, number: int = 8) -> Path:
    """Write questions in the schema of MusicTheoryBench."""
    rows = [
        {
            "stem": f"How many notes has chord {each}?",
            "options": {"A": "1", "B": "2", "C": "3", "D": "4"},
            "answer": "ABCD"[each % 4],
            "subject": ("knowledge", "reasoning")[each % 2],
            "abc_score": "",
        }
        for each in range(number)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_texts(path: Path) -> Path:
    path.write_text("".join(json.dumps({"text": make_tune(each)}) + "\n" for each in range(9)))
    return path


def trained(tmp_path: Path, corpus: Corpus, *words: str) -> tuple[Job, list[dict[str, Any]]]:
    job = job_of(tmp_path, "quickstart/pretrain", corpus, *words)
    train.run(job)
    return job, list(metrics.read(job.folder / "metrics.jsonl"))


def test_a_run_asks_its_benchmarks_and_comes_out_the_same(tmp_path: Path, corpus: Corpus) -> None:
    plain, without = trained(tmp_path, corpus, "name=plain")
    texts, questions = write_texts(tmp_path / "t.jsonl"), write_questions(tmp_path / "q.jsonl")
    asked, lines = trained(
        tmp_path,
        corpus,
        "name=asked",
        *ASKING,
        "benchmark=[theory,language,musictheorybench]",
        f"benchmark.language.location={texts}",
        f"benchmark.musictheorybench.location={questions}",
    )
    found = [line for line in lines if "eval/theory/accuracy" in line]
    assert [line["step"] for line in found] == [0, 2, 3], "the start, every second and the last"
    for line in found:
        assert line["eval/theory/num_questions"] == line["eval/musictheorybench/num_questions"] == 6
        assert 0 <= line["eval/theory/accuracy_low"] <= line["eval/theory/accuracy"] <= 1
        assert line["eval/language/num_documents"] == 6
        assert line["perf/evaluation_s"] > 0
    perplexities = [line["eval/language/perplexity_per_token"] for line in found]
    assert perplexities == sorted(perplexities, reverse=True), "the texts are of the corpus's kind"
    assert not any("knowledge" in name for name in found[0]), "subjects are too small in a sample"
    assert [without_speed(line) for line in lines if line not in found] == [
        without_speed(line) for line in without
    ]
    assert plain.fingerprint == asked.fingerprint
    assert plain.existing().files == asked.existing().files  # type: ignore[union-attr]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["likelihood", "perplexity", "generation"])
def test_every_mode_can_be_asked(tmp_path: Path, corpus: Corpus, mode: str) -> None:
    config = config_of(
        "benchmark=[musictheorybench]",
        f"benchmark.musictheorybench.location={write_questions(tmp_path / 'q.jsonl')}",
        f"benchmark.musictheorybench.mode={mode}",
        f"benchmark.musictheorybench.max_new_tokens={4 if mode == 'generation' else 'null'}",
    )
    model = base.build(model_spec(config_of(*SMALL)), seed=0).eval()
    evaluation = train._evaluation(config, corpus)
    assert evaluation is not None
    found = evaluation.measures["musictheorybench"](model)
    assert found["num_questions"] == 6
    assert ("accuracy_by_letter" in found) == (mode == "perplexity")
    assert ("brier_score" in found) == (mode != "generation")
    assert found == evaluation.measures["musictheorybench"](model), "the same questions each time"


def without_speed(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if not name.startswith("perf/")}


def test_a_benchmark_is_asked_no_more_than_it_wants(corpus: Corpus) -> None:
    config = config_of("benchmark=[theory]", "benchmark.theory.num_questions=4")
    model = base.build(model_spec(config_of(*SMALL)), seed=0).eval()
    evaluation = train._evaluation(config, corpus)
    assert evaluation is not None
    assert evaluation.measures["theory"](model)["num_questions"] == 4
    assert train._evaluation(config_of("callbacks.evaluate_every_steps=null"), corpus) is None


def test_only_the_first_rank_reads_questions(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    config = config_of("benchmark=[mmlu]", "benchmark.mmlu.location=/nowhere")
    evaluation = train._evaluation(config, corpus)
    assert evaluation is not None
    assert (evaluation.every_steps, evaluation.measures) == (2, {})


def test_questions_that_cannot_be_read_cost_no_training(tmp_path: Path, corpus: Corpus) -> None:
    words = ["benchmark=[language]", f"benchmark.language.location={tmp_path}"]
    job = job_of(tmp_path, "quickstart/pretrain", corpus, *ASKING, *words)
    with pytest.raises((InputError, NotAvailableError), match="language"):
        train.run(job)
    assert not (job.folder / "metrics.jsonl").exists()
