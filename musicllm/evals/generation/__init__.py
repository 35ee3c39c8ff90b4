"""What generated tunes are worth as music, and requests to generate them on.

`request_making` makes requests from held-out tunes. `rows` measures one answer: whether it parses
and fits its metre, which of the requested traits it has (`adherence`, `motif_forms`), how it is
built (`structure`), and how much of it stands in the training tunes (`evals.copies`,
`evals.memorisation`). `summary` computes means with intervals, over all and by family, and
`distinctness` compares the tunes of a set. No model runs here. The same measurements on held-out
tunes, which people wrote, are the reference for every figure.
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
