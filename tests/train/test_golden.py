"""Trainings compute what they computed before; see `golden` for how to record them anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ranks import Ranks
from tests.train import golden


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden")
    golden.write_corpora(folder)
    return folder


def assert_golden(losses: golden.Losses, kind: str) -> None:
    expected = golden.expected()[kind]
    assert losses.keys() == expected.keys()
    for name, values in expected.items():
        assert losses[name] == pytest.approx(values, rel=golden.RTOL), name


@pytest.mark.parametrize("kind", [name for name in golden.KINDS if name != "ddp"])
def test_a_training_has_its_golden_losses(place: Path, kind: str) -> None:
    assert_golden(golden.train(place, kind, **golden.KINDS[kind]), kind)


@pytest.mark.slow
def test_two_processes_have_their_golden_losses(place: Path) -> None:
    two = Ranks(2)
    try:
        losses = two.run(golden.train_on_rank, place)[0]
    finally:
        two.stop()
    assert_golden(losses, "ddp")


def test_golden_losses_tell_trainings_apart() -> None:
    losses = [tuple(kind["train/loss"]) for kind in golden.expected().values()]
    assert len(set(losses)) == len(losses) == len(golden.KINDS)
    assert all(max(kind) > min(kind) * 1.01 for kind in losses), "every training changes its model"
