"""Spread over devices a training changes only by rounding, and it resumes exactly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from musicllm.errors import StageError
from tests.ranks import Ranks
from tests.train import spread
from tests.train.spread import How, Trained

STAGES = (1, 2, 3)


@pytest.fixture(scope="module")
def one() -> Iterator[Ranks]:
    ranks = Ranks(1)
    yield ranks
    ranks.stop()


@pytest.fixture(scope="module")
def two() -> Iterator[Ranks]:
    ranks = Ranks(2)
    yield ranks
    ranks.stop()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spread")
    spread.write_corpus(folder)
    return folder


@pytest.fixture(scope="module")
def expected(place: Path) -> Trained:
    """Eight rows at once, on one device; an epoch has three steps, the last with fewer rows."""
    torch.set_num_threads(1)
    made = spread.train(place, "expected", How("single", rows=8))
    assert made is not None
    return made


def slow(*values: object) -> Any:
    """Mark what a quicker case shows, too."""
    return pytest.param(*values, marks=pytest.mark.slow)


def run(ranks: Ranks, place: Path, name: str, how: How, crash_after: int | None = None) -> Trained:
    return ranks.run(spread.train, place, name, how, crash_after)[0]


def assert_close(made: Trained, expected: Trained, tolerance: float = 2e-5) -> None:
    assert made.losses == pytest.approx(expected.losses, rel=tolerance)
    assert made.norms == pytest.approx(expected.norms, rel=50 * tolerance)
    assert made.validation == pytest.approx(expected.validation, rel=tolerance)
    assert made.weights.keys() == expected.weights.keys()
    for name, tensor in made.weights.items():
        torch.testing.assert_close(tensor, expected.weights[name], rtol=0, atol=20 * tolerance)


@pytest.mark.parametrize("rows", [1, slow(2), slow(4)])
def test_micro_batches_change_only_rounding(place: Path, expected: Trained, rows: int) -> None:
    made = spread.train(place, f"single-{rows}", How("single", rows=rows))
    assert made is not None
    assert_close(made, expected)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_deepspeed_is_a_single_device(
    one: Ranks, place: Path, expected: Trained, stage: int
) -> None:
    assert_close(run(one, place, f"one-{stage}", How("deepspeed", stage, rows=4)), expected)


@pytest.mark.parametrize(
    ("stage", "rows"),
    [
        (None, 1),
        slow(None, 4),
        slow(1, 1),
        slow(1, 4),
        (2, 1),
        slow(2, 4),
        slow(3, 1),
        slow(3, 4),
    ],
)
def test_two_processes_are_a_single_device(
    two: Ranks, place: Path, expected: Trained, stage: int | None, rows: int
) -> None:
    kind = "ddp" if stage is None else "deepspeed"
    how = How(kind, stage, world=2, rows=rows)
    assert_close(run(two, place, f"two-{stage}-{rows}", how), expected)


@pytest.mark.slow
@pytest.mark.parametrize("stage", [None, 2, 3])
def test_a_teacher_is_whole_on_every_rank(two: Ranks, place: Path, stage: int | None) -> None:
    expected = spread.train(place, "taught", How("single", rows=8, teacher=True))
    assert expected is not None
    kind = "ddp" if stage is None else "deepspeed"
    how = How(kind, stage, world=2, rows=1, teacher=True)
    assert_close(run(two, place, f"taught-{stage}", how), expected)
    if stage == 3:
        how = How(kind, stage, world=2, rows=4, teacher=True)
        assert_close(two.run(spread.train_in_pieces, place, "taught-pieces", how)[0], expected)


@pytest.mark.slow
def test_ranks_gather_the_head_equally_often(two: Ranks, place: Path, expected: Trained) -> None:
    how = How("deepspeed", 3, world=2, rows=4)
    assert_close(two.run(spread.train_in_pieces, place, "pieces", how)[0], expected)


@pytest.mark.parametrize("stage", [2, slow(3)])
def test_offloading_is_a_single_device(
    two: Ranks, place: Path, expected: Trained, stage: int
) -> None:
    how = How("deepspeed", stage, offload=True, world=2, rows=4)
    assert_close(run(two, place, f"offload-{stage}", how), expected)


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_half_precision_trains_float32_weights(
    two: Ranks, place: Path, expected: Trained, precision: str
) -> None:
    how = How("deepspeed", 2, world=2, rows=4, precision=precision)
    made = run(two, place, precision, how)
    assert_close(made, expected, tolerance=5e-3)
    assert {tensor.dtype for tensor in made.weights.values()} == {torch.float32}
    assert made.losses != expected.losses


@pytest.mark.parametrize(
    "how",
    [
        How("ddp", world=2, dropout=0.1),
        slow(How("deepspeed", 1, world=2, dropout=0.1, adapter="full")),
        slow(How("deepspeed", 2, world=2, dropout=0.1, precision="16-mixed")),
        slow(How("deepspeed", 2, offload=True, world=2, dropout=0.1)),
        slow(How("deepspeed", 3, world=2, dropout=0.1, precision="bf16-mixed")),
    ],
    ids=lambda how: f"{how.kind}-{how.stage}-{how.precision}",
)
def test_a_run_that_was_lost_continues_to_the_bit(two: Ranks, place: Path, how: How) -> None:
    name = f"lost-{how}".replace(" ", "")
    whole = run(two, place, f"whole-{name}", how)
    assert run(two, place, name, how, crash_after=30) is None  # in the eighth of ten steps
    again = run(two, place, name, how)
    assert spread.same(again, whole)


@pytest.mark.slow
def test_a_run_continues_under_another_strategy_and_number(
    one: Ranks, two: Ranks, place: Path, expected: Trained
) -> None:
    first = How("deepspeed", 3, world=2, rows=4)
    assert run(two, place, "moved", first, crash_after=5) is None  # two checkpoints: step 3 of 10
    assert run(one, place, "moved", How("deepspeed", 1, rows=2), crash_after=16) is None
    made = spread.train(place, "moved", How("single", rows=8))
    assert made is not None
    assert_close(made, expected)


def test_ranks_that_differ_do_not_train(two: Ranks) -> None:
    with pytest.raises(StageError) as error:
        two.run(spread.disagree)
    assert str(error.value) == (
        "the processes disagree on the code (rank 0: version 0; rank 1: version 1); every machine "
        "needs the same files, packages and command"
    )


def test_deepspeeds_configuration_is_saved(two: Ranks, place: Path) -> None:
    run(two, place, "saved", How("deepspeed", 2, world=2, rows=2))
    saved = json.loads((place / "saved" / "deepspeed.json").read_text())
    assert saved["gradient_accumulation_steps"] == 2
    assert saved["train_micro_batch_size_per_gpu"] == 2
    assert saved["gradient_clipping"] == 1.0
    assert saved["zero_optimization"]["stage"] == 2
