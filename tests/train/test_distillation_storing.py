"""What is stored of a teacher, and training from it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from musicllm.data.batches import MicroBatch, StepBatches, collate
from musicllm.data.rows import RowStore
from musicllm.data.teacher_logits import SPLIT, ShardWriter, TaughtRows, TeacherStore
from musicllm.model import isolation
from musicllm.train.distillation.storing import Lecture
from musicllm.train.distillation.targets import Settings
from musicllm.train.distillation.teachers import ModelTeacher, StoredTeacher
from musicllm.train.loss import supervised_positions
from musicllm.train.objectives.distillation import BoundDistillation

TOP_K, VOCABULARY, TEMPERATURE = 5, 32, 1.7
FACTS = {"top_k": TOP_K, "vocab_size": VOCABULARY, "temperature": TEMPERATURE}
SETTINGS = Settings("forward_kl", 0.5, TEMPERATURE, 0.3)

Models = Callable[..., nn.Module]


@pytest.fixture
def teacher(make_model: Models) -> ModelTeacher:
    """A model larger than the student, that knows other things."""
    model = make_model(hidden_size=24, num_hidden_layers=3, initializer_range=0.3)
    isolation.choose(model, "one_by_one")
    return ModelTeacher(model, num_tokens=model.config.vocab_size, top_k=TOP_K)


def stored(folder: Path, store: RowStore, teacher: ModelTeacher, rows: int = 3) -> TeacherStore:
    writer = ShardWriter(
        folder / "partial", store, top_k=TOP_K, vocab_size=VOCABULARY, identity="a"
    )
    done: list[int] = []
    lecture = Lecture(teacher, store, TOP_K, TEMPERATURE, rows, torch.device("cpu"))
    for number in writer.missing():
        lecture.write(writer, number, done.append)
    assert sum(done) == len(store)
    writer.finish(folder / "made" / SPLIT)
    return TeacherStore(folder / "made", FACTS)


def batches_of(store: RowStore, teacher: TeacherStore, **changes: int) -> StepBatches:
    settings = {"rows_per_step": 4, "rows_per_device": 2, "seed": 7, "num_steps": 6, **changes}
    return StepBatches(TaughtRows(store.folder, teacher), **settings)


def gradients(model: nn.Module, objective: BoundDistillation, batch: MicroBatch) -> list[Tensor]:
    model.zero_grad()
    loss = objective.loss(model, batch)
    loss.backward()
    return [loss.detach(), *(weight.grad.clone() for weight in model.parameters())]


def test_records_are_the_distribution_after_every_token(
    store: RowStore, teacher: ModelTeacher, tmp_path: Path
) -> None:
    records = stored(tmp_path, store, teacher)
    for index in (0, len(store) - 1):
        batch = collate([store.row(index)], 1)
        positions, _ = supervised_positions(batch["labels"], batch["position_ids"])
        top, ends = records.row(index), batch["cu_seq_lens"].tolist()
        assert len(top) == len(positions) > 0
        for place, position in enumerate(positions.tolist()):
            begin = max(end for end in ends if end <= position)
            seen = batch["input_ids"][:, begin : position + 1]
            p = (teacher.model(input_ids=seen).logits[0, -1] / TEMPERATURE).softmax(-1)
            expected = p.sort(descending=True)
            values = torch.from_numpy(top.values[place]).float().exp()
            torch.testing.assert_close(values, expected.values[:TOP_K], rtol=3e-3, atol=1e-6)
            assert top.ids[place].tolist() == expected.indices[:TOP_K].tolist()
            rest = float(expected.values[TOP_K:].sum())
            assert float(torch.tensor(float(top.rest[place])).exp()) == pytest.approx(
                rest, rel=3e-3
            )


@pytest.mark.parametrize("micro", range(5))
def test_training_from_the_store_is_training_from_the_teacher(
    store: RowStore, teacher: ModelTeacher, tmp_path: Path, make_model: Models, micro: int
) -> None:
    records = stored(tmp_path, store, teacher)
    batch = batches_of(store, records)[micro]
    student = make_model().eval()
    on_the_fly = gradients(student, BoundDistillation(teacher, SETTINGS), batch)
    from_store = gradients(student, BoundDistillation(StoredTeacher(), SETTINGS), batch)
    assert on_the_fly[0] > 0
    for left, right in zip(on_the_fly, from_store, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-3, atol=1e-5)


def test_rows_in_other_batches_are_stored_alike(
    store: RowStore, teacher: ModelTeacher, tmp_path: Path
) -> None:
    one, many = (stored(tmp_path / str(n), store, teacher, rows=n) for n in (1, 7))
    for index in range(len(store)):
        left, right = one.row(index), many.row(index)
        torch.testing.assert_close(
            torch.from_numpy(left.values), torch.from_numpy(right.values), rtol=2e-3, atol=1e-3
        )


def test_a_batch_has_what_belongs_to_its_rows(
    store: RowStore, teacher: ModelTeacher, tmp_path: Path
) -> None:
    records = stored(tmp_path, store, teacher)
    batches = pickle.loads(pickle.dumps(batches_of(store, records)))  # as for workers
    for number in range(len(batches)):
        batch = batches[number]
        count = int((batch["labels"] != -100).sum())
        assert batch["teacher"]["values"].shape == (count, TOP_K)
        assert batch["teacher"]["rest"].shape == (count,)
        assert batch["teacher"]["ids"].dtype == torch.int32
    row = int(batches.rows_of_step(0)[0])
    top = records.row(row)
    assert batches[0]["teacher"]["ids"][: len(top)].tolist() == top.ids.tolist()


def test_a_rank_without_rows_has_no_records(
    store: RowStore, teacher: ModelTeacher, tmp_path: Path
) -> None:
    records = stored(tmp_path, store, teacher)
    assert len(store) % 8 != 0, "the last step must be short"
    last = -(-len(store) // 8)
    ranks = [
        batches_of(store, records, rows_per_step=8, rows_per_device=1, num_steps=last,
                   rank=rank, world_size=8)[last - 1]
        for rank in range(8)
    ]  # fmt: skip
    idle = [batch for batch in ranks if not batch["row_lengths"]]
    assert idle
    assert idle[0]["teacher"]["values"].shape == (0, TOP_K)


def test_records_of_other_rows_are_refused(
    store: RowStore, validation: RowStore, teacher: ModelTeacher, tmp_path: Path
) -> None:
    records = stored(tmp_path, validation, teacher)
    with pytest.raises(AssertionError, match="rows of records for"):
        batches_of(store, records)
