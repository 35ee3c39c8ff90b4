"""The length and the form that a tune has to have, bar by bar.

Bars are counted as `analysis.count_bars` does, sections as `analysis.form` does by their sound. A
letter that is named twice in a row is a section with repeat signs, once ends with a double bar; a
letter that comes back later is the same text again. Sections with different letters differ in the
first note of as many of their first bars as `analysis.sections.alike` demands. So that this can be
promised, a tune with a form has no variant endings and no rests of several bars, and of the short
bars only an anacrusis at its start and what completes it; where a letter comes back, no short bars,
no changes of key, metre or unit length, and no ties over bar lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import groupby
from typing import NamedTuple

from musicllm.music.grammar.cursor import Cursor
from musicllm.music.grammar.pitches import UNHEARD
from musicllm.music.grammar.strokes import Stroke, named

NEARLY_ALL, SECTION_BARS = 0.85, 8
"""As in `analysis.sections`, which is not imported here, since it loads numpy; a test compares."""
_AROUND = frozenset(" \n|:")
"""Characters before and after the text of a section."""
_PLAIN = named("|")
_OPENING = named("|:", "||:", "[|:")
_DOUBLE = named("||", "|]")
_CLOSING = named(":|", ":||", ":|]")
_TURNING = named("::", ":|:", ":||:")


class Part(NamedTuple):
    """A section that was written.

    Attributes:
        letter: its name in the form.
        firsts: first pitch of each of its full bars.
        text: its music, without the bar lines around it.
    """

    letter: str
    firsts: tuple[int, ...]
    text: str


class Progress(NamedTuple):
    """How far a tune has come in its form.

    Attributes:
        parts: finished sections.
        firsts: first pitch of each full bar of the current section.
        opened: its first bar line is there.
        text: its music up to this bar.
        bar_text: the text since the last bar line.
        forced: the text that has to follow, of a section that comes back.
        copies: the current section comes back.
    """

    parts: tuple[Part, ...] = ()
    firsts: tuple[int, ...] = ()
    opened: bool = True
    text: str = ""
    bar_text: str = ""
    forced: str = ""
    copies: bool = False


@dataclass(frozen=True)
class Plan:
    """What the rules demand.

    Attributes:
        num_bars: of the tune; None for any number.
        runs: letters of the form, each with the number of times in a row; empty for any form.
    """

    num_bars: int | None
    runs: tuple[tuple[str, int], ...]

    @cached_property
    def comes_back(self) -> bool:
        """Whether a letter comes back after another."""
        return len({letter for letter, _ in self.runs}) < len(self.runs)

    def start(self, c: Cursor) -> None:
        """Start a tune."""
        c.form = Progress() if self.runs else None

    def allows_short(self) -> bool:
        """Return whether short bars may stand at all."""
        return not (self.runs and self.comes_back)

    def read(self, c: Cursor, char: str) -> bool:
        """Follow the text of the sections; return whether this character may follow."""
        form: Progress = c.form
        if form.forced:
            if char == form.forced[0]:
                c.form = form._replace(forced=form.forced[1:], bar_text=form.bar_text + char)
                return True
            may_follow = not form.firsts and set(form.bar_text + char) <= _AROUND
        else:
            may_follow = not form.copies or char in _AROUND or char == "]"
        c.form = form._replace(bar_text=form.bar_text + char)
        return may_follow

    def strokes(self, c: Cursor, num: int, is_full: bool) -> int:
        """Return the mask of the bar lines that may end this bar.

        Args:
            c: in a bar with notes.
            num: bars of the tune with this one, debts paid.
            is_full: the bar is.
        """
        if not self.runs:
            return -1
        form: Progress = c.form
        size = len(form.firsts) + is_full
        index = len(form.parts)
        _, times = self.runs[index]
        is_last = index + 1 == len(self.runs)
        mask = _PLAIN if self._may_grow(form, num, size) else 0
        if form.forced or size == 0 or not self._may_stop(form, num, size):
            return mask
        if form.copies:
            mask = 0
        following = 0 if is_last else self.runs[index + 1][1]
        if times == 2:
            return mask | _CLOSING | (_TURNING if following == 2 else 0)
        return mask | _DOUBLE | (_OPENING if following == 2 else 0) | (_PLAIN if is_last else 0)

    def strokes_between(self, c: Cursor) -> int:
        """Return the mask of the bar lines that may stand where the bar is still empty."""
        if not self.runs:
            return -1
        form: Progress = c.form
        index = len(form.parts)
        if c.bars.num == 0:
            return _OPENING if self.runs[0][1] == 2 else 0
        return 0 if form.opened or index == len(self.runs) else _OPENING

    def _may_grow(self, form: Progress, num: int, size: int) -> bool:
        """Return whether another bar of this section may follow."""
        if len(self.runs) == 1 and self.runs[0][1] == 1 and size >= SECTION_BARS:
            return False
        if form.forced:
            return True
        return self.num_bars is None or any(
            self._fits(form, num + more, size + more) for more in range(1, self.num_bars - num + 1)
        )

    def _may_stop(self, form: Progress, num: int, size: int) -> bool:
        """Return whether the section may end with this many bars."""
        return self.num_bars is None or self._fits(form, num, size)

    def _fits(self, form: Progress, num: int, size: int) -> bool:
        """Return whether the sections after this one can fill the bars that are left."""
        assert self.num_bars is not None, "only asked where bars are counted"
        index = len(form.parts)
        letter = self.runs[index][0]
        sizes = {part.letter: len(part.firsts) for part in form.parts}
        if form.copies and size != sizes[letter]:
            return False
        sizes[letter] = size
        later = [name for name, _ in self.runs[index + 1 :]]
        left = self.num_bars - num - sum(sizes.get(name, 0) for name in later)
        new = sorted(name for name in later if name not in sizes)
        return _is_sum(left, tuple(len(list(run)) for _, run in groupby(new)))

    def close(self, c: Cursor, stroke: Stroke, is_full: bool) -> None:
        """Count a bar that ended with this bar line."""
        form: Progress = c.form
        firsts = (*form.firsts, c.pitch.first) if is_full else form.firsts
        place = form.bar_text.rindex(stroke.text)
        music, rest = form.bar_text[:place], form.bar_text[place + len(stroke.text) :]
        if not stroke.line.section:
            text = form.text + music + stroke.text
            c.form = form._replace(firsts=firsts, text=text, bar_text=rest)
        else:
            letter = self.runs[len(form.parts)][0]
            parts = (*form.parts, Part(letter, firsts, (form.text + music).strip()))
            c.form = self._next(parts, stroke)._replace(bar_text=rest)
        self.hear(c)

    def _next(self, parts: tuple[Part, ...], stroke: Stroke) -> Progress:
        """Return the start of the section after these."""
        if len(parts) == len(self.runs):
            return Progress(parts)
        letter, times = self.runs[len(parts)]
        opened = times == 1 or stroke.line.opens_repeat
        texts = [part.text for part in parts if part.letter == letter]
        return Progress(parts, (), opened, "", "", texts[0] if texts else "", bool(texts))

    def open(self, c: Cursor, stroke: Stroke) -> None:
        """Take a bar line before the first note of a section."""
        form: Progress = c.form
        place = form.bar_text.rindex(stroke.text) + len(stroke.text)
        c.form = form._replace(opened=True, bar_text=form.bar_text[place:])

    def hear(self, c: Cursor) -> None:
        """Set the pitches with which the next bar must not start."""
        form: Progress = c.form
        barred: set[int] = set()
        index = len(form.parts)
        if index < len(self.runs) and not form.copies:
            place = len(form.firsts)
            for part in form.parts:
                must_differ = int((1 - NEARLY_ALL) * len(part.firsts) + 1e-9) + 1
                if part.letter != self.runs[index][0] and place < min(
                    must_differ, len(part.firsts)
                ):
                    barred.add(part.firsts[place])
        c.pitch = c.pitch._replace(first=UNHEARD, barred=frozenset(barred))

    def pauses(self, c: Cursor) -> bool:
        """Return whether no bar may start here."""
        if not self.runs:
            return False
        form: Progress = c.form
        return not form.opened or len(form.parts) == len(self.runs)

    def is_done(self, c: Cursor) -> bool:
        """Return whether the form is complete."""
        if not self.runs:
            return True
        form: Progress = c.form
        left = len(self.runs) - len(form.parts)
        is_plain = left == 1 and self.runs[-1][1] == 1
        return left == 0 or (is_plain and not form.forced and len(form.firsts) > 0)


@lru_cache(maxsize=4096)
def _is_sum(left: int, times: tuple[int, ...]) -> bool:
    """Return whether sections that come so many times can have so many bars together."""
    left -= sum(times)
    if left < 0 or not times:
        return left == 0
    sums = {0}
    for total in range(1, left + 1):
        if any(total - num in sums for num in times):
            sums.add(total)
    return left in sums


def can_fill(plan: Plan) -> bool:
    """Return whether a tune of so many bars can have the form."""
    names = sorted(name for name, _ in plan.runs)
    times = tuple(len(list(run)) for _, run in groupby(names))
    return plan.num_bars is None or _is_sum(plan.num_bars, times)


def runs_of(form: str) -> tuple[tuple[str, int], ...]:
    """Return the letters of a form, each with the number of times in a row."""
    return tuple((letter, len(list(run))) for letter, run in groupby(form))
