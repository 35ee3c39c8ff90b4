"""Transposes tunes, letter by letter as a musician would.

The key signature moves with the notes, so the result has as few accidentals as the source. The
result is in canonical form; sounding pitches move by exactly the number of semitones.
"""

from __future__ import annotations

from collections.abc import Sequence

from musicllm.music.abc import AbcError, Score, canonical, parse_key
from musicllm.music.abc.canonical import FIELDS
from musicllm.music.abc.chord_symbols import is_chord
from musicllm.music.abc.limits import DEFAULT_LIMITS, Limits, shorten
from musicllm.music.abc.mover import Mover
from musicllm.music.abc.source import read_source
from musicllm.music.analysis.chords import quoted_symbols


def transpose(
    tune: str | Score,
    semitones: int,
    limits: Limits = DEFAULT_LIMITS,
    *,
    fields: Sequence[str] = FIELDS,
    keep_signs: bool = False,
) -> str:
    """Return the canonical form of a tune, `semitones` higher (negative: lower).

    The new key is the spelling with the fewest sharps or flats (at most six); of six sharps and
    six flats, the kind that the old key has. Letters move with the tonic, accidentals are
    respelled, chord symbols (root, bass, alternative) and keys inside the tune move too. `K:none`
    moves as C major does.
    0 returns the canonical form itself. Linear in the length of the tune.

    Args:
        tune: valid ABC.
        semitones: up.
        limits: those that the tune is parsed with.
        fields: header fields to keep, as in `canonical`.
        keep_signs: keep grace notes, slurs and decorations.

    Raises:
        AbcError: the tune is not valid ABC, a note would leave MIDI's range, or a chord symbol
            is not supported.
    """
    text = canonical(
        tune,
        fields,
        keep_grace=keep_signs,
        keep_slurs=keep_signs,
        keep_decorations=keep_signs,
        limits=limits,
    )
    if semitones == 0:
        return text
    unsupported = next((symbol for symbol in quoted_symbols(text) if not is_chord(symbol)), None)
    if unsupported is not None and semitones % 12:
        raise AbcError(f'"{shorten(unsupported)}" over a note is no chord symbol that can be moved')
    source = read_source(text, limits)
    key = parse_key(source.header["K"][0])
    head = text.split("\n")[: source.header["K"][1] - 1]
    mover = Mover(key, semitones)
    body = [mover.line(line.text) for line in source.body]
    return "\n".join([*head, f"K:{mover.header_key.name}", *body]) + "\n"
