"""Fields in the music: `K:`, `L:` and `M:` on lines of their own or in brackets.

A new metre stands before the first note of a bar, and not where a short bar waits for the one that
completes it. Lines with fields come after the first bar.
"""

from __future__ import annotations

from musicllm.music.abc.keys import Key
from musicllm.music.grammar.bars import MAX_BAR_CHARS, must_pause
from musicllm.music.grammar.cursor import Cursor
from musicllm.music.grammar.metres import Metre, key_words, metre_words, unit_words
from musicllm.music.grammar.trie import ALL


def may_stand(c: Cursor, field: str) -> bool:
    """Return whether a field may change what is in force here."""
    if not c.tables.rules.may_change:
        return False
    if c.needs or c.tuplet or c.broken or c.bar_chars > MAX_BAR_CHARS:
        return False
    if c.pos == 0 and must_pause(c):
        return False
    if c.form is not None and c.tables.plan.comes_back:
        return False
    if field == "M":
        return (
            c.pos == 0
            and not c.debt
            and not c.bars.owed
            and c.tables.plan.num_bars is None
            and c.tables.metres == ALL
        )
    return field == "L" or (field == "K" and c.tables.keys == ALL)


def start_line(c: Cursor, char: str) -> bool:
    """Read the letter of a field at the start of a line."""
    c.field, c.word, c.step = char, "\n", colon
    return c.bars.num > 0 and may_stand(c, char)


def start_inline(c: Cursor, char: str) -> bool:
    """Read the letter of a field after `[`."""
    c.field, c.word, c.step = char, "]", colon
    return may_stand(c, char)


def colon(c: Cursor, char: str) -> bool:
    """Read the colon after the letter."""
    c.node = {"K": key_words, "L": unit_words, "M": metre_words}[c.field]()
    c.step = value
    return char == ":"


def value(c: Cursor, char: str) -> bool:
    """Read the value, up to the end of the line or the bracket."""
    if char != c.word:
        node = c.node.next.get(char)
        c.node = node or c.node
        return node is not None
    new = c.node.value
    if not c.node.bit:
        return False
    if isinstance(new, Metre):
        c.metre = new
    elif isinstance(new, Key):
        if c.tables.pitches:
            c.tables.pitches.change_key(c, new)
    else:
        assert isinstance(new, int), "words of L: are grains"
        c.unit = new
    c.last, c.can_tie = 0, False
    c.step = c.tables.line if char == "\n" else c.tables.item
    return True
