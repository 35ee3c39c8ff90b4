"""Compares a merged model with base and adapter, and rejects large differences."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from musicllm.errors import StageError

TOLERANCES = {"float32": 1e-4, "float16": 5e-3, "bfloat16": 3e-2}
"""Maximum difference, as a share of the largest logit, for weights with 24, 11 or 8 bits of
precision. SmolLM2-135M with LoRA on every linear layer has 1.5e-6, 9e-4 and 6e-3."""

LOST_SHARE = 0.1
"""Share of the effect of the adapter that rounding to 16 bits may lose, if that is more."""


@dataclass(frozen=True)
class MergeReport:
    """The result of a merge.

    Differences are maxima over all logits, computed in float32.

    Attributes:
        max_abs_difference: between base + adapter and the merged folder, with rounding.
        tolerance: maximum accepted difference: that of the dtype,
            or a tenth of the effect of the adapter if that is more.
        max_abs_difference_unrounded: the same before rounding to `dtype`.
        tolerance_unrounded: maximum accepted difference in float32.
        max_abs_effect: between the base alone and base + adapter; tokens that the base lacks
            count as 0 there. Rounding of this size loses much of what was learned:
            use a wider dtype.
        same_top_token: share of positions with the same most likely token.
        num_positions: tokens compared.
        dtype: of the merged weights.
        num_parameters: of the merged model.
        num_bytes: of the merged weights.
        num_shards: number of weight files.
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
    """Logits of one text, float32 [T, V].

    Attributes:
        alone: of the base.
        expected: of base + adapter.
        merged: of the merged layers in float32.
        stored: of the merged folder.
    """

    alone: Tensor
    expected: Tensor
    merged: Tensor
    stored: Tensor

    def apart(self, name: str) -> float:
        """Return the maximum difference from `expected`."""
        return float((getattr(self, name) - self.expected).abs().max())


def compare(logits: Logits, dtype: str, sizes: dict[str, int]) -> MergeReport:
    """Compare logits with those of base + adapter.

    Args:
        logits: of the same text.
        dtype: of the merged weights.
        sizes: the last three attributes of the report.
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
        **sizes,
    )


def _explained(logits: Logits, dtype: str) -> float:
    return TOLERANCES[dtype] * float(logits.expected.abs().max())


def refuse_changes(report: MergeReport, origin: str) -> None:
    """Reject a merged model whose logits differ from those of base and adapter.

    Raises:
        StageError: the difference exceeds the tolerance.
    """
    if not report.max_abs_difference_unrounded <= report.tolerance_unrounded:  # also if it is NaN
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
            f"write merge.dtype=float32{', or float16' if report.dtype == 'bfloat16' else ''}"
        )
