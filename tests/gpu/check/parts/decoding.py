"""Speed of scoring and of sampling with the shapes of small models and random weights, in bf16."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import torch

from tests.gpu.check.finding import Finding, Setting, attempt
from tests.gpu.check.parts.inference import SAMPLING, encoder
from tests.gpu.check.speed import spec_of

MODELS = ("smollm2_135m", "llama3_2_1b")


def run(setting: Setting) -> Iterator[Finding]:
    """Yield tokens per second of each."""
    for name in MODELS:

        def check(name: str = name) -> Iterator[Finding]:
            yield from _of(setting, name)

        yield from attempt(name, check)


def _of(setting: Setting, name: str) -> Iterator[Finding]:
    from musicllm.inference.requests import SamplingSettings
    from musicllm.inference.sampling import sample
    from musicllm.inference.scorer.planning import Item
    from musicllm.inference.scorer.scorer import Scorer
    from musicllm.model import base
    from musicllm.runs import composing
    from musicllm.runs.settings import model_spec

    config, _ = composing.load(["recipe=pretrain", f"model={name}"], ())
    spec = spec_of(setting, model_spec(config))
    with torch.device(setting.device):
        model = base.build(spec, seed=0, attention="sdpa").to(torch.bfloat16).eval()
    draw = random.Random(0)
    number, length, new = (4, 16, 4) if setting.dry else (512, 256, 128)
    items = [Item(tuple(draw.randrange(2, 300) for _ in range(length)), 1) for _ in range(number)]
    scorer = Scorer(model)
    for text in ("the first time", "again"):
        seconds = _timed(setting, lambda: scorer.score(items))
        yield Finding(f"{name}: scoring, {text}", number * length / seconds, "tokens/s")
    setting.work.joinpath(name).mkdir()
    writer = encoder(Setting(setting.device, setting.dry, setting.work / name))
    settings = SamplingSettings(**SAMPLING, max_new_tokens=new)
    for rows in (1, 32):
        prompts = [[draw.randrange(2, 300) for _ in range(16)] for _ in range(rows)]
        made = 0

        def write(prompts: list[list[int]] = prompts, rows: int = rows) -> None:
            nonlocal made
            texts = sample(model, writer, prompts, settings, seed=0, batch_size=rows)
            made = sum(text.num_new_tokens for text in texts)

        seconds = _timed(setting, write)
        yield Finding(f"{name}: sampling, {rows} at once", made / seconds, "tokens/s")


def _timed(setting: Setting, function: object) -> float:
    began = time.perf_counter()
    function()  # type: ignore[operator]
    if setting.device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began
