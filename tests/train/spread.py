"""Trainings that ranks run together, and what is compared afterwards.

Functions here are sent to other processes (`tests.ranks`), so they take and return plain values.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from safetensors.torch import load_file
from torch import Tensor

from musicllm.data.documents import Documents
from musicllm.data.rows import RowStore
from musicllm.launch import ranks
from musicllm.schema import StrategyConfig
from musicllm.train import checkpoints, group, loss, metrics, strategies
from musicllm.train.distillation.targets import Settings
from musicllm.train.distillation.teachers import ModelTeacher
from musicllm.train.objectives.distillation import BoundDistillation
from tests.rows import write_rows
from tests.train.conftest import FULL, LORA, VOCABULARY, random_rows, tiny_model, training_run

IDENTITY = "0123456789ab"


@dataclass(frozen=True)
class How:
    """How a training is spread."""

    kind: str
    stage: int | None = None
    offload: bool = False
    world: int = 1
    rows: int = 1
    precision: str = "32-true"
    adapter: str = "lora"
    dropout: float = 0.0
    teacher: bool = False

    def strategy(self) -> StrategyConfig:
        parameters = self.offload and self.stage == 3
        return StrategyConfig(self.kind, self.kind, self.stage, self.offload, parameters)


@dataclass(frozen=True)
class Trained:
    """What came of it, on rank 0."""

    losses: list[float]
    norms: list[float]
    validation: float | None
    weights: dict[str, Tensor]


class LostError(Exception):
    """Ends a training as a crash would."""


class Crash(Callback):
    """Raises in the middle of a step's accumulation, or at its end."""

    def __init__(self, micro_batches: int) -> None:
        self._left = micro_batches

    def on_train_batch_end(self, *_: Any) -> None:
        self._left -= 1
        if self._left == 0:
            raise LostError


def write_corpus(place: Path) -> None:
    """Write rows whose numbers of supervised tokens differ wildly, and validation rows."""
    draw = np.random.default_rng(0)
    lengths = draw.integers(3, 20, 40)
    first = [1 if number % 3 else max(1, length - 1) for number, length in enumerate(lengths)]
    supervised = [np.arange(n) >= start for n, start in zip(lengths, first, strict=True)]
    ids = draw.integers(0, VOCABULARY, lengths.sum()).astype(np.int32)
    documents = Documents(ids, np.concatenate(supervised), np.cumsum([0, *lengths]))
    write_rows(place / "rows", documents, "pack", max_length=24)
    random_rows(place / "validation", 9, 1)


def train(place: Path, name: str, how: How, crash_after: int | None = None) -> Trained | None:
    """Train on this rank; rank 0 returns what came of it, None after a crash."""
    lora = dataclasses.replace(LORA, dropout=how.dropout, train_embeddings=True)
    adapter = {"full": FULL, "lora": lora}[how.adapter]
    rows, validation = RowStore(place / "rows"), RowStore(place / "validation")
    run = training_run(
        place,
        rows,
        validation,
        folder=name,
        model=tiny_model(adapter, attention_dropout=how.dropout),
        plan={
            "rows_per_step": 8,
            "max_rows_per_device": how.rows,
            "num_devices": how.world,
        },
        machine={
            "devices_per_node": how.world,
            "strategy": how.strategy(),
            "precision": how.precision,
        },
    )
    if how.teacher:
        wide = tiny_model(hidden_size=24, num_hidden_layers=3)
        teacher = ModelTeacher(wide, num_tokens=VOCABULARY)
        objective = BoundDistillation(teacher, Settings("reverse_kl", 0.5, 1.5, 0.3))
        run = dataclasses.replace(run, objective=objective)
    if crash_after is not None:
        run = dataclasses.replace(run, callbacks=(Crash(crash_after),))
    try:
        result = run.fit()
    except LostError:
        return None
    finally:
        group.barrier()
    if not ranks.is_main():
        return None
    return Trained(
        losses=_logged(place / name, "train/loss"),
        norms=_logged(place / name, "train/grad_norm"),
        validation=result.validation_loss,
        weights=weights_of(place / name),
    )


def train_in_pieces(place: Path, name: str, how: How) -> Trained | None:
    """Train with a head that ZeRO 3 really cuts, called for two tokens at a time."""
    whole = strategies.engine_config

    def cut(*args: Any, **kwargs: Any) -> dict[str, Any]:
        made = whole(*args, **kwargs)
        made["zero_optimization"]["stage3_param_persistence_threshold"] = 0
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strategies, "engine_config", cut)
        patch.setattr(loss, "LOGITS_AT_ONCE", 2 * VOCABULARY)
        return train(place, name, how)


def disagree() -> None:
    group.agree({"the data": "the same", "the code": f"version {ranks.rank()}"})


def weights_of(run: Path) -> dict[str, Tensor]:
    found = checkpoints.newest(run, IDENTITY)
    assert found is not None
    return load_file(found.path / "weights.safetensors")


def _logged(run: Path, name: str) -> list[float]:
    return [line[name] for line in metrics.read(run / metrics.NAME) if name in line]


def same(one: Trained, other: Trained) -> bool:
    """Tell whether two trainings are one, bit by bit."""
    weights = all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)
    return weights and (one.losses, one.validation) == (other.losses, other.validation)
