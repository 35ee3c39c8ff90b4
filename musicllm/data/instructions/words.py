"""Names of keys, rhythms and terms of form in a language."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

_TERM = re.compile(r"'([^']*)'")


@dataclass(frozen=True)
class LanguageWords:
    """The `[words]` table of a file of phrasings.

    Attributes:
        key: pattern of a key, such as `{tonic} {mode}`.
        sharp: pattern of a tonic with a sharp, such as `{letter}#`.
        flat: likewise with a flat.
        modes: English name of a mode -> name.
        rhythms: rhythm in ABC books -> name; others are kept.
        terms: English term of form -> name; others are kept.
        before_vowel: words before a vowel -> their form there.
    """

    key: str = ""
    sharp: str = ""
    flat: str = ""
    modes: Mapping[str, str] = field(default_factory=dict)
    rhythms: Mapping[str, str] = field(default_factory=dict)
    terms: Mapping[str, str] = field(default_factory=dict)
    before_vowel: Mapping[str, str] = field(default_factory=dict)

    def translate(self, name: str, value: str) -> str:
        """Translate the value of a condition to this language."""
        translators: Mapping[str, Callable[[str], str]] = {
            "key": self._key,
            "rhythm": partial(_translate, self.rhythms),
            "style": partial(_translate, self.rhythms),
            "terms": self._terms,
        }
        return translators[name](value) if name in translators else value

    def _key(self, value: str) -> str:
        tonic, _, mode = value.partition(" ")
        form = {"#": self.sharp, "b": self.flat}.get(tonic[1:], "{letter}")
        return self.key.format(tonic=form.format(letter=tonic[0]), mode=self.modes[mode])

    def _terms(self, value: str) -> str:
        return _TERM.sub(lambda match: f"'{_translate(self.terms, match[1])}'", value)


def _translate(names: Mapping[str, str], value: str) -> str:
    return names.get(value, value)
