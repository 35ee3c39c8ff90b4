"""A kind of benchmark from a folder of the user's own, from checks to the comparison."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from musicllm import artifacts, checks, config
from musicllm.errors import ConfigError
from musicllm.evals.kind import BENCHMARK_KINDS
from musicllm.launch import runner
from musicllm.model import base
from musicllm.report.runs import read_lines
from musicllm.runs.settings import model_spec
from musicllm.stages import plan
from tests.helpers import make_corpus

PAGE = Path(__file__).parents[2] / "CONTRIBUTING.md"
KIND = next(
    block
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    if "(BenchmarkKind)" in block
)

OPTION = """
# @package benchmark.cadences
defaults:
  - /measurement@_here_: default
  - _self_
name: cadences
kind: phrases
licence: mine
citation: none
options:
  phrases: [GFED, CDEF, X]
"""
SMALL = (
    "model.config.hidden_size=32", "model.config.intermediate_size=48",
    "model.config.num_hidden_layers=1",
    "hardware.num_threads=1",
)  # fmt: skip


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a kind, and an option of `benchmark` that names it."""
    monkeypatch.setattr(BENCHMARK_KINDS, "_kinds", {**BENCHMARK_KINDS})
    own = tmp_path / "own"
    (own / "benchmark").mkdir(parents=True)
    (own / "benchmark" / "cadences.yaml").write_text(OPTION.lstrip())
    (own / "kinds").mkdir()
    (own / "kinds" / "phrases.py").write_text(KIND)
    return own


def load(own: Path, *words: str) -> tuple[config.Config, str]:
    use = ["recipe=quickstart/evaluate", "benchmark=[cadences]", f"extensions=[{own / 'kinds'}]"]
    return config.load([*use, *SMALL, *words], [own])


def test_it_is_checked(own: Path) -> None:
    settings, _ = load(own)
    checks.check(settings)
    words = ["benchmark.cadences.options.phrases=[]", "benchmark.cadences.num_fewshot=2"]
    with pytest.raises(ConfigError) as error:
        checks.check(load(own, *words)[0])
    said = " ".join(str(error.value).split())
    assert "benchmark.cadences.options={'phrases': []} names no phrases" in said
    assert "num_fewshot=2 is not read by a benchmark of kind phrases; write 0" in said


def test_it_is_planned(own: Path) -> None:
    settings, _ = load(own, "benchmark.cadences.num_questions=2")
    rows = dict(plan._evaluation(settings))
    assert rows["benchmark cadences"] == "phrases, 2 phrases, from the inputs, licence: mine"


def test_it_is_evaluated_shown_and_compared(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    tokenizer = base.load_tokenizer(corpus.tokenizer_path)
    for seed, role in enumerate(("model", "baseline")):
        with artifacts.writing(tmp_path / role, "model", role, {}) as (folder, _facts):
            spec = model_spec(load(own)[0])
            base.build(spec, seed=seed, vocab_size=len(tokenizer)).save_pretrained(folder)
            tokenizer.save_pretrained(folder)
    runs = f"paths.runs={tmp_path / 'runs'}"
    roles = [f"inputs.{role}={tmp_path / role}" for role in ("model", "baseline", "corpus")]

    evaluated = runner.run(*load(own, runs, *roles, "~inputs.instructions"))

    results = json.loads((evaluated.folder / "artifact" / "results.json").read_text())
    rows = read_lines(evaluated.folder / "artifact" / "predictions.jsonl")
    own_rows = [row["nats"] for row in rows if row["role"] == "model"]
    assert results["models"]["model"]["cadences"]["nats"] == sum(own_rows) / 3
    assert results["benchmarks"]["cadences"]["headline"] == "nats"
    assert results["benchmarks"]["cadences"]["options"] == {"phrases": ["GFED", "CDEF", "X"]}
    assert results["benchmarks"]["cadences"]["complete"]
    assert "model cadences nats" in capsys.readouterr().out

    words = ["recipe=compare", f"runs=[{evaluated.folder}]", runs]
    compared = runner.run(*config.load(words)).folder / "artifact"

    comparison = json.loads((compared / "comparison.json").read_text())
    (test,) = comparison["against_first"]
    assert test["items"]["nats"]["num_items"] == 3
    change = test["items"]["nats"]["difference"]
    before = results["models"]["baseline"]["cadences"]["nats"]
    assert change == pytest.approx(sum(own_rows) / 3 - before)
    assert "cadences: nats" in (compared / "report.html").read_text()
