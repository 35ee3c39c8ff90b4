"""A model that hears, from audio files to a merged model: the seam of features beside tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from musicllm.data.batches import collate
from musicllm.data.corpus import Corpus
from musicllm.data.features import FeatureStore
from musicllm.data.heard import HeardRows, Places, read_clips
from musicllm.errors import ArtifactError, ConfigError, NotAvailableError
from musicllm.launch import runner
from musicllm.model import adapters, base
from musicllm.model.audio.bridge import bridge_of
from musicllm.runs import composing
from musicllm.train import metrics
from musicllm.train.forward import hidden_states
from tests.audio_files import write_questions

AUDIO = {
    "gated_prefix": ["audio=mu_llama_tiny", "audio.options.num_layers=1"],
    "projector": ["audio=projector", "audio.num_frames=4"],
}
SMALL = [
    "hardware=cpu", "hardware.num_threads=1", "hardware.precision=fp32",
    "callbacks.progress_bar=false", "callbacks.samples_every_steps=null",
]  # fmt: skip
MODEL = [
    "model.config.vocab_size=300", "model.config.hidden_size=32",
    "model.config.intermediate_size=48", "model.config.num_hidden_layers=2",
    "model.config.num_attention_heads=2", "model.config.num_key_value_heads=1",
    "training.rows_per_step=2", "training.log_every_steps=1", "training.step_choices=[]",
    "training.time_budget_min=null", "training.activation_checkpointing=true",
]  # fmt: skip


def run(runs: Path, recipe: str, *words: str) -> Path:
    """Run a recipe and return its artifact's folder."""
    command = (f"recipe={recipe}", f"paths.runs={runs}", *words)
    return runner.run(*composing.load(command)).folder / "artifact"


@pytest.fixture(scope="module", params=sorted(AUDIO))
def prepared(request: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A corpus of questions about clips, and their features, for one kind of bridge."""
    runs = tmp_path_factory.mktemp("runs")
    data = write_questions(runs / "data", 24)
    words = [*SMALL, *AUDIO[request.param]]
    corpus = run(
        runs, "prepare_sft", *words, "data=files", f"data.sources.files.location={data}",
        "model=tiny", "data.tokenizer=train", "data.vocab_size=300", "data.max_length=128",
        "data.validation_fraction=0",
    )  # fmt: skip
    features = run(runs, "mu_llama/features", f"inputs.corpus={corpus}", *words)
    return {"runs": runs, "corpus": corpus, "features": features, "audio": AUDIO[request.param]}


def trained(prepared: dict[str, Any], recipe: str, *words: str) -> Path:
    places = (f"inputs.corpus={prepared['corpus']}", f"inputs.features={prepared['features']}")
    return run(prepared["runs"], recipe, *places, *SMALL, *prepared["audio"], *MODEL, *words)


def full(prepared: dict[str, Any], name: str, num_steps: int) -> Path:
    return trained(
        prepared, "quickstart/pretrain", f"name={name}", f"training.max_steps={num_steps}",
        "optimizer.lr=5e-3", "schedule=constant", "schedule.warmup_fraction=0",
    )  # fmt: skip


def losses(artifact: Path) -> list[float]:
    lines = metrics.read(artifact.parent / "metrics.jsonl")
    return [line["train/loss"] for line in lines if "train/loss" in line]


def test_every_document_hears_its_own_clip(prepared: dict[str, Any]) -> None:
    """Packed rows against the same documents alone."""
    corpus = Corpus.open(prepared["corpus"])
    store = FeatureStore(prepared["features"], {})
    folder = corpus.path / "rows" / "train"
    rows = HeardRows(folder, store, Places.of(corpus.facts))
    clips = read_clips(folder)
    assert len(clips) == 16
    assert len(store) == 24
    model = base.load(full(prepared, "short", 2), dtype="float32").eval()
    if AUDIO["gated_prefix"] == prepared["audio"]:  # gates that are nearly closed hide a mix-up
        bridge_of(model).gates.data.fill_(2)  # type: ignore[operator, union-attr]
        bridge_of(model).queries.data.zero_()  # type: ignore[operator, union-attr]
        bridge_of(model).projection.weight.data.mul_(100)  # type: ignore[operator, union-attr]
    row = rows.row(0)
    assert row.audio is not None
    assert len(row.document_lengths) > 1
    batch = collate([row], 1)
    together = hidden_states(model, batch)[0]
    ends = row.document_lengths.cumsum()
    for number, (length, end) in enumerate(zip(row.document_lengths, ends, strict=True)):
        span = slice(end - length, end)
        clip = int(row.audio.clip_of_document[number])
        alone = {
            "input_ids": batch["input_ids"][:, span],
            "position_ids": torch.arange(length)[None],
            "cu_seq_lens": torch.tensor([0, length], dtype=torch.int32),
            "features": {
                "audio": torch.from_numpy(row.audio.features[clip])[None],
                "clip_of_token": torch.zeros(1, length, dtype=torch.int64),
                "place_of_token": batch["features"]["place_of_token"][:, span],
            },
        }
        with torch.no_grad():
            apart = hidden_states(model, alone)[0]  # type: ignore[arg-type]
        torch.testing.assert_close(together[span], apart, rtol=1e-4, atol=1e-4)
    other = {**alone["features"], "audio": alone["features"]["audio"].flip(-1)}  # type: ignore[dict-item]
    with torch.no_grad():
        different = hidden_states(model, {**alone, "features": other})[0]  # type: ignore[typeddict-item]
    assert (different - apart).abs().max() > 1e-2


def test_it_learns_and_goes_on_with_the_same_bits(prepared: dict[str, Any]) -> None:
    straight = full(prepared, "straight", 30)
    full(prepared, "grown", 12)
    grown = full(prepared, "grown", 30)
    for name in ("model.safetensors", "audio_bridge.safetensors"):
        assert (straight / name).read_bytes() == (grown / name).read_bytes()
    values = losses(straight)
    assert values[-1] < 0.5 * values[0]


def test_lora_and_bridge_are_merged_and_heard(prepared: dict[str, Any]) -> None:
    first = full(prepared, "base", 2)
    adapter = trained(
        prepared, "quickstart/sft", f"inputs.model={first}", "name=lora", "adapter.r=4",
        "training.max_steps=4", "adapter.dropout=0", "adapter.train_embeddings=false",
        "adapter.train_output_head=false",
    )  # fmt: skip
    facts = json.loads((adapter / "audio_bridge.json").read_text())
    assert facts["features"]["encoder"] == "spectral"
    merged = run(prepared["runs"], "merge", f"inputs.adapter={adapter}", "name=merged")
    adapted = adapters.load_adapter(base.load(first, dtype="float32"), adapter)
    whole = base.load(merged, dtype="float32").eval()
    ours, theirs = bridge_of(whole), bridge_of(adapted)
    assert ours is not None
    assert theirs is not None
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor)
    old = base.load(first, dtype="float32")
    changed = [
        name for name, tensor in bridge_of(old).state_dict().items()  # type: ignore[union-attr]
        if not torch.equal(theirs.state_dict()[name], tensor)
    ]  # fmt: skip
    assert changed, "the bridge is trained beside LoRA"


def test_what_does_not_belong_together_is_refused(prepared: dict[str, Any]) -> None:
    corpus, runs = prepared["corpus"], prepared["runs"]
    features = f"inputs.features={prepared['features']}"
    words = [*SMALL, *MODEL, "training.max_steps=1", f"inputs.corpus={corpus}"]
    pretrain = "quickstart/pretrain"
    with pytest.raises(ConfigError, match=r"audio\.bridge=null is a model of text, but .* clips"):
        run(runs, pretrain, *words)
    with pytest.raises(ConfigError, match=r"inputs\.features=null is missing: a model that hears"):
        run(runs, pretrain, *words, *prepared["audio"])
    with pytest.raises(ConfigError, match=r"gives 7\.0, and inputs\.features=.* has 30\.0"):
        run(runs, pretrain, *words, *prepared["audio"], features, "audio.window_s=7.0")
    if prepared["audio"][0] == "audio=projector":
        with pytest.raises(ConfigError, match=r"fills 5 places .* was prepared with 4"):
            run(runs, pretrain, *words, *prepared["audio"], features, "audio.num_frames=5")
    hearing = full(prepared, "short", 2)
    text = runs / "text"
    text.mkdir(exist_ok=True)
    record = {"messages": [{"role": "user", "content": "Hi"},
                           {"role": "assistant", "content": "Hello there"}]}  # fmt: skip
    (text / "text.jsonl").write_text(json.dumps(record) + "\n")
    plain = run(
        runs, "prepare_sft", *SMALL, "data=files", f"data.sources.files.location={text}",
        "model=tiny", "data.tokenizer=inherit", f"inputs.corpus={corpus}", "data.max_length=128",
        "data.validation_fraction=0",
    )  # fmt: skip
    words[-1] = f"inputs.corpus={plain}"
    with pytest.raises(ConfigError, match=r"needs audio, and no record of .* has any"):
        run(runs, pretrain, *words, *prepared["audio"], features)
    with pytest.raises(ConfigError, match=r"is a model of text, but inputs.model hears"):
        run(runs, pretrain, *words, f"inputs.model={hearing}")
    with pytest.raises(ConfigError, match=r"inputs\.teacher=set gets no audio, and audio\.bridge="):
        run(
            runs, pretrain, *words[:-1], f"inputs.corpus={corpus}", *prepared["audio"], features,
            "objective=distillation", f"inputs.teacher={hearing}", "objective.teacher_model=tiny",
            "objective.divergence=forward_kl", "objective.temperature=1.0",
            "objective.plain_weight=0.5",
        )  # fmt: skip
    for form in ("hf", "gguf"):
        with pytest.raises(NotAvailableError, match="would leave its audio bridge out"):
            run(runs, "export", *SMALL, f"inputs.model={hearing}", f"export.format={form}")
    with pytest.raises(NotAvailableError, match="that hears, and task=generate gives no"):
        run(runs, "generate", *SMALL, f"inputs.model={hearing}", "generation.render=[]")
    with pytest.raises(ArtifactError, match="has no audio: no record names any"):
        run(runs, "mu_llama/features", *SMALL, *prepared["audio"], f"inputs.corpus={plain}")


def test_a_split_without_audio_and_clips_without_features(
    tmp_path: Path, prepared: dict[str, Any]
) -> None:
    data = write_questions(tmp_path / "data", 24)
    text = [
        {"messages": [{"role": "user", "content": f"What is {n}?"},
                      {"role": "assistant", "content": f"It is {7 * n}"}]}
        for n in range(12)
    ]  # fmt: skip
    lines = "".join(json.dumps(record) + "\n" for record in text)
    (data / "validation.jsonl").write_text(lines)
    words = [
        *SMALL, *prepared["audio"], "data=files", f"data.sources.files.location={data}",
        "model=tiny", "data.tokenizer=train", "data.vocab_size=300", "data.max_length=128",
        "data.validation_fraction=0",
    ]  # fmt: skip
    corpus = run(tmp_path, "prepare_sft", *words)
    store = ["mu_llama/features", f"inputs.corpus={corpus}", *SMALL, *prepared["audio"]]
    here = {**prepared, "runs": tmp_path, "corpus": corpus, "features": run(tmp_path, *store)}
    artifact = trained(
        here, "quickstart/pretrain", "training.max_steps=2", "training.validate_every_steps=1"
    )
    lines_of_run = metrics.read(artifact.parent / "metrics.jsonl")
    assert any("val/loss" in line for line in lines_of_run)
    with (data / "train.jsonl").open("a") as file:
        for number in range(2):  # of a file that is silent
            soundfile.write(data / "audio/silent.wav", np.zeros(48_000, np.float32), 24_000)
            messages = [{"role": "user", "content": f"Question {number}?"},
                        {"role": "assistant", "content": "nothing"}]  # fmt: skip
            entry = {"kind": "audio", "file": "audio/silent.wav"}
            file.write(json.dumps({"messages": messages, "features": [entry]}) + "\n")
    corpus = run(tmp_path, "prepare_sft", *words)
    store[1] = f"inputs.corpus={corpus}"
    features = run(tmp_path, *store)
    assert "names silent audio" in (features / "rejected.jsonl").read_text()
    with pytest.raises(ArtifactError, match=r"lacks 1 clips of the train split .* leave their rec"):
        trained(
            {**here, "corpus": corpus, "features": features},
            "quickstart/pretrain", "training.max_steps=2",
        )  # fmt: skip
