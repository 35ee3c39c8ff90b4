"""The merge: one pass through base + adapter that merges, checks and writes.

The forward pass of the model runs on one text in three copies. Each adapted layer is
read once; the first copy passes through it without the adapter, the second with it, and the third
through the merged layer, which is then written and freed. A second pass reads the result. Which
experts a token passes is taken from the second copy throughout: it is no continuous function of the
weights, so rounding could change it, and then any logit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from musicllm import console
from musicllm.errors import InputError, StageError
from musicllm.model import base
from musicllm.model.checkpoint import open_weights
from musicllm.model.merge import parts
from musicllm.model.merge.adapted import Adapted, adapt, as_float32, tied_names
from musicllm.model.merge.bundles import StoredTensors
from musicllm.model.merge.copies import Copies
from musicllm.model.merge.layout import Layout, save_settings, sink
from musicllm.model.merge.report import TOLERANCES, Logits, MergeReport, compare, refuse_changes
from musicllm.model.merge.shards import WeightShardWriter

WAYS = ("alone", "expected", "merged")
"""The three copies of the text: through the base, base + adapter, and the merged layers."""


def merge(
    base_path: Path,
    adapter_path: Path,
    folder: Path,
    *,
    dtype: str,
    max_shard_gb: float,
    check_ids: Sequence[int],
    dequantize: str | None = None,
    ignored_tensors: Sequence[str] = (),
    layout: Layout = "transformers",
) -> MergeReport:
    """Merge base + adapter into a model folder with tokenizer and chat template.

    Computation is in float32, so that the check measures the rounding of weights and not of
    activations. Memory: one shard of the output, the largest matrix four times in float32,
    and for DoRA the square of its inputs too. The base is read once; the result is
    written once and read once.

    Args:
        base_path: folder of the base; see `checkpoint.local_folder`.
        adapter_path: PEFT folder; its tokenizer, if it has one, replaces that of the base.
        folder: existing empty folder for the result.
        dtype: of the merged weights: float32, float16, bfloat16, or auto for that of the base.
        max_shard_gb: size of a weight file, in 10^9 bytes.
        check_ids: tokens of the text on which logits are compared.
        dequantize: merge into the base as quantized to nf4, on which a QLoRA adapter was trained,
            from this dtype, or from that of its files (`stored`); None for the base in full
            precision.
        ignored_tensors: regular expressions of stored tensors that are left out.
        layout: names and configuration of the result: those of the class in transformers, or of
            the base's files.

    Raises:
        InputError: adapter or base cannot be read, or do not fit each other.
        NotAvailableError: the hub or bitsandbytes is needed, but not available.
        StageError: the logits of the result differ from those of base and adapter.
    """
    if not (adapter_path / "adapter_config.json").is_file():
        raise InputError(f"{adapter_path} is not an adapter: it has no adapter_config.json")
    config = base.load_config(base_path)
    tokenizer = base.load_adapter_tokenizer(adapter_path, base_path)
    weights = open_weights(base_path, ignored_tensors)
    adapted = adapt(config, weights, adapter_path, dequantize=dequantize)
    _refuse_tokens_without_embedding(adapted, tokenizer, adapter_path)
    stored_dtype = None if dtype == "auto" else getattr(torch, dtype)
    dtype = _own_dtype(adapted, base_path) if dtype == "auto" else dtype
    writer = WeightShardWriter(folder, max_shard_gb * 1e9)
    ids = torch.tensor([list(check_ids)])
    result = sink(base_path, layout, writer.add)
    visited: set[str] = set()

    def store(name: str, tensor: Tensor) -> None:
        visited.add(name)
        for stored_name, stored in adapted.base.write(name, tensor, stored_dtype):
            result.add(stored_name, stored)

    (alone, expected, merged), routes = _fold(adapted, ids, store)
    _refuse_unvisited(adapted, visited)
    for name, tensor in adapted.base.copies():
        result.add(name, tensor)
    result.close()
    writer.close()
    model = _settled(adapted, base_path, tokenizer, dtype)
    save_settings(model, tokenizer, base_path, folder, layout)
    logits = Logits(alone, expected, merged, _stored_logits(folder, ids, routes))
    sizes = {
        "num_parameters": writer.num_parameters,
        "num_bytes": writer.num_bytes,
        "num_shards": len(writer.shards),
    }
    report = compare(logits, dtype, sizes)
    refuse_changes(report, f"{base_path} + {adapter_path}")
    return report


def _fold(
    adapted: Adapted, ids: Tensor, store: Callable[[str, Tensor], None]
) -> tuple[Sequence[Tensor], Mapping[str, Any]]:
    """Run base + adapter, and store the merged tensors.

    Returns:
        The logits of `WAYS`, and the outputs of the routers of experts for base + adapter by name.
    """
    copies = Copies(len(WAYS), ids.shape[1])
    routers = parts.routers_of(adapted.plain)
    routes: dict[str, Any] = {}

    def run(name: str, part: nn.Module, forward: parts.Run, *inputs: Any, **options: Any) -> Any:
        parts.refuse_meta(adapted.plain, inputs)
        parts.fill(part, name, adapted.read)
        if parts.is_adapted(part):
            outputs, merged = _three_ways(part, forward, copies, inputs, options)
        else:
            outputs, merged = forward(*inputs, **options), part
        if name in routers:
            alone, routes[name] = copies.take(outputs, 0), copies.take(outputs, 1)
            outputs = copies.join([alone, routes[name], routes[name]])
        for leaf, tensor in merged.state_dict().items():
            if f"{name}.{leaf}" not in adapted.tied:
                store(f"{name}.{leaf}", tensor)
        parts.empty(part)
        advance(note=name)
        return outputs

    total = parts.replace_forward(adapted.model, run)
    with console.progress("merging", total, "layer") as advance:
        return parts.logits_of(adapted.model, ids.repeat(len(WAYS), 1)).unbind(), routes


def _three_ways(
    part: Any, forward: parts.Run, copies: Copies, inputs: Any, options: Any
) -> tuple[Any, nn.Module]:
    """Return the outputs of the three copies, and the merged part."""
    parts.enable(part, False)
    alone = forward(*copies.take(inputs, 0), **copies.take(options, 0))
    parts.enable(part, True)
    expected = forward(*copies.take(inputs, 1), **copies.take(options, 1))
    plain = parts.merged(part)
    run = forward if plain is part else plain
    merged = run(*copies.take(inputs, 2), **copies.take(options, 2))
    return copies.join([alone, expected, merged]), plain


def _stored_logits(folder: Path, ids: Tensor, routes: Mapping[str, Any]) -> Tensor:
    """Return the logits of the merged folder, [T, V], computed in float32.

    Args:
        folder: of the merged model.
        ids: of the text, [1, T].
        routes: outputs of routers by name, which are taken instead of their own.
    """
    model = parts.lay_out(base.load_config(folder))
    stored, tied = StoredTensors(model, open_weights(folder)), tied_names(model)
    with console.progress("checking", sum(1 for _ in parts.parts_of(model)), "layer") as advance:
        run = parts.passing_through(
            lambda n: as_float32(stored.read(tied.get(n, n))), advance, routes
        )
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
