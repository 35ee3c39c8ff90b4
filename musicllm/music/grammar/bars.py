"""Bar lines: which may stand here, and what a bar's length means for the bars around it.

Every bar has to be full, or short in a way that `abc.check` excuses:

- the first bar of a tune, if another follows;
- the last bar of a section that the tune's or the section's first bar completes (its bar line may
  be plain if one that ends a section follows, as in `|` and `|:` on the next line);
- the last bar of a section and the first of the next that complete each other: the first of the two
  leaves a *debt*, and the next must have exactly the length that is missing;
- the first bar of a section that its last bar completes: that length is *owed*, and the section
  cannot end without it.

Stricter than the checks: a section's owed length ends the section itself, not only the tune, and
bars that the end of a phrase divides (a fermata, a line break) are refused.
"""

from __future__ import annotations

from musicllm.music.abc.limits import DEFAULT_LIMITS
from musicllm.music.grammar.cursor import Cursor
from musicllm.music.grammar.strokes import (
    AFTER_BAR,
    AT_START,
    CLOSING,
    ENDS,
    NEW_REPEAT,
    OPENING,
    PLAIN,
    SECTION,
    STROKES,
    USUAL,
    WITH_ENDING,
    WORDS,
    Stroke,
)

MAX_TUNE_CHARS = DEFAULT_LIMITS.max_tune_chars * 9 // 10
"""After this many characters a tune has to end with its bar."""
MAX_LINE_CHARS = DEFAULT_LIMITS.max_line_chars * 4 // 10
"""After this many characters a line has to end with its bar."""
MAX_BARS = DEFAULT_LIMITS.max_bars * 9 // 10
MAX_BAR_CHARS = 400
"""After this many characters a bar has to be filled with one note."""

MAX_EMPTY_CHARS = 40
"""After this many characters between two bar lines a note has to come."""

MAX_CHORDS = 8
"""Chord symbols of the rules in a bar, if all bars together have to hold them."""

_EVERY = (1 << len(STROKES)) - 1
_GREEDY = frozenset("|:]0123456789,-")
"""Characters that the parser would take for a part of the bar line before them."""


def strokes(c: Cursor) -> int:
    """Return the mask of the bar lines that may stand here; of `strokes.STROKES`."""
    return _legal(c) & (USUAL if c.tables.rules.plain_bar_lines else _EVERY)


def _legal(c: Cursor) -> int:
    if c.needs or c.tuplet or c.broken:
        return 0
    bars = c.bars
    if c.pos == 0:
        return _between(c) & c.tables.plan.strokes_between(c)
    mask = _fitting(c)
    if bars.repeat:
        mask &= ~NEW_REPEAT
    if mask and bars.owed and c.pos != bars.owed:
        mask &= ~SECTION | WITH_ENDING
    if mask & SECTION:
        mask &= _endings(c, False)
    return _planned(c, mask) if c.tables.has_plan and mask else mask


def _between(c: Cursor) -> int:
    """Return the mask of the bar lines that may stand before the first note of a bar."""
    bars = c.bars
    is_bound = bars.unclosed or c.form is not None
    if bars.open or (c.bar_chars > MAX_EMPTY_CHARS and not is_bound):
        return 0
    if bars.num == 0:
        return AT_START
    mask = AFTER_BAR & _endings(c, bars.closes)
    if bars.repeat:
        mask &= ~NEW_REPEAT
    if bars.owed:
        mask &= ~SECTION | WITH_ENDING
    if bars.unclosed:
        mask &= SECTION
    is_over = must_pause(c) and not c.tables.plan.runs
    return mask & ~OPENING if is_over else mask


def _fitting(c: Cursor) -> int:
    """Return the mask of the bar lines after which this bar, with this length, is right."""
    full, pos = c.metre.full, c.pos
    if c.debt:
        return _EVERY if pos == c.debt else 0
    if not full or pos in full:
        return _EVERY
    if pos > c.metre.first or not c.tables.plan.allows_short():
        return 0
    return _EVERY if c.bars.num == 0 else _fitting_short(c)


def _fitting_short(c: Cursor) -> int:
    """Return the mask of the bar lines after which this short bar is right."""
    bars, plan = c.bars, c.tables.plan
    partner = (c.metre.first, c.metre.first - c.pos)
    if partner[1] in c.metre.full:
        return 0
    if c.opens and bars.last == partner:
        return _EVERY
    if bars.owed:
        return SECTION if c.pos == bars.owed else 0
    if plan.runs:
        return SECTION if bars.first == partner else 0
    if c.opens and not c.variant:
        return _EVERY
    return SECTION & ~WITH_ENDING if c.tables.rules.plain_bar_lines else SECTION | PLAIN


def _planned(c: Cursor, mask: int) -> int:
    """Return those of the bar lines that keep to the number of bars, the form and the chords."""
    plan, tables = c.tables.plan, c.tables
    is_full = not c.metre.full or c.pos in c.metre.full
    allowed = 0
    for kind in (mask & SECTION, mask & ~SECTION):
        owed, debt = _promises(c, kind & SECTION != 0)
        short = c.bars.short + owed + debt + (0 if is_full else c.pos)
        num = count(c, c.bars.full + is_full, short)
        usable = kind & plan.strokes(c, num, is_full)
        if plan.runs and c.slurs:
            usable &= ~SECTION
        if plan.num_bars is not None:
            left = plan.num_bars - num + bool(owed or debt)
            if num > plan.num_bars or len(tables.chords) - c.num_chords > MAX_CHORDS * left:
                usable = 0
            if left == 0:
                usable = 0 if c.slurs else usable & ~OPENING
        allowed |= usable
    return allowed


def _promises(c: Cursor, is_section: bool) -> tuple[int, int]:
    """Return what is owed, and the debt of the next bar, if this bar ends now."""
    metre, bars, pos = c.metre, c.bars, c.pos
    owed = bars.owed
    if is_section and owed and pos == owed:
        return 0, 0
    if not metre.full or pos in metre.full or bars.num == 0 or c.debt:
        return owed, 0
    partner = (metre.first, metre.first - pos)
    if c.opens and bars.last == partner:
        return owed, 0
    starts = c.opens and not c.variant
    if starts and not is_section:
        return partner[1], 0
    if partner in (bars.first, None if starts else bars.section):
        return owed, 0
    return owed, partner[1]


def count(c: Cursor, full: int, short: int) -> int:
    """Return how many bars a tune has, as `analysis.count_bars` does."""
    return full + (short // c.metre.first if c.metre.first else 0)


def num_bars(c: Cursor) -> int:
    """Return the bars of the tune so far, with those that are owed."""
    bars = c.bars
    return count(c, bars.full, bars.short + bars.owed + c.debt)


def exact(c: Cursor) -> int:
    """Return the grains that this bar must have; 0 if the metre alone decides."""
    if c.debt or not c.bars.owed or num_bars(c) != c.tables.plan.num_bars:
        return c.debt
    return c.bars.owed


def _endings(c: Cursor, closed: bool) -> int:
    """Return the mask of the bar lines whose variant ending follows the one before."""
    ending = c.variant or (0 if c.opens and c.pos else c.bars.ending)
    mask = ENDS[0] | (ENDS[1] if ending == 0 else 0)
    if ending and ending + 1 < len(ENDS):
        mask |= ENDS[ending + 1] if closed else ENDS[ending + 1] & CLOSING
    return mask


def start(c: Cursor, char: str) -> bool:
    """Read the first character of a bar line."""
    allowed = strokes(c)
    node = WORDS.next.get(char)
    if node is None or not node.reach & allowed:
        return False
    c.word, c.allowed, c.node, c.step = char, allowed, node, more
    return True


def more(c: Cursor, char: str) -> bool:
    """Read a bar line, or the character after it."""
    node = c.node.next.get(char)
    if node is not None and node.reach & c.allowed:
        c.node = node
        c.word += char
        return True
    if char in _GREEDY or not finish(c):
        return False
    return c.step(c, char)


def finish(c: Cursor) -> bool:
    """End the bar at the bar line that was read; return whether it may stand there."""
    stroke = c.node.value
    if not c.node.bit & c.allowed:
        return False
    assert isinstance(stroke, Stroke), "only a stroke has a bit"
    c.step = c.tables.item
    apply(c, stroke)
    return True


def apply(c: Cursor, stroke: Stroke) -> None:
    """End the bar with a bar line."""
    c.has_music = c.has_music or "|" in stroke.text
    if c.pos:
        _close(c, stroke)
    else:
        line = stroke.line
        c.opens = c.opens or line.section
        c.variant = stroke.stops or c.variant
        c.bars = c.bars._replace(
            open=line.opens_repeat or stroke.starts > 0 or c.bars.num == 0,
            repeat=_repeats(c.bars.repeat, stroke),
            unclosed=False,
        )
        if c.form is not None:
            c.tables.plan.open(c, stroke)


def _needs_section(c: Cursor) -> bool:
    """Return whether this short bar is right only at the end of a section."""
    partner = (c.metre.first, c.metre.first - c.pos)
    is_excused = c.bars.num == 0 or c.debt or (c.opens and c.bars.last == partner)
    return not is_excused and not (c.opens and not c.variant)


def _repeats(before: bool, stroke: Stroke) -> bool:
    """Return whether a repeat is open after a bar line."""
    line = stroke.line
    return line.opens_repeat or (before and not line.closes_repeat)


def _close(c: Cursor, stroke: Stroke) -> None:
    """Count the bar, and note what the next one has to be."""
    metre, bars, pos = c.metre, c.bars, c.pos
    is_first = bars.num == 0
    is_short = bool(metre.full) and pos not in metre.full
    short = (metre.first, pos) if is_short else None
    owed, debt = _promises(c, stroke.line.section)
    c.bars = bars._replace(
        num=bars.num + 1,
        first=short if is_first else bars.first,
        section=short if is_first or (c.opens and not c.variant) else bars.section,
        last=short,
        owed=owed,
        ending=c.variant or (0 if c.opens else bars.ending),
        closes=stroke.line.closes_repeat,
        open=stroke.line.opens_repeat or stroke.starts > 0,
        repeat=_repeats(bars.repeat, stroke),
        unclosed=is_short and not stroke.line.section and _needs_section(c),
        full=bars.full + (not is_short),
        short=bars.short + (pos if is_short else 0),
    )
    if c.form is not None:
        c.tables.plan.close(c, stroke, not is_short)
    if c.tables.pitches:
        c.tables.pitches.bar(c)
    c.pos, c.debt, c.opens, c.variant = 0, debt, stroke.line.section, stroke.stops
    c.last, c.can_tie = 0, False
    c.num_chars += c.bar_chars
    c.line_chars += c.bar_chars
    c.bar_chars = 0


def is_whole(c: Cursor) -> bool:
    """Return whether the tune may end here, after a bar line."""
    bars = c.bars
    return (
        c.pos == 0
        and bars.num > 0
        and c.has_notes
        and c.has_music
        and not (c.debt or bars.owed or bars.open or c.slurs or c.needs or c.tuplet)
        and (bars.num > 1 or bars.first is None)
        and (not c.tables.has_plan or _is_planned(c))
    )


def _is_planned(c: Cursor) -> bool:
    """Return whether the tune has the number of bars, the form and the chords of the rules."""
    plan = c.tables.plan
    return (
        plan.num_bars in (None, num_bars(c))
        and c.num_chords == len(c.tables.chords)
        and plan.is_done(c)
    )


def may_begin(c: Cursor) -> bool:
    """Return whether a note or rest may begin a bar here."""
    return not (c.bars.unclosed or must_pause(c))


def must_pause(c: Cursor) -> bool:
    """Return whether no bar may start here: the tune has to end, or the line to."""
    plan, bars = c.tables.plan, c.bars
    if c.tables.has_plan:
        is_last = bars.num > 0 and not c.debt and not bars.owed and plan.num_bars == num_bars(c)
        if is_last or (c.form is not None and plan.pauses(c)):
            return True
    if c.num_chars > MAX_TUNE_CHARS or bars.num > MAX_BARS:
        return is_whole(c)
    return c.line_chars > MAX_LINE_CHARS and not (c.form is not None and c.form.forced)
