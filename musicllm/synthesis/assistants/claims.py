"""What an assistant says about itself, held against its description by rules.

An answer has to name the assistant, may name no other and none of their makers, and may claim no
ability that the description does not give it. A claim is a sentence with a word of an ability and
no word of negation; so what is claimed and denied in one sentence is not seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from musicllm.synthesis.assistants import FOLDER, LANGUAGES, Assistant, read_toml

_SENTENCE = re.compile(r"[^.!?。！？\n]+")
_ANSWERS_NO = re.compile(r"^[\s\"“]*(?:no|不是的?|不|没有)\s*[,，、]", re.IGNORECASE)
_BOUND = {"en": (r"(?<![A-Za-z])", r"(?![A-Za-z])"), "zh": ("", "")}


@dataclass(frozen=True)
class Claims:
    """The rules.

    Attributes:
        others: finds other assistants and makers.
        abilities: ability -> language -> finds words of it.
        negations: language -> finds words of negation.
    """

    others: re.Pattern[str]
    abilities: Mapping[str, Mapping[str, re.Pattern[str]]]
    negations: Mapping[str, re.Pattern[str]]

    def other_in(self, text: str, assistant: Assistant) -> str | None:
        """Return the first other assistant or maker that a text names; None if it names none."""
        own = text
        for name in (assistant.name, assistant.maker):
            own = re.sub(re.escape(name), " ", own, flags=re.IGNORECASE)
        match = self.others.search(own)
        return match[0] if match else None

    def claim_in(self, text: str, assistant: Assistant, language: str) -> str | None:
        """Return the first sentence that claims what the assistant cannot do; None if none does."""
        granted = " ".join((*assistant.abilities, assistant.what))
        for sentence in _SENTENCE.findall(text):
            if self.negations[language].search(_ANSWERS_NO.sub("", sentence)):
                continue
            for patterns in self.abilities.values():
                if patterns[language].search(sentence) and not patterns[language].search(granted):
                    return str(sentence.strip())
        return None


@lru_cache(maxsize=1)
def claims() -> Claims:
    """Return the rules of `claims.toml`."""
    tables = read_toml(FOLDER / "claims.toml")
    latin = [name for name in tables["others"] if name.isascii()]
    signs = [name for name in tables["others"] if not name.isascii()]
    return Claims(
        re.compile(f"{_either(latin, 'en').pattern}|{_either(signs, 'zh').pattern}", re.IGNORECASE),
        {
            ability: {language: _either(row[language], language) for language in LANGUAGES}
            for ability, row in tables["claims"].items()
        },
        {
            "en": re.compile(
                "|".join(
                    re.escape(word).replace("'", "['’]")
                    if word.startswith("n'")
                    else rf"\b{re.escape(word)}\b"
                    for word in tables["negations"]["en"]
                ),
                re.IGNORECASE,
            ),
            "zh": _either(tables["negations"]["zh"], "zh"),
        },
    )


def _either(words: list[str], language: str) -> re.Pattern[str]:
    before, after = _BOUND[language]
    longest = sorted(words, key=len, reverse=True)
    return re.compile(f"{before}(?:{'|'.join(map(re.escape, longest))}){after}", re.IGNORECASE)
