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


@dataclass(frozen=True)
class Download:
    """A file embedded in the page."""

    name: str
    label: str
    uri: str


@dataclass(frozen=True)
class ScoreCard:
    """A tune on the page.

    Attributes:
        title: from the tune, or its number.
        prompt: the user message that it answers.
        answer: the model's whole answer.
        picture: data: URI of the score, or None.
        sound: data: URI, or None.
        parses: whether the answer holds a valid tune.
        num_bars: bars of the tune; 0 if it does not parse.
        num_bars_fitting: number of them that fit the metre.
        tries: number of sampled answers until one parsed, or until the limit.
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
    tries: int
    facts: Sequence[str]
    problems: Sequence[str]
    downloads: Sequence[Download]


def read_scores(folder: Path) -> list[ScoreCard]:
    """Read the tunes of an artifact; all pictures and sounds are held in memory.

    Raises:
        ArtifactError: tunes.jsonl is missing or damaged.
    """
    return [_card(folder, line) for line in read_lines(folder / "tunes.jsonl")]


def _card(folder: Path, line: Mapping[str, Any]) -> ScoreCard:
    name = line["name"]
    files: dict[Role, list[Download]] = {"picture": [], "sound": [], "download": []}
    for output in [output for renderer in in_order() for output in renderer.outputs] + [ABC]:
        file = folder / f"{name}{output.suffix}"
        if file.is_file():
            content = base64.b64encode(file.read_bytes()).decode("ascii")
            uri = f"data:{output.media_type};base64,{content}"
            files[output.role].append(Download(file.name, output.label, uri))
    return ScoreCard(
        title=line["title"] or f"Tune {name}",
        prompt=line["prompt"],
        answer=line["answer"],
        picture=files["picture"][0].uri if files["picture"] else None,
        sound=files["sound"][0].uri if files["sound"] else None,
        parses=line["parses"],
        num_bars=line["num_bars"],
        num_bars_fitting=line["num_bars_fitting"],
        tries=line["tries"],
        facts=_facts(line),
        problems=line["problems"],
        downloads=files["download"],
    )


def _facts(line: Mapping[str, Any]) -> list[str]:
    tries = line["tries"]
    tries_text = "first try" if tries == 1 else f"{tries} tries"
    if not line["parses"]:
        return ["no tune that parses", tries_text, f"last seed {line['seed']}"]
    num_bars, engine = line["num_bars"], line["sound_engine"]
    bars = f"{line['num_bars_fitting']} of {num_bars} bars fit the metre"
    sound = [f"sound: {engine}"] if engine else []
    return [bars if num_bars else "free metre", tries_text, f"seed {line['seed']}", *sound]
