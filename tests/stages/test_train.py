from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from musicllm import config
from musicllm.data.corpus import Corpus
from musicllm.errors import ArtifactError, ConfigError, NotAvailableError
from musicllm.job import Job
from musicllm.launch import runner
from musicllm.model import base
from musicllm.model.adapters import quiet_peft
from musicllm.runs import decisions
from musicllm.runs.settings import model_spec
from musicllm.stages import train
from musicllm.train import loss, metrics
from musicllm.train.loss import sum_nll
from musicllm.train.rehearsal import Rehearsal
from tests.helpers import make_corpus

SMALL = [
    "model.config.vocab_size=300",
    "model.config.hidden_size=16",
    "model.config.intermediate_size=24",
    "model.config.num_hidden_layers=1",
    "model.config.num_attention_heads=2",
    "model.config.num_key_value_heads=1",
    "training.max_steps=3",
    "training.log_every_steps=1",
    "callbacks.progress_bar=false",
    "hardware.num_threads=1",
    "hardware.precision=fp32",
]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus") / "corpus")


def job_of(tmp_path: Path, recipe: str, corpus: Corpus, *words: str) -> Job:
    places = [f"paths.runs={tmp_path / 'runs'}", f"inputs.corpus={corpus.path}"]
    job = runner.bind(*config.load([f"recipe={recipe}", *places, *SMALL, *words]))
    job.folder.mkdir(parents=True, exist_ok=True)
    return job


def pretrained(tmp_path: Path, corpus: Corpus, *words: str) -> tuple[Job, dict[str, object]]:
    job = job_of(tmp_path, "quickstart/pretrain", corpus, *words)
    return job, dict(train.run(job))


def loss_of(model: Any, corpus: Corpus) -> float:
    ids = torch.tensor(corpus.rows("validation").row(0).input_ids.tolist())[None]
    with torch.no_grad():
        return float(model(ids, labels=ids).loss)


def test_random_weights_become_a_plain_model(tmp_path: Path, corpus: Corpus) -> None:
    job, summary = pretrained(tmp_path, corpus)
    made = job.existing()
    assert made is not None
    made.verify()
    assert made.kind == "model"
    assert made.facts["num_steps"] == 3
    assert summary["steps"] == "3"
    assert summary["where"] == "1 x 1 CPU, 32-true, strategy single"
    plan = json.loads((job.folder / "plan.json").read_text())
    assert plan["num_steps"] == 3
    assert plan["num_rows"] == len(corpus.rows("train"))
    written = [line for line in metrics.read(job.folder / "metrics.jsonl") if "train/loss" in line]
    assert [line["step"] for line in written] == [1, 2, 3]
    assert made.facts["metrics"]["train_loss"] == written[-1]["train/loss"]

    model = base.load(made.path, dtype="float32", attention="sdpa")
    tokenizer = base.load_tokenizer(made.path)
    assert tokenizer.get_vocab() == base.load_tokenizer(corpus.tokenizer_path).get_vocab()
    assert tokenizer.chat_template
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    fresh = base.build(model_spec(job.config), seed=job.config.seed, attention="sdpa")
    assert loss_of(model, corpus) < loss_of(fresh, corpus)


def test_the_loss_of_the_artifact_is_the_one_that_was_measured(
    tmp_path: Path, corpus: Corpus
) -> None:
    job, _ = pretrained(tmp_path, corpus, "training.num_validation_rows=null")
    model = base.load(job.artifact_path, dtype="float32", attention="sdpa")
    total = count = 0.0
    store = corpus.rows("validation")
    for row in map(store.row, range(len(store))):
        ends = row.document_lengths.cumsum().tolist()
        for begin, end in zip([0, *ends[:-1]], ends, strict=True):
            ids = torch.tensor(row.input_ids[begin:end].tolist())
            with torch.no_grad():
                log_p = model(ids[None]).logits[0].log_softmax(-1)
            wanted = torch.tensor(row.supervised[begin + 1 : end].tolist())
            total -= float(log_p[:-1].gather(1, ids[1:, None])[wanted].sum())
            count += int(wanted.sum())
    facts = job.existing()
    assert facts is not None
    assert facts.facts["metrics"]["validation_loss"] == pytest.approx(total / count, rel=1e-5)


@pytest.mark.usefixtures("native_bfloat16")
def test_lora_on_a_trained_model_becomes_an_adapter(tmp_path: Path, corpus: Corpus) -> None:
    from peft import PeftModel

    first, _ = pretrained(tmp_path, corpus)
    words = [f"inputs.model={first.artifact_path}", "adapter.r=4", "hardware.precision=bf16"]
    job = job_of(tmp_path, "quickstart/sft", corpus, *words)
    train.run(job)
    made = job.existing()
    assert made is not None
    assert made.kind == "adapter"
    assert made.provenance["inputs"]["model"]["path"] == str(first.artifact_path)
    names = {path.name for path in made.path.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"} <= names
    assert "model.safetensors" not in names
    before = loss_of(base.load(first.artifact_path, dtype="float32", attention="sdpa"), corpus)
    model = base.load(first.artifact_path, dtype="float32", attention="sdpa")
    with quiet_peft():
        adapted = PeftModel.from_pretrained(model, made.path)
    assert loss_of(adapted, corpus) < before


def test_activation_checkpointing_changes_memory_and_not_the_result(
    tmp_path: Path, corpus: Corpus
) -> None:
    plain, _ = pretrained(tmp_path, corpus)
    saving, _ = pretrained(tmp_path, corpus, "training.activation_checkpointing=true")
    assert plain.folder != saving.folder
    assert plain.existing().files == saving.existing().files  # type: ignore[union-attr]


def test_the_same_command_continues(
    tmp_path: Path, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight, _ = pretrained(tmp_path, corpus, "name=straight")

    def full_disk(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(train, "_save", full_disk)
        with pytest.raises(OSError, match="no space"):
            pretrained(tmp_path, corpus)
    job, summary = pretrained(tmp_path, corpus)
    assert summary["steps"] == "3, of which 3 were done before"
    assert "speed" not in summary
    assert job.existing().files == straight.existing().files  # type: ignore[union-attr]


@pytest.mark.parametrize("adapter", ["full", pytest.param("lora_r64", marks=pytest.mark.slow)])
def test_a_finished_run_is_made_longer(tmp_path: Path, corpus: Corpus, adapter: str) -> None:
    level = [
        "schedule=constant",
        "schedule.warmup_fraction=0",
        f"adapter={adapter}",
        "training.keep_last_checkpoints=1",
    ]
    recipe = "quickstart/pretrain"
    if adapter != "full":
        first, _ = pretrained(tmp_path, corpus)
        recipe = "quickstart/sft"
        level += [f"inputs.model={first.artifact_path}", "adapter.r=4", "adapter.dropout=0.1"]

    def trained(name: str, num_steps: int) -> tuple[Job, dict[str, object]]:
        words = (f"name={name}", f"training.max_steps={num_steps}")
        settings, _ = config.load(
            [f"recipe={recipe}", f"paths.runs={tmp_path / 'runs'}", f"inputs.corpus={corpus.path}",
             *SMALL, *level, *words]
        )  # fmt: skip
        rows = dict(runner._make(runner.bind(settings, recipe)).metrics)
        job = runner.bind(settings, recipe)
        return job, rows

    straight, _ = trained("straight", 5)
    trained("grown", 3)
    grown, _ = trained("grown", 5)
    assert grown.fingerprint == straight.fingerprint
    assert grown.existing().files == straight.existing().files  # type: ignore[union-attr]
    summary = json.loads((grown.folder / "summary.json").read_text())
    assert ["steps", "5, of which 3 were done before"] in summary["rows"]
    assert [path.name for path in (grown.folder / "checkpoints").glob("step-*")] == [
        "step-00000005"
    ]
    level[0] = "schedule=linear"
    with pytest.raises(ConfigError, match=r"schedule\.name: .constant. -> .linear., .*: 5 -> 7"):
        trained("grown", 7)


def test_a_corpus_with_another_tokenizer_is_refused(tmp_path: Path, corpus: Corpus) -> None:
    first, _ = pretrained(tmp_path, corpus)
    other = make_corpus(tmp_path / "other", vocab_size=290)
    job = job_of(tmp_path, "quickstart/sft", other, f"inputs.model={first.artifact_path}")
    with pytest.raises(ArtifactError) as error:
        train.run(job)
    assert str(error.value) == (
        f"the corpus {other.path} was tokenized with {other.tokenizer_path} (290 tokens), but the "
        f"model {first.artifact_path} has another tokenizer (300 tokens); prepare the corpus again "
        f"with the model's: data.tokenizer=model, or data.tokenizer=inherit with the corpus that "
        f"it was trained on"
    )


def test_a_vocabulary_that_does_not_fit_is_refused(tmp_path: Path, corpus: Corpus) -> None:
    with pytest.raises(ConfigError) as error:
        pretrained(tmp_path, corpus, "model.config.vocab_size=200")
    assert str(error.value.problems[0]) == (
        "model.config.vocab_size=200 is less than the 300 tokens of the corpus; write 300"
    )


def test_numbers_that_are_not_the_model_s_are_refused(tmp_path: Path, corpus: Corpus) -> None:
    first, _ = pretrained(tmp_path, corpus)
    words = [f"inputs.model={first.artifact_path}", "model.config.intermediate_size=32"]
    with pytest.raises(ConfigError, match=f"differs from the weights of {first.artifact_path}"):
        train.run(job_of(tmp_path, "quickstart/sft", corpus, *words))


def test_gpus_that_are_not_there_are_refused_plainly(tmp_path: Path, corpus: Corpus) -> None:
    job = job_of(tmp_path, "quickstart/pretrain", corpus, "hardware=h100x1")
    with pytest.raises(
        NotAvailableError, match=r"hardware.accelerator=gpu, but torch .*hardware=cpu"
    ):
        train.run(job)


def test_callbacks_of_the_user_are_called(
    tmp_path: Path, corpus: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    target = "lightning.pytorch.callbacks.LambdaCallback"
    added = [
        f"callbacks.extra.mine._target_={target}",
        "+callbacks.extra.mine.on_train_end={_target_: builtins.print, _partial_: true}",
    ]
    pretrained(tmp_path, corpus, *added)
    assert "Trainer object" in capsys.readouterr().out


def test_a_bad_step_is_rolled_back_and_left_out(
    tmp_path: Path, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter(range(1000))

    def fourth_is_nan(*arguments: Any, **options: Any) -> torch.Tensor:
        loss = sum_nll(*arguments, **options)
        return loss * float("nan") if next(losses) == 3 else loss

    monkeypatch.setattr(loss, "sum_nll", fourth_is_nan)
    words = ["training.max_steps=6", "training.checkpoint_every_steps=2", "name=rolled"]
    job, summary = pretrained(tmp_path, corpus, "callbacks.on_bad_loss=roll_back", *words)
    assert summary["steps"] == "6, of which 2 were done before"
    assert json.loads((job.folder / "left-out-steps.json").read_text()) == {"steps": [4]}
    assert len(list((job.folder / "incidents").iterdir())) == 1
    written = [line for line in metrics.read(job.folder / "metrics.jsonl") if "train/loss" in line]
    assert [line["step"] for line in written] == [1, 2, 3, 5, 6]
    assert next(losses) == 7  # steps 1 to 4, then 3, 5 and 6


CHOICES = ["training.max_steps=null", "training.step_choices=[2,4]", "training.time_budget_min=60"]


def test_the_speed_decides_the_length_once(
    tmp_path: Path, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    step_s = {1: 100.0}
    monkeypatch.setattr(decisions, "rehearse", lambda *_: Rehearsal(dict(step_s)))
    words = [*CHOICES, "training.checkpoint_every_steps=1", "training.time_budget_min=5"]
    job, summary = pretrained(tmp_path, corpus, *words)
    assert summary["steps"] == "2"
    slow = job.existing()
    assert slow is not None
    assert slow.facts["chosen"] == {"num_steps": 2}
    plan = json.loads((job.folder / "plan.json").read_text())
    why = "the most that end within 5 min at 100.00 s a step"
    assert (plan["num_steps"], plan["length"]["why"]) == (2, why)

    step_s[1] = 0.1  # faster now, but the run was begun with 2 steps
    shutil.rmtree(job.artifact_path)
    again, summary = pretrained(tmp_path, corpus, *words)
    assert summary["steps"] == "2, of which 2 were done before"
    assert again.existing() is not None
    plan = json.loads((job.folder / "plan.json").read_text())
    assert plan["length"]["why"] == f"{why}, when this run began"

    shutil.rmtree(job.folder)  # a new run of the same settings: another result, another identity
    fast_job, summary = pretrained(tmp_path, corpus, *words)
    fast = fast_job.existing()
    assert summary["steps"] == "4"
    assert fast is not None
    assert fast_job.fingerprint == job.fingerprint
    assert fast.fingerprint != slow.fingerprint


def test_the_same_seed_and_length_give_the_same_weights_whatever_was_measured(
    tmp_path: Path, corpus: Corpus
) -> None:
    results = []
    for runs, words in (("a", CHOICES), ("b", ["training.max_steps=4"])):
        place = [f"paths.runs={tmp_path / runs}", "hardware.num_threads=null"]
        job, _ = pretrained(tmp_path, corpus, *words, *place)
        results.append((job.artifact_path / "model.safetensors").read_bytes())
    assert results[0] == results[1]


def test_a_set_number_of_threads_is_used_and_others_are_not_tried(
    tmp_path: Path, corpus: Corpus
) -> None:
    job, summary = pretrained(tmp_path, corpus, *CHOICES)
    plan = json.loads((job.folder / "plan.json").read_text())
    assert list(plan["rehearsal"]["step_s"]) == ["1"]
    assert plan["duration"]["rehearsed_step_s"] == plan["rehearsal"]["step_s"]["1"]
    assert summary["steps"] == "4"
