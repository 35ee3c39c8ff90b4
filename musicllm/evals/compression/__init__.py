"""A language model as a compressor of tunes, beside common compressors and formats.

`compare` measures everything on the same documents. `Yardsticks` hold what does not depend on the
model, so that it is computed once for several models.
"""

from musicllm.evals.compression.comparison import compare, model_bits
from musicllm.evals.compression.compressors import compressed_bytes, joined, primed_bytes
from musicllm.evals.compression.notes import num_notes
from musicllm.evals.compression.renderings import NUM_RENDERED, Rendered, render, wav_bytes
from musicllm.evals.compression.yardsticks import Yardsticks, make_yardsticks

__all__ = [
    "NUM_RENDERED",
    "Rendered",
    "Yardsticks",
    "compare",
    "compressed_bytes",
    "joined",
    "make_yardsticks",
    "model_bits",
    "num_notes",
    "primed_bytes",
    "render",
    "wav_bytes",
]
