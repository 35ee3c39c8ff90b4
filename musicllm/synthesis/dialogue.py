"""What was answered about an item so far, and what is to be asked next.

Nothing of this is kept in memory: the state of an item follows from the stored answers, which are
read again. So a run that was killed continues, and a kind that reads answers better than before
asks only about what it still cannot use.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from musicllm.data.records import Message
from musicllm.inference.requests import SamplingSettings, WritingRequest
from musicllm.synthesis.answers import Answer, AnswerStore, key_of, now
from musicllm.synthesis.kind import Item, Rejected, Synthesis
from musicllm.synthesis.prompt_file import PromptFile

CUT_OFF = "is cut off by generation.max_new_tokens"
REFUSED = "is refused by the teacher or its server"


@dataclass(frozen=True)
class Question:
    """What is asked next about an item.

    Attributes:
        item: that is asked about.
        number: of the try, from 1 on.
        key: of the answer in the store.
        request: for the engine.
    """

    item: Item
    number: int
    key: bytes
    request: WritingRequest


@dataclass(frozen=True)
class Settled:
    """An item about which nothing more is asked.

    Attributes:
        item: that was asked about.
        value: read from the last answer, or why that one was rejected.
        answer: the last one.
        seed: of the last answer.
        tries: number of answers.
    """

    item: Item
    value: Any | Rejected
    answer: Answer
    seed: int
    tries: int

    @property
    def is_accepted(self) -> bool:
        """Whether the last answer fits."""
        return not isinstance(self.value, Rejected)


@dataclass(frozen=True)
class Dialogues:
    """The questions of a run and the stored answers.

    Attributes:
        synthesis: reads the answers.
        prompt: asks.
        store: of the answers.
        teacher: identity of whatever answers.
        sampling: of every answer.
        seed: of the run.
        max_tries: answers to an item.
        refused: items about which the teacher takes no question, with the reason.
    """

    synthesis: Synthesis[Any]
    prompt: PromptFile
    store: AnswerStore
    teacher: str
    sampling: SamplingSettings
    seed: int
    max_tries: int
    refused: dict[str, str] = field(default_factory=dict)

    def state(self, item: Item) -> Question | Settled:
        """Return what is asked next about an item, or how it ended.

        Cost: one look into the store and one reading of every answer that is there.
        """
        if item.id in self.refused:
            nothing = Answer("", finished=False, input_tokens=0, output_tokens=0, time=now())
            return Settled(item, Rejected(REFUSED, self.refused[item.id]), nothing, 0, 0)
        first = messages = self.prompt.messages(item.variables)
        settled: Settled | None = None
        for number in range(1, self.max_tries + 1):
            if settled is not None and messages == first and not self.sampling.temperature:
                break  # the same question would get the same answer
            seed = _seed(self.seed, first, item.variant, number)
            request = WritingRequest(messages, None, self.sampling, seed)
            key = key_of(self.teacher, request)
            answer = self.store.get(key)
            if answer is None:
                return Question(item, number, key, request)
            value = self._read(answer, item)
            settled = Settled(item, value, answer, seed, number)
            if settled.is_accepted:
                break
            messages = self.prompt.again(first, item.variables, answer.text, value)
        assert settled is not None, "max_tries is at least 1"
        return settled

    def _read(self, answer: Answer, item: Item) -> Any:
        if not answer.finished:
            return Rejected(CUT_OFF, f"after {answer.output_tokens:,} tokens")
        return self.synthesis.parse(answer.text.strip(), item)


def _seed(seed: int, messages: Sequence[Message], variant: int, number: int) -> int:
    """Return the seed of an answer, 32 bits: a pure function of what is asked, not of its place."""
    content = json.dumps([seed, messages, variant, number], sort_keys=True)
    return int.from_bytes(hashlib.sha256(content.encode()).digest()[:4], "big")
