"""Training steps of our engine and others on shapes of models, through the bench of training."""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from tests.gpu.check.finding import Finding, Setting, attempt

PEAK_TFLOPS = {"H100": 989.0, "H200": 989.0, "A100": 312.0, "A800": 312.0, "L40S": 362.0}
"""Dense bf16 products, by NVIDIA's data sheets, of devices whose names contain this."""

TINY = {
    "vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1,
    "num_attention_heads": 4, "num_key_value_heads": 2,
}  # fmt: skip

STEPS = 6


def task_of(setting: Setting, name: str, *words: str, num_steps: int = STEPS) -> Any:
    """Return the workload of the bench, with its rows written; tiny if the check is dry.

    Args:
        setting: of the part.
        name: of a folder for it.
        words: as on the command, such as `model=llama2_7b`.
        num_steps: measured steps.
    """
    from musicllm.bench.train.task import TrainTask
    from musicllm.runs import composing
    from musicllm.runs.settings import adapter_spec, model_spec
    from musicllm.stages.bench import _training

    gpu = setting.device == "cuda"
    config, _ = composing.load(
        [
            "recipe=bench/train",
            *(["hardware=gpu1", "hardware.precision=bf16"] if gpu else ["hardware=cpu"]),
            f"hardware.num_threads={1 if setting.dry else 8}",
            "hardware.max_rows_per_device=8",
            "training.rows_per_step=8",
            "training.activation_checkpointing=true",
            f"bench.num_steps={2 if setting.dry else num_steps}",
            f"bench.max_length={128 if setting.dry else 2048}",
            f"bench.num_documents={100 if setting.dry else 400}",
            *words,
        ],
        (),
    )
    training = _training(config)
    assert training is not None, "the recipe trains"
    if setting.dry:
        training = replace(training, rows_per_step=2, max_rows_per_device=2)
    work = setting.work / name
    work.mkdir()
    task = TrainTask(spec_of(setting, model_spec(config)), adapter_spec(config), training,
                     config.bench.num_documents, config.seed, work)  # fmt: skip
    task.write_rows()
    return task


def spec_of(setting: Setting, spec: Any) -> Any:
    """Return the model, with tiny shapes if the check is dry."""
    if not setting.dry:
        return spec
    return spec.changed(**TINY, **({"head_dim": 16} if "head_dim" in spec.config else {}))


def measure(
    setting: Setting,
    name: str,
    contestants: Sequence[str],
    words: Sequence[str],
    *,
    in_own_process: bool = True,
) -> Iterator[Finding]:
    """Yield tokens per second, share of the peak and memory of contestants, each alone.

    Args:
        setting: of the part.
        name: of the shapes.
        contestants: `ours`, `bare` and `trainer`.
        words: see `task_of`.
        in_own_process: each contestant; otherwise all run in this one, which saves the imports.
    """
    from musicllm.bench.measuring import in_fresh_process
    from musicllm.bench.train.loops import bare
    from musicllm.bench.train.ours import ours
    from musicllm.bench.train.run import flops_per_token
    from musicllm.bench.train.trainer import hf_trainer

    task = task_of(setting, name, *words)
    functions = {"ours": ours, "bare": bare, "trainer": hf_trainer}
    flops, sheet = flops_per_token(task), _data_sheet(setting)
    speeds: dict[str, float] = {}
    for contestant in contestants:

        def check(contestant: str = contestant) -> Iterator[Finding]:
            run = partial(functions[contestant], task)
            measured = in_fresh_process(run) if in_own_process else _here(setting, run)
            assert measured.num_tokens > 0, "no tokens were counted"
            tokens_per_s = measured.num_tokens / sum(measured.seconds)
            speeds[contestant] = tokens_per_s
            label = f"{name}, {contestant}"
            seconds = statistics.median(measured.seconds)
            note = f"{seconds:.3f} s a step, the first after {measured.first_step_s:.1f} s"
            yield Finding(f"{label}: speed", tokens_per_s, "tokens/s", note=note)
            if sheet is not None:
                share = 100 * flops * tokens_per_s / (1e12 * sheet)
                yield Finding(f"{label}: MFU", share, "%", note=f"of {sheet:g} TFLOP/s")
            yield Finding(f"{label}: peak memory", measured.peak_bytes / 1e9, "GB")

        yield from attempt(f"{name}, {contestant}", check)
    for other in ("bare", "trainer"):
        if "ours" in speeds and other in speeds:
            yield Finding(f"{name}: ours against {other}", speeds["ours"] / speeds[other], "x")


def _here(setting: Setting, run: Callable[[], Any]) -> Any:
    """Run a contestant in this process, with the peak of its memory alone."""
    gc.collect()
    if setting.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    return run()


def _data_sheet(setting: Setting) -> float | None:
    if setting.device == "cpu":
        return None
    name = torch.cuda.get_device_name()
    return next((peak for part, peak in PEAK_TFLOPS.items() if part in name), None)
