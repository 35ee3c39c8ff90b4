"""One micro-batch of a model on fake tensors: what training computes, and what it keeps.

`trace` is the entry point. `copies` makes a copy with one layer of each kind, `tracing` runs it,
`recorder` watches its operations, `attention` stands in for the kernels, `rules` has what else is
not as on this machine. Nothing is downloaded, computed or allocated. The loss is not part of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import lru_cache
from math import isqrt

import torch
from torch import nn
from transformers import PreTrainedModel

from musicllm.errors import MusicLLMError, NotAvailableError
from musicllm.model import adapters
from musicllm.model.anatomy import Anatomy, inspect
from musicllm.model.architecture import skeleton
from musicllm.model.spec import AdapterSpec, ModelSpec
from musicllm.model.trace.attention import NAME, Attention, AttentionCall
from musicllm.model.trace.copies import (
    Kind,
    UnknownLayerError,
    first_of,
    kinds_of,
    truncated,
)
from musicllm.model.trace.recorder import Bytes
from musicllm.model.trace.records import Head, LayerTrace, Trace
from musicllm.model.trace.tracing import Tracer

__all__ = ["AttentionCall", "Bytes", "Head", "LayerTrace", "Run", "Trace", "trace"]


@dataclasses.dataclass(frozen=True)
class Run:
    """How rows are trained, as far as a trace depends on it.

    Attributes:
        document_length: tokens of a document. The trace has one, as a row of the next lower prime
            number of tokens, so that no weight has as many rows or columns. Only attention that
            keeps its scores and padded chunks of states do not grow in proportion.
        compute_dtype: float32, or float16 or bfloat16 of autocast.
        on_gpu: else on a CPU.
        attention: name of the kernel, such as `varlen_sdpa`.
    """

    document_length: int = 128
    compute_dtype: str = "float32"
    on_gpu: bool = False
    attention: str = "varlen"


def trace(
    spec: ModelSpec, adapter: AdapterSpec, run: Run | None = None, *, vocab_size: int | None = None
) -> Trace:
    """Trace a row through a model with its adapter; repeated calls take no time.

    A layer takes a quarter of a second, and only some are run: see `copies`.

    Args:
        spec: the model; `dtype` is that of frozen weights.
        adapter: what is trained.
        run: how; FLOPs do not depend on it.
        vocab_size: tokens, if a tokenizer decides; None for the option's.

    Raises:
        ConfigError: as in `adapters.attach` and `architecture.config_of`.
        NotAvailableError: the code of the class does not run on tensors without elements.
    """
    model = skeleton(spec, vocab_size=vocab_size)
    return _trace(model, spec.dtype, adapter, run or Run())


@lru_cache(maxsize=32)
def _trace(model: PreTrainedModel, stored: str, adapter: AdapterSpec, run: Run) -> Trace:
    anatomy = inspect(model)
    paths = [layer.path for layer in anatomy.layers]
    targets = {matrix.path for matrix in adapters.target_matrices(anatomy, adapter)}
    adapted = [
        tuple(matrix.name for matrix in layer.matrices if matrix.path in targets)
        for layer in anatomy.layers
    ]
    kinds = kinds_of([model.get_submodule(path) for path in paths], adapted)
    copied = first_of(kinds)
    while True:
        copy = truncated(model, paths, kinds, copied)
        try:
            return _run(copy, anatomy, kinds, stored=stored, adapter=adapter, run=run)
        except UnknownLayerError as unknown:
            copied.add(unknown.index)
        except MusicLLMError:
            raise
        except Exception as error:  # whatever code of a model raises
            words = " ".join(str(error).split())[:300]
            raise NotAvailableError(
                f"{type(model).__name__} cannot be planned, since it does not run without "
                f"weights: {type(error).__name__}: {words}"
            ) from error


def _run(
    model: PreTrainedModel,
    anatomy: Anatomy,
    kinds: Sequence[Kind],
    *,
    stored: str,
    adapter: AdapterSpec,
    run: Run,
) -> Trace:
    """Trace a copy of a model, which becomes fake."""
    compute_dtype: torch.dtype = getattr(torch, run.compute_dtype)
    attention = Attention(run.attention, compute_dtype=compute_dtype)
    attention.register()
    model.set_attn_implementation(NAME)
    layers = [model.get_submodule(layer.path) for layer in anatomy.layers]
    matrices = _inner_matrices(model, anatomy)
    if adapter.kind == "lora":
        plain = dataclasses.replace(adapter, quantization=None)  # it has the same tensors beside
        adapters.wrap(model, plain)
    else:
        model.requires_grad_(adapter.kind == "full")
    whole = run.compute_dtype == "float32" or adapter.kind == "full"
    frozen = torch.float32 if whole else getattr(torch, stored)

    def dtype_of(weight: nn.Parameter) -> torch.dtype:
        if weight.requires_grad:
            return torch.float32
        if adapter.quantization is None:
            return frozen
        return compute_dtype if id(weight) in matrices else torch.float32

    tracer = Tracer(layers, kinds, attention, compute_dtype=compute_dtype, on_gpu=run.on_gpu)
    return tracer.run(model, num_tokens=_prime(run.document_length), dtype_of=dtype_of)


def _inner_matrices(model: nn.Module, anatomy: Anatomy) -> set[int]:
    """Return the ids of the weights that bitsandbytes packs: linear layers, without the head."""
    packed = [module for module in model.modules() if isinstance(module, nn.Linear)]
    head = model.get_submodule(anatomy.head)
    return {id(module.weight) for module in packed if module is not head}


def _prime(number: int) -> int:
    """Return the largest prime that is not larger, or the number itself below 3."""
    candidates = range(number, 2, -1)
    return next((n for n in candidates if all(n % d for d in range(2, isqrt(n) + 1))), number)
