"""How long the next note may be, and what a note does to its bar."""

from __future__ import annotations

from math import gcd

from musicllm.music.grammar import bars
from musicllm.music.grammar.cursor import Cursor
from musicllm.music.grammar.lengths import MAX_GRID, MIN_GRID, in_tuplet, lengths, on_grid, spelling


def room(c: Cursor) -> int:
    """Return the mask of the lengths as written that the next note may have."""
    left = (bars.exact(c) or c.metre.longest) - c.pos
    if c.tables.chords and has_many_chords(c):
        left -= 1
    return _room(c, left)


def has_many_chords(c: Cursor) -> bool:
    """Return whether this bar must not be full before it has more chord symbols."""
    tables = c.tables
    if tables.plan.num_bars is None:
        return False
    later = max(tables.plan.num_bars - bars.num_bars(c) - 1, 0)
    return len(tables.chords) - c.num_chords > bars.MAX_CHORDS * later


def _room(c: Cursor, left: int) -> int:
    """Return the lengths that fit, and of these the usual ones, if there are any."""
    mask = _fitting(c, left)
    if not mask:
        return 0
    grid = max(min(MAX_GRID, c.unit // 2), MIN_GRID)
    if any(number % grid for number in (*c.metre.full, c.debt, c.bars.owed)):
        return mask
    usual = mask & _usual(c, grid)
    return usual if usual or (c.broken and c.tuplet is None) else mask


def _usual(c: Cursor, grid: int) -> int:
    """Return the mask of usual lengths that keep the bar on a grid of 32nd notes.

    Without it `d2` where a 16th note is left would go on as `d23/32`. A bar that is not on the
    grid, as after a tuplet of unlike notes, has none.
    """
    if c.tuplet is None:
        return on_grid(grid, c.unit, c.pos % grid, *(c.broken or (1, 1)))
    if c.pos % grid or c.broken:
        return 0
    return in_tuplet(grid, c.unit, c.tuplet)


def _fitting(c: Cursor, left: int) -> int:
    if left <= 0 or (c.pos == 0 and not bars.may_begin(c)):
        return 0
    times, divisor = c.broken or (1, 1)
    if c.tuplet is None:
        mask = lengths(left, 0, 1, times, divisor)
        if c.broken:
            mask &= 1 << c.written
        if c.bar_chars > bars.MAX_BAR_CHARS and not c.broken:
            mask &= _soonest(c.unit, left) if c.metre.full else (2 << c.unit) - 2
        return mask
    p, q, num, sum_ = c.tuplet
    step = p // gcd(p, q)
    most = left * p // q // step * step - sum_
    if num > 1:
        mask = lengths(most - num + 1, 0, 1, times, divisor)
    else:
        mask = lengths(most, -sum_ % step, step, times, divisor)
    return mask & (1 << c.written) if c.broken else mask


def _soonest(unit: int, left: int) -> int:
    """Return the mask of the length with which a bar is filled by the fewest notes."""
    spelled = spelling(unit)
    return 1 << spelled.value[spelled.spell(left)[0]]


def can_embellish(c: Cursor) -> bool:
    """Return whether something that belongs to a next note may stand here."""
    return c.bar_chars <= bars.MAX_BAR_CHARS and room(c) != 0


def can_name_chord(c: Cursor) -> bool:
    """Return whether a chord symbol of the rules may stand here."""
    left = (bars.exact(c) or c.metre.longest) - c.pos
    return c.num_chords < len(c.tables.chords) and _room(c, left) != 0


def count(c: Cursor, grains: int) -> None:
    """Add a note of this written length to the bar."""
    c.written = grains
    if c.broken:
        times, divisor = c.broken
        grains = grains * times // divisor
        c.broken = None
    c.needs, c.can_tie, c.last, c.has_music = False, True, grains, True
    if c.tables.pitches:
        c.tables.pitches.end(c)
    if c.tuplet is None:
        c.pos += grains
        return
    p, q, num, sum_ = c.tuplet
    if num > 1:
        c.tuplet = (p, q, num - 1, sum_ + grains)
    else:
        c.pos += (sum_ + grains) * q // p
        c.tuplet, c.last = None, 0


def length(c: Cursor, char: str) -> bool:
    """Read the length of a note, or what follows it."""
    spelled = spelling(c.unit)
    word = c.word + char
    if char in "0123456789/":
        c.word = word
        return spelled.reach.get(word, 0) & c.allowed != 0
    grains = spelled.value.get(c.word)
    if grains is None or not c.allowed >> grains & 1:
        return False
    count(c, grains)
    c.step = c.tables.item
    return c.step(c, char)
