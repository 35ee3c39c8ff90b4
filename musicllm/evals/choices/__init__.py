"""Questions with lettered options, once they are answered: how many are right, and how sure it is.

Takes the rows of `predictions.jsonl`, one per question, and returns numbers: `metrics` of one
model, `compare` of two models that answered the same questions, `reliability` for a picture. Asks
nothing and reads no files.
"""

from musicllm.evals.choices.accuracy import PredictionRow, metrics
from musicllm.evals.choices.calibration import Bin, reliability
from musicllm.evals.choices.significance import (
    AccuracyComparison,
    Difference,
    compare,
    compare_by_subject,
    holm,
    mcnemar,
    paired_difference,
)

__all__ = [
    "AccuracyComparison",
    "Bin",
    "Difference",
    "PredictionRow",
    "compare",
    "compare_by_subject",
    "holm",
    "mcnemar",
    "metrics",
    "paired_difference",
    "reliability",
]
