"""Answers to many prompts, examined and written down as they finish."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from itertools import islice
from typing import Any

from musicllm.console import Advance
from musicllm.evals.copies import CopyIndex
from musicllm.evals.requests import Request
from musicllm.inference.engines import Engine
from musicllm.inference.requests import Completion, WritingRequest
from musicllm.music.grammar import TuneRules, place_of
from musicllm.serve.answers import check_tunes
from musicllm.serve.measures import MEASURES, Answer
from musicllm.serve.prompts import Prompt, Prompts, grammar_of
from musicllm.serve.stream import Stream

PART = 4096
"""Answers that an engine is given at once, to sort by length and to fill its batches; so many
prompts are in memory."""


def write_answers(
    prompts: Prompts,
    engine: Engine,
    stream: Stream,
    *,
    request_of: Callable[[Prompt, int], WritingRequest],
    examine: Examiner,
    progress: Advance,
) -> None:
    """Let an engine write every answer that is not there yet; each is written down at once.

    Args:
        prompts: all of them.
        engine: writes.
        stream: of the answers.
        request_of: of a prompt and a candidate.
        examine: checks and measures an answer.
        progress: called for each answer.
    """
    missing = stream.missing()
    started, num_tokens = time.monotonic(), 0
    while part := list(islice(missing, PART)):
        requests = [request_of(prompts[number], candidate) for number, candidate in part]
        for place, completion in engine.write(requests):
            number, candidate = part[place]
            line = {
                "number": number,
                "candidate": candidate,
                "seed": requests[place].seed,
                "answer": completion.text,
                "finished": completion.finished,
                "num_prompt_tokens": completion.num_prompt_tokens,
                "num_new_tokens": completion.num_new_tokens,
                "skipped": "",
            }
            stream.add(line | examine(prompts[number], requests[place].rules, completion))
            num_tokens += completion.num_new_tokens
            progress(1, f"{num_tokens / (time.monotonic() - started):,.0f} tokens/s")


def skip(stream: Stream, number: int, reason: str) -> None:
    """Write down that a prompt gets no answer."""
    line: dict[str, Any] = {
        "number": number,
        "seed": None,
        "answer": "",
        "finished": False,
        "num_prompt_tokens": None,
        "num_new_tokens": 0,
        "skipped": reason,
        "tunes": [],
        "measures": {},
        "breach": None,
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

    def __call__(
        self, prompt: Prompt, rules: TuneRules | None, completion: Completion
    ) -> dict[str, Any]:
        """Return `tunes`, `measures` and `breach`; a beginning counts with its answer."""
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
        return {
            "tunes": [dataclasses.asdict(tune) for tune in tunes],
            "measures": measures,
            "breach": breach(text, rules) if rules is not None and self._checks_rules else None,
        }


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
