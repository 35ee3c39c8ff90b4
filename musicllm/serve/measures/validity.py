"""Whether the tunes of an answer are valid, and their bars as long as the metre says."""

from __future__ import annotations

from musicllm.serve.measures import MEASURES, Answer, Measure


def parses(answer: Answer) -> float:
    """Return the share of the tunes that parse; 0 without a tune."""
    tunes = answer.tunes
    return sum(tune.parses for tune in tunes) / len(tunes) if tunes else 0.0


def bars_fitting(answer: Answer) -> float:
    """Return the share of the bars that fit, over all tunes.

    0 if a tune does not parse, or there is none; 1 in free metre, where every bar fits.
    """
    if parses(answer) < 1:
        return 0.0
    num_bars = sum(tune.num_bars for tune in answer.tunes)
    fitting = sum(tune.num_bars_fitting for tune in answer.tunes)
    return fitting / num_bars if num_bars else 1.0


MEASURES.register(Measure("parses", "share of the tunes that parse", parses))
MEASURES.register(Measure("bars_fitting", "share of the bars that fit", bars_fitting))
MEASURES.register(
    Measure("finished", "1 where the model ended the answer", lambda answer: float(answer.finished))
)
