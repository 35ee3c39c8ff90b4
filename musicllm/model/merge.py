"""An adapter folded into its base: a plain model folder, checked against what it was made from.

The merged folder is read back from disk and must give the logits that base and adapter gave
together, for the same tokens. The whole base is held in memory; nothing is streamed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedModel

from musicllm.errors import InputError, StageError
from musicllm.model import base
from musicllm.model.adapters import quiet_peft

TOLERANCES = {"float32": 1e-4, "float16": 0.02, "bfloat16": 0.1}
"""Largest difference allowed, as a share of the largest logit. Merged weights are rounded once
more than separate ones, to 24, 11 or 8 bits, and the error grows through the layers."""


@dataclass(frozen=True)
class MergeReport:
    """What merging changed.

    Attributes:
        max_abs_difference: of any logit, between base + adapter and the merged folder.
        tolerance: the largest difference that would have been accepted.
        max_abs_effect: of any logit, between the base alone and base + adapter.
        same_top_token: share of positions where the most likely token is the same.
        num_positions: tokens compared.
    """

    max_abs_difference: float
    tolerance: float
    max_abs_effect: float
    same_top_token: float
    num_positions: int


def merge(
    base_path: str | Path,
    adapter_path: Path,
    folder: Path,
    *,
    dtype: str,
    check_ids: Sequence[int],
) -> MergeReport:
    """Write base + adapter as a plain model folder with tokenizer and chat template.

    Peak memory is the base in `dtype` plus the adapter and one layer; the merged model is loaded
    for the check after the first is freed.

    Args:
        base_path: folder or hub id of the base.
        adapter_path: PEFT folder with the tokenizer beside it.
        folder: existing folder to fill.
        dtype: of the merged weights: float32, float16 or bfloat16.
        check_ids: tokens of one text on which logits are compared.

    Raises:
        InputError: the adapter or the base cannot be read.
        StageError: the merged folder gives other logits than base and adapter.
    """
    tokenizer = base.load_tokenizer(adapter_path)
    ids = torch.tensor([list(check_ids)])
    alone, expected, merged = _merged(base_path, adapter_path, ids, dtype)
    base.adopt_special_tokens(merged, tokenizer)
    merged.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    del merged
    report = _compare(alone, expected, _logits(base.load(folder, dtype=dtype), ids), dtype)
    if not report.max_abs_difference <= report.tolerance:
        raise StageError(
            f"the merged model differs from {base_path} + {adapter_path}: logits by up to "
            f"{report.max_abs_difference:.3g}, where {dtype} explains {report.tolerance:.3g}"
        )
    return report


def _merged(
    base_path: str | Path, adapter_path: Path, ids: Tensor, dtype: str
) -> tuple[Tensor, Tensor, PreTrainedModel]:
    """Return the logits of the base, those of base + adapter, and the two in one model."""
    if not (adapter_path / "adapter_config.json").is_file():
        raise InputError(f"{adapter_path} is not an adapter: it has no adapter_config.json")
    from peft import PeftModel

    model = base.load(base_path, dtype=dtype)
    alone = _logits(model, ids)
    with quiet_peft():
        adapted = PeftModel.from_pretrained(model, str(adapter_path))
    expected = _logits(adapted, ids)
    return alone, expected, adapted.merge_and_unload()


def _logits(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """Return the logits of one text as float32 [T, V]."""
    with torch.inference_mode():
        logits: Tensor = model.eval()(input_ids=ids, use_cache=False).logits[0]
    return logits.float()


def _compare(alone: Tensor, expected: Tensor, found: Tensor, dtype: str) -> MergeReport:
    return MergeReport(
        max_abs_difference=float((found - expected).abs().max()),
        tolerance=TOLERANCES[dtype] * float(expected.abs().max()),
        max_abs_effect=float((expected - alone).abs().max()),
        same_top_token=float((found.argmax(-1) == expected.argmax(-1)).float().mean()),
        num_positions=len(expected),
    )
