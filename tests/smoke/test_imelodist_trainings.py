"""IMelodist's two QLoRA trainings on a CPU, in 4 bits, as their recipes say but in small."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from musicllm.launch import runner
from musicllm.model import adapters, base
from musicllm.runs import composing
from musicllm.train import metrics
from tests.helpers import TEMPLATE, make_corpus
from tests.model import internlm2_folders, pieces

pytest.importorskip("bitsandbytes", reason="extra qlora")

IDS = torch.arange(10, 90)[None]
SMALL = (
    "hardware=cpu", "hardware.num_threads=1", "model=hf", "training.rows_per_step=2",
    "training.log_every_steps=1", "optimizer.lr=5e-3", "adapter.alpha=64", "adapter.dropout=0",
    "callbacks.progress_bar=false", "callbacks.samples_every_steps=null",
)  # fmt: skip
"""The recipes on a CPU: few steps have to be large, and dropout would hide that the loss falls."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as InternLM2 is published; matrices are wide enough for blocks of 64 weights."""
    path = tmp_path_factory.mktemp("base")
    internlm2_folders.write(path, vocab_size=576, max_position_embeddings=512, hidden_size=64,
                            intermediate_size=128)  # fmt: skip
    return pieces.write(path, added_tokens_decoder={"4": pieces.special("<|im_end|>")},
                        chat_template=TEMPLATE)  # fmt: skip


@pytest.fixture(scope="module")
def corpus(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tunes as rows, with the tokenizer of the base."""
    tokenizer = base.load_tokenizer(folder)
    return make_corpus(tmp_path_factory.mktemp("data") / "corpus", tokenizer=tokenizer).path


def run(runs: Path, recipe: str, *words: str) -> Path:
    """Run a recipe and return its artifact's folder."""
    command = (f"recipe={recipe}", f"paths.runs={runs}", *words)
    return runner.run(*composing.load(command)).folder / "artifact"


def losses(artifact: Path, name: str = "train/loss") -> list[float]:
    """Return a metric of all steps."""
    lines = metrics.read(artifact.parent / "metrics.jsonl")
    return [line[name] for line in lines if name in line]


@torch.no_grad()
def logits(folder: Path, adapter: Path | None = None, quantization: str | None = None) -> Tensor:
    """Return the logits of a model, with an adapter or without."""
    model = base.load(folder, dtype="float32", attention="eager", quantization=quantization)
    whole = model if adapter is None else adapters.load_adapter(model, adapter)
    result: Tensor = whole.eval()(input_ids=IDS).logits
    return result


def test_both_trainings_and_the_merge_between_them(
    folder: Path, corpus: Path, tmp_path: Path
) -> None:
    words = (*SMALL, "hardware.precision=fp32", f"inputs.corpus={corpus}", "training.max_steps=4")
    first = run(tmp_path, "imelodist/increment", *words, f"model.location={folder}")
    values = losses(first)
    assert values[-1] < values[0] - 0.5
    weights = load_file(first / "adapter_model.safetensors")
    assert {name.split(".")[-3] for name in weights} == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"
    }  # fmt: skip
    assert all(64 in weight.shape for weight in weights.values()), "rank 64"

    merged = run(tmp_path, "merge", f"inputs.adapter={first}", "merge.layout=source")
    full = logits(merged)
    torch.testing.assert_close(full, logits(folder, first), atol=2e-3, rtol=1e-4)
    quantized = logits(folder, first, "nf4")
    assert (full - quantized).abs().max() > 0.1, "training saw another base"

    rounded = run(
        tmp_path, "merge", f"inputs.adapter={first}", "merge.quantized_base=dequantize",
        "merge.dtype=float32",
    )  # fmt: skip
    torch.testing.assert_close(logits(rounded), quantized, atol=2e-3, rtol=1e-4)

    second = run(tmp_path, "imelodist/sft", *words, f"inputs.model={merged}")
    again = losses(second)
    assert again[-1] < again[0] < values[0] - 0.5, "it starts from what was merged"


def test_float16_as_published_learns_what_float32_learns(
    folder: Path, corpus: Path, tmp_path: Path
) -> None:
    words = (*SMALL, f"inputs.corpus={corpus}", f"model.location={folder}", "training.max_steps=2")
    half = run(tmp_path, "imelodist/increment", *words)
    assert losses(half, "train/loss_scale")[-1] >= 1.0, "the recipe's compute dtype is float16"
    single = run(tmp_path, "imelodist/increment", *words, "hardware.precision=fp32")
    assert losses(half) == pytest.approx(losses(single), abs=0.1)


@pytest.mark.slow
def test_a_base_in_four_bits_writes_and_is_measured(
    folder: Path, corpus: Path, tmp_path: Path
) -> None:
    quantized = ("hardware=cpu", "hardware.num_threads=1", "adapter.quantization=nf4")
    tunes = run(
        tmp_path, "generate", *quantized, f"inputs.model={folder}", "generation.max_new_tokens=8",
        "hardware.max_rows_per_device=1",
    )  # fmt: skip
    assert any(tunes.iterdir())
    results = run(
        tmp_path, "quickstart/evaluate", *quantized, f"inputs.model={folder}",
        f"inputs.corpus={corpus}", "benchmark=[compression]", "~inputs.baseline",
        "~inputs.instructions",
    )  # fmt: skip
    assert (results / "results.json").is_file()
