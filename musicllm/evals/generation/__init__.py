"""What generated tunes are worth as music, and requests to generate them on.

`making` makes requests from held-out tunes. `rows` measures one answer: whether it parses and fits
its metre, what it keeps of what was asked (`adherence`, `motif_forms`), how it is built
(`structure`), and what of it was known (`evals.copies`, `evals.memorisation`). `summary` makes
means with intervals, over all and by family, and `distinctness` compares the tunes of a set.
Nothing here generates or asks a model. The same measurements on held-out tunes, the answers that a
person wrote, say what a figure is worth.
"""

from musicllm.evals.generation.request_making import FAMILIES, make_requests, request_of
from musicllm.evals.generation.rows import TuneRow, measure_tune
from musicllm.evals.generation.summary import measure, summarise
from musicllm.evals.requests import Request

__all__ = [
    "FAMILIES",
    "Request",
    "TuneRow",
    "make_requests",
    "measure",
    "measure_tune",
    "request_of",
    "summarise",
]
