"""The top of the page: a summary sentence and key figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from musicllm.report.corpora import content, num_documents
from musicllm.report.page import Tile
from musicllm.report.runs import FinishedRun
from musicllm.report.scores import ScoreCard
from musicllm.report.tables import as_text, duration


@dataclass(frozen=True)
class ReportInputs:
    """The inputs of a report by kind."""

    runs: Sequence[FinishedRun]
    corpora: Sequence[FinishedRun]
    trained: Sequence[FinishedRun]
    evaluations: Sequence[Mapping[str, Mapping[str, Mapping[str, Any]]]]
    scores: Sequence[ScoreCard]


def sentence(inputs: ReportInputs) -> str:
    """Return a summary in one sentence."""
    if not inputs.runs:
        return "This report was given no artifacts, so it has nothing to tell yet."
    parts = []
    for run in inputs.corpora[:1]:
        facts = run.artifact.facts
        parts.append(f"{as_text(num_documents(facts))} {content(facts)} prepared")
    if inputs.trained:
        parts.append(_counted(len(inputs.trained), "training run"))
    if scores := inputs.scores:
        num_parsing = sum(score.parses for score in scores)
        parts.append(f"{num_parsing} of {_counted(len(scores), 'tune')} written")
    seconds = [run.duration_s for run in inputs.runs if run.duration_s is not None]
    steps = _counted(len(inputs.runs), "step")
    time = f"{steps} in {duration(sum(seconds))}" if seconds else steps
    return f"{', '.join([*parts, time])}."


def tiles(inputs: ReportInputs) -> list[Tile]:
    """Return the key figures that are available."""
    return [*_loss(inputs), *_compression(inputs), *_bars(inputs)]


def _counted(count: int, noun: str) -> str:
    return f"{as_text(count)} {noun}{'' if count == 1 else 's'}"


def _loss(inputs: ReportInputs) -> list[Tile]:
    """Return the last validation perplexity of each training run."""
    perplexities = []
    for run in inputs.trained:
        curve = run.metrics.curve("val/loss") if run.metrics else []
        if curve and math.isfinite(curve[-1][1]):
            meaning = f"validation perplexity after {as_text(curve[-1][0])} steps of {run.recipe}"
            perplexities.append(Tile(f"{math.exp(curve[-1][1]):.3g}", meaning))
    return perplexities


def _compression(inputs: ReportInputs) -> list[Tile]:
    """Return bits per character of the first model, and of xz."""
    for models in inputs.evaluations:
        for metrics in chain.from_iterable(results.values() for results in models.values()):
            if metrics.get("bits_per_character") and metrics.get("xz_bits_per_character"):
                xz = as_text(metrics["xz_bits_per_character"])
                meaning = f"bits per character on unseen tunes; xz needs {xz}"
                return [Tile(as_text(metrics["bits_per_character"]), meaning)]
    return []


def _bars(inputs: ReportInputs) -> list[Tile]:
    """Return the share of fitting bars in the tunes, and of those without the grammar beside."""
    free = [score for governed in inputs.scores for score in governed.free]
    return [*_share(inputs.scores, "written below"), *_share(free, "written without the grammar")]


def _share(scores: Sequence[ScoreCard], which: str) -> list[Tile]:
    """Return the share of bars that fit, and the number of answers without a tune."""
    num_bars = sum(score.num_bars for score in scores)
    if not num_bars:
        return []
    share = sum(score.num_bars_fitting for score in scores) / num_bars
    meaning = f"of the {as_text(num_bars)} bars {which} fit their metre"
    num_failed = sum(not score.parses for score in scores)
    failed = f"; {_counted(num_failed, 'answer')} held no tune" if num_failed else ""
    return [Tile(f"{share:.0%}", meaning + failed)]
