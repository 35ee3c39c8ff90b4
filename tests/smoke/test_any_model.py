"""A folder of any class is trained, continued, merged, evaluated and generated with, by name alone.

One family of each kind runs by default, the rest are marked slow.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from musicllm.data.corpus import Corpus
from musicllm.launch import runner
from musicllm.model import base
from musicllm.runs import composing
from musicllm.train import metrics
from tests.helpers import make_corpus
from tests.model import families

KINDS = ("qwen3", "gemma3", "gpt2", "qwen3_moe", "lfm2", "gemma3_wrapper")
"""Heads of their own width; windows and tied ends; Conv1D and dropout; experts; convolution;
the decoder of a multimodal model."""

QUICK = (
    "hardware=cpu", "hardware.num_threads=1", "hardware.precision=fp32",
    "callbacks.progress_bar=false", "callbacks.samples_every_steps=null",
)  # fmt: skip


def run(folder: Path, recipe: str, *words: str) -> Path:
    """Run a recipe and return its artifact's folder."""
    words = (f"recipe={recipe}", f"paths.runs={folder / 'runs'}", *QUICK, *words)
    return runner.run(*composing.load(words)).folder / "artifact"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus") / "artifact", vocab_size=300)


@pytest.mark.parametrize(
    "family",
    [
        pytest.param(name, marks=() if name in KINDS else pytest.mark.slow)
        for name in (*families.FAMILIES, *families.WRAPPERS)
    ],
)
def test_a_folder_goes_through_the_whole_pipeline(
    family: str, corpus: Corpus, tmp_path: Path
) -> None:
    folder = families.write(tmp_path / "base", family)
    base.load_tokenizer(corpus.tokenizer_path).save_pretrained(folder)
    model = ("model=hf", f"model.location={folder}")
    trained = (*model, f"inputs.corpus={corpus.path}", "training.rows_per_step=2",
               "adapter.dropout=0", "training.log_every_steps=1", "optimizer.lr=1e-2")  # fmt: skip
    lora = ("adapter.r=4", "adapter.train_embeddings=false", "adapter.train_output_head=false")

    first = run(tmp_path, "sft", *trained, *lora, "training.max_steps=4")
    losses = [
        line["train/loss"]
        for line in metrics.read(first.parent / "metrics.jsonl")
        if "train/loss" in line
    ]
    assert losses[-1] < losses[0]
    whole = run(tmp_path, "sft", *trained, "adapter=full", "training.max_steps=2")
    assert (whole / "config.json").is_file()

    merged = run(tmp_path, "merge", f"inputs.adapter={first}")
    report = json.loads((merged / "manifest.json").read_text())
    assert report["kind"] == "model"
    again = base.load(merged, dtype="float32", attention="eager")
    if family in families.FAMILIES:  # else the text decoder
        assert type(again).__name__ == type(families.build(family)).__name__

    results = run(
        tmp_path, "quickstart/evaluate", f"inputs.model={merged}", f"inputs.corpus={corpus.path}",
        "benchmark=[compression]", "~inputs.baseline", "~inputs.instructions",
    )  # fmt: skip
    assert (results / "results.json").is_file()
    tunes = run(
        tmp_path, "generate", f"inputs.model={merged}", "generation.max_new_tokens=8",
        "hardware.max_rows_per_device=1",
    )  # fmt: skip
    assert any(tunes.iterdir())
