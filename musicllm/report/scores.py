"""The tunes of a `tunes` artifact, with picture and sound embedded as data: URIs.

Text of the model is not changed here; the template escapes it. Pictures become `<img>`
sources, in which a browser runs no script and loads nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from musicllm.music.render import Output, Role, in_order
from musicllm.report.runs import read_lines

ABC = Output(".abc", "text/vnd.abc;charset=utf-8", "download", "ABC")
"""The tune itself, which is linked beside its renderings."""


MAX_ANSWERS = 60
"""So many answers of a run are on a page, the first ones."""


@dataclass(frozen=True)
class Download:
    """A file embedded in the page."""

    name: str
    label: str
    uri: str


@dataclass(frozen=True)
class ScoreCard:
    """A tune on the page, or an answer without one.

    Attributes:
        title: from the tune, or its number.
        prompt: the user message that it answers, or the beginning that it continues.
        answer: the model's whole answer.
        picture: data: URI of the score, or None.
        sound: data: URI, or None.
        parses: whether it is a valid tune.
        num_bars: bars of the tune; 0 if it does not parse.
        num_bars_fitting: number of them that fit the metre.
        facts: results of the checks, as text.
        problems: as text.
        downloads: linked files.
    """

    title: str
    prompt: str
    answer: str
    picture: str | None
    sound: str | None
    parses: bool
    num_bars: int
    num_bars_fitting: int
    facts: Sequence[str]
    problems: Sequence[str]
    downloads: Sequence[Download]


def read_scores(folder: Path) -> list[ScoreCard]:
    """Read the tunes of an artifact, in order, of at most MAX_ANSWERS answers.

    All pictures and sounds are held in memory.

    Raises:
        ArtifactError: generations.jsonl is missing or damaged.
    """
    lines = read_lines(folder / "generations.jsonl", MAX_ANSWERS)
    return [card for line in lines for card in _cards(folder / "tunes", line)]


def _cards(folder: Path, line: Mapping[str, Any]) -> list[ScoreCard]:
    return [_card(folder, line, tune) for tune in line["tunes"] or [_no_tune(line)]]


def _no_tune(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stands for the tune where an answer has none."""
    reason = line["skipped"] or "there is no tune in the answer"
    return {
        "name": line["name"],
        "title": "",
        "parses": False,
        "num_bars": 0,
        "num_bars_fitting": 0,
        "problems": [reason],
        "sound_engine": None,
    }


def _card(folder: Path, line: Mapping[str, Any], tune: Mapping[str, Any]) -> ScoreCard:
    name = tune["name"]
    files: dict[Role, list[Download]] = {"picture": [], "sound": [], "download": []}
    for output in [output for renderer in in_order() for output in renderer.outputs] + [ABC]:
        file = folder / f"{name}{output.suffix}"
        if file.is_file():
            content = base64.b64encode(file.read_bytes()).decode("ascii")
            uri = f"data:{output.media_type};base64,{content}"
            files[output.role].append(Download(file.name, output.label, uri))
    return ScoreCard(
        title=tune["title"] or f"Tune {name}",
        prompt=line["prompt"],
        answer=line["answer"],
        picture=files["picture"][0].uri if files["picture"] else None,
        sound=files["sound"][0].uri if files["sound"] else None,
        parses=tune["parses"],
        num_bars=tune["num_bars"],
        num_bars_fitting=tune["num_bars_fitting"],
        facts=_facts(line, tune),
        problems=tune["problems"],
        downloads=files["download"],
    )


def _facts(line: Mapping[str, Any], tune: Mapping[str, Any]) -> list[str]:
    origin = [] if line["seed"] is None else [f"seed {line['seed']}"]
    if not line["finished"] and not line["skipped"]:
        origin.append("cut off at its longest length")
    if not tune["parses"]:
        return ["no tune that parses", *origin]
    num_bars, engine = tune["num_bars"], tune["sound_engine"]
    bars = f"{tune['num_bars_fitting']} of {num_bars} bars fit the metre"
    sound = [f"sound: {engine}"] if engine else []
    return [bars if num_bars else "free metre", *origin, *sound]
