"""Families of questions about facts of music theory, with right and wrong answers.

Each family yields all of its questions in a fixed order; random scores
have a constant seed. Wrong answers are near misses and never right under another name.
`quiz` samples from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache

from musicllm.theory.drafts import Draft
from musicllm.theory.families.bars import bar_lengths, metres, tempo
from musicllm.theory.families.chords import chord_tones, chords, inversions
from musicllm.theory.families.form import form, played_bars
from musicllm.theory.families.harmony import cadences, roman_numerals
from musicllm.theory.families.keys import key_relations, key_signatures, modes, scale_degrees
from musicllm.theory.families.melody import motifs, transposition
from musicllm.theory.families.pitch import intervals, intervals_in_context, note_names
from musicllm.theory.families.values import note_values, tuplets

FAMILIES: Mapping[str, Callable[[], Iterator[Draft]]] = {
    family.__name__: family
    for family in (
        note_names,
        intervals,
        intervals_in_context,
        key_signatures,
        key_relations,
        scale_degrees,
        modes,
        bar_lengths,
        metres,
        note_values,
        tuplets,
        tempo,
        chords,
        inversions,
        chord_tones,
        roman_numerals,
        cadences,
        transposition,
        motifs,
        form,
        played_bars,
    )
}


@lru_cache(maxsize=len(FAMILIES))
def drafts_of(family: str) -> tuple[Draft, ...]:
    """Return all questions of a family without duplicates.

    Only wrong answers that are right elsewhere in the family are kept, if there are three, so
    that none is recognisable as always wrong.
    """
    once = {(draft.stem, draft.abc): draft for draft in FAMILIES[family]()}
    answers = {draft.answer for draft in once.values()}
    drafts = []
    for draft in once.values():
        wrong = tuple(text for text in draft.wrong if text in answers)
        drafts.append(replace(draft, wrong=wrong) if len(wrong) >= 3 else draft)
    return tuple(drafts)
