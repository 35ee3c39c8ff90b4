"""The evaluate stage, from models and corpora on disk to results."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from musicllm import artifacts
from musicllm import config as configuration
from musicllm.artifacts import Artifact
from musicllm.errors import ArtifactError, ConfigError, InputError, NotAvailableError
from musicllm.evals import materials
from musicllm.evals.kinds.generation import Generation
from musicllm.inference.scorer.reader import Reader
from musicllm.launch import runner
from musicllm.model import adapters, base
from musicllm.report.runs import read_lines
from musicllm.runs.settings import model_spec
from tests.helpers import make_corpus
from tests.models import LORA, trained_tensors

RECIPE = "recipe=quickstart/evaluate"
SMALL = (
    "model.config.hidden_size=32", "model.config.intermediate_size=48",
    "model.config.num_hidden_layers=2",
    "generation.max_new_tokens=16", "hardware.num_threads=1",
)  # fmt: skip
FEW = ("benchmark.theory.num_questions=12", "benchmark.generation.num_questions=2")

Run = Callable[..., Artifact]


ROLES = ("model", "baseline", "corpus", "instructions")


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model, another as baseline, tunes and requests with one tokenizer."""
    place = tmp_path_factory.mktemp("originals")
    made = {name: place / name for name in ROLES}
    corpus = make_corpus(made["corpus"])
    make_corpus(made["instructions"], content="messages")
    config, _ = configuration.load([RECIPE, *SMALL])
    tokenizer = base.load_tokenizer(corpus.tokenizer_path)
    for seed, role in enumerate(("model", "baseline")):
        with artifacts.writing(made[role], "model", role, {}) as (folder, _facts):
            model = base.build(model_spec(config), seed=seed, vocab_size=len(tokenizer))
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
    return place


@pytest.fixture
def inputs(tmp_path: Path, originals: Path) -> dict[str, Path]:
    """Copies of the originals, which a test may change."""
    for name in ROLES:
        shutil.copytree(originals / name, tmp_path / name)
    return {name: tmp_path / name for name in ROLES}


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


def bits_of(artifact: Artifact) -> float:
    results = json.loads((artifact.path / "results.json").read_text())
    bits: float = results["models"]["model"]["perplexity"]["bits_per_character"]
    return bits


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
    answers = [row for row in predictions if row["benchmark"] == "theory"]
    assert [row["role"] for row in answers] == ["model"] * 12 + ["baseline"] * 12
    generations = read_lines(artifact.path / "generations.jsonl")
    assert [row["role"] for row in generations] == ["model"] * 2 + ["reference"] * 2
    assert {row["prompt"] for row in generations} == {"Write a reel in D."}
    shown = capsys.readouterr().out
    assert "bits per character" in shown
    assert "accuracy key signatures" in shown
    assert not (artifact.path.parent / "partial").exists()


def test_interrupted_evaluation_continues_and_the_same_seed_gives_the_same_results(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fed: list[int] = []
    read = Reader.read

    def counted(self: Reader, rows: Sequence[Sequence[int]], *rest: Any) -> object:
        fed.append(len(rows))
        return read(self, rows, *rest)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Reader, "read", counted)
    first = run(runs="whole")
    whole = sum(fed)
    fed.clear()
    with monkeypatch.context() as patch:
        patch.setattr(Generation, "measure", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run()
    done = sum(fed)
    second = run()
    assert 0 < done < whole
    assert sum(fed) == whole + 1  # a model that is read again is tried out with one row
    for name in ("results.json", "predictions.jsonl", "generations.jsonl"):
        assert (first.path / name).read_bytes() == (second.path / name).read_bytes()
    assert "of its parts were kept from the interrupted run" in capsys.readouterr().err


QUESTIONS = [
    {
        "stem": f"Which letter stands at place {number}?",
        "options": {"A": "one", "B": "two", "C": "three", "D": ""},
        "answer": "ABCD"[number % 4],
        "subject": ("knowledge", "reasoning")[number % 2],
        "abc_score": "X:1\nK:C\nCDEF|" if number % 2 else "",
    }
    for number in range(8)
]


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    """A folder with questions of MusicTheoryBench's form."""
    folder = tmp_path / "questions"
    folder.mkdir()
    for split, some in {"dev": QUESTIONS[:4], "test": QUESTIONS}.items():
        lines = "".join(json.dumps(one) + "\n" for one in some)
        (folder / f"{split}.jsonl").write_text(lines, encoding="utf-8")
    return folder


MODES = ("", "_generation", "_role_play", "_chain_of_thought")


def test_music_theory_bench_in_every_mode(
    run: Run, questions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"musictheorybench{mode}" for mode in MODES]
    words = [f"benchmark.{name}.location={questions}" for name in names]
    artifact = run(
        f"benchmark=[{','.join(names)}]", *words, "model.config.max_position_embeddings=1024",
        "benchmark.musictheorybench_chain_of_thought.max_new_tokens=8",
    )  # fmt: skip
    results = json.loads((artifact.path / "results.json").read_text())
    assert set(results["models"]["model"]) == set(names)
    rows = read_lines(artifact.path / "predictions.jsonl")
    mine = [row for row in rows if row["role"] == "model"]
    assert [row["benchmark"] for row in mine] == [name for name in names for _ in QUESTIONS]
    by_likelihood = mine[: len(QUESTIONS)]
    assert all(set(row["mean_nll"]) == set("ABCD") for row in by_likelihood)
    assert [row["gold"] for row in by_likelihood] == [one["answer"] for one in QUESTIONS]
    assert {row["subject"] for row in mine} == {"knowledge", "reasoning"}
    assert all(isinstance(row["answer"], str) for row in mine[len(QUESTIONS) :])
    accuracy = results["models"]["model"]["musictheorybench"]["accuracy"]
    assert accuracy == sum(row["correct"] for row in by_likelihood) / len(QUESTIONS)
    assert results["results"]["musictheorybench"]["acc,none"] == pytest.approx(accuracy)
    assert results["benchmarks"]["musictheorybench"]["flags"]["blank option"] == len(QUESTIONS)
    assert set(results["comparisons"]["musictheorybench"]) >= {"difference", "p_value"}
    assert "blank option" in capsys.readouterr().err


def test_a_part_of_the_questions_is_marked_everywhere(
    run: Run, questions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact = run(
        "benchmark=[musictheorybench]", f"benchmark.musictheorybench.location={questions}",
        "benchmark.musictheorybench.num_questions=4", "model.config.max_position_embeddings=1024",
    )  # fmt: skip
    facts = json.loads((artifact.path / "results.json").read_text())["benchmarks"]
    assert facts["musictheorybench"]["complete"] is False
    assert facts["musictheorybench"]["num_questions"] == 4
    assert capsys.readouterr().out.count("subset: 4") >= 2


def test_an_adapter_is_measured_on_its_base(
    run: Run, inputs: dict[str, Path], tmp_path: Path
) -> None:
    tokenizer = base.load_tokenizer(inputs["model"])
    plain = base.load(inputs["model"], dtype="float32")
    adapted = adapters.attach(plain, dataclasses.replace(LORA), seed=0)
    with torch.no_grad():
        for weight in trained_tensors(adapted).values():
            weight.normal_(0, 0.2, generator=torch.Generator().manual_seed(1))
    made = tmp_path / "adapter"
    origin = {"config": {"model": {"location": str(inputs["model"]), "revision": None}}}
    with artifacts.writing(made, "adapter", "a", origin) as (folder, _facts):
        adapters.save_adapter(adapted, folder)
        tokenizer.save_pretrained(folder)
    merged = tmp_path / "merged"
    with artifacts.writing(merged, "model", "m", {}) as (folder, _facts):
        adapted.merge_and_unload().save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    paths = (made, merged, inputs["model"])
    bits = [
        bits_of(run("benchmark=[perplexity]", f"inputs.model={path}", runs=path.name))
        for path in paths
    ]
    assert bits[0] == pytest.approx(bits[1], rel=1e-5)
    assert bits[0] != pytest.approx(bits[2], rel=5e-4)


def test_an_adapter_that_does_not_know_its_base(run: Run, inputs: dict[str, Path]) -> None:
    with artifacts.writing(inputs["model"], "adapter", "a", {}):
        pass
    with pytest.raises(ArtifactError, match="does not say which base it was trained on"):
        run()


@pytest.mark.slow
@pytest.mark.usefixtures("native_bfloat16")
def test_bfloat16_on_request(run: Run) -> None:
    exact, rough = (
        run("benchmark=[perplexity]"),
        run("benchmark=[perplexity]", "hardware.precision=bf16", runs="bf16"),
    )
    assert bits_of(exact) != bits_of(rough)
    assert bits_of(exact) == pytest.approx(bits_of(rough), rel=0.05)


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
    monkeypatch.setattr(materials, "MAX_TRAINING_CHARACTERS", 300)
    results = json.loads((run("benchmark=[compression]").path / "results.json").read_text())
    assert 0 < results["models"]["model"]["compression"]["num_training_characters"] <= 300
    assert "only the first 2 training texts go to xz and copies" in capsys.readouterr().err


def test_results_go_to_loggers(run: Run) -> None:
    artifact = run("benchmark=[perplexity]", "logger=[csv]")
    (lines,) = artifact.path.parent.rglob("metrics.csv")
    logged = lines.read_text(encoding="utf-8")
    assert "perplexity/bits_per_character" in logged.splitlines()[0]
    assert "baseline/perplexity/bits_per_character" in logged.splitlines()[0]
    assert str(bits_of(artifact))[:8] in logged


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(run: Run) -> None:
    with pytest.raises(NotAvailableError, match="hardware"):
        run("benchmark=[perplexity]", "hardware=gpu1")
