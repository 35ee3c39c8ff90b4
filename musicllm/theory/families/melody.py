"""Questions about melodies: transposition, and transformations of motifs."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from musicllm.theory import spelling, staff
from musicllm.theory.drafts import Draft, level, others, score
from musicllm.theory.spelling import INTERVALS, KEYS, KeyName, article
from musicllm.theory.staff import Pitch

Notes = tuple[tuple[int, int], ...]
"""(place on the staff, length in units) of each note."""

_TRANSFORMS: dict[str, Callable[[Notes], Notes]] = {
    "a repetition of it": lambda notes: notes,
    "a sequence, one step higher": lambda notes: _moved(notes, 1),
    "a sequence, one step lower": lambda notes: _moved(notes, -1),
    "a sequence, a third higher": lambda notes: _moved(notes, 2),
    "its inversion on the same first note": lambda notes: tuple(
        (2 * notes[0][0] - place, length) for place, length in notes
    ),
    "its retrograde": lambda notes: notes[::-1],
    "its augmentation": lambda notes: tuple((place, 2 * length) for place, length in notes),
}
_PLAIN = tuple(_TRANSFORMS)[:4]


def transposition() -> Iterator[Draft]:
    """A melody in another key, and the key after transposition.

    Harder downwards, to more than two sharps or flats, and by more than a fifth.
    """
    draw = random.Random("transposition")
    for key in KEYS:
        for interval, step in INTERVALS.items():
            for is_up in (True, False):
                moved = key._replace(sharps=key.sharps + (step if is_up else -step))
                if abs(moved.sharps) > 6 or abs(key.sharps) > 4 or abs(step) == 6:
                    continue
                way = f"{'up' if is_up else 'down'} by {article(interval)}"
                wide = spelling.semitones(step) > 7
                hard = level(not is_up, abs(moved.sharps) > 2, wide)
                near = (moved._replace(sharps=moved.sharps + more) for more in (-2, -1, 1, 2, 5))
                wrong = [other.name for other in (*near, key) if abs(other.sharps) <= 7]
                stem = f"A melody in {key.name} is moved {way}. In which key is it then?"
                yield Draft(stem, "", moved.name, others(wrong, moved.name), hard)
                pitches = staff.in_key(staff.walk(draw, 5, low=2, high=8), key.sharps)
                tune = score(staff.line(pitches, key.sharps), metre="none", key=key.abc)
                right = _transposed(pitches, step, is_up)
                lines = _near_lines(pitches, right, key, moved, draw)
                stem = f"Which line is the melody of this score moved {way}?"
                yield Draft(stem, tune, _line(right, moved), lines, hard)


def motifs() -> Iterator[Draft]:
    """How the second bar transforms the first, and which bar is a given transformation.

    Harder with inversion, retrograde or augmentation, and for the bar.
    """
    draw = random.Random("motifs")
    for key in [key for key in KEYS if abs(key.sharps) <= 4] * 6:
        for name in _TRANSFORMS:
            motif = _motif(draw)
            versions = {other: change(motif) for other, change in _TRANSFORMS.items()}
            hard = level(name not in _PLAIN, abs(key.sharps) > 2)
            stem = "What is the second bar of this score, compared with the first?"
            tune = _bars([motif, versions[name]], key)
            yield Draft(stem, tune, name, others(_TRANSFORMS, name), hard)
            if name == _PLAIN[0]:
                continue
            names = [name, *draw.sample(others(list(_TRANSFORMS)[1:], name), 3)]
            draw.shuffle(names)
            tune = _bars([motif, *(versions[other] for other in names)], key)
            bars = [f"bar {number}" for number in range(2, 6)]
            right = bars[names.index(name)]
            stem = f"Which bar of this score is, compared with the first bar, {name}?"
            hard = level(True, name not in _PLAIN, abs(key.sharps) > 2)
            yield Draft(stem, tune, right, others(bars, right), hard)


def _transposed(pitches: list[Pitch], step: int, is_up: bool) -> list[Pitch]:
    """Transpose notes up or down by an interval, with the spelling of the interval."""
    letters = 4 * step % 7
    height = spelling.semitones(step)
    if not is_up:
        letters, height = -letters, -height
    moved = []
    for pitch in pitches:
        place = pitch.place + letters
        moved.append(Pitch(place, pitch.height + height - Pitch(place, 0).height))
    return moved


def _near_lines(
    pitches: list[Pitch], right: list[Pitch], key: KeyName, moved: KeyName, draw: random.Random
) -> tuple[str, ...]:
    """Return wrong melodies: in a neighbouring key, with the old signature, or one note changed."""
    letters = right[0].place - pitches[0].place
    candidates = [([pitch.place for pitch in right], key)]
    for more in (-5, 2, 5, -2, 7, -7):
        other = moved._replace(sharps=moved.sharps + more)
        if abs(other.sharps) <= 6:
            shift = _letters(key.tonic, other.tonic, letters)
            candidates.append(([pitch.place + shift for pitch in pitches], other))
    for place in draw.sample(range(1, len(right)), 2):
        changed = [pitch.place for pitch in right]
        changed[place] += draw.choice((-1, 1))
        candidates.append((changed, moved))
    lines = [(staff.in_key(places, other.sharps), other) for places, other in candidates]
    return others(
        (_line(line, other) for line, other in lines if _heights(line) != _heights(right)),
        _line(right, moved),
    )


def _heights(pitches: list[Pitch]) -> list[int]:
    return [pitch.height for pitch in pitches]


def _letters(tonic: int, other: int, near: int) -> int:
    """Return the number of letters between two tonics, in the octave closest to `near`."""
    letters = 4 * (other - tonic) % 7
    return min((letters - 14, letters - 7, letters, letters + 7), key=lambda n: abs(n - near))


def _line(pitches: list[Pitch], key: KeyName) -> str:
    return f"[K:{key.abc}] {staff.line(pitches, key.sharps)}"


def _moved(notes: Notes, steps: int) -> Notes:
    return tuple((place + steps, length) for place, length in notes)


def _motif(draw: random.Random) -> Notes:
    """Sample a motif of four notes whose transformations all differ."""
    while True:
        places = staff.walk(draw, 4, low=2, high=8)
        motif = tuple(zip(places, draw.sample((1, 1, 2, 2, 3), 4), strict=True))
        versions = [change(motif) for change in _TRANSFORMS.values()]
        starts = [_moved(version, -version[0][0]) for version in (versions[0], *versions[4:])]
        if len({*versions}) == len(versions) and len({*starts}) == len(starts):
            return motif


def _bars(bars: list[Notes], key: KeyName) -> str:
    tune = [
        " ".join(
            pitch.abc(key.sharps) + (str(length) if length > 1 else "")
            for pitch, (_, length) in zip(
                staff.in_key((place for place, _ in bar), key.sharps), bar, strict=True
            )
        )
        for bar in bars
    ]
    return score(" | ".join(tune), metre="none", unit=8, key=key.abc)
