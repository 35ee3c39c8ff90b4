"""The kind `polish`: texts about music in better words, with the same facts.

Numbers, names, keys, chords and music must be those of the source, in the same language and at
about the same length (`checks.faithful`). Music is masked (`music.masks`) and put back byte by
byte. Texts that are longer than `synthesis.max_chars` become several records.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from musicllm.data.records import Record
from musicllm.errors import Problem
from musicllm.music.masks import Masked, masked
from musicllm.schema import SynthesisConfig
from musicllm.synthesis import tokens
from musicllm.synthesis.checks.faithful import LANGUAGE_NAMES, polish_faults, unwrapped
from musicllm.synthesis.checks.glossary import Glossary, glossary, glossary_file
from musicllm.synthesis.checks.language import is_in
from musicllm.synthesis.kind import SYNTHESES, Item, Rejected, Synthesis, SynthesisKind
from musicllm.synthesis.pieces import pieces_of


class Polish(Synthesis[str]):
    """Rewrites texts.

    Args:
        prompt: its file.
        max_chars: longest text of one request, in characters.
        max_length_ratio: of the lengths before and after, either way.
        terms: whose people are known names.
    """

    def __init__(
        self, prompt: Path, max_chars: int, max_length_ratio: float, terms: Glossary
    ) -> None:
        self.prompt = prompt
        self._max_chars = max_chars
        self._max_length_ratio = max_length_ratio
        self._terms = terms

    def requests(self, records: Iterable[Record]) -> Iterator[Item]:
        """See `Synthesis`: texts in English or Chinese; a tune alone has no words."""
        for piece in pieces_of(records, self._max_chars, "polish"):
            languages = [name for name in LANGUAGE_NAMES if is_in(piece.text, name)]
            if not languages:
                continue
            text = masked(piece.text)
            variables = {
                "text": text.text,
                "language": languages[0],
                "parts": list(text.parts),
                "source": piece.source,
            }
            yield Item(piece.id, variables)

    def parse(self, answer: str, item: Item) -> str | Rejected:
        """See `Synthesis`: the text with its music put back."""
        source = Masked(item.variables["text"], tuple(item.variables["parts"]))
        text = unwrapped(answer, source.text)
        if not text:
            return Rejected("is empty")
        fault = polish_faults(
            source,
            text,
            language=item.variables["language"],
            terms=self._terms,
            max_ratio=self._max_length_ratio,
        )
        restored = source.restored(text)
        assert fault or restored is not None, "marks are checked first"
        return fault or restored or ""

    def record(self, item: Item, value: str) -> dict[str, Any]:
        """See `Synthesis`."""
        return {"source": item.variables["source"], "text": value}

    def expected_tokens(self, item: Item) -> int:
        """See `Synthesis`."""
        return tokens.about([item.variables["text"]])


class PolishKind(SynthesisKind):
    """Texts in better words."""

    name = "polish"
    keys = ("glossary", "max_length_ratio", "max_chars")

    def files(self, settings: SynthesisConfig) -> dict[str, Path]:
        """See `SynthesisKind`."""
        return {**super().files(settings), "glossary": glossary_file(settings.glossary)}

    def open(self, settings: SynthesisConfig, seed: int) -> Polish:
        """See `SynthesisKind`; errors as `glossary`."""
        del seed
        assert settings.max_chars is not None, "`problems` names it"
        assert settings.max_length_ratio is not None, "`problems` names it"
        terms = glossary(glossary_file(settings.glossary))
        prompt = self.prompt(settings)
        return Polish(prompt, settings.max_chars, settings.max_length_ratio, terms)

    def problems(self, settings: SynthesisConfig) -> Iterator[Problem]:
        """See `SynthesisKind`."""
        for name in ("max_chars", "max_length_ratio"):
            if getattr(settings, name) is None:
                rule = "must be set for synthesis.kind=polish"
                yield Problem(f"synthesis.{name}", "null", rule, "begin with synthesis=polish")


SYNTHESES.register(PolishKind())
