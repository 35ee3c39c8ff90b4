"""The fields of a brief as a form shows them, with the values that contradict nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from musicllm.data.instructions import wordings
from musicllm.serve.composing import choices
from musicllm.serve.composing.brief import Brief, By, fields_of
from musicllm.serve.composing.complaints import complaints

Kind = Literal["choice", "line", "text"]

LABELS = {
    "rhythm": "Kind of tune",
    "key": "Key",
    "metre": "Metre",
    "form": "Form",
    "terms": "Form, by its name",
    "num_bars": "Bars",
    "chords": "Chords",
    "motif": "Motif",
    "opening": "First bars",
    "tune": "Tune",
}
HINTS = {
    "num_bars": "as written: repeats once, an upbeat aside",
    "chords": "in their order, such as G D7 Em C G",
    "motif": "one or two bars of ABC, such as A2D FED | A2D FED",
    "opening": "ABC with its header, up to a bar line",
    "tune": "ABC with its header",
}
TEXTS: dict[str, Kind] = {"chords": "line", "motif": "line", "opening": "text", "tune": "text"}


@dataclass(frozen=True)
class Choice:
    """A value of a field.

    Attributes:
        value: as a brief has it.
        label: for people.
        group: heading under which it stands; empty for none.
    """

    value: str | int
    label: str
    group: str = ""


@dataclass(frozen=True)
class Offer:
    """A field as a form shows it.

    Attributes:
        name: of the field.
        label: for people.
        hint: likewise; empty for none.
        kind: choose one, or write a line or a text.
        by: whether the words state it, or the grammar alone keeps it.
        is_needed: the family cannot do without it.
        choices: with `choice`: the values that contradict nothing else in the brief.
    """

    name: str
    label: str
    hint: str
    kind: Kind
    by: By
    is_needed: bool
    choices: tuple[Choice, ...]


def offers(brief: Brief, *, uses_grammar: bool) -> list[Offer]:
    """Return the fields that the family of a brief takes, in the order of a form.

    Cost: a few milliseconds.

    Args:
        brief: what is chosen so far.
        uses_grammar: whether its answer is written under the grammar.
    """
    return [
        Offer(
            name,
            LABELS[name],
            HINTS.get(name, ""),
            TEXTS.get(name, "choice"),
            use.by,
            use.needed,
            () if name in TEXTS else tuple(_valid(brief, name, uses_grammar=uses_grammar)),
        )
        for name, use in fields_of(brief.task, uses_grammar=uses_grammar).items()
    ]


def _valid(brief: Brief, name: str, *, uses_grammar: bool) -> Iterator[Choice]:
    """Yield the values of a field that add no contradiction, now or with chords still to come."""
    chords = fields_of(brief.task, uses_grammar=uses_grammar).get("chords")
    if chords is not None and chords.needed and brief.chords is None:
        brief = replace(brief, chords="C")
    without = _with(brief, name, None)
    before = _wrong(without, uses_grammar=uses_grammar)
    for choice in _all(brief, name):
        chosen = _with(brief, name, choice.value)
        if _wrong(chosen, uses_grammar=uses_grammar) <= before:
            yield choice


def _with(brief: Brief, name: str, value: str | int | None) -> Brief:
    changes: dict[str, Any] = {name: value}
    return replace(brief, **changes)


def _wrong(brief: Brief, *, uses_grammar: bool) -> set[tuple[str, str]]:
    everything = complaints(brief, uses_grammar=uses_grammar)
    return {(own.field, own.text) for own in everything if not own.is_missing}


def _all(brief: Brief, name: str) -> Iterator[Choice]:
    if name == "key":
        for value, label in choices.keys_in_words().items():
            mode = label.partition(" ")[2]
            yield Choice(value, _translated(brief, "key", label), mode)
    elif name == "rhythm":
        for kind in choices.RHYTHMS:
            yield Choice(kind, _translated(brief, "rhythm", kind))
    elif name == "terms":
        for named in choices.terms():
            yield Choice(", ".join(named), ", ".join(named))
    else:
        values: dict[str, Sequence[str | int]] = {
            "metre": choices.METRES,
            "form": choices.FORMS,
            "num_bars": choices.NUM_BARS,
        }
        for own in values[name]:
            yield Choice(own, str(own))


def _translated(brief: Brief, name: str, value: str) -> str:
    return wordings(brief.language).words.translate(name, value)
