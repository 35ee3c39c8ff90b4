"""How the model of a run takes documents, proven before the first step; see `model.certificate`."""

from __future__ import annotations

from pathlib import Path

from musicllm import console
from musicllm.launch import ranks
from musicllm.model import attention
from musicllm.model.architecture import skeleton
from musicllm.model.certificate import Certificate, certify
from musicllm.runs.settings import compute_dtype, model_spec
from musicllm.schema import Config

OF_TRANSFORMERS = ("sdpa", "eager")
"""Attentions that a class may have beside ours; with these, documents go one by one."""


def certified(config: Config, name: str, max_length: int, dtype: str | None = None) -> Certificate:
    """Return how the model of a run takes documents, proven on this machine.

    Args:
        config: of a training.
        name: of the attention that was chosen, as in `hardware.attention`.
        max_length: longest document, in tokens.
        dtype: in which the model computes on a GPU; None for that of matrix products.

    Raises:
        NotAvailableError: the model would be trained as another one than it is.
    """
    on_gpu = config.hardware.accelerator == "gpu"
    certificate = _certify(
        config,
        name,
        max_length,
        device="cuda" if on_gpu else "cpu",
        dtype=(dtype or compute_dtype(config)) if on_gpu else "float32",
    )
    if certificate.reason and ranks.is_main():
        console.note(
            f"documents go through {certificate.model} one by one, with attention "
            f"{certificate.attention}: {certificate.reason}"
        )
    return certificate


def certified_on_cpu(config: Config, max_length: int) -> Certificate:
    """Return how a model takes documents, as far as a CPU without its weights tells."""
    return _certify(config, attention.NAME, max_length, device="cpu", dtype="float32")


def _certify(config: Config, name: str, max_length: int, *, device: str, dtype: str) -> Certificate:
    spec = model_spec(config)
    others = OF_TRANSFORMERS if config.hardware.attention == "auto" else ()
    return certify(
        skeleton(spec),
        (name, *others),
        max_length=max_length,
        cache=Path(config.paths.cache),
        remote=spec.trust_remote_code and "auto_map" in spec.config,
        device=device,
        dtype=dtype,
    )
