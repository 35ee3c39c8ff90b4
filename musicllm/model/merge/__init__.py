"""Merging an adapter into its base: writes a model folder, and checks it against both.

No model is held in memory: weights are read from the shards of the base one matrix at a time,
merged by PEFT, and written to new shards. Quantized output is not supported.
"""

from __future__ import annotations

from musicllm.model.merge.folding import merge
from musicllm.model.merge.report import TOLERANCES, MergeReport

__all__ = ["TOLERANCES", "MergeReport", "merge"]
