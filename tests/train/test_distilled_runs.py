"""Training from a teacher on the fly: documents apart, any split of a step, exact resume."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from musicllm.data.batches import collate
from musicllm.data.rows import RowStore
from musicllm.model import isolation
from musicllm.model.adapters import trained
from musicllm.model.spec import AdapterSpec
from musicllm.train import metrics
from musicllm.train.distillation.targets import Settings
from musicllm.train.distillation.teachers import ModelTeacher
from musicllm.train.fit import TrainingRun
from musicllm.train.module import CausalLMModule
from musicllm.train.objectives.distillation import BoundDistillation
from musicllm.train.readings import Reading

Models = Callable[..., nn.Module]
MakeRun = Callable[..., TrainingRun]

SETTINGS = Settings("jensen_shannon", 0.4, 1.5, 0.3)


@pytest.fixture
def teacher(make_model: Models) -> ModelTeacher:
    """A larger model with dropout, which a teacher never applies, and two rows without a token."""
    wide = {"hidden_size": 24, "num_hidden_layers": 3, "attention_dropout": 0.5, "vocab_size": 34}
    return ModelTeacher(make_model(**wide).train(), num_tokens=32)


@pytest.fixture
def distilled(make_run: MakeRun, teacher: ModelTeacher) -> MakeRun:
    objective = BoundDistillation(teacher, SETTINGS)

    def make(*args: Any, **changes: Any) -> TrainingRun:
        return dataclasses.replace(make_run(*args, **changes), objective=objective)

    return make


def documents_of(store: RowStore, row: int) -> list[tuple[Tensor, Tensor]]:
    """Return ids and what is supervised of every document."""
    content = store.row(row)
    lengths = content.document_lengths.tolist()
    ids, supervised = (torch.tensor(x) for x in (content.input_ids, content.supervised))
    return list(zip(ids.long().split(lengths), supervised.split(lengths), strict=True))


def test_packed_rows_have_the_loss_of_their_documents_alone(
    store: RowStore, plain_model: nn.Module, teacher: ModelTeacher
) -> None:
    nll = divergence = 0.0
    with torch.no_grad():
        for ids, supervised in documents_of(store, 0) + documents_of(store, 1):
            own, theirs = (
                model(ids[None]).logits[0, :-1] for model in (plain_model, teacher.model)
            )
            places = supervised[1:].nonzero()[:, 0]
            nll -= float(own.log_softmax(-1)[places, ids[1:][places]].sum())
            p = (theirs[places, :32] / 1.5).softmax(-1)
            q = (own[places] / 1.5).softmax(-1)
            m = 0.4 * p + 0.6 * q
            divergence += float((0.4 * p * (p / m).log()).sum() + (0.6 * q * (q / m).log()).sum())
    batch = collate([store.row(0), store.row(1)], 1)
    assert len(batch["cu_seq_lens"]) > 3, "the rows must hold several documents"
    objective = BoundDistillation(teacher, SETTINGS)
    total, terms = objective.loss_and_terms(plain_model, batch)
    assert terms is not None
    assert terms.tolist() == pytest.approx([nll, divergence], rel=1e-4)
    assert total.item() == pytest.approx(0.3 * nll + 0.7 * 1.5**2 * divergence, rel=1e-4)
    isolation.choose(teacher.model, "one_by_one")
    again, _ = objective.loss_and_terms(plain_model, batch)
    torch.testing.assert_close(again, total)


def test_a_teacher_computes_what_it_computes_alone(store: RowStore, teacher: ModelTeacher) -> None:
    batch = collate([store.row(0)], 1)
    positions = torch.arange(3)
    alone = teacher.states(batch, positions)
    with torch.autocast("cpu", torch.bfloat16):
        beside = teacher.states(batch, positions)
        logits = teacher.logits(beside)
    assert torch.equal(alone, beside), "neither dropout nor autocast"
    assert torch.equal(logits, teacher.logits(alone))
    assert logits.shape == (3, 32)
    assert not alone.requires_grad


def test_metrics_show_the_parts_of_the_loss(distilled: MakeRun) -> None:
    run = distilled(max_steps=30, validate_every_steps=30)
    run.fit()
    written = metrics.read(run.folder / metrics.NAME)
    steps = [line for line in written if "train/loss" in line]
    for line in steps:
        parts = 0.3 * line["train/nll"] + 0.7 * 1.5**2 * line["train/divergence"]
        assert line["train/loss"] == pytest.approx(parts, rel=1e-5)
        assert line["train/perplexity"] == pytest.approx(metrics_exp(line["train/nll"]))
    assert steps[-1]["train/divergence"] < 0.9 * steps[0]["train/divergence"]


def metrics_exp(nats: float) -> float:
    return float(torch.tensor(nats, dtype=torch.double).exp())


@pytest.mark.parametrize("rows", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_another_split_of_a_step_changes_only_the_rounding(
    distilled: MakeRun, make_model: Models, rows: int
) -> None:
    def losses(folder: str, rows: int) -> list[float]:
        plan = {"max_rows_per_device": rows}
        model = make_model(attention_dropout=0.0)
        run = distilled(folder=folder, model=model, plan=plan, max_steps=6)
        run.fit()
        written = metrics.read(run.folder / metrics.NAME)
        return [line["train/loss"] for line in written if "train/loss" in line]

    assert losses("other", rows) == pytest.approx(losses("two", 2), rel=1e-4)


@pytest.mark.parametrize("kind", ["full", pytest.param("lora", marks=pytest.mark.slow)])
def test_a_crashed_run_continues_bit_by_bit_and_saves_no_teacher(
    distilled: MakeRun, lora: AdapterSpec, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    changes = {"adapter": lora} if kind == "lora" else {}
    straight = distilled(folder="straight", **changes)
    straight.fit()
    finish = CausalLMModule.finish_step

    def crash(module: CausalLMModule, step: int) -> Reading:
        if step == 8:
            raise RuntimeError("the power went out")
        return finish(module, step)

    monkeypatch.setattr(CausalLMModule, "finish_step", crash)
    with pytest.raises(RuntimeError, match="power"):
        distilled(**changes).fit()
    monkeypatch.setattr(CausalLMModule, "finish_step", finish)
    resumed = distilled(**changes)
    assert resumed.fit().start_step == 6
    ours, theirs = trained(resumed.model), trained(straight.model)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    lines = [
        [{k: v for k, v in line.items() if not k.startswith("perf/")}
         for line in metrics.read(run.folder / metrics.NAME)]
        for run in (straight, resumed)
    ]  # fmt: skip
    assert lines[0] == lines[1]
    assert not any("teacher" in name for name in ours)


def test_a_teacher_is_never_trained(distilled: MakeRun, teacher: ModelTeacher) -> None:
    before = {name: weight.clone() for name, weight in teacher.model.state_dict().items()}
    distilled(max_steps=2).fit()
    after = teacher.model.state_dict()
    assert all(torch.equal(weight, after[name]) for name, weight in before.items())
    assert not any(weight.requires_grad for weight in teacher.model.parameters())
    assert not teacher.model.training
