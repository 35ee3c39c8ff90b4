"""The motif of a tune: the pattern of one or two bars that it is built on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from musicllm.music.abc import AbcError, Score, canonical_bar, parse
from musicllm.music.analysis.chords import without_symbols
from musicllm.music.analysis.sections import sounds


@dataclass(frozen=True)
class Motif:
    """A pattern of whole bars in the first voice.

    Attributes:
        text: its bars in canonical form without chord symbols, joined by ` | `.
        times: number of occurrences, overlapping ones included.
    """

    text: str
    times: int


def find_motif(score: Score) -> Motif:
    """Return the pattern of one or two bars that covers most of the tune.

    Patterns are compared by sound in the first voice; only those that occur twice or more count,
    bars of rests do not. Of equal cover the longer wins, then the earlier. If nothing repeats,
    the first two full bars are the motif.
    """
    bars = score.voice()
    numbers = sounds(bars)
    full = [bar.metre is None or bar.duration == bar.metre for bar in bars]
    has_notes = [any(note.pitches for note in bar.notes) for bar in bars]
    opening = next((i for i, (a, b) in enumerate(zip(full, has_notes, strict=True)) if a and b), 0)
    best: tuple[int, ...] = tuple(
        i for i in (opening, opening + 1) if i < len(bars) and full[i] and has_notes[i]
    ) or (0,)
    best_cover = times = 1
    for length in (2, 1):
        starts = [i for i in range(len(bars) - length + 1) if all(full[i : i + length])]
        starts = [i for i in starts if any(has_notes[i : i + length])]
        counts = Counter(tuple(numbers[i : i + length]) for i in starts)
        for i in starts:
            count = counts[tuple(numbers[i : i + length])]
            if count > 1 and count * length > best_cover:
                best, times, best_cover = tuple(range(i, i + length)), count, count * length
    texts = (without_symbols(canonical_bar(bars[i].text)) for i in best)
    return Motif(" | ".join(texts), times)


def motif(score: Score) -> str:
    """Return the text of `find_motif`."""
    return find_motif(score).text


def count_motif(score: Score, text: str) -> int:
    """Count where the first voice sounds like some bars of ABC under the tune's own header.

    0 if the text is not valid.
    """
    head = f"X:1\nM:{score.metre_text}\nL:{score.unit_length}\nK:{score.key.name}\n"
    try:
        bars = parse(f"{head}{text} |").bars
    except AbcError:
        return 0
    numbers = sounds((*bars, *score.voice()))
    pattern, whole = numbers[: len(bars)], numbers[len(bars) :]
    return sum(whole[i : i + len(pattern)] == pattern for i in range(len(whole)))
