"""Conditions: what requests and answers can state about a tune; how to find and check it.

A condition is found in the tune of a record, and checked on the text of the answer. The
check parses that text again and, where possible, uses another method than the search.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from musicllm.data.instructions.subject import Subject, key_in_words
from musicllm.music.abc import check, standard_key
from musicllm.music.abc.keys import MODES
from musicllm.music.analysis import chords, count_bars, count_motif, form, key_fit, terms
from musicllm.music.analysis.chords import quoted_symbols

OPENING_BARS = (2, 4)
"""Minimum and maximum bars of an opening."""
MIN_KEY_FIT = 0.8
"""Minimum share of sounding time inside the scale for a tune to be in a key."""
MIN_SHARE_FITTING = 0.8
"""Minimum share of bars that fit the metre for a tune to be in a metre."""

_VOICE = re.compile(r"^\[V:([^\]]*)\]|^V:\s*(\S+)", re.MULTILINE)
_TYPE = re.compile(r"^R:\s*(.*?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Condition:
    """A statement about a tune, as text that is independent of language.

    Attributes:
        find: returns it for a tune; None or empty if the tune has none.
        holds: whether it is true of a tune parsed from an answer.
    """

    find: Callable[[Subject, random.Random], str | None]
    holds: Callable[[str, Subject], bool]


def listed(names: tuple[str, ...]) -> str:
    """Return terms as quoted list: `'Binary', 'Sectional: Verse/Chorus'`."""
    return ", ".join(f"'{name}'" for name in names)


def _opening(tune: Subject, draw: random.Random) -> str | None:
    """Return a random number of first bars, fewer if a section ends before."""
    fewest, most = OPENING_BARS
    lengths = range(draw.randint(fewest, most), fewest - 1, -1)
    openings = (tune.opening(n) for n in lengths if len(tune.score.bars) >= 2 * n)
    return next(filter(None, openings), None)


def _key_holds(value: str, tune: Subject) -> bool:
    """Return whether the whole tune is in this key, by its signature and by its notes."""
    key = tune.score.key
    return (
        key.mode in MODES
        and key == standard_key(key.tonic, key.mode)
        and value == key_in_words(key)
        and all(bar.key == key for bar in tune.score.bars)
        and key_fit(tune.score) >= MIN_KEY_FIT
    )


def _metre_holds(value: str, tune: Subject) -> bool:
    """Return whether the whole tune is in this metre, by its fields and by its bars."""
    score = tune.score
    return (
        score.metre is not None
        and value == score.metre_text
        and all(bar.metre == score.metre for bar in score.bars)
        and check(score).share_fitting >= MIN_SHARE_FITTING
    )


def _chords(tune: Subject, _draw: random.Random) -> str | None:
    return " ".join(chords(tune.parse_again(tune.harmonised).score)) if tune.harmonised else None


def _chords_hold(value: str, tune: Subject) -> bool:
    """Return whether these are the chord symbols of the text in order."""
    return value.split(" ") == [*quoted_symbols(tune.text)]


def _form(tune: Subject, _draw: random.Random) -> str | None:
    return tune.form if len(tune.form) > 1 and "?" not in tune.form else None


def _motif(tune: Subject, _draw: random.Random) -> str | None:
    return tune.motif.text if tune.motif.times > 1 else None


def _num_voices(tune: Subject) -> int:
    return len(set(_VOICE.findall(tune.text))) or 1


CONDITIONS: Mapping[str, Condition] = {
    "rhythm": Condition(
        lambda tune, _: tune.score.header.get("R") or "tune",
        lambda value, tune: value == (tune.score.header.get("R") or "tune"),
    ),
    "style": Condition(
        lambda tune, _: tune.score.header.get("R"),
        lambda value, tune: value in _TYPE.findall(tune.text),
    ),
    "key": Condition(lambda tune, _: key_in_words(tune.score.key), _key_holds),
    "metre": Condition(lambda tune, _: tune.score.metre_text, _metre_holds),
    "header": Condition(
        lambda tune, _: tune.header,
        lambda value, tune: tune.text.startswith(f"{value}\n"),
    ),
    "opening": Condition(_opening, lambda value, tune: tune.text.startswith(value)),
    "chords": Condition(_chords, _chords_hold),
    "motif": Condition(_motif, lambda value, tune: count_motif(tune.score, value) > 1),
    "form": Condition(_form, lambda value, tune: value == form(tune.score)),
    "terms": Condition(
        lambda tune, _: listed(tune.terms),
        lambda value, tune: value == listed(terms(tune.score)),
    ),
    "bars": Condition(
        lambda tune, _: str(count_bars(tune.score) or ""),
        lambda value, tune: value == str(count_bars(tune.score)),
    ),
    "voices": Condition(
        lambda tune, _: str(len(tune.score.voices)),
        lambda value, tune: value == str(_num_voices(tune)),
    ),
}
"""Conditions by name, as placeholders in the phrasings."""
