"""What there is to choose from: kinds of tunes with their metres, keys, forms, lengths."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from musicllm.data.instructions import key_in_words
from musicllm.music.abc import AbcError, standard_key
from musicllm.music.abc.keys import MODES, sharps_of
from musicllm.music.analysis import terms_of

METRES = ("2/4", "3/4", "4/4", "2/2", "3/2", "3/8", "5/4", "6/4", "5/8", "6/8", "7/8", "9/8",
          "12/8")  # fmt: skip

_SIMPLE = ("4/4", "2/2", "2/4")

RHYTHMS: Mapping[str, tuple[str, ...]] = {
    "tune": METRES,
    "reel": _SIMPLE,
    "jig": ("6/8", "9/8"),
    "double jig": ("6/8",),
    "single jig": ("6/8", "12/8"),
    "slip jig": ("9/8",),
    "hop jig": ("9/8",),
    "slide": ("12/8", "6/8"),
    "hornpipe": _SIMPLE,
    "strathspey": ("4/4", "2/2"),
    "polka": ("2/4",),
    "waltz": ("3/4",),
    "march": (*_SIMPLE, "6/8"),
    "air": METRES,
    "slow air": METRES,
    "song": METRES,
    "clog": _SIMPLE,
    "fling": _SIMPLE,
    "highland fling": ("4/4", "2/2"),
    "walkaround": _SIMPLE,
    "mazurka": ("3/4",),
    "minuet": ("3/4",),
    "gavotte": _SIMPLE,
    "barndance": ("4/4",),
    "schottische": ("4/4",),
    "set dance": (*_SIMPLE, "6/8"),
    "quickstep": (*_SIMPLE, "6/8"),
}
"""Kinds of tunes that every language has a word for, and their metres: those that O'Neill's, Aird's
and Ryan's books give most tunes of the kind, and the usual ones of kinds that are not there."""

FORMS = ("A", "AA", "AB", "AABB", "ABAB", "ABA", "AABA", "ABCB", "ABC", "AABBCC", "ABABCB", "ABAC",
         "ABACA", "ABCBA", "AABBCCDD")  # fmt: skip
"""Sections in order; more can be written."""

NUM_BARS = (4, 8, 12, 16, 20, 24, 32, 40, 48, 64)

TITLES: Mapping[str, str] = {
    "metadata_to_tune": "A tune by kind, key and metre",
    "continuation": "The rest of a tune that begins so",
    "chords_to_tune": "A tune over chords",
    "motif_to_tune": "A tune from a motif",
    "form_to_tune": "A tune of a form",
    "terms_to_tune": "A tune of a form, by its name",
    "form_motif_to_tune": "A tune of a form from a motif",
    "harmonize": "Chords for a tune",
    "extract_motif": "What is the motif?",
    "name_form": "What is the form?",
    "identify_style": "What kind of tune is it?",
    "count_bars": "How many bars has it?",
    "count_voices": "How many voices has it?",
    "name_key": "What is the key?",
    "name_metre": "What is the metre?",
}
"""Families of requests, for people."""


@lru_cache(maxsize=1)
def keys_in_words() -> Mapping[str, str]:
    """Return values of `K:`, each with its name in words, of at most six sharps or flats."""
    named = {}
    for mode, (suffix, _) in sorted(MODES.items(), key=lambda item: _ORDER.index(item[0])):
        for tonic in (f"{letter}{sign}" for letter in "CDEFGAB" for sign in ("", "#", "b")):
            try:
                key = standard_key(tonic, mode)
            except AbcError:
                continue
            if abs(sharps_of(tonic, mode)) <= MAX_SHARPS:
                named[f"{tonic}{suffix}"] = key_in_words(key)
    return named


MAX_SHARPS = 6
_ORDER = ("major", "minor", "dorian", "mixolydian", "lydian", "phrygian", "locrian")


@lru_cache(maxsize=1)
def terms() -> tuple[tuple[str, ...], ...]:
    """Return the terms that the forms have, such as `("Binary",)`."""
    return tuple(dict.fromkeys(filter(None, map(terms_of, FORMS))))
