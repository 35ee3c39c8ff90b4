"""The workload of all contestants: model, optimizer and conversations.

Lengths are log-normal as in the other benches (`bench.texts`), clipped to the length of
a row; 10 to 50 % of a conversation is the question, and the rest is supervised.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from musicllm.bench.texts import MEDIAN_CHARS, SIGMA
from musicllm.data.documents import Documents
from musicllm.data.packing import pack
from musicllm.data.rows import RowStore, finish, write_shard
from musicllm.data.store import TokenStore, write_block
from musicllm.model import adapters, attention, base
from musicllm.model.architecture import config_of, skeleton
from musicllm.model.spec import AdapterSpec, ModelSpec
from musicllm.schema import CallbacksConfig, OptimizerConfig, TrainingConfig
from musicllm.train.capabilities import probe
from musicllm.train.compiling import compile_layers
from musicllm.train.optimizers import OPTIMIZERS
from musicllm.train.plan import Plan, make_plan
from musicllm.train.settings import Machine
from musicllm.train.strategies import compute_dtype

CHARS_PER_TOKEN = 2.9
"""Of texts with these lengths: 2,310 characters and 800 tokens on average."""

SHORTEST_TOKENS = 8
QUESTION_SHARE = (0.1, 0.5)
"""Minimum and maximum share of a conversation that is not supervised."""


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of the training bench.

    Attributes:
        machine: that it runs on.
        optimizer: of all contestants.
        attention: `hardware.attention`, for contestants that pack.
        num_steps: measured optimizer steps per round.
        rows_per_step: packed rows, or padded conversations, of an optimizer step.
        max_rows_per_device: maximum rows of a micro-batch.
        max_length: tokens of a row.
        gradient_clip: L2 norm; 0 is off.
        fit: `training` of our run, whose `log_every_steps` counts.
        callbacks: of our run.
        activation_checkpointing: recompute activations in the backward pass.
        compile: let torch compile the layers of our run.
    """

    machine: Machine
    optimizer: OptimizerConfig
    attention: str
    num_steps: int
    rows_per_step: int
    max_rows_per_device: int
    max_length: int
    gradient_clip: float
    fit: TrainingConfig
    callbacks: CallbacksConfig
    activation_checkpointing: bool
    compile: bool


@dataclass(frozen=True)
class TrainTask:
    """The workload; picklable.

    Attributes:
        model: the architecture; its weights are random.
        adapter: what is trained.
        training: settings of training.
        num_documents: conversations.
        seed: of weights and conversations.
        work: folder of the rows, and of output of contestants.
    """

    model: ModelSpec
    adapter: AdapterSpec
    training: TrainingSettings
    num_documents: int
    seed: int
    work: Path

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        return torch.device("cuda" if self.training.machine.accelerator == "gpu" else "cpu")

    @property
    def compute_dtype(self) -> torch.dtype:
        """Dtype of matrix products."""
        return compute_dtype(self.training.machine.precision)

    def build_optimizer(self, model: nn.Module) -> Optimizer:
        """Return the optimizer for the trained parameters of a model."""
        settings, machine = self.training.optimizer, self.training.machine
        return OPTIMIZERS[settings.name].build(model, settings, has_bf16=machine.has_bf16)

    def autocast(self) -> torch.autocast:
        """Return the autocast context of the forward pass."""
        dtype = self.compute_dtype
        return torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32)

    def plan(self, num_steps: int) -> Plan:
        """Return the batches of a run."""
        training = self.training
        return make_plan(
            rows_per_step=training.rows_per_step,
            max_rows_per_device=training.max_rows_per_device,
            num_devices=1,
            max_length=training.max_length,
            num_rows=None,
            num_rows_estimated=False,
            num_epochs=None,
            max_steps=num_steps,
            warmup_fraction=0.0,
        )

    def build(self, attention_name: str) -> nn.Module:
        """Return the model with its adapter in training mode; frozen weights in half precision."""
        training, half = self.training, str(self.compute_dtype).removeprefix("torch.")
        dtype = "float32" if self.adapter.kind == "full" else half
        spec = dataclasses.replace(self.model, location=None, dtype=dtype)
        with self.device:
            model = base.build(spec, seed=self.seed, attention=attention_name)
        if training.activation_checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        adapted: nn.Module = adapters.attach(model, self.adapter, seed=self.seed)
        return adapted.train()

    def build_packed(self) -> nn.Module:
        """Return the model with the attention that training would select."""
        accelerator = self.training.machine.accelerator
        name = attention.choose(
            self.training.attention,
            accelerator,
            attention.needs_of(skeleton(self.model)),
            dtype=str(self.compute_dtype).removeprefix("torch."),
            lacking=probe(accelerator).lacking,
        )
        model = self.build(name)
        if self.training.compile:
            compile_layers(model)
        return model

    def write_rows(self) -> None:
        """Write the packed conversations, and an empty validation split."""
        documents = self.conversations()
        nothing = Documents(
            documents.input_ids[:0], documents.supervised[:0], np.zeros(1, np.int64)
        )
        for name, split in (("train", documents), ("validation", nothing)):
            _write(self.work / name, split, self.training.max_length)

    def rows(self, split: str) -> RowStore:
        """Open the rows of `write_rows`."""
        return RowStore(self.work / split)

    def conversations(self) -> Documents:
        """Return the tokenised conversations; reproducible."""
        draw = np.random.default_rng(self.seed)
        median = MEDIAN_CHARS / CHARS_PER_TOKEN
        sizes = median * draw.lognormal(0.0, SIGMA, self.num_documents)
        lengths = sizes.clip(SHORTEST_TOKENS, self.training.max_length).astype(np.int64)
        shares = draw.uniform(*QUESTION_SHARE, len(lengths))
        offsets = np.concatenate([[0], lengths.cumsum()])
        place = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        questions = np.maximum(1, lengths * shares).astype(np.int64)
        return Documents(
            draw.integers(0, config_of(self.model).vocab_size, offsets[-1]).astype(np.int32),
            place >= np.repeat(questions, lengths),
            offsets,
        )


def _write(folder: Path, documents: Documents, max_length: int) -> None:
    count = len(documents.lengths)
    blocks = folder.with_name(f"{folder.name}.blocks")
    blocks.mkdir(parents=True)
    write_block(blocks, "all", documents, np.zeros(count, np.int16), np.zeros(count, np.int8))
    store = TokenStore(blocks, ["all"])
    plan = pack(documents.lengths, max_length)
    write_shard(folder, 0, store.read(plan, np.arange(count)))
    finish(folder)
