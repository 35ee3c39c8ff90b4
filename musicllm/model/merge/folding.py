"""The merge: one pass through base + adapter that merges, checks and writes.

The forward pass of the model runs on one text in three copies. Each adapted layer is
read once; the first copy passes through it without the adapter, the second with it, and the third
through the merged layer, which is then written and freed. A second pass reads the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from musicllm import console
from musicllm.errors import InputError, StageError
from musicllm.model import base
from musicllm.model.checkpoint import local_folder, open_weights
from musicllm.model.merge import parts
from musicllm.model.merge.adapted import Adapted, adapt, as_float32, is_adapted, tied_names
from musicllm.model.merge.layout import Layout, Sink, save_settings, sink
from musicllm.model.merge.report import TOLERANCES, Logits, MergeReport, compare, refuse_changes
from musicllm.model.merge.shards import WeightShardWriter

WAYS = ("alone", "expected", "merged")
"""The three copies of the text: through the base, base + adapter, and the merged layers."""


def merge(
    base_path: str | Path,
    adapter_path: Path,
    folder: Path,
    *,
    dtype: str,
    max_shard_gb: float,
    check_ids: Sequence[int],
    dequantize: bool = False,
    revision: str | None = None,
    layout: Layout = "transformers",
) -> MergeReport:
    """Merge base + adapter into a model folder with tokenizer and chat template.

    Computation is in float32, so that the check measures the rounding of weights and not of
    activations. Memory: one shard of the output, the largest matrix four times in float32,
    and for DoRA the square of its inputs too. The base is read once; the result is
    written once and read once.

    Args:
        base_path: folder or hub id of the base.
        adapter_path: PEFT folder; its tokenizer, if it has one, replaces that of the base.
        folder: existing empty folder for the result.
        dtype: of the merged weights: float32, float16, bfloat16, or auto for that of the base.
        max_shard_gb: size of a weight file, in 10^9 bytes.
        check_ids: tokens of the text on which logits are compared.
        dequantize: merge into the base as quantized to nf4, on which a QLoRA adapter
            was trained, instead of the full-precision base.
        revision: of the base, if it is on the hub.
        layout: names and configuration of the result: those of the class in transformers, or of
            the base's files.

    Raises:
        InputError: adapter or base cannot be read, or do not fit each other.
        NotAvailableError: the hub or bitsandbytes is needed, but not available.
        StageError: the logits of the result differ from those of base and adapter.
    """
    if not (adapter_path / "adapter_config.json").is_file():
        raise InputError(f"{adapter_path} is not an adapter: it has no adapter_config.json")
    tokenizer = base.load_adapter_tokenizer(adapter_path, base_path, revision=revision)
    source = _local_folder(base_path, revision)
    weights = open_weights(source)
    adapted = adapt(base.load_config(source), weights, adapter_path, dequantize=dequantize)
    _refuse_tokens_without_embedding(adapted, tokenizer, adapter_path)
    dtype = _own_dtype(adapted, source) if dtype == "auto" else dtype
    writer = WeightShardWriter(folder, max_shard_gb * 1e9)
    ids = torch.tensor([list(check_ids)])
    result = sink(source, layout, writer.add)
    stored: set[str] = set()
    store = partial(_store, result, stored, getattr(torch, dtype))
    alone, expected, merged = _fold(adapted, ids, store)
    _refuse_unvisited(adapted, stored)
    result.close()
    writer.close()
    model = _settled(adapted, source, tokenizer, dtype)
    save_settings(model, tokenizer, source, folder, layout)
    logits = Logits(alone, expected, merged, _stored_logits(folder, ids))
    sizes = {
        "num_parameters": writer.num_parameters,
        "num_bytes": writer.num_bytes,
        "num_shards": len(writer.shards),
    }
    report = compare(logits, dtype, sizes)
    refuse_changes(report, f"{base_path} + {adapter_path}")
    return report


def _local_folder(path: str | Path, revision: str | None) -> Path:
    """Return the folder of a model; hub models are downloaded or taken from the cache.

    Raises:
        InputError: the folder lacks files.
        NotAvailableError: the hub cannot be reached, or transformers has no class for the model.
    """
    base.load_config(path, revision=revision)
    return local_folder(path, revision)


def _fold(adapted: Adapted, ids: Tensor, store: Callable[[str, Tensor], None]) -> Sequence[Tensor]:
    """Run base + adapter, store the merged tensors, and return the logits of `WAYS`."""

    def run(name: str, part: nn.Module, forward: parts.Run, rows: Tensor, *rest: Any) -> Tensor:
        parts.fill(part, name, adapted.read)
        if is_adapted(part):
            rows, merged = _three_ways(part, forward, rows, *rest)
        else:
            rows, merged = forward(rows, *rest), part
        for leaf, tensor in merged.state_dict().items():
            if f"{name}.{leaf}" not in adapted.tied:
                store(f"{name}.{leaf}", tensor)
        parts.empty(part)
        advance(note=name)
        return rows

    total = parts.replace_forward(adapted.model, run)
    with console.progress("merging", total, "layer") as advance:
        return parts.logits_of(adapted.model, ids.repeat(len(WAYS), 1)).unbind()


def _three_ways(
    part: Any, forward: parts.Run, rows: Tensor, *rest: Any
) -> tuple[Tensor, nn.Module]:
    """Return the outputs of the three copies, and the merged layer."""
    alone, expected, merged = torch.split(rows, 1)
    part.enable_adapters(False)
    alone = forward(alone, *rest)
    part.enable_adapters(True)
    expected = forward(expected, *rest)
    if isinstance(part, BaseTunerLayer):
        part.merge()
        plain = part.get_base_layer()
    else:
        plain = part.unload_and_optionally_merge_module(
            merge=True, safe_merge=False, adapter_names=None
        )
    return torch.cat([alone, expected, plain(merged, *rest)]), plain


def _store(result: Sink, stored: set[str], dtype: torch.dtype, name: str, tensor: Tensor) -> None:
    stored.add(name)
    result.add(name, tensor.to(dtype) if tensor.is_floating_point() else tensor)


def _stored_logits(folder: Path, ids: Tensor) -> Tensor:
    """Return the logits of the merged folder, [T, V], computed in float32."""
    model = parts.lay_out(base.load_config(folder))
    weights, tied = open_weights(folder), tied_names(model)
    with console.progress("checking", sum(1 for _ in parts.parts_of(model)), "layer") as advance:
        run = parts.passing_through(lambda n: as_float32(weights.read(tied.get(n, n))), advance)
        parts.replace_forward(model, run)
        return parts.logits_of(model, ids)[0]


def _settled(
    adapted: Adapted, source: Path, tokenizer: PreTrainedTokenizerBase, dtype: str
) -> PreTrainedModel:
    """Return the model without weights, with the settings that are written."""
    model = adapted.plain
    if (source / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(source)
    base.adopt_special_tokens(model, tokenizer)
    model.config.dtype = getattr(torch, dtype)
    return model


def _own_dtype(adapted: Adapted, source: Path) -> str:
    """Return the stored dtype of the embeddings of the base."""
    embeddings = adapted.plain.get_input_embeddings()
    name = next(name for name, module in adapted.plain.named_modules() if module is embeddings)
    dtype = str(adapted.base.dtype(f"{name}.weight")).removeprefix("torch.")
    if dtype not in TOLERANCES:
        raise InputError(
            f"{source} stores its weights as {dtype}; name the dtype of the merged ones: "
            f"merge.dtype={'|'.join(TOLERANCES)}"
        )
    return dtype


def _refuse_tokens_without_embedding(
    adapted: Adapted, tokenizer: PreTrainedTokenizerBase, adapter_path: Path
) -> None:
    if len(tokenizer) > adapted.plain.config.vocab_size:
        raise InputError(
            f"the tokenizer in {adapter_path} has {len(tokenizer)} tokens, but the embeddings have "
            f"only {adapted.plain.config.vocab_size} rows: train them (adapter.train_embeddings)"
        )


def _refuse_unvisited(adapted: Adapted, stored: set[str]) -> None:
    unvisited = adapted.plain.state_dict().keys() - adapted.tied.keys() - stored
    if unvisited:
        raise StageError(
            f"{type(adapted.plain).__name__} made no use of {', '.join(sorted(unvisited)[:5])}, so "
            f"they could not be checked; this architecture cannot be merged here"
        )
