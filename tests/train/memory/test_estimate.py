from __future__ import annotations

import dataclasses
import gc
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

from musicllm.model import size
from musicllm.model.spec import AdapterSpec, ModelSpec
from musicllm.train.memory import Memory, Spread, Workload, estimate
from tests.train.memory.batch import ADAPTERS, LLAMA_30M, LORA, SMALL, MicroBatch

LENGTH = 61
NUM_TOKENS = 4 * LENGTH
SINGLE = Spread("single", 0, False, False, 1)


def memory_of(spec: ModelSpec, adapter: AdapterSpec, **changes: Any) -> Memory:
    work = Workload(
        num_tokens=NUM_TOKENS,
        document_length=LENGTH,
        checkpointing=False,
        compute_dtype="float32",
        on_gpu=False,
        attention="varlen_sdpa",
        optimizer="adamw",
        spread=SINGLE,
    )
    work = dataclasses.replace(work, **changes)
    return estimate(spec, adapter, size.count(spec, adapter), work)


BFLOAT16 = [
    pytest.param("bfloat16", name, marks=() if name == "lora" else pytest.mark.slow)
    for name in ADAPTERS
]


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(
    ("compute", "adapter"), [*(("float32", name) for name in ADAPTERS), *BFLOAT16]
)
def test_the_peak_of_a_micro_batch_is_as_predicted(
    compute: str,
    adapter: str,
    checkpointing: bool,
    peak_bytes: Callable[[Callable[[], None]], int],
) -> None:
    chosen = ADAPTERS[adapter]
    spec = dataclasses.replace(SMALL, dtype="float32" if adapter == "full" else compute)
    batch = MicroBatch(
        spec, chosen, compute_dtype=compute, num_tokens=NUM_TOKENS, checkpointing=checkpointing
    )
    batch.run()  # gradients are there from the first micro-batch on
    found = memory_of(spec, chosen, compute_dtype=compute, checkpointing=checkpointing)
    moving = found.activations + max(found.layer, found.logits)
    assert peak_bytes(batch.run) == pytest.approx(moving, rel=0.1)


def test_gradients_and_adamw_are_counted_to_the_byte(
    peak_bytes: Callable[[Callable[[], None]], int],
) -> None:
    batch = MicroBatch(SMALL, LORA, compute_dtype="float32", num_tokens=8, checkpointing=False)
    trained = [weight for weight in batch.model.parameters() if weight.requires_grad]

    def hold_gradients_and_state() -> None:
        for weight in trained:
            weight.grad = torch.zeros_like(weight)
        torch.optim.AdamW(trained, fused=True).step()  # type: ignore[no-untyped-call]

    found = memory_of(SMALL, LORA)
    own = sum(weight.nbytes for weight in batch.model.parameters())
    assert found.frozen_weights + found.trained_weights == own
    counters = 4 * len(trained)  # AdamW's step numbers
    expected = found.gradients + found.optimizer + counters
    assert peak_bytes(hold_gradients_and_state) == pytest.approx(expected, rel=0.001)
    gc.collect()


def test_only_the_larger_of_the_two_moments_counts() -> None:
    found = Memory(1, 2, 3, 4, 100, 50, 70, 5, 10, 1000)
    assert found.allocated == 1 + 2 + 3 + 4 + 100 + 70 + 5
    assert found.total == found.allocated + 10  # CPU memory is not the device's


def test_a_gpu_has_a_context_and_fragments() -> None:
    on_cpu, on_gpu = (
        memory_of(SMALL, LORA, on_gpu=gpu, attention=attention)
        for gpu, attention in ((False, "varlen_sdpa"), (True, "varlen"))
    )
    assert on_gpu.activations < on_cpu.activations  # masks of a byte
    assert on_gpu.reserve > 800_000_000 > on_cpu.reserve


def test_positions_that_follow_the_longest_document_are_planned() -> None:
    scaling = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    dynamic = SMALL.changed(rope_parameters=scaling)
    assert memory_of(dynamic, LORA) == memory_of(SMALL, LORA)


@pytest.mark.parametrize(("on_gpu", "more"), [(True, 2), (False, 0)])
def test_scaled_logits_of_half_precision_are_copied_to_float32(on_gpu: bool, more: int) -> None:
    scaled = SMALL.changed(model_type="granite", logits_scaling=4.0)
    memories = [
        memory_of(spec, LORA, on_gpu=on_gpu, compute_dtype="bfloat16") for spec in (SMALL, scaled)
    ]
    num_logits = NUM_TOKENS * SMALL.config["vocab_size"]
    assert memories[1].logits - memories[0].logits == more * num_logits


RSS = """
import sys
from tests.train.memory.batch import ADAPTERS, LLAMA_30M, MicroBatch
import psutil, resource, torch
torch.set_num_threads(1)
name, compute, tokens = sys.argv[1:]
def batch(num_tokens):
    return MicroBatch(LLAMA_30M, ADAPTERS[name], compute_dtype=compute, num_tokens=num_tokens,
                      checkpointing=False)
batch(8).run()  # libraries load what they need
before = psutil.Process().memory_info().rss
full = batch(int(tokens))
trained = [weight for weight in full.model.parameters() if weight.requires_grad]
optimizer = torch.optim.AdamW(trained, fused=True)
for _ in range(2):
    full.run()
    optimizer.step()
print(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("adapter", ["full", "lora"])
def test_the_process_grows_as_predicted(adapter: str) -> None:
    """Resident memory also has what malloc cannot return, so the bound is wider than elsewhere."""
    command = [sys.executable, "-c", RSS, adapter, "float32", "2048"]
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found = memory_of(LLAMA_30M, ADAPTERS[adapter], num_tokens=2048, document_length=512)
    assert int(done.stdout.split()[-1]) == pytest.approx(found.allocated, rel=0.15)
