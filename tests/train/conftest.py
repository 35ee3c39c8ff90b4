"""A tiny model, a few packed rows, and runs over them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from musicllm.data.documents import Documents
from musicllm.data.rows import RowStore
from musicllm.model import base
from musicllm.model.adapters import attach
from musicllm.model.spec import AdapterSpec, ModelSpec
from musicllm.schema import (
    CallbacksConfig,
    LoggerConfig,
    OptimizerConfig,
    StrategyConfig,
    TrainingConfig,
)
from musicllm.train.fit import TrainingRun
from musicllm.train.plan import make_plan
from musicllm.train.schedule import Schedule
from musicllm.train.settings import FitSettings, Machine
from tests.rows import write_rows

VOCABULARY = 32

TINY = ModelSpec(
    name="tiny",
    location=None,
    revision=None,
    config={
        "model_type": "llama",
        "vocab_size": VOCABULARY,
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 64,
        "rope_theta": 10000.0,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": True,
        "attention_dropout": 0.1,
        "initializer_range": 0.2,
    },
    dtype="float32",
    trust_remote_code=False,
    ignored_tensors=(),
)

FULL = AdapterSpec("full", None, None, None, (), False, False, False, None, None, None, range(0))
LORA = AdapterSpec(
    "lora",
    4,
    8.0,
    0.1,
    ("q_proj", "v_proj"),
    False,
    False,
    False,
    None,
    "lora",
    "zero",
    range(0),
)
SINGLE = StrategyConfig("single", "single", None, False, False)
ADAMW = OptimizerConfig(
    name="adamw",
    lr=1e-2,
    betas=[0.9, 0.95],
    eps=1e-8,
    weight_decay=0.1,
    fused=True,
    lora_plus_ratio=None,
    muon_lr=None,
    muon_momentum=None,
    options={},
)
MUON = dataclasses.replace(ADAMW, name="muon", muon_lr=0.02, muon_momentum=0.95)

TRAINING = TrainingConfig(
    rows_per_step=4,
    num_epochs=None,
    max_steps=10,
    max_hours=None,
    step_choices=[],
    time_budget_min=None,
    gradient_clip=1.0,
    activation_checkpointing=False,
    resize_embeddings=False,
    compile=False,
    log_every_steps=1,
    validate_every_steps=4,
    num_validation_rows=None,
    checkpoint_every_steps=3,
    keep_last_checkpoints=2,
    keep_best_checkpoints=0,
)
CALLBACKS = CallbacksConfig(
    progress_bar=False,
    throughput=True,
    on_bad_loss="stop",
    loss_spike_factor=None,
    loss_spike_window=20,
    max_incidents=3,
    max_skipped_steps=10,
    samples_every_steps=None,
    num_samples=1,
    sample_prompts=[],
    evaluate_every_steps=None,
    num_eval_questions=1,
    extra={},
)
CSV = LoggerConfig(
    kind="csv", project=None, entity=None, mode=None, tags=[], log_artifact=False, options={}
)


def replaced(group: Any, changes: dict[str, Any]) -> Any:
    """Return a group of settings with those changes that are its own, taken out of `changes`."""
    names = {field.name for field in dataclasses.fields(group)} & changes.keys()
    return dataclasses.replace(group, **{name: changes.pop(name) for name in names})


def tiny_model(adapter: AdapterSpec = FULL, **changes: Any) -> nn.Module:
    model = base.build(TINY.changed(**changes), seed=3)
    return attach(model, adapter, seed=5)


@pytest.fixture
def make_model() -> Callable[..., nn.Module]:
    """Return a maker of models: `adapter` first, then changed numbers of the architecture."""
    return tiny_model


@pytest.fixture
def plain_model() -> nn.Module:
    """A model without dropout, in evaluation mode."""
    return tiny_model().eval()


@pytest.fixture
def lora() -> AdapterSpec:
    return LORA


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def store(tmp_path: Path) -> RowStore:
    """Packed rows of at most 24 tokens; the first third of every document is not supervised."""
    return random_rows(tmp_path / "rows", num_documents=40, seed=0)


@pytest.fixture
def validation(tmp_path: Path) -> RowStore:
    return random_rows(tmp_path / "validation", num_documents=9, seed=1)


def random_rows(folder: Path, num_documents: int, seed: int) -> RowStore:
    draw = np.random.default_rng(seed)
    lengths = draw.integers(3, 20, num_documents)
    supervised = [np.arange(n) >= max(1, n // 3) for n in lengths] or [np.zeros(0, np.bool_)]
    documents = Documents(
        draw.integers(0, VOCABULARY, lengths.sum()).astype(np.int32),
        np.concatenate(supervised),
        np.cumsum([0, *lengths]),
    )
    return write_rows(folder, documents, "pack", max_length=24)


@pytest.fixture
def make_rows() -> Callable[..., RowStore]:
    """Return `random_rows`."""
    return random_rows


@pytest.fixture
def make_run(tmp_path: Path, store: RowStore, validation: RowStore) -> Callable[..., TrainingRun]:
    """Return a maker of runs of 10 steps, two micro-batches each; settings can be changed."""
    return partial(training_run, tmp_path, store, validation)


def training_run(
    place: Path,
    store: RowStore,
    validation: RowStore,
    adapter: AdapterSpec = FULL,
    *,
    folder: str = "run",
    model: nn.Module | None = None,
    plan: dict[str, Any] | None = None,
    machine: dict[str, Any] | None = None,
    max_steps: int = 10,
    **changes: Any,
) -> TrainingRun:
    numbers = {"rows_per_step": 4, "max_rows_per_device": 2, "num_devices": 1}
    planned = make_plan(
        **{**numbers, **(plan or {})},
        max_length=24,
        num_rows=len(store),
        num_rows_estimated=False,
        num_epochs=None,
        max_steps=max_steps,
        warmup_fraction=0.2,
    )
    settings = FitSettings(
        seed=11,
        optimizer=ADAMW,
        schedule=Schedule("cosine", planned.num_steps, planned.warmup_steps, 0.1),
        training=replaced(TRAINING, changes),
        callbacks=replaced(CALLBACKS, changes),
        loggers=(),
        flops_per_token=None,
        peak_flops_per_s=None,
        source_names=(),
        logged_settings={},
    )
    run = place / folder
    run.mkdir(exist_ok=True)
    here = Machine("cpu", 1, 1, "32-true", SINGLE, False, 1, 0)
    return TrainingRun(
        model=tiny_model(adapter) if model is None else model,
        train_rows=store,
        validation_rows=validation,
        plan=planned,
        settings=dataclasses.replace(settings, **changes),
        machine=dataclasses.replace(here, **(machine or {})),
        folder=run,
        identity="0123456789ab",
    )
