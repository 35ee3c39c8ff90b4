"""What a tune has to be beyond legal: its key, metre, form, length, chords and range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TuneRules:
    """Rules for the tunes of a text; None and the defaults leave the choice to the writer.

    Attributes:
        key: value of `K:`, such as `Em`.
        max_foreign_share: largest share of notes that are foreign to the key in force.
        metre: value of `M:`, such as `6/8`.
        num_bars: bars of the tune, an anacrusis aside, repeats written once.
        form: its sections in order, such as `AABB`.
        chords: chord symbols in the order in which they appear, such as `("G", "D7", "G")`.
        lowest: lowest note, such as `G,`.
        highest: highest note, such as `d'`.
        may_change: key, metre and unit length may change inside a tune.
        plain_bar_lines: only `|`, `||`, `|]`, `|:`, `:|` and endings as `|1` and `:|2`; a short
            last bar of a section ends at a double bar line or a repeat.
        required: the text may not end before it holds a whole tune.
    """

    key: str | None = None
    max_foreign_share: float = 1.0
    metre: str | None = None
    num_bars: int | None = None
    form: str | None = None
    chords: tuple[str, ...] = ()
    lowest: str | None = None
    highest: str | None = None
    may_change: bool = True
    plain_bar_lines: bool = False
    required: bool = False

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> TuneRules:
        """Return the rules that have these values, in which lists may stand for tuples."""
        tuples = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return cls(**{**values, **tuples})

    @property
    def ask_for_bars(self) -> bool:
        """Whether a tune has bars to write before it may end, or to write again."""
        return self.num_bars is not None or self.form is not None or bool(self.chords)
