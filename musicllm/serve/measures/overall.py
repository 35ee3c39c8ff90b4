"""All in one: a valid tune whose bars fit, as the prompt wants it, and no copy."""

from __future__ import annotations

from musicllm.serve.measures import MEASURES, Answer, Measure
from musicllm.serve.measures.adherence import as_asked
from musicllm.serve.measures.novelty import novelty
from musicllm.serve.measures.validity import bars_fitting


def good(answer: Answer) -> float:
    """Return the product of bars_fitting (0 unless all parse) and as_asked, 0 for a copy.

    Where the prompt states no condition it is bars_fitting alone.
    """
    asked = as_asked(answer)
    value = bars_fitting(answer) * (1.0 if asked is None else asked)
    return value if value and novelty(answer) > 0 else 0.0


MEASURES.register(Measure("good", "bars_fitting times as_asked, and 0 for a copy", good, True))
