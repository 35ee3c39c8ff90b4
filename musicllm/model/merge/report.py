"""How far a merged model is from what it was made from, and when that is too far."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from musicllm.errors import StageError

TOLERANCES = {"float32": 1e-4, "float16": 5e-3, "bfloat16": 3e-2}
"""Largest difference allowed, as a share of the largest logit, for weights stored in 24, 11 or 8
bits. SmolLM2-135M with LoRA on every linear layer came to 1.5e-6, 9e-4 and 6e-3."""

LOST_SHARE = 0.1
"""Of what the adapter changed, so much may be lost by rounding to 16 bits, where that is more."""


@dataclass(frozen=True)
class MergeReport:
    """What merging changed, and what was written.

    Differences are the largest of any logit, computed in float32.

    Attributes:
        max_abs_difference: between base + adapter and the merged folder, with its rounding.
        tolerance: the largest such difference that is accepted: what the type explains,
            or a tenth of the adapter's effect where that is more.
        max_abs_difference_unrounded: the same before the merged weights are stored in their type.
        tolerance_unrounded: the largest such difference that float32 explains.
        max_abs_effect: between the base alone and base + adapter; tokens that the base does not
            know count as 0 there. A rounding of the same size has lost much of what was learned:
            store a wider type.
        same_top_token: share of positions where the most likely token is the same.
        num_positions: tokens compared.
        dtype: of the merged weights.
        num_parameters: numbers in the merged weights.
        num_bytes: of the merged weights.
        num_shards: files that they lie in.
    """

    max_abs_difference: float
    tolerance: float
    max_abs_difference_unrounded: float
    tolerance_unrounded: float
    max_abs_effect: float
    same_top_token: float
    num_positions: int
    dtype: str
    num_parameters: int
    num_bytes: int
    num_shards: int


@dataclass(frozen=True)
class Logits:
    """Logits of one text, float32 [T, V], from the base on its way to the merged folder.

    Attributes:
        alone: of the base.
        expected: of base + adapter.
        merged: of the two in one, in float32.
        stored: of the merged folder, read back from disk.
    """

    alone: Tensor
    expected: Tensor
    merged: Tensor
    stored: Tensor

    def apart(self, name: str) -> float:
        """Return the largest difference from what is expected."""
        return float((getattr(self, name) - self.expected).abs().max())


def compare(logits: Logits, dtype: str, written: dict[str, int]) -> MergeReport:
    """Compare all logits with those of base + adapter.

    Args:
        logits: of the same text.
        dtype: of the merged weights.
        written: the last three attributes of the report.
    """
    top = logits.expected.argmax(-1) == logits.stored.argmax(-1)
    effect = logits.apart("alone")
    lost = 0.0 if dtype == "float32" else LOST_SHARE * effect
    return MergeReport(
        max_abs_difference=logits.apart("stored"),
        tolerance=max(_explained(logits, dtype), lost),
        max_abs_difference_unrounded=logits.apart("merged"),
        tolerance_unrounded=_explained(logits, "float32"),
        max_abs_effect=effect,
        same_top_token=float(top.float().mean()),
        num_positions=len(logits.expected),
        dtype=dtype,
        **written,
    )


def _explained(logits: Logits, dtype: str) -> float:
    return TOLERANCES[dtype] * float(logits.expected.abs().max())


def refuse_changes(report: MergeReport, origin: str) -> None:
    """Refuse a merged model that gives other logits than base and adapter.

    Raises:
        StageError: rounding does not explain the difference.
    """
    if not report.max_abs_difference_unrounded <= report.tolerance_unrounded:  # also when it is NaN
        raise StageError(
            f"the merged model differs from {origin}: logits by up to "
            f"{report.max_abs_difference_unrounded:.3g}, where float32 explains "
            f"{report.tolerance_unrounded:.3g}"
        )
    if not report.max_abs_difference <= report.tolerance:
        raise StageError(
            f"in {report.dtype} the merged model loses part of what {origin} learned: rounding "
            f"changes logits by up to {report.max_abs_difference:.3g}, the adapter changed them by "
            f"{report.max_abs_effect:.3g}, and {report.tolerance:.3g} are allowed; "
            f"write merge.dtype=float32{_narrower(report.dtype)}"
        )


def _narrower(dtype: str) -> str:
    """Return what else may do: float16 has three bits more than bfloat16."""
    return ", or float16" if dtype == "bfloat16" else ""
