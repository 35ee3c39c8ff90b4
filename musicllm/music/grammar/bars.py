"""Bar lines: which may stand here, and what a bar's length means for the bars around it.

Every bar has to be full, or short in a way that `abc.check` excuses:

- the first bar of a tune, if another follows;
- the last bar of a section that the tune's or the section's first bar completes;
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
    SECTION,
    STROKES,
    WITH_ENDING,
    WORDS,
    Stroke,
)

MAX_TUNE_CHARS = DEFAULT_LIMITS.max_tune_chars * 9 // 10
"""After this many characters a tune has to end with its bar."""
MAX_LINE_CHARS = DEFAULT_LIMITS.max_line_chars * 8 // 10
"""After this many characters a line has to end with its bar."""
MAX_BARS = DEFAULT_LIMITS.max_bars * 9 // 10
MAX_BAR_CHARS = 400
"""After this many characters a bar has to be filled with one note."""

MAX_EMPTY_CHARS = 40
"""After this many characters between two bar lines a note has to come."""

_EVERY = (1 << len(STROKES)) - 1
_GREEDY = frozenset("|:]0123456789,-")
"""Characters that the parser would take for a part of the bar line before them."""


def strokes(c: Cursor) -> int:
    """Return the mask of the bar lines that may stand here; of `strokes.STROKES`."""
    if c.needs or c.tuplet or c.broken:
        return 0
    bars = c.bars
    if c.pos == 0:
        if bars.num == 0:
            return 0 if c.bars.open else AT_START
        if bars.open or c.bar_chars > MAX_EMPTY_CHARS:
            return 0
        mask = AFTER_BAR & _endings(c, bars.closes)
        return mask & (~SECTION | WITH_ENDING) if bars.owed else mask
    mask = _fitting(c)
    if mask and bars.owed and c.pos != bars.owed:
        mask &= ~SECTION | WITH_ENDING
    if mask & SECTION:
        mask &= _endings(c, False)
    return mask


def _fitting(c: Cursor) -> int:
    """Return the mask of the bar lines after which this bar, with this length, is right."""
    metre, bars, pos = c.metre, c.bars, c.pos
    if c.debt:
        return _EVERY if pos == c.debt else 0
    rest = metre.first - pos
    if not metre.full or pos in metre.full or (bars.num == 0 and rest > 0):
        return _EVERY
    if rest <= 0 or rest in metre.full:
        return 0
    partner = (metre.first, rest)
    if c.opens and bars.last == partner:
        return _EVERY
    if bars.owed:
        return SECTION if pos == bars.owed else 0
    return _EVERY if c.opens and not c.variant else SECTION


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
        c.bars = c.bars._replace(open=line.opens_repeat or stroke.starts > 0 or c.bars.num == 0)


def _close(c: Cursor, stroke: Stroke) -> None:
    """Count the bar, and note what the next one has to be."""
    metre, bars, pos = c.metre, c.bars, c.pos
    is_first = bars.num == 0
    is_short = bool(metre.full) and pos not in metre.full
    short = (metre.first, pos) if is_short else None
    starts = is_first or (c.opens and not c.variant)
    is_section = stroke.line.section
    owed, debt = bars.owed, 0
    if is_short and not is_first and not c.debt:
        partner = (metre.first, metre.first - pos)
        if (owed and pos == owed) or (c.opens and bars.last == partner):
            pass
        elif not is_section:
            owed = partner[1]
        elif partner not in (bars.first, None if starts else bars.section):
            debt = partner[1]
    if is_section and bars.owed and pos == bars.owed:
        owed = 0
    ending = c.variant or (0 if c.opens else bars.ending)
    c.bars = bars._replace(
        num=bars.num + 1,
        first=short if is_first else bars.first,
        section=short if starts else bars.section,
        last=short,
        owed=owed,
        ending=ending,
        closes=stroke.line.closes_repeat,
        open=stroke.line.opens_repeat or stroke.starts > 0,
    )
    c.pos, c.debt, c.opens, c.variant = 0, debt, is_section, stroke.stops
    c.last, c.can_tie = 0, False
    if c.tables.pitches:
        c.tables.pitches.bar(c)
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
    )


def must_pause(c: Cursor) -> bool:
    """Return whether no bar may start here: the tune has to end, or the line to."""
    if c.num_chars > MAX_TUNE_CHARS or c.bars.num > MAX_BARS:
        return is_whole(c)
    return c.line_chars > MAX_LINE_CHARS
