"""Short trainings whose losses are compared with `golden.json`, by kind of device.

A change that should not compute differently leaves them as they are. After one that should, the
command writes the file anew, and the commit says why the numbers moved:

    python -m tests.train.golden
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from musicllm.data.documents import Documents
from musicllm.data.rows import RowStore
from musicllm.launch import ranks
from musicllm.train import group, metrics
from tests.ranks import Ranks
from tests.rows import write_rows
from tests.train.conftest import (
    FULL,
    LORA,
    MUON,
    SINGLE,
    VOCABULARY,
    random_rows,
    tiny_model,
    training_run,
)

FILE = Path(__file__).with_name("golden.json")

RTOL = 1e-5
"""Kernels for AVX2, AVX-512 and plain SSE sum in different orders: with torch's and MKL's plainest
kernels losses differ by 6e-8 and norms by 5e-7 of these."""

KINDS: dict[str, dict[str, Any]] = {
    "full": {},
    "lora": {"adapter": dataclasses.replace(LORA, train_embeddings=True)},
    "chunk": {"former": "chunk"},
    "muon": {"optimizer": MUON},
    "ddp": {"world": 2},
}
"""How they are trained: all of the model on packed rows by AdamW, and what differs from that."""

Losses = dict[str, list[float]]


def train(
    place: Path,
    kind: str,
    *,
    adapter: Any = FULL,
    former: str = "pack",
    world: int = 1,
    **changes: Any,
) -> Losses:
    """Train for 8 steps of 4 rows and return the losses that metrics.jsonl names."""
    torch.set_num_threads(1)
    run = training_run(
        place,
        RowStore(place / former),
        RowStore(place / "validation"),
        folder=kind,
        model=tiny_model(adapter),
        plan={"rows_per_step": 4, "max_rows_per_device": 1, "num_devices": world},
        machine={
            "devices_per_node": world,
            "strategy": dataclasses.replace(SINGLE, kind="ddp" if world > 1 else "single"),
        },
        max_steps=8,
        **changes,
    )
    run.fit()
    group.barrier()
    lines = list(metrics.read(run.folder / metrics.NAME)) if ranks.is_main() else []
    names = ("train/loss", "train/grad_norm", "val/loss")
    return {name: [line[name] for line in lines if name in line] for name in names}


def write_corpora(place: Path) -> None:
    """Write the same 40 documents as packed rows and as chunks, and validation rows."""
    random_rows(place / "pack", num_documents=40, seed=0)
    draw = np.random.default_rng(2)
    lengths = draw.integers(3, 60, 20)  # chunks cut through documents
    tokens = draw.integers(0, VOCABULARY, lengths.sum()).astype(np.int32)
    offsets = np.cumsum([0, *lengths])
    documents = Documents(tokens, np.ones(len(tokens), np.bool_), offsets)
    write_rows(place / "chunk", documents, "chunk", max_length=24)
    random_rows(place / "validation", num_documents=9, seed=1)


def expected() -> dict[str, Losses]:
    """Return the losses of a CPU by kind of training."""
    losses: dict[str, Losses] = json.loads(FILE.read_text(encoding="utf-8"))["cpu"]
    return losses


def main() -> None:
    """Train every kind and write its losses."""
    losses = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_corpora(place)
        here = {name: train(place, name, **kind) for name, kind in KINDS.items() if name != "ddp"}
        two = Ranks(2)
        here["ddp"] = two.run(train_on_rank, place)[0]
        two.stop()
    FILE.write_text(json.dumps(losses | {"cpu": here}, indent=1) + "\n", encoding="utf-8")


def train_on_rank(place: Path) -> Losses:
    """Train with another process; rank 0 returns the losses."""
    return train(place, "ddp", **KINDS["ddp"])


if __name__ == "__main__":
    main()
