"""Scores and greedy texts on the device against those of the CPU, both in float32."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import torch

from tests.gpu.check.finding import Finding, Setting, at_most, attempt

SAMPLING = {"temperature": 0.0, "top_k": 0, "top_p": 1.0, "repetition_penalty": 1.0}


def run(setting: Setting) -> Iterator[Finding]:
    """Yield the largest difference of scores, and the share of equal tokens, by family."""
    from tests.model import families

    for family in families.ONE_OF_EACH_KIND[:2] if setting.dry else families.ONE_OF_EACH_KIND:

        def scores(family: str = family) -> Iterator[Finding]:
            yield from _scores(setting, family)

        yield from attempt(f"scores of {family}", scores)
    for family in ("llama", "gemma3"):

        def texts(family: str = family) -> Iterator[Finding]:
            yield from _texts(setting, family)

        yield from attempt(f"texts of {family}", texts)


def _scores(setting: Setting, family: str) -> Iterator[Finding]:
    from musicllm.inference.scorer.planning import Item
    from musicllm.inference.scorer.scorer import Scorer
    from tests.model import families

    draw = random.Random(0)
    prefix = [draw.randrange(2, 300) for _ in range(40)]
    items = [
        Item((*prefix, *(draw.randrange(2, 300) for _ in range(draw.randrange(2, 60)))), 41)
        for _ in range(8 if setting.dry else 64)
    ]
    model = families.build(family, attention=_attention(family))
    expected = Scorer(model).score(items)
    here = model.to(setting.device)
    actual = Scorer(here).score(items)
    far = max(abs(a.logprob - e.logprob) for a, e in zip(actual, expected, strict=True))
    yield at_most(f"scores of {family}", far, 2e-2, "nats", "the largest difference of a sum")
    if setting.device == "cuda":
        half = Scorer(here.to(torch.bfloat16)).score(items)
        far = max(abs(a.logprob - e.logprob) for a, e in zip(half, expected, strict=True))
        yield Finding(f"scores of {family} in bfloat16", far, "nats")


def _attention(family: str) -> str:
    """Return transformers' own attention that a class has."""
    return "eager" if family in ("gemma2", "gpt_oss") else "sdpa"


def encoder(setting: Setting) -> Any:
    """Return an encoder of tunes with the tokenizer of the families."""
    from musicllm.data.encoder import Encoder
    from tests.helpers import make_corpus

    return Encoder.load(make_corpus(setting.work / "corpus").tokenizer_path)


def _texts(setting: Setting, family: str) -> Iterator[Finding]:
    from musicllm.inference.requests import SamplingSettings
    from musicllm.inference.sampling import sample
    from tests.model import families

    draw = random.Random(1)
    setting.work.joinpath(family).mkdir()
    writer = encoder(Setting(setting.device, setting.dry, setting.work / family))
    prompts = [[draw.randrange(2, 300) for _ in range(number)] for number in (3, 9, 21, 60)]
    settings = SamplingSettings(**SAMPLING, max_new_tokens=8 if setting.dry else 48)
    model = families.build(family, attention=_attention(family))
    options: dict[str, Any] = {"seed": 0, "batch_size": 4}
    expected = sample(model, writer, prompts, settings, **options)
    actual = sample(model.to(setting.device), writer, prompts, settings, **options)
    equal = sum(a.text == e.text for a, e in zip(actual, expected, strict=True))
    verdict = "right" if equal == len(prompts) else "wrong"
    yield Finding(f"greedy texts of {family}", equal, f"of {len(prompts)}", "all equal", verdict)  # type: ignore[arg-type]
