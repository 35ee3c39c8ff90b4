"""Answers to many prompts, examined, tried again where they have faults, and written down."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from musicllm.console import Advance
from musicllm.evals.copies import CopyIndex
from musicllm.evals.requests import Request
from musicllm.inference.engines import Engine
from musicllm.inference.requests import Completion, WritingRequest
from musicllm.music.grammar import TuneRules, place_of
from musicllm.serve.answers import check_tunes
from musicllm.serve.measures import MEASURES, Answer
from musicllm.serve.prompts import Prompt, Prompts, grammar_of
from musicllm.serve.repair import Repair
from musicllm.serve.repair.faults import Fault, faults_of
from musicllm.serve.repair.loop import Chain, Try, write
from musicllm.serve.stream import Place, Stream

PART = 4096
"""Answers that an engine is given at once, to sort by length and to fill its batches; so many
prompts are in memory."""


class Examined(NamedTuple):
    """What is found in an answer.

    Attributes:
        line: `tunes`, `measures`, `breach` and `faults` (in words).
        faults: the same faults.
    """

    line: dict[str, Any]
    faults: list[Fault]


@dataclass(frozen=True)
class Trying:
    """How answers with faults are tried again.

    Attributes:
        num_tries: of an answer, at most.
        repair: what the model sees in a further try.
        stream: of all tries, `num_tries` for each answer; None for one try, which is the answer.
        best: the best of the lines of tries that all have faults.
    """

    num_tries: int
    repair: Repair
    stream: Stream | None
    best: Callable[[Sequence[dict[str, Any]]], dict[str, Any]]


def write_answers(
    prompts: Prompts,
    engine: Engine,
    answers: Stream,
    trying: Trying,
    *,
    request_of: Callable[[Prompt, int], WritingRequest],
    examine: Examiner,
    progress: Advance,
) -> None:
    """Let an engine write every answer that is not there yet; each is written down at once.

    Args:
        prompts: all of them.
        engine: writes.
        answers: their stream.
        trying: what becomes of answers with faults.
        request_of: of a prompt and a candidate.
        examine: checks and measures an answer.
        progress: called for each answer.
    """
    missing = answers.missing()
    started, num_tokens = time.monotonic(), 0
    while part := list(islice(missing, PART)):
        writings = [
            _Writing(place, prompt, Chain(request_of(prompt, place[1])), [])
            for place in part
            for prompt in (prompts[place[0]],)
        ]
        for line in _written(writings, engine, trying, examine):
            answers.add(line)
            num_tokens += line["num_tokens_of_tries"]
            progress(1, f"{num_tokens / (time.monotonic() - started):,.0f} tokens/s")


@dataclass
class _Writing:
    """An answer that is being written: its place, prompt, tries, and the lines of the tries."""

    place: Place
    prompt: Prompt
    chain: Chain
    lines: list[dict[str, Any]]

    def line(self, trying: Trying) -> dict[str, Any]:
        """Return the line of the answer: its first try without faults, or the best of all."""
        best = self.lines[-1] if self.chain.is_right else trying.best(self.lines)
        tokens = sum(line["num_new_tokens"] for line in self.lines)
        return {
            **best,
            "candidate": self.place[1],
            "num_tries": len(self.lines),
            "num_tokens_of_tries": tokens,
        }


def _written(
    writings: Sequence[_Writing], engine: Engine, trying: Trying, examine: Examiner
) -> Iterator[dict[str, Any]]:
    """Yield the line of each answer when it is over."""
    for own in writings:
        _read_tries(own, engine, trying, examine)
        if own.chain.is_over(trying.num_tries):
            yield own.line(trying)
    newest: dict[int, Examined] = {}

    def faults(index: int, request: WritingRequest, completion: Completion) -> list[Fault]:
        newest[index] = examine(writings[index].prompt, request.rules, completion)
        return newest[index].faults

    for index in write(
        engine,
        [own.chain for own in writings],
        num_tries=trying.num_tries,
        repair=trying.repair,
        faults=faults,
    ):
        own = writings[index]
        line = _line(own, newest.pop(index))
        own.lines.append(line)
        if trying.stream is not None:
            slot = own.place[1] * trying.num_tries + len(own.lines) - 1
            trying.stream.add({**line, "candidate": slot})
        if own.chain.is_over(trying.num_tries):
            yield own.line(trying)


def _line(own: _Writing, examined: Examined) -> dict[str, Any]:
    """Return the line of the last try."""
    last = own.chain.tries[-1]
    return {
        "number": own.place[0],
        "candidate": own.place[1],
        "try": len(own.chain.tries),
        "saw_faults": last.request.messages != own.chain.first.messages,
        "seed": last.request.seed,
        "answer": last.completion.text,
        "finished": last.completion.finished,
        "num_prompt_tokens": last.completion.num_prompt_tokens,
        "num_new_tokens": last.completion.num_new_tokens,
        "skipped": "",
        **examined.line,
    }


def _read_tries(own: _Writing, engine: Engine, trying: Trying, examine: Examiner) -> None:
    """Take up the tries of an answer that an earlier process has written."""
    number, candidate = own.place
    for place in range(trying.num_tries if trying.stream is not None else 0):
        assert trying.stream is not None, "tries are in a stream"
        slot = (number, candidate * trying.num_tries + place)
        if slot not in trying.stream:
            return
        line = trying.stream.read(slot)
        request = own.chain.next_request(trying.repair, engine)
        completion = Completion(
            line["answer"], line["num_new_tokens"], line["finished"], line["num_prompt_tokens"]
        )
        faults = examine(own.prompt, request.rules, completion).faults
        own.chain.tries.append(Try(request, completion, faults))
        own.lines.append({**line, "candidate": candidate})


def skip(stream: Stream, number: int, reason: str) -> None:
    """Write down that a prompt gets no answer."""
    line: dict[str, Any] = {
        "number": number,
        "seed": None,
        "answer": "",
        "finished": False,
        "num_prompt_tokens": None,
        "num_new_tokens": 0,
        "try": 0,
        "num_tries": 0,
        "num_tokens_of_tries": 0,
        "saw_faults": False,
        "skipped": reason,
        "tunes": [],
        "measures": {},
        "breach": None,
        "faults": [],
    }
    for candidate in range(stream.num_candidates):
        if (number, candidate) not in stream:
            stream.add({**line, "candidate": candidate})


class Examiner:
    """Checks every tune of an answer and measures it.

    Args:
        index: of the training texts; without it, measures that need it are left out.
        checks_rules: look for breaches of the rules, for an engine that does not follow them.
    """

    def __init__(self, index: CopyIndex | None, *, checks_rules: bool = False) -> None:
        self._index = index
        self._checks_rules = checks_rules

    def __call__(self, prompt: Prompt, rules: TuneRules | None, completion: Completion) -> Examined:
        """Return what is found in an answer; a beginning counts with it."""
        text = f"{prompt.text or ''}{completion.text}"
        tunes = check_tunes(text)
        conditions = {**_conditions(rules), **prompt.conditions}
        request = Request(prompt.shown, prompt.task, conditions)
        answer = Answer(request, completion.text, completion.finished, tunes, self._index)
        measures = {
            name: None if (value := measure.value(answer)) is None else round(value, 6)
            for name, measure in MEASURES.items()
            if self._index is not None or not measure.needs_index
        }
        broken = breach(text, rules) if rules is not None and self._checks_rules else None
        faults = faults_of(
            tunes, finished=completion.finished, request=request, breach=broken or ""
        )
        line = {
            "tunes": [dataclasses.asdict(tune) for tune in tunes],
            "measures": measures,
            "breach": broken,
            "faults": [fault.text() for fault in faults],
        }
        return Examined(line, faults)


def breach(text: str, rules: TuneRules) -> str:
    """Return where a text breaks the rules of its tunes; empty where it keeps them."""
    state, length = grammar_of(rules).read(text)
    if length < len(text):
        return f"{place_of(text, length)}: {text[length]!r} cannot stand here in a legal tune"
    return "" if state.may_end else "it ends within a tune, or without one"


def _conditions(rules: TuneRules | None) -> dict[str, str]:
    """Return the rules of a tune as conditions that a request states."""
    if rules is None:
        return {}
    stated = {
        "key": rules.key and f"K:{rules.key}",
        "metre": rules.metre,
        "form": rules.form,
        "chords": " ".join(rules.chords),
    }
    return {name: value for name, value in stated.items() if value}
