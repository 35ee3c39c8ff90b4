"""The generate stage, from a model on disk to saved tunes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from musicllm import artifacts
from musicllm import config as configuration
from musicllm.artifacts import Artifact
from musicllm.errors import ArtifactError
from musicllm.launch import runner
from musicllm.model import base
from musicllm.report.runs import read_lines
from musicllm.runs.settings import model_spec
from tests.helpers import make_corpus

SMALL = (
    "model.config.hidden_size=32", "model.config.intermediate_size=48",
    "model.config.num_hidden_layers=2",
    "generation.max_new_tokens=24", "generation.render=[]", "hardware.num_threads=1",
)  # fmt: skip

Run = Callable[..., Artifact]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run quickstart/generate with a random model and a corpus of requests."""
    corpus = make_corpus(tmp_path / "instructions", content="messages")
    model = tmp_path / "model"
    with artifacts.writing(model, "model", "m", {}) as (folder, _):
        tokenizer = base.load_tokenizer(corpus.tokenizer_path)
        config, _recipe = configuration.load(["recipe=quickstart/generate", *SMALL])
        spec = model_spec(config)
        base.build(spec, seed=0, vocab_size=len(tokenizer)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    def run_with(*words: str, model_path: Path = model) -> Artifact:
        config, recipe = configuration.load(
            [
                "recipe=quickstart/generate",
                *SMALL,
                f"paths.runs={tmp_path / 'runs'}",
                f"inputs.model={model_path}",
                f"inputs.instructions={corpus.path}",
                *words,
            ]
        )
        outcome = runner.run(config, recipe)
        return artifacts.read(outcome.folder / "artifact", "tunes")

    return run_with


def lines_of(artifact: Artifact) -> list[dict[str, Any]]:
    return read_lines(artifact.path / "tunes.jsonl")


def test_untrained_model_is_asked_four_times_and_its_failure_is_recorded(run: Run) -> None:
    artifact = run("generation.num_prompts=2")
    lines = lines_of(artifact)
    assert [line["prompt"] for line in lines] == ["Write a reel in D."] * 2
    assert [line["tries"] for line in lines] == [4, 4]
    assert [line["seed"] for line in lines] == [1237, 1237]
    assert artifact.facts["metrics"]["num_parsing"] == 0
    assert artifact.facts["metrics"]["num_tries"] == 8
    assert artifact.facts["metrics"]["bars_fitting"] is None


def test_an_adapter_that_does_not_know_its_base_is_refused(run: Run, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    with artifacts.writing(adapter, "adapter", "a", {}):
        pass
    with pytest.raises(
        ArtifactError,
        match=r"does not say which base it was trained on; write inputs\.adapter=",
    ):
        run(model_path=adapter)
