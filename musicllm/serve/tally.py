"""What a generation came to: metrics, and lines for one prompt or for ten thousand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

from musicllm import quoting
from musicllm.serve.renderings import FILES

MAX_TOLD = 12
"""Of so many prompts every tune is told; of more only the sums."""

MAX_PROBLEMS = 5
"""So many kinds of problems are listed."""


class Tally:
    """Sums over the lines of generations.jsonl.

    Args:
        measure: name of the measure that chooses.
        num_candidates: answers to each prompt.
        num_tries: of each answer, at most.
    """

    def __init__(self, measure: str, num_candidates: int, num_tries: int = 1) -> None:
        self._measure = measure
        self._num_tries = num_tries
        self._right: Counter[int] = Counter()
        self._num_candidates = num_candidates
        self._sums: Counter[str] = Counter()
        self._score = self._mean_score = 0.0
        self._problems: Counter[str] = Counter()
        self._first: list[Mapping[str, Any]] = []

    def add(self, line: Mapping[str, Any]) -> None:
        """Count a line."""
        sums, tunes = self._sums, line["tunes"]
        if len(self._first) <= MAX_TOLD:
            self._first.append(line)
        sums["prompts"] += 1
        sums["skipped"] += bool(line["skipped"])
        sums["finished"] += line["finished"]
        sums["tokens"] += line["num_new_tokens"]
        sums["kept"] += line["is_kept"]
        sums["tries"] += line["num_tries"]
        sums["tokens_of_tries"] += line["num_tokens_of_tries"]
        if not line["skipped"] and not line["faults"]:
            self._right[line["try"]] += 1
        sums["with_tune"] += any(tune["parses"] for tune in tunes)
        sums["tunes"] += len(tunes)
        sums["parsing"] += sum(tune["parses"] for tune in tunes)
        sums["bars"] += sum(tune["num_bars"] for tune in tunes)
        sums["fitting"] += sum(tune["num_bars_fitting"] for tune in tunes)
        if not line["skipped"]:
            sums["with_conditions"] += line["measures"].get("as_asked") is not None
            if line["score"] is not None:
                sums["measured"] += 1
                self._score += line["score"]
                self._mean_score += line["mean_score"]
        if line.get("breach") is not None:
            sums["checked"] += 1
            sums["breaches"] += bool(line["breach"])
        self._problems.update(_kinds(line))

    def metrics(self) -> dict[str, Any]:
        """Return the facts of the artifact."""
        sums = self._sums
        num_answers = sums["prompts"] - sums["skipped"]
        return {
            "num_prompts": sums["prompts"],
            "num_answers": num_answers,
            "num_skipped": sums["skipped"],
            "num_finished": sums["finished"],
            "num_with_tune": sums["with_tune"],
            "num_tunes": sums["tunes"],
            "num_parsing": sums["parsing"],
            "num_bars": sums["bars"],
            "bars_fitting": sums["fitting"] / sums["bars"] if sums["bars"] else None,
            "num_new_tokens": sums["tokens"],
            "num_candidates": self._num_candidates,
            "num_with_conditions": sums["with_conditions"],
            "num_measured": sums["measured"],
            "num_breaches": sums["breaches"] if sums["checked"] else None,
            "score": self._score / sums["measured"] if sums["measured"] else None,
            "mean_score": self._mean_score / sums["measured"] if sums["measured"] else None,
            "num_kept": sums["kept"],
            "num_right": self._right.total(),
            "num_right_by_try": self._by_try(),
            "num_tries": sums["tries"],
            "num_tokens_of_tries": sums["tokens_of_tries"],
        }

    def rows(self, artifact: Path, *, keeps: bool) -> list[tuple[str, object]]:
        """Return the lines of the summary.

        Args:
            artifact: folder of the result.
            keeps: whether good answers are kept to train on.
        """
        sums, metrics = self._sums, self.metrics()
        rows: list[tuple[str, object]] = [
            ("prompts answered", _share(metrics["num_answers"], sums["prompts"])),
            ("answers with a tune", _share(sums["with_tune"], metrics["num_answers"])),
            ("tunes that parse", _share(sums["parsing"], sums["tunes"])),
            ("bars that fit", _share(sums["fitting"], sums["bars"])),
            ("answers without a fault", _share(metrics["num_right"], metrics["num_answers"])),
            ("prompts with conditions", _share(sums["with_conditions"], metrics["num_answers"])),
        ]
        if self._num_tries > 1:
            counts = " · ".join(f"{count:,}" for count in metrics["num_right_by_try"])
            rows.append((f"of them after 1 to {self._num_tries} tries", counts))
            rows.append(("tries, tokens of all", f"{sums['tries']:,}, {sums['tokens_of_tries']:,}"))
        if sums["checked"]:
            rows.append(("answers that break a rule", _share(sums["breaches"], sums["checked"])))
        if self._num_candidates > 1 and metrics["score"] is not None:
            best, mean = metrics["score"], metrics["mean_score"]
            text = f"{best:.3f}; all {self._num_candidates} candidates {mean:.3f}"
            rows.append((f"best by {self._measure}", text))
        if num_unmeasured := metrics["num_answers"] - sums["measured"]:
            rows.append((f"without {self._measure}", self._unmeasured(num_unmeasured, keeps)))
        if keeps:
            rows.append(("kept to train on", _share(sums["kept"], sums["prompts"])))
        if keeps and sums["kept"]:
            use = quoting.typed("inputs.generations", artifact.parent)
            rows.append(("train on them", f"data=generations {use} in a recipe that prepares"))
        if sums["prompts"] <= MAX_TOLD:
            return rows + [row for line in self._first for row in _told(line, artifact)]
        problems = self._problems.most_common(MAX_PROBLEMS)
        return rows + [("of the answers", f"{count:,} {text}") for text, count in problems]

    def _by_try(self) -> list[int]:
        """Return how many answers are without a fault after 1, 2, ... tries."""
        return list(accumulate(self._right[number] for number in range(1, self._num_tries + 1)))

    def _unmeasured(self, count: int, keeps: bool) -> str:
        """Say what became of prompts with nothing to measure."""
        text = f"{count:,} with nothing to measure, such as no condition in the prompt"
        if self._num_candidates > 1:
            text += "; the first finished candidate is taken"
        return f"{text}; not kept" if keeps else text


def _kinds(line: Mapping[str, Any]) -> set[str]:
    """Return what is wrong with an answer, in words that are the same for many."""
    if line["skipped"]:
        return {"were not written: the prompt is too long"}
    kinds = set() if line["finished"] else {"were cut off at generation.max_new_tokens"}
    if not line["tunes"]:
        return kinds | {"have no tune"}
    if any(not tune["parses"] for tune in line["tunes"]):
        kinds.add("have a tune that does not parse")
    if any(tune["num_bars_fitting"] < tune["num_bars"] for tune in line["tunes"]):
        kinds.add("have bars that do not fit")
    return kinds


def _told(line: Mapping[str, Any], artifact: Path) -> list[tuple[str, object]]:
    """Return a row for every tune of an answer: what it is and where."""
    from musicllm.serve.showing import visible_line

    name = line["name"] if line["id"] == line["name"] else f"{line['name']} ({line['id']})"
    name = visible_line(name)
    if line["skipped"]:
        return [(name, f"no answer: {line['skipped']}")]
    cut = "" if line["finished"] else ", cut off at generation.max_new_tokens"
    if not line["tunes"]:
        return [(name, f"no tune{cut}")]
    return [
        (name if place == 0 else tune["name"], visible_line(_tune(tune, artifact)) + cut)
        for place, tune in enumerate(line["tunes"])
    ]


def _tune(tune: Mapping[str, Any], artifact: Path) -> str:
    if not tune["parses"]:
        return f"no tune: {tune['problems'][0]}"
    place = f"{artifact / FILES / tune['name']}.*: " if tune["files"] else ""
    bars = f"{tune['num_bars_fitting']} of {tune['num_bars']} bars fit"
    sound = f", sound by {tune['sound_engine']}" if tune["sound_engine"] else ""
    return f"{place}{tune['title']}, {bars}{sound}"


def _share(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,} ({part / whole:.1%})" if whole else "none"
