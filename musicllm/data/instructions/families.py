"""The families of requests: their input, conditions and answer.

They are those of ChatMusician (arXiv 2402.16153, section 3), from metadata, chords, a motif or a
form to a tune, or the reverse, and those of IMelodist: continuation and
questions about a given tune. Conversations of several turns are built in `dialogue`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from musicllm.data.instructions.subject import Subject, without_type

DIALOGUE = "dialogue"


@dataclass(frozen=True)
class Family:
    """A kind of request and its answer.

    Attributes:
        needs: conditions that must be stated: by the request, or by the answer if that is `words`.
        any_of: conditions of which at least one must be stated.
        may: conditions that can be stated as well.
        answer: the `tune`, the tune `harmonised`, or `words`.
        shows: the text of {tune} in the request; None if it has none.
    """

    needs: frozenset[str] = frozenset()
    any_of: frozenset[str] = frozenset()
    may: frozenset[str] = frozenset()
    answer: Literal["tune", "harmonised", "words"] = "tune"
    shows: Callable[[Subject], str] | None = None

    @property
    def names(self) -> frozenset[str]:
        """All conditions that can be stated."""
        return self.needs | self.any_of | self.may

    def answer_about(self, tune: Subject) -> str | None:
        """Return the text for which conditions must hold; None if the tune has none."""
        return tune.harmonised if self.answer == "harmonised" else tune.text


def _to_tune(*needs: str, header: bool = True) -> Family:
    return Family(frozenset(needs), may=frozenset({"header"} if header else ()))


def _question(*needs: str) -> Family:
    return Family(frozenset(needs), answer="words", shows=lambda tune: tune.text)


FAMILIES: Mapping[str, Family] = {
    "metadata_to_tune": _to_tune("rhythm", "key", "metre", header=False),
    "continuation": _to_tune("opening", header=False),
    "chords_to_tune": Family(frozenset({"chords"}), may=frozenset({"header"}), answer="harmonised"),
    "motif_to_tune": _to_tune("motif"),
    "form_to_tune": _to_tune("form"),
    "terms_to_tune": _to_tune("terms"),
    "form_motif_to_tune": Family(
        frozenset({"motif"}), frozenset({"form", "terms"}), frozenset({"header"})
    ),
    "harmonize": Family(answer="harmonised", shows=lambda tune: tune.melody),
    "extract_motif": _question("motif"),
    "name_form": replace(_question("form"), may=frozenset({"terms"})),
    "identify_style": Family(
        frozenset({"style"}), answer="words", shows=lambda tune: without_type(tune.text)
    ),
    "count_bars": _question("bars"),
    "count_voices": _question("voices"),
    "name_key": _question("key"),
    "name_metre": _question("metre"),
}
"""The families with one question and one answer."""

ABOUT_CHORDS = frozenset(t for t, family in FAMILIES.items() if family.answer == "harmonised")
"""The families that require chord symbols."""

TASKS: tuple[str, ...] = (*FAMILIES, DIALOGUE)
"""All families, by their names in `data.instructions.tasks`."""
