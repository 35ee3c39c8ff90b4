"""What a model is asked to write, how it is sampled, and what it wrote."""

from __future__ import annotations

from dataclasses import dataclass

from musicllm.data.records import Message
from musicllm.music.grammar import TuneRules


@dataclass(frozen=True)
class SamplingSettings:
    """Settings of the sampling.

    Attributes:
        temperature: divides the logits; 0 takes the most likely token.
        top_k: only the k most likely tokens; 0 is off.
        top_p: only the most likely tokens that together reach this probability; 1 is off.
        repetition_penalty: divides the scores of tokens seen before (arXiv 1909.05858); 1 is off.
        max_new_tokens: an answer stops here at the latest.
    """

    temperature: float
    top_k: int
    top_p: float
    repetition_penalty: float
    max_new_tokens: int


@dataclass(frozen=True)
class WritingRequest:
    """One text to write: an answer to `messages`, or the continuation of `text`.

    Attributes:
        messages: a conversation that the model answers; None with `text`.
        text: a beginning that the model continues; None with `messages`.
        settings: of the sampling.
        seed: of this request's own random numbers.
        rules: of the tunes that the grammar allows; None samples without the grammar.
    """

    messages: tuple[Message, ...] | None
    text: str | None
    settings: SamplingSettings
    seed: int
    rules: TuneRules | None = None

    def __post_init__(self) -> None:
        assert (self.messages is None) != (self.text is None), "either messages or a text"


@dataclass(frozen=True)
class Completion:
    """What a model wrote.

    Attributes:
        text: without the prompt and without special tokens.
        num_new_tokens: without the end token; of an endpoint as it counts, 0 if it does not say.
        finished: the end token came before `max_new_tokens`.
        num_prompt_tokens: of the prompt as the model read it; of an endpoint likewise.
    """

    text: str
    num_new_tokens: int
    finished: bool
    num_prompt_tokens: int
