"""An adapter folded into its base: a plain model folder, checked against what it was made from.

Nothing is held whole: weights come from the shards of the base one matrix at a time, go through
PEFT's own arithmetic, and leave in new shards. Training and quantized output are not done here.
"""

from __future__ import annotations

from musicllm.model.merge.folding import merge
from musicllm.model.merge.report import TOLERANCES, MergeReport

__all__ = ["TOLERANCES", "MergeReport", "merge"]
