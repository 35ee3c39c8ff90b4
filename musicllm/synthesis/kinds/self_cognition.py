"""The kind `self_cognition`: what an assistant says about itself, from a description of it.

Every item asks for one question and its answer, about one topic, in one language, with three
hand-written conversations as examples; topics, languages and ways of asking are drawn from the
seed. The answer has to name the assistant, no other and no other's maker, and to claim only what
the description says (`assistants.claims`). The hand-written conversations become records as well.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from musicllm.data.records import Record
from musicllm.errors import InputError, Problem
from musicllm.schema import SynthesisConfig
from musicllm.synthesis import tokens
from musicllm.synthesis.assistants import (
    FOLDER,
    LANGUAGES,
    Assistant,
    Conversation,
    Topic,
    read_assistant,
    read_conversations,
    topics,
)
from musicllm.synthesis.assistants.claims import claims
from musicllm.synthesis.checks.faithful import LANGUAGE_NAMES
from musicllm.synthesis.checks.language import is_in
from musicllm.synthesis.kind import SYNTHESES, Item, Rejected, Synthesis, SynthesisKind
from musicllm.synthesis.reading import json_in

_NUM_EXAMPLES = 3
_MAX_CHARS = 1200
"""Longest question or answer; what is longer is no small talk."""
_MIN_CHARS = 12
"""From which a text is long enough to tell its language."""

Pair = tuple[str, str]
"""A question and its answer."""


class SelfCognition(Synthesis[Pair]):
    """Asks for questions and answers about an assistant.

    Args:
        prompt: its file.
        assistants: language -> the assistant in that language.
        conversations: written by hand, in these languages.
        num_samples: pairs that are asked for.
        seed: decides which topics, styles and examples go together.
    """

    def __init__(
        self,
        prompt: Path,
        assistants: dict[str, Assistant],
        conversations: Sequence[Conversation],
        num_samples: int,
        seed: int,
    ) -> None:
        self.prompt = prompt
        self._assistants = assistants
        self._conversations = conversations
        self._num_samples = num_samples
        self._seed = seed

    def given(self) -> Iterator[dict[str, Any]]:
        """Yield the hand-written conversations as records."""
        for number, conversation in enumerate(self._conversations, start=1):
            assistant = self._assistants[conversation.language]
            messages = [
                {"role": role, "content": assistant.fill(text)}
                for turn in conversation.turns
                for role, text in zip(("user", "assistant"), turn, strict=True)
            ]
            yield {
                "id": f"by_hand_{number:03}",
                "source": "self_cognition",
                "messages": messages,
                "language": conversation.language,
                "topic": conversation.topic,
            }

    def requests(self, records: Iterable[Record]) -> Iterator[Item]:
        """See `Synthesis`: languages in turn, and in each the topics in turn; no record is read."""
        del records
        all_topics, styles = topics()
        languages = list(self._assistants)
        for number in range(self._num_samples):
            draw = random.Random(f"{self._seed}/{number}")
            language = languages[number % len(languages)]
            turn = number // len(languages)
            topic = all_topics[turn % len(all_topics)]
            yield Item(
                f"{language}_{topic.name}_{number:05}",
                {
                    "language": language,
                    "topic": self._in_words(topic, language, turn // len(all_topics)),
                    "topic_name": topic.name,
                    "names_others": topic.names_others,
                    "style": draw.choice(styles[language]),
                    "assistant": _listed(self._assistants[language]),
                    "examples": self._examples(language, topic.name, draw),
                },
                variant=number,
            )

    def _in_words(self, topic: Topic, language: str, round_number: int) -> str:
        text = topic.texts[language]
        if not topic.of:
            return text
        assistant = self._assistants[language]
        subjects = assistant.abilities if topic.of == "abilities" else assistant.refusals
        return text.replace("{subject}", subjects[round_number % len(subjects)])

    def _examples(self, language: str, topic: str, draw: random.Random) -> list[list[str]]:
        """Return first turns of conversations in a language; one on the topic is the last."""
        assistant = self._assistants[language]
        own = [c for c in self._conversations if c.language == language]
        near = [c for c in own if c.topic == topic]
        far = [c for c in own if c.topic != topic]
        chosen = draw.sample(far, min(_NUM_EXAMPLES - bool(near), len(far)))
        chosen += [draw.choice(near)] if near else []
        return [[assistant.fill(text) for text in c.turns[0]] for c in chosen]

    def parse(self, answer: str, item: Item) -> Pair | Rejected:
        """See `Synthesis`."""
        value = json_in(answer)
        if isinstance(value, Rejected):
            return value
        fields = value if isinstance(value, dict) else {}
        texts = [fields.get(key) for key in ("question", "answer")]
        question, reply = (text.strip() if isinstance(text, str) else "" for text in texts)
        if not (question and reply):
            return Rejected("is no object with question and answer", str(value)[:80])
        return next(self._faults(item, question, reply), (question, reply))

    def _faults(self, item: Item, question: str, reply: str) -> Iterator[Rejected]:
        language, topic = item.variables["language"], item.variables["topic_name"]
        assistant, rules = self._assistants[language], claims()
        if [question, reply] in item.variables["examples"]:
            yield Rejected("repeats an example", question[:80])
        for text in (question, reply):
            yield from _faults_of_form(text, text.replace(assistant.name, " "), language)
        if assistant.name.lower() not in reply.lower():
            yield Rejected("does not name the assistant", f"{assistant.name} is missing")
        if topic == "maker" and assistant.maker.lower() not in reply.lower():
            yield Rejected("does not name the maker", f"{assistant.maker} is missing")
        for text in (reply,) if item.variables["names_others"] else (reply, question):
            if other := rules.other_in(text, assistant):
                yield Rejected("names another assistant or its maker", other)
        if claim := rules.claim_in(reply, assistant, language):
            yield Rejected("claims what the assistant cannot do", claim[:80])

    def record(self, item: Item, value: Pair) -> dict[str, Any]:
        """See `Synthesis`."""
        question, reply = value
        messages = [
            {"role": "user", "content": question},
            {"role": "assistant", "content": reply},
        ]
        language, topic = item.variables["language"], item.variables["topic_name"]
        return {
            "source": "self_cognition",
            "messages": messages,
            "language": language,
            "topic": topic,
        }

    def expected_tokens(self, item: Item) -> int:
        """See `Synthesis`: about as long as the longest example on the topic, and its marks."""
        return 20 + max(map(tokens.about, item.variables["examples"]), default=50)


def _faults_of_form(text: str, words: str, language: str) -> Iterator[Rejected]:
    if len(text) > _MAX_CHARS:
        yield Rejected("is too long", f"{len(text):,} characters")
    if len(text) > _MIN_CHARS and not is_in(words, language):
        yield Rejected(f"is not in {LANGUAGE_NAMES[language]}", text[:80])
    if "{name}" in text or "{maker}" in text:
        yield Rejected("has a placeholder", text[:80])


def _listed(assistant: Assistant) -> dict[str, Any]:
    return {
        "name": assistant.name,
        "maker": assistant.maker,
        "what": assistant.what,
        "abilities": list(assistant.abilities),
        "refusals": list(assistant.refusals),
    }


class SelfCognitionKind(SynthesisKind):
    """What an assistant says about itself."""

    name = "self_cognition"
    reads_records = False
    keys = ("assistant", "conversations", "languages", "num_samples")

    def files(self, settings: SynthesisConfig) -> dict[str, Path]:
        """See `SynthesisKind`."""
        return {
            **super().files(settings),
            "assistant": _path(settings.assistant, "melodist.toml"),
            "conversations": _path(settings.conversations, "conversations.toml"),
        }

    def open(self, settings: SynthesisConfig, seed: int) -> SelfCognition:
        """See `SynthesisKind`; errors as `read_assistant` and `read_conversations`."""
        files = self.files(settings)
        description, file = files["assistant"], files["conversations"]
        assistants = {name: read_assistant(description, name) for name in settings.languages}
        conversations = [c for c in read_conversations(file) if c.language in assistants]
        if not conversations:
            raise InputError(f"{file} has no conversation in {' or '.join(assistants)}")
        assert settings.num_samples is not None, "`problems` names it"
        return SelfCognition(
            self.prompt(settings), assistants, conversations, settings.num_samples, seed
        )

    def problems(self, settings: SynthesisConfig) -> Iterator[Problem]:
        """See `SynthesisKind`."""
        if settings.num_samples is None:
            rule = "must be set for synthesis.kind=self_cognition"
            yield Problem(
                "synthesis.num_samples", "null", rule, "write how many pairs, such as 200"
            )
        if not settings.languages:
            yield Problem("synthesis.languages", "[]", "names no language", "write [en,zh]")
        for language in settings.languages:
            if language not in LANGUAGES:
                rule = "has a language that there is no check for"
                yield Problem("synthesis.languages", settings.languages, rule, "write [en,zh]")


def _path(setting: str | None, own: str) -> Path:
    return FOLDER / own if setting is None else Path(setting).expanduser()


SYNTHESES.register(SelfCognitionKind())
