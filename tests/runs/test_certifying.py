"""Every shipped model is trained as it is; what is not is refused before its weights are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from musicllm.errors import ConfigError, NotAvailableError
from musicllm.launch import runner
from musicllm.runs import composing
from musicllm.runs.certifying import certified_on_cpu
from musicllm.train import metrics
from tests.helpers import make_corpus
from tests.model import families, remote_code

ROOT = Path(__file__).parent.parent.parent
OPTIONS = sorted(path.stem for path in (ROOT / "conf" / "model").glob("*.yaml"))
QUICK = ("llama3_2_1b", "gemma3_1b", "gpt_oss_20b", "qwen3_30b_a3b")
"""Tied ends and scaled positions; windows; sinks and experts; many experts."""


@pytest.mark.parametrize(
    "option",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name in OPTIONS
        if name != "hf"  # see below
    ],
)
def test_every_option_is_certified_in_one_pass(option: str, tmp_path: Path) -> None:
    config, _ = composing.load(
        ["recipe=sft", f"model={option}", "stage=plan", f"paths.cache={tmp_path}"]
    )
    certificate = certified_on_cpu(config, 4096)
    assert certificate.isolation == "packed"
    assert certificate.attention == "varlen_sdpa"
    (record,) = (tmp_path / "certificates").iterdir()
    assert certified_on_cpu(config, 4096) == certificate
    assert [record] == list((tmp_path / "certificates").iterdir())


def run(folder: Path, *words: str) -> Path:
    """Train LoRA for two steps and return the run's folder."""
    job = runner.run(*composing.load([
        "recipe=sft", f"paths.runs={folder / 'runs'}", f"paths.cache={folder / 'cache'}",
        "hardware=cpu", "hardware.num_threads=1", "hardware.precision=fp32",
        "callbacks.progress_bar=false", "training.max_steps=2", "training.rows_per_step=2",
        "training.log_every_steps=1", "adapter.r=4", "adapter.train_embeddings=false",
        "adapter.train_output_head=false", "model=hf", *words,
    ]))  # fmt: skip
    return job.folder


def test_a_plan_certifies_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = families.write(tmp_path / "base", "lfm2")
    words = (f"model.location={folder}", "stage=plan", "inputs.corpus=nowhere")
    run(tmp_path, *words)
    assert "one by one" not in capsys.readouterr().out
    run(tmp_path, *words, "certify_in_plan=true")
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "documents" in line)
    assert "one by one, a pass each, attention varlen_sdpa (model.layers.0.conv" in line


def test_remote_code_with_its_own_attention_trains_document_by_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    folder = remote_code.write(tmp_path / "own_trains")
    words = (
        f"model.location={folder}", f"inputs.corpus={corpus.path}", "model.trust_remote_code=true",
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"=true is not supported by OwnForCausalLM; write false"):
        run(tmp_path, *words)
    ran = run(tmp_path, *words, "training.activation_checkpointing=false")
    output = capsys.readouterr()
    said = " ".join((output.out + output.err).split())
    assert "run the custom code?" not in said
    assert "documents go through OwnForCausalLM one by one, with attention varlen_sdpa" in said
    assert "model.layers.0.attention (OwnAttention) lets documents see those before them" in said
    assert sum("train/loss" in line for line in metrics.read(ran / "metrics.jsonl")) == 2


def test_what_cannot_be_certified_is_not_trained(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    folder = remote_code.write(tmp_path / "own_refused", fails=True)
    with pytest.raises(
        NotAvailableError,
        match=r"cannot be planned, .* an odd number of tokens",
    ):
        run(
            tmp_path, f"model.location={folder}", f"inputs.corpus={corpus.path}",
            "model.trust_remote_code=true",
        )  # fmt: skip
