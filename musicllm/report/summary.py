"""The opening of the page: one sentence and a few figures, from whatever is there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from musicllm.report.corpora import content, num_documents
from musicllm.report.page import Tile
from musicllm.report.runs import Run
from musicllm.report.scores import ScoreCard
from musicllm.report.tables import duration, shown


@dataclass(frozen=True)
class Known:
    """What a report was given, by what it is."""

    runs: Sequence[Run]
    corpora: Sequence[Run]
    trained: Sequence[Run]
    evaluations: Sequence[Mapping[str, Mapping[str, Mapping[str, Any]]]]
    scores: Sequence[ScoreCard]


def sentence(known: Known) -> str:
    """Return what was done, in one line."""
    parts = [
        *(_corpus(run) for run in known.corpora[:1]),
        *([_counted(len(known.trained), "training run")] if known.trained else []),
        *([_written(known.scores)] if known.scores else []),
    ]
    if not known.runs:
        return "This report was given no artifacts, so it has nothing to tell yet."
    seconds = [run.duration_s for run in known.runs if run.duration_s is not None]
    steps = _counted(len(known.runs), "step")
    time = f"{steps} in {duration(sum(seconds))}" if seconds else steps
    return f"{', '.join([*parts, time])}."


def tiles(known: Known) -> list[Tile]:
    """Return the figures that the page opens with; those that are not known are left out."""
    return [*_loss(known), *_compression(known), *_bars(known)]


def _corpus(run: Run) -> str:
    facts = run.artifact.facts
    return f"{shown(num_documents(facts))} {content(facts)} prepared"


def _written(scores: Sequence[ScoreCard]) -> str:
    """Return how many requests were answered with a tune."""
    return f"{sum(score.parses for score in scores)} of {_counted(len(scores), 'tune')} written"


def _counted(count: int, noun: str) -> str:
    return f"{shown(count)} {noun}{'' if count == 1 else 's'}"


def _loss(known: Known) -> list[Tile]:
    """Return the last validation perplexity of each training run."""
    made = []
    for run in known.trained:
        curve = run.metrics.curve("val/loss") if run.metrics else []
        if curve and math.isfinite(curve[-1][1]):
            meaning = f"validation perplexity after {shown(curve[-1][0])} steps of {run.recipe}"
            made.append(Tile(f"{math.exp(curve[-1][1]):.3g}", meaning))
    return made


def _compression(known: Known) -> list[Tile]:
    """Return the first model's bits per character beside those of xz."""
    for models in known.evaluations:
        for results in models.values():
            found = results.get("compression", {})
            if found.get("bits_per_character") and found.get("xz_bits_per_character"):
                xz = shown(found["xz_bits_per_character"])
                meaning = f"bits per character on unseen tunes; xz needs {xz}"
                return [Tile(shown(found["bits_per_character"]), meaning)]
    return []


def _bars(known: Known) -> list[Tile]:
    """Return the share of bars of the tunes shown here that fit, and how many are no tunes."""
    num_bars = sum(score.num_bars for score in known.scores)
    if not num_bars:
        return []
    share = sum(score.num_bars_fitting for score in known.scores) / num_bars
    meaning = f"of the {shown(num_bars)} bars written below fit their metre"
    num_failed = sum(not score.parses for score in known.scores)
    failed = f"; {_counted(num_failed, 'answer')} held no tune" if num_failed else ""
    return [Tile(f"{share:.0%}", meaning + failed)]
