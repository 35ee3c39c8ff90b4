"""InternLM2's published folder, its tokenizer included, goes through the whole pipeline."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from musicllm.launch import runner
from musicllm.model import base
from musicllm.runs import composing
from musicllm.train import metrics
from tests.helpers import TEMPLATE, make_corpus
from tests.model import internlm2_folders, pieces

QUICK = (
    "hardware=cpu", "hardware.num_threads=1", "hardware.precision=fp32",
    "callbacks.progress_bar=false", "callbacks.samples_every_steps=null",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as InternLM2 is published, with code that must not run."""
    path = internlm2_folders.write(tmp_path / "base", vocab_size=576, max_position_embeddings=512)
    pieces.write(path, added_tokens_decoder={"4": pieces.special("<|im_end|>")},
                 chat_template=TEMPLATE)  # fmt: skip
    for name in ("modeling", "configuration", "tokenization"):
        (path / f"{name}_internlm2.py").write_text("raise RuntimeError('foreign code was run')\n")
    return path


def run(folder: Path, recipe: str, *words: str) -> Path:
    """Run a recipe and return its artifact's folder."""
    words = (f"recipe={recipe}", f"paths.runs={folder / 'runs'}", *QUICK, *words)
    return runner.run(*composing.load(words)).folder / "artifact"


def test_a_published_folder_is_trained_merged_evaluated_and_written_with(
    folder: Path, tmp_path: Path
) -> None:
    corpus = make_corpus(tmp_path / "corpus", tokenizer=base.load_tokenizer(folder))
    first = run(
        tmp_path, "sft", "model=hf", f"model.location={folder}", f"inputs.corpus={corpus.path}",
        "training.rows_per_step=2", "training.max_steps=4", "training.log_every_steps=1",
        "optimizer.lr=1e-2", "adapter.r=4", "adapter.dropout=0", "adapter.train_embeddings=false",
        "adapter.train_output_head=false",
    )  # fmt: skip
    lines = metrics.read(first.parent / "metrics.jsonl")
    losses = [line["train/loss"] for line in lines if "train/loss" in line]
    assert losses[-1] < losses[0]

    merged = run(tmp_path, "merge", f"inputs.adapter={first}", "merge.layout=source")
    assert json.loads((merged / "config.json").read_text())["model_type"] == "internlm2"
    results = run(
        tmp_path, "quickstart/evaluate", f"inputs.model={folder}", f"inputs.corpus={corpus.path}",
        "benchmark=[compression]", "~inputs.baseline", "~inputs.instructions",
    )  # fmt: skip
    assert (results / "results.json").is_file()
    tunes = run(
        tmp_path, "generate", f"inputs.model={merged}", "generation.max_new_tokens=8",
        "hardware.max_rows_per_device=1",
    )  # fmt: skip
    assert any(tunes.iterdir())
