"""A base of any class gets further tokens, whose rows alone are trained, evaluated and merged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from musicllm.data.settings import ExtendedTokenizer
from musicllm.model import adapters, base
from tests.helpers import make_corpus
from tests.model import families
from tests.smoke.test_any_model import run

SLOW = ("gemma3", "gpt2", "gpt_neox", "mixtral", "phi3", "granite")


@pytest.mark.parametrize(
    "family", ["qwen3", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def test_rows_of_new_tokens_go_through_the_whole_pipeline(family: str, tmp_path: Path) -> None:
    folder = families.write(tmp_path / "base", family)
    tokenizer = ExtendedTokenizer(base.load_tokenizer(folder), None, 30)
    corpus = make_corpus(tmp_path / "corpus" / "artifact", tokenizer=tokenizer)
    trained = run(
        tmp_path, "sft", "model=hf", f"model.location={folder}", f"inputs.corpus={corpus.path}",
        "training.rows_per_step=2", "optimizer.lr=1e-2", "training.max_steps=2",
        "training.resize_embeddings=true", "adapter=new_tokens",
    )  # fmt: skip
    merged = run(tmp_path, "merge", f"inputs.adapter={trained}")
    bits = []
    for model in (trained, merged):
        results = run(
            tmp_path, "quickstart/evaluate", f"inputs.model={model}",
            f"inputs.corpus={corpus.path}", "benchmark=[compression]", "~inputs.baseline",
            "~inputs.instructions",
        )  # fmt: skip
        measured = json.loads((results / "results.json").read_text())["models"]["model"]
        bits.append(measured["compression"]["bits_per_character"])
    assert bits[0] == bits[1]
    old, new = (base.load(path, dtype="float32", attention=None) for path in (folder, merged))
    for before, after in zip(adapters.ends_of(old), adapters.ends_of(new), strict=True):
        frozen = families.VOCAB_SIZE - 20  # the tokenizer has 300 tokens, and the base 20 more rows
        assert torch.equal(after.weight[:frozen], before.weight[:frozen])
        assert len(after.weight) == 330
