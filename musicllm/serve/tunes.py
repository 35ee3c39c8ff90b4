"""Tunes on request: asked for, checked, tried again when they are no tunes, and saved.

Does not know how a model is asked (the caller's function does that) and picks nothing out: every
request yields one tune or says why it does not, and how many tries it took.
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
from musicllm.inference.sampling import Completion
from musicllm.music import abc
from musicllm.music.render import render_tune

MAX_TRIES = 4
"""An answer that does not parse is asked for again with the next seed, three times at most."""

_KEY = re.compile(r"^K:\s*(\S+)", re.MULTILINE)

Ask = Callable[[Sequence[str], int], Sequence[Completion]]
"""From user messages and a seed to the model's answers."""


@dataclass(frozen=True)
class WrittenTune:
    """What came of one request; one line of tunes.jsonl.

    Attributes:
        name: stem of its files, such as `001`.
        prompt: the user message.
        answer: the model's whole answer, the last one when it was asked again.
        abc: the tune found in the answer; empty without one.
        tries: how often the model was asked.
        seed: of the last try.
        parses: whether `abc` is valid.
        finished: whether the model ended the answer itself.
        title: from `T:`, or such as `Reel in D major`; empty when it does not parse.
        num_bars: bars in a metre; free metre has none that could fit.
        num_bars_fitting: how many of them are full or excused.
        problems: what went wrong, for people.
        sound_engine: what made the sound, or None when there is no sound.
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
    """Return user messages of instruction records, spread over the tasks and over the keys.

    Args:
        records: conversations whose second turn is a tune; `task` names the family.
        count: how many.
        seed: of the order in which records are tried.

    Raises:
        ArtifactError: there are fewer records than that.
    """
    if count > len(records):
        raise ArtifactError(
            f"generation.num_tunes={count} needs as many instructions, but the test split of "
            f"inputs.instructions holds {len(records)}; write generation.prompts or ask for fewer"
        )
    waiting = random.Random(seed).sample(list(records), len(records))
    tasks: Counter[str] = Counter()
    keys: Counter[str] = Counter()
    chosen = []
    for _ in range(count):
        record = min(waiting, key=lambda one: (tasks[_task(one)], keys[_key(one)]))
        waiting.remove(record)
        tasks[_task(record)] += 1
        keys[_key(record)] += 1
        chosen.append(str(record["messages"][0]["content"]))
    return chosen


def write_tunes(
    prompts: Sequence[str], ask: Ask, find_tune: Callable[[str], str], *, seed: int
) -> list[WrittenTune]:
    """Ask for one tune per prompt; those that do not parse again, together, with the next seed.

    Args:
        prompts: user messages.
        ask: asks the model.
        find_tune: finds the tune in an answer; empty without one.
        seed: of the first try.

    Returns:
        What came of every prompt, in their order.
    """
    tunes: dict[int, WrittenTune] = {}
    waiting = list(range(len(prompts)))
    for tries in range(1, MAX_TRIES + 1):
        if not waiting:
            break
        attempt = seed + tries - 1
        answers = ask([prompts[index] for index in waiting], attempt)
        for index, answer in zip(waiting, answers, strict=True):
            made = _judge(prompts[index], answer, find_tune(answer.text))
            tunes[index] = replace(made, name=f"{index + 1:03d}", tries=tries, seed=attempt)
        waiting = [index for index in waiting if not tunes[index].parses]
    return [tunes[index] for index in range(len(prompts))]


def save_tunes(tunes: Sequence[WrittenTune], folder: Path, *, render: bool) -> list[WrittenTune]:
    """Write tunes.jsonl, and for each tune that parses its ABC and, if wanted, score and sound.

    A tune that cannot be drawn or played is kept, with the reason among its problems.

    Returns:
        The tunes as they stand in tunes.jsonl.
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


def _judge(prompt: str, answer: Completion, tune: str) -> WrittenTune:
    """Return a tune, not yet named, with what the checks find."""
    problems = () if answer.finished else ("the answer was cut off at its longest length",)
    made = WrittenTune(
        name="", prompt=prompt, answer=answer.text, abc=tune, tries=0, seed=0, parses=False,
        finished=answer.finished, title="", num_bars=0, num_bars_fitting=0, problems=problems,
    )  # fmt: skip
    try:
        score = abc.parse(tune)
    except InputError as error:
        reason = f"the tune does not parse: {error}" if tune else "no line starts with X:"
        return replace(made, problems=(*problems, reason))
    num_bars = sum(bar.metre is not None for bar in score.bars)
    fitting = num_bars - len(abc.check(score).faults)
    title = _title(score)
    return replace(made, parses=True, title=title, num_bars=num_bars, num_bars_fitting=fitting)


def _title(score: abc.Score) -> str:
    """Return the tune's own title, or its rhythm and key."""
    rhythm = score.header.get("R") or "tune"
    return score.header.get("T") or f"{rhythm[:1].upper()}{rhythm[1:]} in {key_in_words(score.key)}"


def _task(record: Mapping[str, Any]) -> str:
    return str(record.get("task", ""))


def _key(record: Mapping[str, Any]) -> str:
    found = _KEY.search(record["messages"][1]["content"])
    return found[1] if found else ""
