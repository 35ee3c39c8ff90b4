"""Music: notes and rests with their lengths, ties, broken rhythm, rests of whole bars, lines.

`item` reads what starts a new item; what it starts is read by other steps, which come back to it.
A note is counted when the character after it was read, since only then is its length certain.
"""

from __future__ import annotations

from collections.abc import Callable

from musicllm.music.grammar import bars, brackets, fields
from musicllm.music.grammar.cursor import Cursor
from musicllm.music.grammar.durations import can_embellish, length, room
from musicllm.music.grammar.lengths import MAX_OCTAVES, NOTES, spelling

_MARKS = ".~HLMOPSTuv"
_MAX_BROKEN = 3
_MAX_REST_BARS = 99


def item(c: Cursor, char: str) -> bool:
    """Read the first character of whatever comes next in a line of music."""
    read = ITEMS.get(char)
    return read is not None and read(c, char)


def line(c: Cursor, char: str) -> bool:
    """Read the first character of a line."""
    if char in "KLM":
        return fields.start_line(c, char)
    if char in "\n`":
        return bars.is_whole(c) and _leave(c, char)
    if char == "|" and _may_stand_alone(c):
        c.step, c.has_music = lone_stroke, True
        return True
    c.step, c.has_music = item, False
    return char != " " and item(c, char)


def _may_stand_alone(c: Cursor) -> bool:
    """Return whether a `|` at the start of a line may repeat the bar line before."""
    is_after_bar = c.pos == 0 and c.tuplet is None and c.bars.num > 0 and not c.bars.open
    return is_after_bar and c.form is None and c.bar_chars <= bars.MAX_EMPTY_CHARS


def _leave(c: Cursor, char: str) -> bool:
    """Read the blank line after a tune, or the first backquote of the end of a code block."""
    if char == "`":
        c.step, c.word = fence, char
    else:
        c.num_tunes += 1
        c.tables.leave(c)
    return True


def lone_stroke(c: Cursor, char: str) -> bool:
    """Read what follows a `|` at the start of a line, before the first note of a bar."""
    c.step = item
    if char in "|:]123456789":
        return bars.start(c, "|") and c.step(c, char)
    return char not in "0,-" and item(c, char)


def fence(c: Cursor, char: str) -> bool:
    """Read the end of a code block after the last line of a tune."""
    if len(c.word) < 3:
        c.word += "`"
        return char == "`"
    c.step = after_fence
    return char == "\n"


def after_fence(c: Cursor, char: str) -> bool:
    """Read the blank line after the end of a code block."""
    return char == "\n" and _leave(c, char)


def _note(c: Cursor, char: str) -> bool:
    return _letter(c, "", char)


def _letter(c: Cursor, sign: str, char: str) -> bool:
    c.allowed = room(c)
    c.word, c.step, c.last, c.can_tie = "", octave, 0, False
    c.field = char
    if not spelling(c.unit).reach[""] & c.allowed:
        return False
    if c.tables.pitches is None:
        return True
    c.tables.pitches.begin(c)
    return c.tables.pitches.letter(c, sign, char)


def _accidental(c: Cursor, char: str) -> bool:
    if not can_embellish(c):
        return False
    c.word, c.step, c.last, c.can_tie = char, accidental, 0, False
    return True


def accidental(c: Cursor, char: str) -> bool:
    """Read what follows an accidental: the same sign or a note."""
    sign = c.word
    if char == sign and char != "=":
        c.word = sign + char
        return True
    return char in NOTES and _letter(c, sign, char)


def octave(c: Cursor, char: str) -> bool:
    """Read what follows a note or its octave marks."""
    if char in ",'":
        marks = c.word + char
        if len(marks) > MAX_OCTAVES or c.field.isupper() != (char == ","):
            return False
        c.word = marks
        return c.tables.pitches.octave(c, marks) if c.tables.pitches else True
    if c.tables.pitches and not c.tables.pitches.sound(c, c.word):
        return False
    c.has_notes = True
    c.word, c.step = "", length
    return length(c, char)


def _rest(c: Cursor, _: str) -> bool:
    c.allowed = room(c)
    c.word, c.step, c.last, c.can_tie = "", length, 0, False
    if c.tables.has_plan and not c.has_notes:
        return False
    if c.tables.pitches and not c.tables.pitches.rest(c):
        return False
    return spelling(c.unit).reach[""] & c.allowed != 0


def _rest_bars(c: Cursor, _: str) -> bool:
    if c.needs or c.tuplet or c.broken or c.debt or c.pos or len(c.metre.full) != 1:
        return False
    if not bars.may_begin(c) or c.tables.has_plan:
        return False
    c.word, c.step, c.can_tie = "", rest_bars, False
    return True


def rest_bars(c: Cursor, char: str) -> bool:
    """Read the number of bars of a rest, or what follows it."""
    if char in "0123456789":
        c.word += char
        return c.word[0] != "0" and int(c.word) <= _MAX_REST_BARS
    finish_rest(c)
    return item(c, char)


def finish_rest(c: Cursor) -> None:
    """Add the bars of a rest; the last of them is still to be closed."""
    num = int(c.word or 1)
    if num > 1:
        starts = c.bars.num == 0 or (c.opens and not c.variant)
        ending = c.variant or (0 if c.opens else c.bars.ending)
        section = None if starts else c.bars.section
        c.bars = c.bars._replace(
            num=c.bars.num + num - 1,
            full=c.bars.full + num - 1,
            last=None,
            section=section,
            ending=ending,
        )
        c.opens, c.variant = False, 0
    c.pos = c.metre.first
    c.step, c.has_music = item, True
    if c.tables.pitches:
        c.tables.pitches.rest(c)
        c.tables.pitches.end(c)


def _blank(c: Cursor, _: str) -> bool:
    c.can_tie = False
    return c.bar_chars <= bars.MAX_BAR_CHARS


def _new_line(c: Cursor, _: str) -> bool:
    if c.needs or c.broken or not c.has_music:
        return False
    c.last, c.can_tie, c.line_chars, c.step = 0, False, 0, line
    return True


def _tie(c: Cursor, _: str) -> bool:
    tied, c.can_tie = c.can_tie, False
    if c.form is not None and c.tables.plan.comes_back and c.pos in c.metre.full:
        return False
    if c.tables.pitches:
        c.tables.pitches.tie(c)
    return tied


def _broken(c: Cursor, char: str) -> bool:
    if not c.last or c.needs or c.bar_chars > bars.MAX_BAR_CHARS:
        return False
    c.word, c.step, c.can_tie = "", broken, False
    return broken(c, char)


def broken(c: Cursor, char: str) -> bool:
    """Read signs of broken rhythm, or what follows them."""
    if char not in "<>":
        c.step, c.last = item, 0
        return item(c, char)
    before = _changed(c.last, c.word)
    c.word += char
    num = len(c.word)
    long, divisor = 2 ** (num + 1) - 1, 2**num
    if num > _MAX_BROKEN or c.word != char * num or c.last % divisor:
        return False
    change = _changed(c.last, c.word) - before
    if c.tuplet is None:
        c.pos += change
    else:
        p, q, left, sum_ = c.tuplet
        c.tuplet = (p, q, left, sum_ + change)
    c.broken = (1 if char == ">" else long, divisor)
    c.needs = True
    return spelling(c.unit).reach[""] & room(c) != 0


def _changed(grains: int, signs: str) -> int:
    """Return the length of a note before signs of broken rhythm."""
    divisor = 1 << len(signs)
    return grains * (2 * divisor - 1 if signs[:1] == ">" else 1) // divisor


def _mark(c: Cursor, _: str) -> bool:
    c.needs, c.last, c.can_tie = True, 0, False
    return can_embellish(c)


def _slur_end(c: Cursor, _: str) -> bool:
    c.slurs -= 1
    c.can_tie = False
    return c.slurs >= 0 and not c.needs and (c.pos > 0 or c.tuplet is not None)


ITEMS: dict[str, Callable[[Cursor, str], bool]] = {
    **dict.fromkeys(NOTES, _note),
    **dict.fromkeys("^_=", _accidental),
    **dict.fromkeys("zx", _rest),
    **dict.fromkeys(_MARKS, _mark),
    **dict.fromkeys("<>", _broken),
    **dict.fromkeys("|:", bars.start),
    "Z": _rest_bars,
    " ": _blank,
    "\n": _new_line,
    "-": _tie,
    ")": _slur_end,
    "[": brackets.start,
    "(": brackets.slur,
    '"': brackets.quote,
    "!": brackets.mark,
    "{": brackets.grace,
}
"""First character of an item -> step that reads it."""
