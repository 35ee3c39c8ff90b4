"""The tunes of a `tunes` artifact, with picture and sound embedded as data: URIs.

Text of the model is not changed here; the template escapes it. Pictures become `<img>`
sources, in which a browser runs no script and loads nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from musicllm.artifacts import Artifact
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
        editor_link: opens the tune in the public abcjs editor; None if the link would be too long.
        has_grammar: whether the grammar kept its bars to their metre (`generation.grammar`).
        free: what the model wrote at the same request without the grammar.
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
    editor_link: str | None
    has_grammar: bool
    free: Sequence[ScoreCard] = ()


def read_scores(artifact: Artifact) -> list[ScoreCard]:
    """Read the tunes of an artifact, in order, of at most MAX_ANSWERS answers.

    All pictures and sounds are held in memory.

    Raises:
        ArtifactError: generations.jsonl is missing or damaged.
    """
    has_grammar = artifact.provenance["config"]["generation"]["grammar"] is not None
    lines = read_lines(artifact.path / "generations.jsonl", MAX_ANSWERS)
    return [
        _card(artifact.path / "tunes", line, tune, has_grammar)
        for line in lines
        for tune in line["tunes"] or [_no_tune(line)]
    ]


def beside(scores: Sequence[ScoreCard]) -> list[ScoreCard]:
    """Move tunes without the grammar to the first one with it that has the same prompt."""
    by_prompt: dict[str, list[ScoreCard]] = {}
    for score in scores:
        if not score.has_grammar:
            by_prompt.setdefault(score.prompt, []).append(score)
    governed = [
        replace(score, free=by_prompt.pop(score.prompt, []))
        for score in scores
        if score.has_grammar
    ]
    left = {id(score) for group in by_prompt.values() for score in group}
    return governed + [score for score in scores if id(score) in left]


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
        "editor_link": None,
    }


def _card(
    folder: Path, line: Mapping[str, Any], tune: Mapping[str, Any], has_grammar: bool
) -> ScoreCard:
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
        editor_link=tune["editor_link"],
        has_grammar=has_grammar,
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
