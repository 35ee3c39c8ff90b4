"""The best answer to each prompt, and the files that tell of all of them.

generations.jsonl   the best answer to each prompt, in the order of the prompts
candidates.jsonl    every answer, where there are several to each prompt
tries.jsonl         every try of every answer, where there may be several (`generation.tries`)
kept.jsonl          good answers as records to train on (`generation.keep`)
tunes.abc           the tunes of generations.jsonl as one book
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, TextIO

from musicllm.serve.prompts import Prompt
from musicllm.serve.renderings import NO_FILES, Job, stem
from musicllm.serve.stream import Stream

GENERATIONS, CANDIDATES, TRIES, KEPT, BOOK = (
    "generations.jsonl", "candidates.jsonl", "tries.jsonl", "kept.jsonl", "tunes.abc",
)  # fmt: skip

_NUMBER = re.compile(r"\AX:.*\n?")


@dataclass(frozen=True)
class Selection:
    """How the best answer is chosen, and which ones are kept.

    Attributes:
        measure: name of the measure whose highest value wins; of equal ones, and where it measures
            nothing, one that the model ended, and of those the first.
        keep: whether good answers are written as records to train on.
        min_score: smallest value of the measure that is good; the model must have ended it, too.
    """

    measure: str
    keep: bool
    min_score: float

    def score(self, line: Mapping[str, Any]) -> float | None:
        """Return the measure of an answer; 0 for a prompt that was skipped."""
        value: float | None = 0.0 if line["skipped"] else line["measures"][self.measure]
        return value

    def best(self, lines: Iterable[dict[str, Any]]) -> dict[str, Any]:
        """Return the line of the best of some answers to one prompt."""

        def rank(line: Mapping[str, Any]) -> tuple[float, bool]:
            score = self.score(line)
            return -1.0 if score is None else score, line["finished"]

        return max(lines, key=rank)

    def is_kept(self, line: Mapping[str, Any]) -> bool:
        """Return whether an answer is good enough to train on."""
        score = self.score(line)
        is_good = score is not None and score >= self.min_score
        return not line["skipped"] and line["finished"] and is_good


def answers_to(number: int, answers: Stream) -> list[dict[str, Any]]:
    """Return the lines of all answers to a prompt."""
    return [answers.read((number, place)) for place in range(answers.num_candidates)]


def rendering_jobs(
    prompts: Sequence[Prompt], answers: Stream, rendered: Stream, selection: Selection
) -> Iterator[Job]:
    """Yield the tunes of best answers that have no files yet."""
    for number, _ in rendered.missing():
        line = selection.best(answers_to(number, answers))
        tunes = [tune["abc"] if tune["parses"] else None for tune in line["tunes"]]
        yield Job(number, prompts[number].name, tunes)


def write_files(
    folder: Path,
    prompts: Sequence[Prompt],
    answers: Stream,
    rendered: Stream | None,
    selection: Selection,
) -> Iterator[dict[str, Any]]:
    """Write the files of the module's docstring; yield the lines of generations.jsonl.

    Memory: the answers to one prompt.

    Args:
        folder: where they go.
        prompts: all of them.
        answers: complete.
        rendered: the files of the best answers; None where there are none.
        selection: see there.
    """
    with ExitStack() as stack:

        def opened(name: str) -> TextIO:
            return stack.enter_context((folder / name).open("w", encoding="utf-8"))

        generations, book = opened(GENERATIONS), opened(BOOK)
        candidates = opened(CANDIDATES) if answers.num_candidates > 1 else None
        kept = opened(KEPT) if selection.keep else None
        num_in_book = 0
        for prompt in prompts:
            lines = answers_to(prompt.number, answers)
            best = selection.best(lines)
            files = rendered.read((prompt.number, 0))["tunes"] if rendered else None
            scores = [score for own in lines if (score := selection.score(own)) is not None]
            mean = fmean(scores) if scores else None
            line = _line(prompt, best, selection, files) | {"mean_score": mean}
            generations.write(_json(line))
            for tune in line["tunes"]:
                num_in_book += tune["parses"]
                book.write(_numbered(tune["abc"], num_in_book) if tune["parses"] else "")
            if candidates is not None:
                for own in lines:
                    row = {**own, "score": selection.score(own)}
                    row["selected"] = own["candidate"] == best["candidate"]
                    candidates.write(_json({"id": prompt.id, **row}))
            if kept is not None and selection.is_kept(best):
                kept.write(_json(_record(prompt, best["answer"])))
            yield line


def write_tries(folder: Path, prompts: Sequence[Prompt], tries: Stream, num_tries: int) -> None:
    """Write tries.jsonl: the tries of each answer, in the order of the prompts.

    Args:
        folder: where it goes.
        prompts: all of them.
        tries: by prompt, and by candidate times `num_tries` plus the number of the try.
        num_tries: of an answer, at most.
    """
    with (folder / TRIES).open("w", encoding="utf-8") as file:
        for prompt in prompts:
            for slot in range(tries.num_candidates):
                if (place := (prompt.number, slot)) in tries:
                    line = {**tries.read(place), "candidate": slot // num_tries}
                    file.write(_json({"id": prompt.id, **line}))


def _line(
    prompt: Prompt,
    best: Mapping[str, Any],
    selection: Selection,
    files: Sequence[Mapping[str, Any]] | None,
) -> dict[str, Any]:
    """Return a line of generations.jsonl."""
    rendered = files or [NO_FILES] * len(best["tunes"])
    tunes = [
        {
            "name": stem(prompt.name, place),
            **tune,
            **own,
            "problems": [*tune["problems"], *own["problems"]],
        }
        for place, (tune, own) in enumerate(zip(best["tunes"], rendered, strict=True))
    ]
    return {
        "id": prompt.id,
        "name": prompt.name,
        "place": prompt.place,
        "prompt": prompt.shown,
        "messages": prompt.messages,
        "text": prompt.text,
        "task": prompt.task,
        **best,
        "score": selection.score(best),
        "is_kept": selection.keep and selection.is_kept(best),
        "tunes": tunes,
    }


def _record(prompt: Prompt, answer: str) -> dict[str, Any]:
    """Return a record to train on, in the format `record`."""
    content: dict[str, Any] = {"text": f"{prompt.text}{answer}"}
    if prompt.messages is not None:
        content = {"messages": [*prompt.messages, {"role": "assistant", "content": answer}]}
    extras = {"task": prompt.task, "conditions": dict(prompt.conditions)}
    own = {name: value for name, value in extras.items() if value}
    return {"id": prompt.id, "source": "generations", **content, **own}


def _numbered(tune: str, number: int) -> str:
    return f"X:{number}\n{_NUMBER.sub('', tune.strip())}\n\n"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"
