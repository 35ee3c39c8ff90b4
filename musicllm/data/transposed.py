"""The same tunes in other keys: more to learn from, nothing new to be tested on.

Only records of the training split are given to this module; a copy stays in the group of its tune.
A copy is written in the canonical form, spelled as its key demands (`music.transform`). Each voice
may always move by `FREE_SEMITONES`, and further while it stays between G3, the lowest note of the
violin, and D6; what would go beyond is not changed but left out, with a drop.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from musicllm.data.music import is_bare_tune
from musicllm.data.records import Drop, Record
from musicllm.music.abc import AbcError, Score, parse
from musicllm.music.abc.limits import DEFAULT_LIMITS, Limits
from musicllm.music.transform import transpose

LOWEST, HIGHEST = 55, 86
"""MIDI numbers of G3 and D6."""
FREE_SEMITONES = 3


def copies(
    record: Record, semitones: Sequence[int], limits: Limits = DEFAULT_LIMITS
) -> tuple[list[Record], list[Drop]]:
    """Return a tune in each transposition, and an entry for each copy that cannot be.

    A record that is not one tune and nothing else has no copies: it comes back alone.

    Args:
        record: of the training split.
        semitones: 0 gives the tune itself, 2 a copy a whole tone higher with `+2` behind its id.
        limits: those that the tune is read with.
    """
    if not is_bare_tune(record):
        return [record], []
    records: list[Record] = []
    drops: list[Drop] = []
    for shift in semitones:
        if shift == 0:
            records.append(record)
            continue
        copy_id = f"{record['id']}{shift:+d}"
        try:
            score = parse(record["text"], limits)
            beyond = _beyond(score, shift)
            if beyond is None:
                records.append({**record, "id": copy_id, "text": transpose(score, shift, limits)})
                continue
            reason, detail = "leaves its range when transposed", beyond
        except AbcError as error:
            reason, detail = "cannot be transposed", str(error)
        drops.append(Drop(record["source"], copy_id, reason, detail, is_fault=False))
    return records, drops


def _beyond(score: Score, shift: int) -> str | None:
    """Say which voice a transposition would lead too far; None when it leads none."""
    if abs(shift) <= FREE_SEMITONES:
        return None
    for name, low, high in _ranges(score):
        if (shift < 0 and low + shift < LOWEST) or (shift > 0 and high + shift > HIGHEST):
            reach = f"voice {name} would reach from {low + shift} to {high + shift}"
            return f"{reach}, beyond {LOWEST} to {HIGHEST} (MIDI numbers)"
    return None


def _ranges(score: Score) -> Iterator[tuple[str, int, int]]:
    """Yield each voice that sounds, with its lowest and highest note."""
    for name in score.voices:
        bars = score.voice(name)
        pitches = [pitch for bar in bars for note in bar.notes for pitch in note.pitches]
        if pitches:
            yield name, min(pitches), max(pitches)
