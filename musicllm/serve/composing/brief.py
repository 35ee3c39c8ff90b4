"""A brief: the family of a request, and its fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal, NamedTuple

from musicllm.data.instructions import FAMILIES
from musicllm.errors import InputError

HEADER = ("rhythm", "key", "metre")
"""Fields of which the header of a tune is made, where a family may state one."""

BY_GRAMMAR = ("form", "num_bars", "chords")
"""Fields that the grammar can keep although the words do not state them."""

By = Literal["words", "grammar"]


class FieldUse(NamedTuple):
    """How a family uses a field.

    Attributes:
        by: `words`: the request states it; `grammar`: the grammar alone keeps it.
        needed: the family cannot do without it.
    """

    by: By
    needed: bool


@dataclass(frozen=True)
class Brief:
    """What a tune, or an answer about one, is to be; None and empty texts leave a field out.

    Attributes:
        task: a family, key of `data.instructions.FAMILIES`.
        language: of the words.
        rhythm: kind of tune, such as `jig`.
        key: value of `K:`.
        metre: value of `M:`.
        form: sections as letters, such as `AABB`.
        terms: names of a form, separated by commas, such as `Binary`.
        num_bars: bars, repeats written once.
        chords: chord symbols in their order, separated by spaces.
        motif: one or two bars of ABC.
        opening: first bars of a tune, with its header.
        tune: that the request is about.
    """

    task: str
    language: str = "en"
    rhythm: str | None = None
    key: str | None = None
    metre: str | None = None
    form: str | None = None
    terms: str | None = None
    num_bars: int | None = None
    chords: str | None = None
    motif: str | None = None
    opening: str | None = None
    tune: str | None = None

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Brief:
        """Return the brief that has these values; blank texts are left out.

        Raises:
            InputError: a field is unknown or of another type, or the family is.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        if unknown := [name for name in values if name not in known]:
            near = get_close_matches(unknown[0], known, n=1)
            hint = f"; {near[0]}?" if near else ""
            raise InputError(f"{unknown[0]} is no field of {', '.join(known)}{hint}")
        read: dict[str, Any] = {}
        for name, value in values.items():
            if name == "num_bars":
                if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                    raise InputError(f"num_bars={value!r} is no whole number")
                read[name] = value
            elif value is not None and not isinstance(value, str):
                raise InputError(f"{name} must be a string, or null to leave it out")
            elif value is not None and value.strip():
                read[name] = value.strip()
        if read.get("task") not in FAMILIES:
            raise InputError(f"task={read.get('task')} is none of {', '.join(FAMILIES)}")
        return cls(**read)

    @property
    def stated(self) -> dict[str, str | int]:
        """The fields that have a value."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)[2:]}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def writes_tune(self) -> bool:
        """Whether the answer is a tune rather than words about one."""
        return FAMILIES[self.task].answer != "words"


def fields_of(task: str, *, uses_grammar: bool) -> dict[str, FieldUse]:
    """Return the fields that a family takes, in the order in which a form shows them.

    Args:
        task: the family.
        uses_grammar: whether its answers are written under the grammar.
    """
    family = FAMILIES[task]
    uses: dict[str, FieldUse] = {}
    if family.shows is not None:
        return {"tune": FieldUse("words", needed=True)}
    if "header" in family.may:
        uses |= dict.fromkeys(HEADER, FieldUse("words", needed=False))
    for name in sorted(family.needs | family.any_of, key=_ORDER.index):
        uses[name] = FieldUse("words", needed=name in family.needs)
    if uses_grammar:
        uses |= {name: FieldUse("grammar", needed=False) for name in BY_GRAMMAR if name not in uses}
    return dict(sorted(uses.items(), key=lambda item: _ORDER.index(item[0])))


_ORDER = tuple(field.name for field in dataclasses.fields(Brief))
