"""LoRA over a base in 4 bits: trained beside the same in 16 bits, and merged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.gpu.check.finding import Finding, Setting, at_most
from tests.gpu.check.parts.training import hardware, losses, train

FAR = 0.5
"""Nats that 4 bits may change a loss of random weights."""


def run(setting: Setting) -> Iterator[Finding]:
    """Yield how far the losses are apart, and whether the merge's own comparison holds."""
    import bitsandbytes  # noqa: F401

    from musicllm.errors import NotAvailableError
    from tests.helpers import make_corpus
    from tests.model import families

    corpus = make_corpus(setting.work / "corpus").path
    wide = {"hidden_size": 128, "intermediate_size": 256}
    base = families.write(setting.work / "base", "llama", **wide)
    precision = "bf16" if setting.device == "cuda" else "fp32"
    words = [hardware(setting), f"hardware.precision={precision}", "model=hf"]
    words += [f"model.location={base}", "training.activation_checkpointing=true"]
    plain = losses(train(setting, corpus, *words, "adapter=lora_r64", "name=lora"))
    yield Finding("LoRA", plain[-1], "nats", note="the last loss")
    try:
        quantized = losses(train(setting, corpus, *words, "adapter=qlora_r64", "name=qlora"))
    except NotAvailableError as error:
        if setting.device == "cuda":
            raise
        yield Finding("QLoRA", verdict="not here", note=str(error))
        return
    far = max(abs(a - b) for a, b in zip(quantized, plain, strict=True))
    yield at_most("QLoRA against LoRA", far, FAR, "nats", f"the last loss {quantized[-1]:.4f}")
    yield from _merged(setting, base)


def _merged(setting: Setting, base: Path) -> Iterator[Finding]:
    from musicllm.launch import runner
    from musicllm.runs import composing

    outcome = runner.run(
        *composing.load(
            [
                "recipe=merge",
                "model=hf",
                f"model.location={base}",
                f"paths.runs={setting.work / 'runs'}",
                f"inputs.adapter={setting.work / 'runs' / 'quickstart' / 'pretrain' / 'qlora'}",
                "merge.quantized_base=dequantize",
                "merge.dtype=float32",
            ],
            (),
        )
    )
    text = ", ".join(f"{name} {value}" for name, value in outcome.metrics.items())
    yield Finding("merged, and compared by the merge itself", note=text[:200], verdict="right")
