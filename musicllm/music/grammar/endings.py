"""The shortest way to the end: what to write next so that a text may soon end.

For every step one function that returns a piece of text. It never offers what the grammar refuses,
since pieces are taken from the same sets of words and lengths that the steps read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from musicllm.music.grammar import bars, brackets, durations, fields, header, music
from musicllm.music.grammar.cursor import Cursor, Step
from musicllm.music.grammar.lengths import MAX_OCTAVES, NOTES, spelling
from musicllm.music.grammar.prose import prose
from musicllm.music.grammar.strokes import STROKES, Stroke
from musicllm.music.grammar.trie import ALL


def next_piece(c: Cursor) -> str:
    """Return what to write next on a short way to the end, from where the text may not end."""
    if c.form is not None and c.form.forced:
        has_begun = bool(c.form.bar_text.strip(" \n|:")) or bool(c.form.firsts)
        if has_begun or (c.form.opened and c.step in (music.item, music.line)):
            return str(c.form.forced)
    return _PIECES[c.step](c)


def _reads(c: Cursor, text: str) -> bool:
    return c.copy().read(text)


def _prose(c: Cursor) -> str:
    """Return the start of a tune."""
    if c.word in ("X:", "X: "):
        return "1"
    return ":" if c.word == "X" else "X:1" if c.word.endswith(" ") else "\n"


def _letter(c: Cursor) -> str:
    return "M" if c.tables.needs_metre and "M" not in c.seen else "K"


def _header_value(c: Cursor) -> str:
    if c.field in header.TEXT_FIELDS:
        return "\n"
    new = c.copy()
    header.value(new, " ")
    return _header_word(new)


def _header_word(c: Cursor) -> str:
    return c.node.shortest(c.allowed) + "\n"


def _field_value(c: Cursor) -> str:
    return c.node.shortest(ALL) + c.word


def _item(c: Cursor) -> str:
    """Return what to write after an item, at the start of a line, or after a bar line."""
    if c.slurs and _reads(c, ")"):
        return ")"
    if c.pos or c.bars.num:
        is_full = c.pos == _full(c)
        if stroke := _stroke(c, "", bars.strokes(c), must_end=not is_full):
            return stroke
    return _sounding(c) or _stroke(c, "", bars.strokes(c)) or "\n"


def _lone_stroke(c: Cursor) -> str:
    """Return what to write after a `|` at the start of a line: a note, or more of the bar line."""
    rest = _stroke(c, "|", bars.strokes(c), must_end=True)
    if rest and _reads(c, rest):
        return rest
    return _sounding(c) or _stroke(c, "|", bars.strokes(c)) or "\n"


def _sounding(c: Cursor) -> str:
    """Return a chord symbol that is due, or a note; empty where the bar has no room for one."""
    allowed = durations.room(c)
    if durations.can_name_chord(c):
        return f'"{c.tables.chords[c.num_chords]}"'
    return _note(c) + _length_of(c, "", allowed) if allowed else ""


def _note(c: Cursor) -> str:
    """Return a note that may stand here, of the pitches that the rules allow."""
    for note in c.tables.notes:
        new = c.copy()
        if new.read(note) and (not c.tables.pitches or c.tables.pitches.sound(new, new.word)):
            return note
    raise AssertionError("some note may stand wherever one may start")


def _stroke(c: Cursor, prefix: str, allowed: int, *, must_end: bool = False) -> str:
    """Return the rest of a bar line that ends the tune; else, of one that ends the bar."""
    strokes = [
        stroke
        for bit, stroke in enumerate(STROKES)
        if allowed >> bit & 1 and stroke.text.startswith(prefix)
    ]
    strokes.sort(key=lambda stroke: (len(stroke.text), stroke.starts, stroke.line.section))
    for stroke in strokes:
        if bars.is_whole(_ended(c, stroke, len(prefix))):
            return stroke.text[len(prefix) :]
    if must_end or not strokes:
        return ""
    return min(strokes, key=partial(_cost, c, len(prefix))).text[len(prefix) :]


def _ended(c: Cursor, stroke: Stroke, skip: int) -> Cursor:
    """Return the place after a bar line, of which so many characters were read."""
    new = c.copy()
    if new.form is not None:
        new.form = new.form._replace(bar_text=new.form.bar_text + stroke.text[skip:])
    bars.apply(new, stroke)
    return new


def _cost(c: Cursor, skip: int, stroke: Stroke) -> int:
    """Return about how much has to be written if a bar ends with this line."""
    new = _ended(c, stroke, skip)
    form = new.form
    progress = 0 if form is None else 16 * len(form.parts) - 4 * (not form.opened)
    return len(stroke.text) - skip - progress + 4 * bool(new.debt) + 8 * bool(new.bars.owed)


def _open_stroke(c: Cursor) -> str:
    """Return the rest of a bar line, or what follows it."""
    rest = _stroke(c, c.word, c.allowed & c.node.reach)
    if rest or not c.node.bit & c.allowed:
        return rest
    new = c.copy()
    assert bars.finish(new), "the bar line is allowed"
    following = _item(new)
    return f" {following}" if following[0] in "|:" else following


def _full(c: Cursor) -> int:
    """Return the grains that the bar should have at its end."""
    if exact := bars.exact(c):
        return exact
    if not c.metre.full:
        return max(c.pos, c.unit)
    if c.bars.owed >= max(c.pos, 1):
        return c.bars.owed
    return min(full for full in c.metre.full if full >= c.pos)


def _length_of(c: Cursor, text: str, allowed: int) -> str:
    """Return what to append to the text of a length, so that the bar is soon full."""
    if c.form is not None and c.form.copies:
        return ""
    spelled = spelling(c.unit)
    shortest = spelled.longer(text, allowed)
    assert shortest is not None, "a length in progress can be finished"
    left = _full(c) - c.pos
    if c.tuplet or c.broken or left <= 0:
        return shortest
    exact = spelled.longer(text, allowed & (1 << left))
    within = spelled.longer(text, allowed & ((2 << left) - 1))
    if within is None:
        return shortest
    if exact is None:
        return spelled.spell(left)[0] if not text and left not in spelled.shortest else within
    rest = left - spelled.value[text + within]
    if rest and len(within) + 1 + len("".join(spelled.spell(rest))) < len(exact):
        return within
    return exact


def _length(c: Cursor) -> str:
    """Return the rest of a length, or what follows the note."""
    if rest := _length_of(c, c.word, c.allowed):
        return rest
    new = c.copy()
    durations.count(new, spelling(c.unit).value[c.word])
    new.step = music.item
    return _item(new)


def _octave(c: Cursor) -> str:
    marks = _marks(c)
    if marks:
        return marks
    new = c.copy()
    new.word = ""
    return _length(new)


def _marks(c: Cursor) -> str:
    """Return the octave marks that bring a note into the range."""
    listener = c.tables.pitches
    if listener is None:
        return ""
    mark = "," if c.field.isupper() else "'"
    marks = (mark * num for num in range(len(c.word), MAX_OCTAVES + 1))
    return next(text for text in marks if listener.sound(c.copy(), text))[len(c.word) :]


def _note_letter(c: Cursor) -> str:
    return next(letter for letter in NOTES if _reads(c, letter))


def _opened(c: Cursor) -> str:
    """Return what to write after `[`."""
    allowed = bars.strokes(c)
    if c.pos and _reads(c, "|") and (rest := _stroke(c, "[", allowed, must_end=True)):
        return rest
    if durations.room(c):
        return _note_letter(c) if not c.tables.pitches else _chord_note(c)
    return _stroke(c, "[", allowed) or "L"


def _chord_note(c: Cursor) -> str:
    return next(note for note in c.tables.notes if _reads(c, note))


def _chord(c: Cursor) -> str:
    return "]" if c.chord[0] else _chord_note(c)


def _chord_octave(c: Cursor) -> str:
    inner = c.chord[1]
    return _marks(c) + (inner or "") + "]"


def _chord_length(c: Cursor) -> str:
    inner = c.chord[1]
    if inner is not None:
        return inner[len(c.word) :] + "]"
    return (_length_of(c, c.word, c.allowed) if c.word else "") + "]"


def _after_slur(c: Cursor) -> str:
    note = _any_note(c)
    return note or next(digit for digit in "23456789" if _reads(c, digit))


def _any_note(c: Cursor) -> str:
    return next((note for note in c.tables.notes if _reads(c, note)), "")


def _tuplet(c: Cursor) -> str:
    if note := _any_note(c):
        return note
    if not c.word.endswith(":"):
        return ":"
    digits = [digit for digit in "123456789" if _reads(c, digit)]
    direct = [digit for digit in digits if any(_reads(c, digit + n) for n in c.tables.notes)]
    return (direct or digits)[0]


def _quoted(c: Cursor) -> str:
    if c.tables.chords:
        return c.tables.chords[c.num_chords][len(c.word) :] + '"'
    return '"' if c.word else 'A"'


def _grace_note(c: Cursor) -> str:
    return "}" if _reads(c, "}") else "c"


def _grace_length(c: Cursor) -> str:
    texts = [text for text in brackets.GRACE_LENGTHS if text.startswith(c.word)]
    return min(texts, key=len)[len(c.word) :] + "}"


def _rest_bars(c: Cursor) -> str:
    new = c.copy()
    music.finish_rest(new)
    return _item(new)


_PIECES: dict[Step, Callable[[Cursor], str]] = {
    prose: _prose,
    header.number: lambda _: "\n",
    header.letter: _letter,
    header.colon: lambda _: ":",
    header.value: _header_value,
    header.text: lambda _: "\n",
    header.metre_value: _header_word,
    header.unit_value: _header_word,
    header.tempo: _header_word,
    header.key_value: _header_word,
    fields.colon: lambda _: ":",
    fields.value: _field_value,
    music.item: _item,
    music.line: _item,
    music.lone_stroke: _lone_stroke,
    music.fence: lambda c: "```"[len(c.word) :] + "\n",
    music.accidental: _note_letter,
    music.octave: _octave,
    music.broken: _item,
    music.rest_bars: _rest_bars,
    durations.length: _length,
    bars.more: _open_stroke,
    brackets.opened: _opened,
    brackets.chord: _chord,
    brackets.chord_accidental: _note_letter,
    brackets.chord_octave: _chord_octave,
    brackets.chord_length: _chord_length,
    brackets.after_slur: _after_slur,
    brackets.tuplet: _tuplet,
    brackets.quoted: _quoted,
    brackets.marked: lambda c: c.node.shortest(),
    brackets.grace_note: _grace_note,
    brackets.grace_octave: lambda _: "}",
    brackets.grace_length: _grace_length,
}
