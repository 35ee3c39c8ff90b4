"""What a model wrote: prompts that work, and an example with its score."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from musicllm.artifacts import Artifact
from musicllm.errors import ArtifactError
from musicllm.report.card.markdown import code
from musicllm.report.runs import read_lines

GENERATIONS, FILES = "generations.jsonl", "tunes"
"""In a `tunes` artifact: the answers, and the folder of their files."""

MOST_PROMPTS = 5

SHOWN = (".svg", ".png")
TAKEN = (*SHOWN, ".mid", ".mp3", ".musicxml")
"""Files of a tune that go beside the card, by their ends."""


@dataclass(frozen=True)
class Example:
    """A tune in the card.

    Attributes:
        prompt: that it answers.
        title: of the tune.
        abc: its text.
        files: names of the copied files beside the card, a picture first.
    """

    prompt: str
    title: str
    abc: str
    files: tuple[str, ...]


def prompts_section(tunes: Artifact | None) -> str:
    """Return prompts whose answers hold a tune whose bars all fit, and how many do.

    Raises:
        ArtifactError: the file of answers is missing or damaged.
    """
    if tunes is None:
        return ""
    lines = _lines(tunes)
    good = list(dict.fromkeys(line["prompt"] for line, _ in _good(lines)))
    num_good = len({id(line) for line, _ in _good(lines)})
    text = (
        f"{num_good} of {len(lines)} answers of the run hold a tune that parses and whose bars "
        f"all fit their metre.{_by_grammar(tunes)} Whether a tune is what was asked for is another "
        f"question, which benchmarks of requests answer.\n"
    )
    blocks = [code(prompt) for prompt in good[:MOST_PROMPTS]]
    if blocks:
        text += "\nSuch answers had these prompts:\n\n" + "\n".join(blocks)
    return f"## Prompts that work\n\n{text}"


def _by_grammar(tunes: Artifact) -> str:
    """Return that the decoding allowed nothing else, where it did."""
    generation = tunes.provenance.get("config", {}).get("generation", {})
    if generation.get("grammar") is None:
        return ""
    return (
        f" They were written with generation.grammar={generation['grammar']}, which allows only "
        f"bars that fit; without it a model may write others."
    )


def take_example(tunes: Artifact | None, folder: Path) -> Example | None:
    """Copy the files of the longest tune that is right, and return it; None if there is none.

    Args:
        tunes: that the model wrote.
        folder: of the card.

    Raises:
        ArtifactError: the file of answers is missing or damaged.
    """
    if tunes is None:
        return None
    good = list(_good(_lines(tunes)))
    if not good:
        return None
    line, tune = max(good, key=lambda pair: (_has_picture(pair[1]), pair[1]["num_bars"]))
    files = []
    for name in tune.get("files", []):
        source = tunes.path / FILES / name
        if source.suffix in TAKEN and source.is_file():
            target = f"example{source.suffix}"
            shutil.copyfile(source, folder / target)
            files.append(target)
    files.sort(key=lambda name: not name.endswith(SHOWN))
    return Example(line["prompt"], tune["title"], tune["abc"], tuple(files))


def example_section(example: Example | None) -> str:
    """Return the example; empty without one."""
    if example is None:
        return ""
    pictures = [name for name in example.files if name.endswith(SHOWN)]
    others = [name for name in example.files if name not in pictures]
    parts = [f"## Example\n\nAsked for\n\n{code(example.prompt)}"]
    parts.append(f"the model wrote\n\n{code(example.abc, 'abc')}")
    if pictures:
        parts.append(f"![The score of the tune]({pictures[0]})\n")
    if others:
        parts.append("Files: " + ", ".join(f"[{name}]({name})" for name in others) + "\n")
    return "\n".join(parts)


def _lines(tunes: Artifact) -> list[dict[str, Any]]:
    """Return the answers.

    Raises:
        ArtifactError: their file is missing or damaged.
    """
    file = tunes.path / GENERATIONS
    if not file.is_file():
        raise ArtifactError(
            f"{tunes.path} has no {GENERATIONS}: another version wrote these tunes; run the "
            f"recipe that wrote them again"
        )
    return read_lines(file)


def _good(
    lines: list[dict[str, Any]],
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Yield answers with each of their tunes whose bars all fit."""
    for line in lines:
        for tune in line.get("tunes", []):
            num_bars = tune["num_bars"]
            if tune["parses"] and num_bars and tune["num_bars_fitting"] == num_bars:
                yield line, tune


def _has_picture(tune: Mapping[str, Any]) -> bool:
    return any(str(name).endswith(SHOWN) for name in tune.get("files", []))
