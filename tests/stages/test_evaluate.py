"""The evaluate stage, from models and corpora on disk to results."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from musicllm import artifacts, runner
from musicllm import config as configuration
from musicllm.artifacts import Artifact
from musicllm.errors import ArtifactError, ConfigError, InputError, NotAvailableError
from musicllm.evals.report.runs import read_lines
from musicllm.model import base
from musicllm.stages import measures
from musicllm.stages.settings import model_spec
from tests.helpers import make_corpus

RECIPE = "recipe=quickstart/evaluate"
SMALL = (
    "model.hidden_size=32", "model.intermediate_size=48", "model.num_hidden_layers=2",
    "generation.max_new_tokens=16", "hardware.num_threads=1",
)  # fmt: skip
FEW = ("benchmark.theory.num_questions=12", "benchmark.generation.num_questions=2")

Run = Callable[..., Artifact]


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    """A random model, another as baseline, tunes and requests with one tokenizer."""
    made = {name: tmp_path / name for name in ("model", "baseline", "corpus", "instructions")}
    corpus = make_corpus(made["corpus"])
    make_corpus(made["instructions"], content="messages")
    config, _ = configuration.load([RECIPE, *SMALL])
    tokenizer = base.load_tokenizer(corpus.tokenizer_path)
    for seed, role in enumerate(("model", "baseline")):
        with artifacts.writing(made[role], "model", role, {}) as (folder, _facts):
            model = base.build(model_spec(config), seed=seed, vocab_size=len(tokenizer))
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
    return made


@pytest.fixture
def run(tmp_path: Path, inputs: dict[str, Path]) -> Run:
    """Run quickstart/evaluate."""

    def run_with(*words: str, runs: str = "runs") -> Artifact:
        few = [] if any(word.startswith("benchmark") for word in words) else FEW
        paths = [f"inputs.{role}={path}" for role, path in inputs.items()]
        config, recipe = configuration.load(
            [RECIPE, *SMALL, *few, f"paths.runs={tmp_path / runs}", *paths, *words]
        )
        outcome = runner.run(config, recipe)
        return artifacts.read(outcome.folder / "artifact", "evaluation")

    return run_with


def test_every_benchmark_of_every_role(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    artifact = run()
    models = json.loads((artifact.path / "results.json").read_text())["models"]
    assert {role: list(results) for role, results in models.items()} == {
        "model": ["perplexity", "compression", "theory", "generation"],
        "baseline": ["perplexity", "compression", "theory"],
        "reference": ["generation"],
    }
    bits = models["model"]["perplexity"]["bits_per_character"]
    assert bits == models["model"]["compression"]["bits_per_character"]
    assert bits != models["baseline"]["perplexity"]["bits_per_character"]
    assert models["model"]["perplexity"]["num_documents"] == 3
    assert models["reference"]["generation"]["parse_share"] == 1.0
    assert models["reference"]["generation"]["bars_fitting"] == 1.0
    assert artifact.facts["metrics"]["model perplexity bits_per_character"] == bits
    predictions = read_lines(artifact.path / "predictions.jsonl")
    assert [row["role"] for row in predictions] == ["model"] * 12 + ["baseline"] * 12
    generations = read_lines(artifact.path / "generations.jsonl")
    assert [row["role"] for row in generations] == ["model"] * 2 + ["reference"] * 2
    assert {row["prompt"] for row in generations} == {"Write a reel in D."}
    shown = capsys.readouterr().out
    assert "bits per character" in shown
    assert "accuracy key signatures" in shown
    assert not (artifact.path.parent / "partial").exists()


def test_same_seed_gives_the_same_results(run: Run) -> None:
    first, second = run(), run(runs="again")
    for name in ("results.json", "predictions.jsonl", "generations.jsonl"):
        assert (first.path / name).read_bytes() == (second.path / name).read_bytes()


def test_interrupted_evaluation_continues(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scored: list[int] = []
    score = measures.document_nll

    def counted(*given: object) -> object:
        scored.append(1)
        return score(*given)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(measures, "document_nll", counted)
    with monkeypatch.context() as patch:
        patch.setitem(measures.MEASURES, "theory", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run()
    run()
    assert scored == [1, 1]  # once for each model
    assert "model-perplexity: kept from the interrupted run" in capsys.readouterr().err


def test_multiple_choice_comes_later(run: Run) -> None:
    with pytest.raises(
        NotAvailableError,
        match=r"benchmark mmlu is of kind multiple_choice, which comes with a later version of "
        r"musicllm; this version measures perplexity, compression, theory, generation",
    ):
        run("benchmark=[mmlu]")


def test_adapter_is_not_evaluated(run: Run, inputs: dict[str, Path]) -> None:
    with artifacts.writing(inputs["model"], "adapter", "a", {}):
        pass
    with pytest.raises(ArtifactError, match="is of kind adapter"):
        run()


def test_documents_are_texts_and_prompts_are_conversations(
    run: Run, inputs: dict[str, Path]
) -> None:
    tunes, requests = inputs["corpus"], inputs["instructions"]
    with pytest.raises(InputError, match="has conversations, not texts, in its test split"):
        run(f"inputs.corpus={requests}", "benchmark=[perplexity]")
    with pytest.raises(InputError, match="has no requests for tunes in its test split"):
        run(f"inputs.instructions={tunes}", "benchmark=[generation]")


def test_fewer_prompts_than_wanted(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    artifact = run("benchmark=[generation]", "benchmark.generation.num_questions=20")
    assert len(read_lines(artifact.path / "generations.jsonl")) == 6
    assert "generation: 3 prompts instead of 20 exist" in capsys.readouterr().err


def test_documents_without_split(run: Run) -> None:
    with pytest.raises(ConfigError, match=r"benchmark.perplexity.split=null names no documents"):
        run("benchmark=[perplexity]", "benchmark.perplexity.split=null")


def test_only_the_first_training_texts_are_held_against_a_model(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measures, "MAX_TRAINING_CHARACTERS", 300)
    results = json.loads((run("benchmark=[compression]").path / "results.json").read_text())
    assert 0 < results["models"]["model"]["compression"]["num_training_characters"] <= 300
    assert "only the first 2 training texts go to xz and copies" in capsys.readouterr().err
