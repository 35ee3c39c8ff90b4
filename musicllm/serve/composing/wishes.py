"""What a brief becomes: conditions, the words of the request, and rules of the grammar."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from musicllm.data.instructions.conditions import listed
from musicllm.data.instructions.stating import request_in_words
from musicllm.data.instructions.subject import key_in_words, without_type
from musicllm.music.abc import parse_key
from musicllm.music.abc.source import default_unit_length, parse_metre
from musicllm.music.analysis import without_chords
from musicllm.music.grammar import TuneRules
from musicllm.serve.composing.brief import HEADER, Brief, fields_of
from musicllm.serve.composing.texts import first_key_and_metre


def conditions(brief: Brief) -> dict[str, str]:
    """Return the conditions that the request states, as records of instructions have them.

    Args:
        brief: one that has no complaints.
    """
    uses = fields_of(brief.task, uses_grammar=False)
    stated: dict[str, str] = {}
    for name, value in brief.stated.items():
        if name in uses:
            stated[name] = str(value)
    if "tune" in stated:
        stated["tune"] = _shown(brief.task, stated["tune"])
    if "key" in stated:
        stated["key"] = key_in_words(parse_key(stated["key"]))
    if "terms" in stated:
        stated["terms"] = listed(tuple(term.strip() for term in stated["terms"].split(",")))
    if "rhythm" in uses and not uses["rhythm"].needed:
        for name in HEADER:
            stated.pop(name, None)
        if brief.key is not None and brief.metre is not None:
            stated["header"] = header(brief)
    return stated


def header(brief: Brief) -> str:
    """Return the lines up to `K:`, in the order of the normal form; key and metre are stated."""
    assert brief.key is not None, "a header has a key"
    assert brief.metre is not None, "a header has a metre"
    kind = [] if brief.rhythm in (None, "tune") else [f"R:{brief.rhythm}"]
    unit = default_unit_length(parse_metre(brief.metre)[0])
    return "\n".join(["X:1", *kind, f"L:{unit}", f"M:{brief.metre}", f"K:{brief.key}"])


def request(brief: Brief, wording: int = 0) -> str:
    """Return the request in words, in a wording that models are trained with.

    Args:
        brief: one that has no complaints.
        wording: another number chooses another wording.

    Raises:
        InputError: no wording states just this in its language.
    """
    return request_in_words(brief.task, conditions(brief), language=brief.language, seed=wording)


def rules(brief: Brief, base: TuneRules) -> TuneRules:
    """Return the rules of the grammar for the answer.

    Key and metre of a given opening or tune are kept; where one is stated, none changes inside.

    Args:
        brief: whose answer is a tune.
        base: rules of what no brief says, such as the range.
    """
    given = brief.opening or brief.tune
    key, metre = first_key_and_metre(given) if given else (brief.key, brief.metre)
    return replace(
        base,
        key=key,
        metre=metre,
        form=brief.form,
        num_bars=brief.num_bars,
        chords=chord_symbols(brief),
        may_change=base.may_change and key is None and metre is None,
        required=True,
    )


def chord_symbols(brief: Brief) -> tuple[str, ...]:
    """Return the chord symbols of a brief."""
    return tuple((brief.chords or "").split())


@lru_cache(maxsize=64)
def _shown(task: str, tune: str) -> str:
    """Return a tune as a request of the family shows it: without what is to be answered."""
    if task == "harmonize":
        return without_chords(tune)
    return without_type(tune) if task == "identify_style" else tune
