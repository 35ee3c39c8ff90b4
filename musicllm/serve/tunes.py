"""Generates tunes on request: sampled, checked, sampled again if they do not parse, and saved.

Sampling is done by a function of the caller. Nothing is selected: every
request yields one tune, or the reason why not, and the number of tries.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from musicllm import artifacts
from musicllm.data.instructions import key_in_words
from musicllm.errors import ArtifactError, InputError, RenderError
from musicllm.inference.requests import Completion
from musicllm.music import abc
from musicllm.music.render import render_tune

MAX_TRIES = 4
"""Answers that do not parse are sampled again with the next seed, at most three times."""

_KEY = re.compile(r"^K:\s*(\S+)", re.MULTILINE)

Generate = Callable[[Sequence[str], int], Sequence[Completion]]
"""(user messages, seed) -> answers of the model."""


@dataclass(frozen=True)
class WrittenTune:
    """The result of one request; a line of tunes.jsonl.

    Attributes:
        name: stem of its files, such as `001`.
        prompt: the user message.
        answer: the whole answer of the model in the last try.
        abc: the tune in the answer; empty if there is none.
        tries: number of answers sampled.
        seed: of the last try.
        parses: whether `abc` is valid.
        finished: whether the model ended the answer.
        title: from `T:`, or such as `Reel in D major`; empty if it does not parse.
        num_bars: bars with a metre.
        num_bars_fitting: number of them that fit it.
        problems: messages for users.
        sound_engine: see `Rendering`; None without sound.
    """

    name: str
    prompt: str
    answer: str
    abc: str
    tries: int
    seed: int
    parses: bool
    finished: bool
    title: str
    num_bars: int
    num_bars_fitting: int
    problems: tuple[str, ...]
    sound_engine: str | None = None


def draw_requests(records: Sequence[Mapping[str, Any]], count: int, seed: int) -> list[str]:
    """Select user messages of instruction records, balanced over tasks and keys.

    Args:
        records: conversations whose second turn is a tune; `task` is their family.
        count: number of messages.
        seed: of the order of records.

    Raises:
        ArtifactError: there are fewer records.
    """
    if count > len(records):
        raise ArtifactError(
            f"generation.num_prompts={count} needs as many instructions, but the test split of "
            f"inputs.instructions holds {len(records)}; write generation.prompts or ask for fewer"
        )
    waiting = random.Random(seed).sample(list(records), len(records))
    tasks: Counter[str] = Counter()
    keys: Counter[str] = Counter()
    prompts = []
    for _ in range(count):
        record = min(waiting, key=lambda r: (tasks[_task(r)], keys[_key(r)]))
        waiting.remove(record)
        tasks[_task(record)] += 1
        keys[_key(record)] += 1
        prompts.append(str(record["messages"][0]["content"]))
    return prompts


def write_tunes(
    prompts: Sequence[str], generate: Generate, find_tune: Callable[[str], str], *, seed: int
) -> list[WrittenTune]:
    """Sample one tune per prompt; those that do not parse again, together, with the next seed.

    Args:
        prompts: user messages.
        generate: samples answers.
        find_tune: returns the tune in an answer; empty if there is none.
        seed: of the first try.

    Returns:
        The results in the order of the prompts.
    """
    tunes: dict[int, WrittenTune] = {}
    waiting = list(range(len(prompts)))
    for tries in range(1, MAX_TRIES + 1):
        if not waiting:
            break
        attempt = seed + tries - 1
        answers = generate([prompts[index] for index in waiting], attempt)
        for index, answer in zip(waiting, answers, strict=True):
            tune = _check(prompts[index], answer, find_tune(answer.text))
            tunes[index] = replace(tune, name=f"{index + 1:03d}", tries=tries, seed=attempt)
        waiting = [index for index in waiting if not tunes[index].parses]
    return [tunes[index] for index in range(len(prompts))]


def save_tunes(tunes: Sequence[WrittenTune], folder: Path, *, render: bool) -> list[WrittenTune]:
    """Write tunes.jsonl, and for each tune that parses its ABC and, with `render`, its renderings.

    A tune that cannot be rendered is kept, with the reason in its problems.

    Returns:
        The tunes as in tunes.jsonl.
    """
    saved = [_save(tune, folder, render) for tune in tunes]
    lines = (json.dumps(asdict(tune), ensure_ascii=False) + "\n" for tune in saved)
    artifacts.write_text(folder / "tunes.jsonl", "".join(lines))
    return saved


def _save(tune: WrittenTune, folder: Path, render: bool) -> WrittenTune:
    if not tune.parses:
        return tune
    artifacts.write_text(folder / f"{tune.name}.abc", tune.abc.strip() + "\n")
    if not render:
        return tune
    try:
        rendering = render_tune(tune.abc, folder, tune.name)
    except RenderError as error:
        return replace(tune, problems=(*tune.problems, str(error)))
    problems = (*tune.problems, *rendering.problems)
    return replace(tune, problems=problems, sound_engine=rendering.sound_engine)


def _check(prompt: str, answer: Completion, tune: str) -> WrittenTune:
    """Return the checked tune of an answer, without name."""
    problems = () if answer.finished else ("the answer was cut off at its longest length",)
    result = WrittenTune(
        name="", prompt=prompt, answer=answer.text, abc=tune, tries=0, seed=0, parses=False,
        finished=answer.finished, title="", num_bars=0, num_bars_fitting=0, problems=problems,
    )  # fmt: skip
    try:
        score = abc.parse(tune)
    except InputError as error:
        reason = f"the tune does not parse: {error}" if tune else "no line starts with X:"
        return replace(result, problems=(*problems, reason))
    num_bars = sum(bar.metre is not None for bar in score.bars)
    fitting = num_bars - len(abc.check(score).faults)
    rhythm = score.header.get("R") or "tune"
    title = (
        score.header.get("T") or f"{rhythm[:1].upper()}{rhythm[1:]} in {key_in_words(score.key)}"
    )
    return replace(result, parses=True, title=title, num_bars=num_bars, num_bars_fitting=fitting)


def _task(record: Mapping[str, Any]) -> str:
    return str(record.get("task", ""))


def _key(record: Mapping[str, Any]) -> str:
    match = _KEY.search(record["messages"][1]["content"])
    return match[1] if match else ""
