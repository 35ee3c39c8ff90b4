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

TOLERANCES = {"float32": 1e-4, "float16": 5e-3, "bfloat16": 3e-2}
"""Largest difference allowed, as a share of the largest logit, for weights stored in 24, 11 or 8
bits. SmolLM2-135M with LoRA on every linear layer came to 1.6e-6, 5e-4 and 4e-3."""


@dataclass(frozen=True)
class MergeReport:
    """What merging changed.

    Differences are the largest of any logit, computed in float32.

    Attributes:
        max_abs_difference: between base + adapter and the merged folder, with its rounding.
        tolerance: the largest such difference that would have been accepted.
        max_abs_difference_unrounded: the same before the merged weights are stored in their type,
            which must be no more than float32 explains.
        max_abs_effect: between the base alone and base + adapter. A rounding of the same size has
            lost much of what was learned: store a wider type.
        same_top_token: share of positions where the most likely token is the same.
        num_positions: tokens compared.
    """

    max_abs_difference: float
    tolerance: float
    max_abs_difference_unrounded: float
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
    revision: str | None = None,
) -> MergeReport:
    """Write base + adapter as a plain model folder with tokenizer and chat template.

    The arithmetic is float32, so that the check sees the rounding of weights and not that of
    activations. Peak memory is 4 bytes per parameter, plus the adapter and the largest matrix; the
    merged folder is loaded for the check after what it was made from is freed. For 7 billion
    parameters that is 28 GB. An adapter trained over a 4-bit base goes into the base as it was
    before, so what comes out is not exactly what was trained.

    Args:
        base_path: folder or hub id of the base.
        adapter_path: PEFT folder with the tokenizer beside it.
        folder: existing folder to fill.
        dtype: of the merged weights: float32, float16 or bfloat16.
        check_ids: tokens of one text on which logits are compared.
        revision: of the base, when it is on the hub.

    Raises:
        InputError: the adapter or the base cannot be read.
        StageError: the merged folder gives other logits than base and adapter.
    """
    if not (adapter_path / "adapter_config.json").is_file():
        raise InputError(f"{adapter_path} is not an adapter: it has no adapter_config.json")
    tokenizer = base.load_tokenizer(adapter_path)
    ids = torch.tensor([list(check_ids)])
    plain = base.load(base_path, dtype="float32", revision=revision)
    logits, merged = _merged(plain, adapter_path, ids)
    base.adopt_special_tokens(merged, tokenizer)
    merged.to(getattr(torch, dtype)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    del plain, merged  # the second model takes its place in memory
    logits["stored"] = _logits(base.load(folder, dtype="float32"), ids)
    report = _compare(logits, dtype)
    _refuse(report, f"{base_path} + {adapter_path}", dtype, logits["expected"])
    return report


def _merged(
    model: PreTrainedModel, adapter_path: Path, ids: Tensor
) -> tuple[dict[str, Tensor], PreTrainedModel]:
    """Return logits of the base, of base + adapter and of the two in one; and the last model."""
    from peft import PeftModel

    logits = {"alone": _logits(model, ids)}
    with quiet_peft():
        adapted = PeftModel.from_pretrained(model, str(adapter_path))
    logits["expected"] = _logits(adapted, ids)
    merged = adapted.merge_and_unload()
    return {**logits, "merged": _logits(merged, ids)}, merged


def _logits(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """Return the logits of one text, float32 [T, V]."""
    with torch.inference_mode():
        logits: Tensor = model.eval()(input_ids=ids, use_cache=False).logits[0]
    return logits


def _compare(logits: dict[str, Tensor], dtype: str) -> MergeReport:
    expected = logits["expected"]
    apart = {name: float((found - expected).abs().max()) for name, found in logits.items()}
    top = expected.argmax(-1) == logits["stored"].argmax(-1)
    return MergeReport(
        max_abs_difference=apart["stored"],
        tolerance=TOLERANCES[dtype] * float(expected.abs().max()),
        max_abs_difference_unrounded=apart["merged"],
        max_abs_effect=apart["alone"],
        same_top_token=float(top.float().mean()),
        num_positions=len(expected),
    )


def _refuse(report: MergeReport, origin: str, dtype: str, expected: Tensor) -> None:
    exact = TOLERANCES["float32"] * float(expected.abs().max())
    for found, allowed, kind in (
        (report.max_abs_difference_unrounded, exact, "float32"),
        (report.max_abs_difference, report.tolerance, dtype),
    ):
        if not found <= allowed:  # also when it is NaN
            raise StageError(
                f"the merged model differs from {origin}: logits by up to {found:.3g}, "
                f"where {kind} explains {allowed:.3g}"
            )
