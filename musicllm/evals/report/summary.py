"""The opening of the page: one sentence and a few figures, from whatever is there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from musicllm.evals.report.corpora import num_kept
from musicllm.evals.report.page import Tile
from musicllm.evals.report.runs import Run
from musicllm.evals.report.scores import ScoreCard
from musicllm.evals.report.tables import duration, shown


@dataclass(frozen=True)
class Known:
    """What a report was given, by what it is."""

    runs: Sequence[Run]
    corpora: Sequence[Run]
    trained: Sequence[Run]
    evaluations: Sequence[Mapping[str, Mapping[str, Mapping[str, Any]]]]
    scores: Sequence[ScoreCard]


def sentence(known: Known) -> str:
    """Return what happened, in one line."""
    parts = [
        *(f"read {shown(num_kept(run))} tunes" for run in known.corpora[:1]),
        *([f"trained {_times(len(known.trained))}"] if known.trained else []),
        *(["was measured"] if known.evaluations else []),
        *([f"wrote {_tunes(len(known.scores))}"] if known.scores else []),
    ]
    if not parts:
        return "This report was given no artifacts, so it has nothing to tell yet."
    listed = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    seconds = [run.duration_s for run in known.runs if run.duration_s is not None]
    return f"A model {listed}{f', all in {duration(sum(seconds))}' if seconds else ''}."


def tiles(known: Known) -> list[Tile]:
    """Return the figures that the page opens with; those that are not known are left out."""
    return [*_loss(known), *_compression(known), *_bars(known)]


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _tunes(count: int) -> str:
    return "1 tune" if count == 1 else f"{count} tunes"


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
    """Return the share of bars of the tunes shown here that fit their metre."""
    num_bars = sum(score.num_bars for score in known.scores)
    if not num_bars:
        return []
    share = sum(score.num_bars_fitting for score in known.scores) / num_bars
    return [Tile(f"{share:.0%}", f"of the {shown(num_bars)} bars written below fit their metre")]
