"""The memory of a step with a teacher, as planned and as torch allocates it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch

from musicllm.model import base, size
from musicllm.train import run_plan
from musicllm.train.distillation.losses import sum_loss
from musicllm.train.distillation.targets import Settings
from musicllm.train.distillation.teachers import ModelTeacher
from musicllm.train.loss import supervised_positions
from musicllm.train.memory import Memory, Spread, Workload, estimate
from musicllm.train.memory.teacher import NOTHING, TeacherMemory, beside, of_model
from tests.train.memory.batch import FULL, SMALL, MicroBatch

NUM_TOKENS, LENGTH = 244, 61
WORK = Workload(
    num_tokens=NUM_TOKENS,
    document_length=LENGTH,
    checkpointing=False,
    compute_dtype="float32",
    on_gpu=False,
    attention="varlen_sdpa",
    optimizer="adamw",
    spread=Spread("single", 0, False, False, 1),
)
TEACHER = SMALL.changed(hidden_size=192, intermediate_size=512, num_hidden_layers=6)


class Distilled(MicroBatch):
    """A micro-batch with a teacher."""

    def __init__(self) -> None:
        super().__init__(
            SMALL, FULL, compute_dtype="float32", num_tokens=NUM_TOKENS, checkpointing=False
        )
        self.teacher = ModelTeacher(base.build(TEACHER, seed=1), num_tokens=1024)

    def run(self) -> None:
        batch = {
            "input_ids": self._ids,
            "position_ids": self._positions,
            "labels": self._ids,
            "cu_seq_lens": self._starts,
        }
        settings = Settings("forward_kl", 0.5, 1.0, 0.5)
        positions, tokens = supervised_positions(self._ids, self._positions)
        compare = self.teacher.comparison(batch, positions, settings)  # type: ignore[arg-type]
        states = self.hidden()[0].index_select(0, positions)
        head = self._causal().get_output_embeddings()
        total, _ = sum_loss(states, head, tokens, compare, settings, vocab_size=1024)
        total.backward()  # type: ignore[no-untyped-call]


def planned() -> Memory:
    own = estimate(SMALL, FULL, size.count(SMALL, FULL), WORK)
    return beside(own, of_model(TEACHER, None, size.count(TEACHER, NOTHING), WORK))


def test_the_peak_of_a_micro_batch_is_as_predicted(
    peak_bytes: Callable[[Callable[[], None]], int],
) -> None:
    batch = Distilled()
    batch.run()  # gradients are there from the first micro-batch on
    assert peak_bytes(batch.run) == pytest.approx(planned().moving, rel=0.1)


def test_weights_are_counted_to_the_byte_in_every_dtype() -> None:
    counted = size.count(TEACHER, NOTHING)
    for dtype, width in (("float32", 4), ("bfloat16", 2)):
        spec = dataclasses.replace(TEACHER, dtype=dtype)
        held = sum(weight.nbytes for weight in base.build(spec, seed=0).parameters())
        assert of_model(spec, None, counted, WORK).weights == held == width * counted.num_parameters
    packed = of_model(TEACHER, "nf4", counted, WORK).weights
    assert packed < 4 * counted.num_parameters - 3 * counted.num_quantizable


def test_the_larger_of_two_moments_counts_and_its_parts_add_up() -> None:
    plain = Memory(1, 2, 3, 4, 100, 50, 70, 5, 10, 1000)
    for forward, moving in ((60, 100 + 70 + 9 + 8), (900, 900)):
        both = beside(plain, TeacherMemory(weights=30, forward=forward, states=8, logits=9))
        assert both.moving == moving
        assert both.total == 1 + 2 + 3 + 4 + 5 + 10 + 30 + moving
        assert sum(part for _, part in run_plan.parts(both)) == both.total


def test_a_teacher_keeps_no_activations(peak_bytes: Callable[[Callable[[], None]], int]) -> None:
    batch = Distilled()
    rows = {
        "input_ids": batch._ids,
        "position_ids": batch._positions,
        "cu_seq_lens": batch._starts,
    }
    positions = torch.arange(NUM_TOKENS)
    forward = of_model(TEACHER, None, size.count(TEACHER, NOTHING), WORK).forward

    def run() -> None:
        batch.teacher.states(rows, positions)  # type: ignore[arg-type]

    run()
    assert peak_bytes(run) == pytest.approx(forward, rel=0.2)
