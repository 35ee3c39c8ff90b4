"""The kind `translation`: instructions or texts, from English into Chinese or the reverse.

Of instructions, each wording is translated once: its music is masked (`music.masks`), so those that
differ in their tunes, chords or motifs, or in white space, alone are one. A translation has to be
in its language, with every mark, key, chord, number and term of the glossary (`checks.faithful`).
Its record has `original` and `text`, both with marks, and `language`: a line of the table that
`data.translations` reads. Of texts, it is a record of text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from musicllm.data.records import Record
from musicllm.data.translations import instruction_of
from musicllm.errors import Problem
from musicllm.music.masks import Masked, masked
from musicllm.schema import SynthesisConfig
from musicllm.synthesis import tokens
from musicllm.synthesis.checks.faithful import LANGUAGE_NAMES, translation_faults, unwrapped
from musicllm.synthesis.checks.glossary import Glossary, glossary, glossary_file
from musicllm.synthesis.checks.language import is_in
from musicllm.synthesis.kind import SYNTHESES, Item, Rejected, Synthesis, SynthesisKind
from musicllm.synthesis.pieces import pieces_of

_MAX_TERMS = 30


class Translation(Synthesis[str]):
    """Translates wordings of instructions, or texts.

    Args:
        prompt: its file.
        settings: `synthesis`, which the kind has checked.
        terms: that must survive.
    """

    def __init__(self, prompt: Path, settings: SynthesisConfig, terms: Glossary) -> None:
        self.prompt = prompt
        self._settings = settings
        self._terms = terms
        assert settings.source_language is not None, "`problems` names it"
        assert settings.target_language is not None, "`problems` names it"
        self._from, self._into = settings.source_language, settings.target_language

    def requests(self, records: Iterable[Record]) -> Iterator[Item]:
        """See `Synthesis`: wordings in the order in which they come first, each once; or texts.

        Memory grows with the number of distinct wordings. What is in another language is left out.
        """
        if self._settings.part == "text":
            assert self._settings.max_chars is not None, "`problems` names it"
            for piece in pieces_of(records, self._settings.max_chars, "translation"):
                if is_in(piece.text, self._from):
                    text = masked(piece.text)
                    yield self._item(piece.id, text, source=piece.source, parts=list(text.parts))
            return
        counts: dict[str, list[Any]] = {}
        for record in records:
            instruction = instruction_of(record)
            if instruction is not None and is_in(instruction, self._from):
                wording = masked(instruction).text.strip()
                counts.setdefault(" ".join(wording.split()), [wording, 0])[1] += 1
        for wording, count in counts.values():
            name = hashlib.sha256(wording.encode()).hexdigest()[:16]
            yield self._item(name, masked(wording), num_records=count)

    def _item(self, name: str, text: Masked, **more: Any) -> Item:
        terms = self._terms.terms_in(text.words, self._from, self._into)[:_MAX_TERMS]
        variables = {
            "text": text.text,
            "source_language": self._from,
            "target_language": self._into,
            "source_name": LANGUAGE_NAMES[self._from],
            "target_name": LANGUAGE_NAMES[self._into],
            "terms": [[term.text, term.translations[0]] for term in terms],
            "num_marks": len(text.parts),
        }
        return Item(name, {**variables, **more})

    def parse(self, answer: str, item: Item) -> str | Rejected:
        """See `Synthesis`: the translation, with marks."""
        original = item.variables["text"]
        text = unwrapped(answer, original)
        if not text:
            return Rejected("is empty")
        assert self._settings.max_length_ratio is not None, "`problems` names it"
        fault = translation_faults(
            _seen(item),
            text,
            language=self._from,
            into=self._into,
            terms=self._terms,
            max_ratio=self._settings.max_length_ratio,
        )
        return fault or text

    def record(self, item: Item, value: str) -> dict[str, Any]:
        """See `Synthesis`."""
        if "parts" in item.variables:
            text = Masked(item.variables["text"], tuple(item.variables["parts"])).restored(value)
            return {"source": item.variables["source"], "text": text, "language": self._into}
        return {
            "source": "translation",
            "text": value,
            "original": item.variables["text"],
            "language": self._into,
            "num_records": item.variables["num_records"],
        }

    def expected_tokens(self, item: Item) -> int:
        """See `Synthesis`: a translation has about as many tokens as the text."""
        return tokens.about([item.variables["text"]])


def _seen(item: Item) -> Masked:
    """Return the text that the teacher saw, with as many parts as it has marks."""
    return Masked(item.variables["text"], ("",) * item.variables["num_marks"])


class TranslationKind(SynthesisKind):
    """Requests or texts in the other language."""

    name = "translation"
    keys = (
        "source_language",
        "target_language",
        "part",
        "glossary",
        "max_length_ratio",
        "max_chars",
    )

    def files(self, settings: SynthesisConfig) -> dict[str, Path]:
        """See `SynthesisKind`."""
        return {**super().files(settings), "glossary": glossary_file(settings.glossary)}

    def open(self, settings: SynthesisConfig, seed: int) -> Translation:
        """See `SynthesisKind`; errors as `glossary`."""
        del seed
        terms = glossary(glossary_file(settings.glossary))
        return Translation(self.prompt(settings), settings, terms)

    def problems(self, settings: SynthesisConfig) -> Iterator[Problem]:
        """See `SynthesisKind`."""
        for name in ("source_language", "target_language", "part", "max_length_ratio"):
            if getattr(settings, name) is None:
                rule = "must be set for synthesis.kind=translation"
                yield Problem(f"synthesis.{name}", "null", rule, "begin with synthesis=translation")
        if settings.part == "text" and settings.max_chars is None:
            rule = "must be set where whole texts are translated"
            yield Problem("synthesis.max_chars", "null", rule, "write 2000")
        language = settings.source_language
        if language is not None and language == settings.target_language:
            rule = "is the language that is translated from, too"
            fix = f"write {'en' if language == 'zh' else 'zh'}"
            yield Problem("synthesis.target_language", language, rule, fix)


SYNTHESES.register(TranslationKind())
