"""The planned peak of a step against the one that torch's allocator counts, for several shapes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tests.gpu.check.finding import Finding, Setting, attempt
from tests.gpu.check.speed import spec_of, task_of

SHAPES = {
    "1 B, LoRA": ["model=llama3_2_1b", "adapter=lora_r64"],
    "1 B, LoRA, nothing recomputed": [
        "model=llama3_2_1b", "adapter=lora_r64", "training.activation_checkpointing=false",
    ],
    "135 M, all trained": ["model=smollm2_135m", "adapter=full"],
    "0.6 B, all trained, nothing recomputed": [
        "model=qwen3_0_6b", "adapter=full", "training.activation_checkpointing=false",
    ],
}  # fmt: skip

GOAL, AIM = 0.10, 0.05
"""Share by which the peak may differ from the plan, and by which it should."""


def run(setting: Setting) -> Iterator[Finding]:
    """Yield planned and measured peaks, and how far they are apart."""
    for number, (name, words) in enumerate(SHAPES.items()):

        def check(
            number: int = number, name: str = name, words: list[str] = words
        ) -> Iterator[Finding]:
            yield from _of(setting, f"{number}", name, words)

        yield from attempt(name, check)


def _of(setting: Setting, folder: str, name: str, words: list[str]) -> Iterator[Finding]:
    from musicllm.bench.measuring import in_fresh_process
    from musicllm.bench.train.ours import ours

    task = task_of(setting, folder, *words, num_steps=2)
    planned = _planned(setting, words)
    measured = in_fresh_process(partial(ours, task)).peak_bytes
    note = f"planned {planned / 1e9:.2f} GB, measured {measured / 1e9:.2f} GB"
    share = measured / planned - 1
    if setting.device == "cpu":
        yield Finding(name, 100 * share, "%", note=f"{note} (the whole process)")
        return
    verdict = "right" if abs(share) <= GOAL else "wrong"
    rule = f"within {GOAL:.0%}, better {AIM:.0%}"
    yield Finding(name, 100 * share, "%", rule, verdict, note)  # type: ignore[arg-type]


def _planned(setting: Setting, words: list[str]) -> int:
    """Return the planned peak of the allocator for the rows of `task_of`."""
    import dataclasses

    from musicllm.runs import composing
    from musicllm.runs.planning import run_plan
    from musicllm.runs.settings import model_spec

    gpu = setting.device == "cuda"
    rows = 2 if setting.dry else 8
    config, _ = composing.load(
        [
            "recipe=pretrain",
            *(["hardware=gpu1", "hardware.precision=bf16"] if gpu else ["hardware=cpu"]),
            f"hardware.max_rows_per_device={rows}",
            f"training.rows_per_step={rows}",
            "training.activation_checkpointing=true",
            "training.max_steps=4",
            "optimizer=adamw",
            f"data.max_length={128 if setting.dry else 2048}",
            *words,
        ],
        (),
    )
    shapes = dict(spec_of(setting, model_spec(config)).config)
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, config=shapes))
    return run_plan(config, None).memory.allocated
