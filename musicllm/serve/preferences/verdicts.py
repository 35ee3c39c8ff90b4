"""Verdicts on single answers, kept or discarded, of which pairs are made.

Every answer that somebody keeps is better than every answer to the same prompt that the same person
discards. What is not paired yet is only in memory, of the latest prompts, until the server ends.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from musicllm.data.records import Message
from musicllm.serve.preferences.file import PreferenceFile
from musicllm.serve.preferences.pair import Pair

Verdict = Literal["keep", "discard"]

MAX_PROMPTS = 500
MAX_CHARS = 20_000_000
"""Of the answers in memory; the oldest prompts are forgotten beyond."""


@dataclass
class _Answers:
    """The verdicts of one person on the answers to one prompt: answer -> verdict and writer."""

    prompt: Sequence[Message]
    verdicts: dict[str, tuple[Verdict, str]] = field(default_factory=dict)

    @property
    def num_chars(self) -> int:
        return sum(map(len, self.verdicts)) + sum(len(own["content"]) for own in self.prompt)


class Verdicts:
    """See the module; safe to use from several threads."""

    def __init__(self, file: PreferenceFile) -> None:
        """Begin without verdicts; pairs go into `file`."""
        self._file = file
        self._lock = threading.Lock()
        self._prompts: OrderedDict[bytes, _Answers] = OrderedDict()
        self._num_chars = 0

    def judge(
        self,
        visitor: str,
        prompt: Sequence[Message],
        answer: str,
        verdict: Verdict | None,
        *,
        writer: str,
        time: str,
    ) -> int:
        """Take a verdict, and return how many pairs the file has of this answer now.

        A new verdict replaces the earlier one on the same answer, and its pairs.

        Args:
            visitor: who judges; any text of their own.
            prompt: a conversation that ends with the user.
            answer: to it.
            verdict: None takes an earlier one back.
            writer: what wrote the answer.
            time: in UTC, as ISO 8601.

        Raises:
            InputError: the file cannot be written; the verdict in force is then the earlier one.
        """
        key = _key(visitor, prompt)
        with self._lock:
            answers = self._prompts.get(key) or _Answers(prompt)
            old = answers.verdicts.get(answer)
            if old is not None and old[0] == verdict:
                return len(list(_pairs(visitor, answers, answer, old, time)))
            new = None if verdict is None else (verdict, writer)
            pairs = list(_pairs(visitor, answers, answer, new, time))
            for pair in pairs:
                self._file.append(pair)
            if old is not None:
                gone = _pairs(visitor, answers, answer, old, time)
                self._file.remove({pair.id for pair in gone})
            self._store(key, answers, answer, verdict, writer)
        return len(pairs)

    def _store(
        self, key: bytes, answers: _Answers, answer: str, verdict: Verdict | None, writer: str
    ) -> None:
        if key in self._prompts:
            self._num_chars -= answers.num_chars
        answers.verdicts.pop(answer, None)
        if verdict is not None:
            answers.verdicts[answer] = (verdict, writer)
        self._prompts[key] = answers
        self._prompts.move_to_end(key)
        self._num_chars += answers.num_chars
        while len(self._prompts) > MAX_PROMPTS or self._num_chars > MAX_CHARS:
            _, oldest = self._prompts.popitem(last=False)
            self._num_chars -= oldest.num_chars


def _pairs(
    visitor: str, answers: _Answers, answer: str, own: tuple[Verdict, str] | None, time: str
) -> Iterator[Pair]:
    """Yield the pairs of one answer, with its verdict and writer, with those of the opposite one.

    None without a verdict.
    """
    if own is None:
        return
    verdict, writer = own
    for other, (its_verdict, its_writer) in answers.verdicts.items():
        if its_verdict == verdict or other == answer:
            continue
        if verdict == "keep":
            ranked = (answer, other, writer, its_writer)
        else:
            ranked = (other, answer, its_writer, writer)
        yield Pair(answers.prompt, *ranked, "verdict", visitor, time)


def _key(visitor: str, prompt: Sequence[Message]) -> bytes:
    text = json.dumps([visitor, [[own["role"], own["content"]] for own in prompt]])
    return hashlib.sha256(text.encode()).digest()
