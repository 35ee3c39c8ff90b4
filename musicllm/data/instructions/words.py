"""How a language says what conditions hold: keys, types of tunes, terms of form."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

_TERM = re.compile(r"'([^']*)'")


@dataclass(frozen=True)
class Words:
    """The `[words]` table of a file of phrasings.

    Attributes:
        key: how tonic and mode make a key, such as `{tonic} {mode}`.
        sharp: how a tonic with a sharp is said, such as `{letter}#`.
        flat: the same with a flat.
        modes: English name of a mode -> its name.
        rhythms: type of tune as ABC books name it -> its name; others stay as they are.
        terms: English term of form -> its name; others stay as they are.
        before_vowel: words in front of a value that starts with a vowel -> what they become.
    """

    key: str = ""
    sharp: str = ""
    flat: str = ""
    modes: Mapping[str, str] = field(default_factory=dict)
    rhythms: Mapping[str, str] = field(default_factory=dict)
    terms: Mapping[str, str] = field(default_factory=dict)
    before_vowel: Mapping[str, str] = field(default_factory=dict)

    def say(self, name: str, value: str) -> str:
        """Return the value of a condition in this language."""
        say: Mapping[str, Callable[[str], str]] = {
            "key": self._key,
            "rhythm": partial(_known, self.rhythms),
            "style": partial(_known, self.rhythms),
            "terms": self._terms,
        }
        return say[name](value) if name in say else value

    def _key(self, value: str) -> str:
        tonic, _, mode = value.partition(" ")
        form = {"#": self.sharp, "b": self.flat}.get(tonic[1:], "{letter}")
        return self.key.format(tonic=form.format(letter=tonic[0]), mode=self.modes[mode])

    def _terms(self, value: str) -> str:
        return _TERM.sub(lambda found: f"'{_known(self.terms, found[1])}'", value)


def _known(names: Mapping[str, str], value: str) -> str:
    return names.get(value, value)
