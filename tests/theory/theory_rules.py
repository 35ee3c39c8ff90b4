"""Whether an option answers a question of the theory quiz, worked out a second time.

From letters, semitones and `musicllm.music`; never from the line of fifths, which the families
use. A question is read from its stem and its score as a musician would.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

from musicllm.music import abc, analysis, transform
from musicllm.music.abc.keys import standard_key
from musicllm.theory.drafts import Draft

LETTERS = "CDEFGAB"
SEMITONES = dict(zip(LETTERS, (0, 2, 4, 5, 7, 9, 11), strict=True))
INTERVAL_NAMES = {
    (1, 1): "minor second", (1, 2): "major second", (2, 3): "minor third", (2, 4): "major third",
    (3, 5): "perfect fourth", (3, 6): "augmented fourth", (4, 6): "diminished fifth",
    (4, 7): "perfect fifth", (5, 8): "minor sixth", (5, 9): "major sixth",
    (6, 10): "minor seventh", (6, 11): "major seventh",
}  # fmt: skip
INTERVAL_SIZES = {name: size for size, name in INTERVAL_NAMES.items()}
CHORD_SEMITONES = {
    "major": (0, 4, 7), "minor": (0, 3, 7), "diminished": (0, 3, 6), "augmented": (0, 4, 8),
    "dominant seventh": (0, 4, 7, 10), "major seventh": (0, 4, 7, 11),
    "minor seventh": (0, 3, 7, 10), "half-diminished seventh": (0, 3, 6, 10),
}  # fmt: skip
SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11), "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10), "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10), "minor": (0, 2, 3, 5, 7, 8, 10),
    "locrian": (0, 1, 3, 5, 6, 8, 10),
}  # fmt: skip
WORDS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
DEGREE_NAMES = ("tonic", "supertonic", "mediant", "subdominant", "dominant", "submediant")
VALUES = {
    "whole": 1, "half": 2, "quarter": 4, "eighth": 8, "sixteenth": 16, "thirty-second": 32,
}  # fmt: skip
ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII")
_NOTE = re.compile(r"[\^_=]*[A-Ga-g][,']*")


@lru_cache(maxsize=8)
def score_of(draft: Draft) -> abc.Score:
    return abc.parse(draft.abc)


def notes_of(draft: Draft) -> list[abc.Note]:
    return [note for bar in score_of(draft).bars for note in bar.notes]


def written(draft: Draft) -> list[str]:
    """The letters of the score's notes, with their accidentals."""
    music = re.sub(r'"[^"]*"', "", draft.abc.split("\n")[-1])
    return _NOTE.findall(music)


def place(note: str) -> int:
    """A written note's place on the staff; octave marks are few here."""
    letter = note.lstrip("^_=")
    return LETTERS.index(letter[0].upper()) + 7 * letter[0].islower() + 7 * letter.count("'")


def pitch(note: str) -> int:
    return (SEMITONES[note[0]] + note.count("#") - note.count("b")) % 12


def above(note: str, steps: int, semitones: int) -> str:
    """The note so many letters and semitones above another."""
    letter = LETTERS[(LETTERS.index(note[0]) + steps) % 7]
    alteration = (pitch(note) + semitones - SEMITONES[letter] + 6) % 12 - 6
    return letter + ("#" * alteration or "b" * -alteration)


def key_of(name: str) -> abc.Key:
    tonic, mode = name.split()
    return standard_key(tonic, mode)


def sharps(key: abc.Key) -> int:
    return sum(key.signature)


def count_of(text: str) -> int:
    if text == "no sharps or flats":
        return 0
    count, kind = text.split()
    return int(count) if kind.startswith("sharp") else -int(count)


def named(draft: Draft, behind: str) -> str:
    """What stands in the stem behind some words, up to the end."""
    return draft.stem.rstrip("?").split(behind, 1)[1]


def places_named(draft: Draft) -> list[int]:
    return [WORDS.index(word) for word in re.findall("|".join(WORDS), draft.stem)]


def is_interval(draft: Draft, option: str) -> bool:
    if not draft.abc:
        words = draft.stem.rstrip("?").split()
        if draft.stem.startswith("Which note"):
            steps, semitones = INTERVAL_SIZES[" ".join(words[4:6])]
            return above(words[-1], steps, semitones) == option
        lower, upper = words[4], words[8]
        steps = (LETTERS.index(upper[0]) - LETTERS.index(lower[0])) % 7
        return INTERVAL_NAMES[steps, (pitch(upper) - pitch(lower)) % 12] == option
    first, second = places_named(draft)
    notes, letters = notes_of(draft), written(draft)
    semitones = abs(notes[first].pitches[0] - notes[second].pitches[0])
    return INTERVAL_SIZES[option] == (
        abs(place(letters[first]) - place(letters[second])),
        semitones,
    )


def is_note(draft: Draft, option: str) -> bool:
    (number,) = places_named(draft)
    letter = written(draft)[number].lstrip("^_=")[0].upper()
    sounds = notes_of(draft)[number].pitches[0] % 12 == pitch(option)
    return sounds and (option[0] == letter or option != draft.answer)


def is_signature(draft: Draft, option: str) -> bool:
    if draft.abc:
        return sharps(score_of(draft).key) == count_of(option)
    if draft.stem.startswith("How many"):
        return sharps(key_of(named(draft, " of "))) == count_of(option)
    if "stands last" in draft.stem:
        key = key_of(named(draft, " of "))
        order = "FCGDAEB" if sharps(key) > 0 else "BEADGCF"
        return order[abs(sharps(key)) - 1] + "b#"[sharps(key) > 0] == option
    wanted = count_of(draft.stem.split(" has ")[1].split(" in its")[0])
    return option.endswith(draft.stem.split()[1]) and sharps(key_of(option)) == wanted


def is_related_key(draft: Draft, option: str) -> bool:
    key = score_of(draft).key if draft.abc else key_of(" ".join(draft.stem[:-1].split()[-2:]))
    other, mode = option.split()
    tonic = key.tonic
    if "fifth above" in draft.stem:
        tonic = above(tonic, 4, 7)
    if "fourth above" in draft.stem:
        tonic = above(tonic, 3, 5)
    if "same mode" in draft.stem:
        return (other, mode) == (tonic, key.mode)
    if "parallel" in draft.stem:
        return other == tonic and mode != key.mode
    relative = above(tonic, 5, 9) if key.mode == "major" else above(tonic, 2, 3)
    return other == relative and mode != key.mode


def is_degree(draft: Draft, option: str) -> bool:
    if draft.stem.endswith(tuple(f"{mode}?" for mode in ("major", "minor"))):
        tonic, mode = named(draft, " of ").split()
        degree = DEGREE_NAMES.index(draft.stem.split()[4])
    elif " of the scale " in draft.stem:
        tonic, mode = named(draft, " of the scale ").split()
        degree = WORDS.index(draft.stem.split()[4])
    else:
        tonic, *_, mode = draft.stem.split(" of the ")[1].split(" scale")[0].split()
        degree = WORDS.index(option if draft.abc else draft.stem.split()[4])
    right = above(tonic, degree, SCALES[mode][degree])
    if draft.abc:
        return written(draft)[0] == right[0] and notes_of(draft)[0].pitches[0] % 12 == pitch(right)
    return right == option


def is_mode(draft: Draft, option: str) -> bool:
    if draft.abc:
        heights = sorted({note.pitches[0] for note in notes_of(draft)})
        tonic, mode = option.split()
        letter = written(draft)[0].lstrip("^_=").upper()[0]
        shape = tuple(height - heights[0] for height in heights)
        return shape == (*SCALES[mode], 12) and (letter, heights[0] % 12) == (
            tonic[0],
            pitch(tonic),
        )
    if draft.stem.startswith("Which note"):
        return is_degree(draft, option)
    tonic, mode = draft.stem.split(" the scale ")[1].split(" have")[0].split()
    notes = [above(tonic, step, size) for step, size in enumerate(SCALES[mode])]
    return sum(note.count("#") - note.count("b") for note in notes) == count_of(option)


def is_bar_length(draft: Draft, option: str) -> bool:
    unit = VALUES[draft.stem.split()[2]]
    if draft.abc:
        (bar,) = score_of(draft).bars
        return bar.metre - bar.duration == Fraction(int(option), unit)
    return Fraction(draft.stem.split()[-2]) == Fraction(int(option), unit)


def is_metre(draft: Draft, option: str) -> bool:
    return all(bar.duration == Fraction(option) for bar in score_of(draft).bars)


def is_value(draft: Draft, option: str) -> bool:
    value = Fraction(1, VALUES[option.split()[-2]])
    value *= Fraction(3, 2) if option.startswith("dotted") else 1
    if "tied" in draft.stem:
        first, second = notes_of(draft)[:2]
        assert (first.tie, first.pitches) == (True, second.pitches)
        return first.duration + second.duration == value
    return notes_of(draft)[places_named(draft)[0]].duration == value


def is_length(draft: Draft, option: str) -> bool:
    notes, length = notes_of(draft), Fraction(option.split(maxsplit=1)[0])
    if "together" in draft.stem:
        return sum(note.duration for note in notes[:-1]) == length
    if "each" in draft.stem:
        return {note.duration for note in notes[:-1]} == {length}
    return notes[places_named(draft)[0]].duration == length


def is_time(draft: Draft, option: str) -> bool:
    beat, per_minute = re.search(r"Q:(.*)=(.*)", draft.abc).groups()
    bars = score_of(draft).bars
    assert all(bar.duration == bar.metre for bar in bars)
    beats = sum(bar.duration for bar in bars) / Fraction(beat)
    return Fraction(option) == beats * 60 / int(per_minute)


def sounds(root: str, quality: str) -> set[int]:
    return {(pitch(root) + step) % 12 for step in CHORD_SEMITONES[quality]}


def heard(notes: Sequence[abc.Note]) -> set[int]:
    return {height % 12 for note in notes for height in note.pitches}


def is_chord(draft: Draft, option: str) -> bool:
    if draft.abc:
        return heard(notes_of(draft)) == sounds(*option.split(" ", 1))
    root, quality = named(draft, " chord ").split(" ", 1)
    listed = option.split()
    return {*map(pitch, listed)} == sounds(root, quality) and listed[0] == root


def is_placed_chord(draft: Draft, option: str) -> bool:
    name, position = option.split(" in ")
    root, quality = name.split(" ", 1)
    tone = ("root", "first", "second", "third").index(position.split()[0])
    lowest = min(height for note in notes_of(draft) for height in note.pitches)
    bass = (pitch(root) + (*CHORD_SEMITONES[quality], 0)[tone]) % 12
    return heard(notes_of(draft)) == sounds(root, quality) and lowest % 12 == bass


def is_foreign(draft: Draft, option: str) -> bool:
    (placed,) = analysis.placed_chords(score_of(draft))
    tones = analysis.chord_tones(placed.symbol)
    assert len(tones) >= 3
    return pitch(option) in heard(notes_of(draft)) - tones


def is_numeral(draft: Draft, option: str) -> bool:
    if draft.abc:
        key, chord = score_of(draft).key, heard(notes_of(draft))
        numeral = option
    else:
        key = key_of(named(draft, " key of "))
        asks_chord = draft.stem.startswith("Which chord")
        name = option if asks_chord else draft.stem.split(" the chord ")[1].split(" in the")[0]
        numeral = draft.stem.split()[3] if asks_chord else option
        chord = sounds(*name.split(" ", 1))
    degree = ROMAN.index(numeral.rstrip("°").upper())
    root = above(key.tonic, degree, SCALES[key.mode][degree])
    quality = "diminished" if "°" in numeral else "major" if numeral.isupper() else "minor"
    return chord == sounds(root, quality)


def is_cadence(draft: Draft, option: str) -> bool:
    *_, before, last = (heard(bar.notes) for bar in score_of(draft).bars)
    key = score_of(draft).key
    minor = key.mode == "minor"
    major, triad = "major", key.mode
    tonic = sounds(key.tonic, triad)
    fourth = sounds(above(key.tonic, 3, 5), triad)
    fifth = sounds(above(key.tonic, 4, 7), major)
    sixth = sounds(above(key.tonic, 5, 8 if minor else 9), "major" if minor else "minor")
    return {
        "authentic cadence": before == fifth and last == tonic,
        "plagal cadence": before == fourth and last == tonic,
        "half cadence": last == fifth,
        "deceptive cadence": before == fifth and last == sixth,
    }[option]


def is_transposed(draft: Draft, option: str) -> bool:
    way, interval = re.search(r"moved (up|down) by an? ([a-z]+ [a-z]+)", draft.stem).groups()
    steps, semitones = INTERVAL_SIZES[interval]
    if way == "down":
        steps, semitones = -steps, -semitones
    if not draft.abc:
        key = key_of(draft.stem.split(" in ")[1].split(" is ")[0])
        tonic, mode = option.split()
        return tonic == above(key.tonic, steps, semitones) and mode == key.mode
    moved = abc.parse(transform.transpose(draft.abc, semitones))
    line = abc.parse(f"X:1\nL:1/4\nM:none\nK:C\n{option} |")
    heights = [note.pitches for note in line.bars[0].notes]
    return heights == [note.pitches for bar in moved.bars for note in bar.notes]


def steps_of(draft: Draft) -> list[list[tuple[int, Fraction]]]:
    """Place and duration of the notes of each bar."""
    letters = iter(written(draft))
    return [
        [(place(next(letters)), note.duration) for note in bar.notes]
        for bar in score_of(draft).bars
    ]


def is_version(
    first: list[tuple[int, Fraction]], other: list[tuple[int, Fraction]], name: str
) -> bool:
    rise = {"one step higher": 1, "one step lower": -1, "a third higher": 2}
    if name.startswith("a sequence"):
        by = rise[name.split(", ")[1]]
        return [(at - by, length) for at, length in other] == first
    if "inversion" in name:
        mirrored = [(2 * first[0][0] - at, length) for at, length in other]
        return mirrored == first
    if "augmentation" in name:
        return [(at, length / 2) for at, length in other] == first
    return other == (first[::-1] if "retrograde" in name else first)


def is_motif(draft: Draft, option: str) -> bool:
    bars = steps_of(draft)
    if option.startswith("bar "):
        return is_version(bars[0], bars[int(option[4:]) - 1], named(draft, "the first bar, "))
    return is_version(bars[0], bars[1], option)


def is_form(draft: Draft, option: str) -> bool:
    letters = analysis.form(score_of(draft))
    if "letter" in draft.stem:
        return letters == option
    term = option.removesuffix(" form").replace("-", " ").title()
    return term in analysis.terms(score_of(draft))


def is_count(draft: Draft, option: str) -> bool:
    played, start, endings = 0, 0, False
    bars = score_of(draft).bars
    for number, bar in enumerate(bars):
        if bar.opens_repeat:
            start = number
        if bar.ending == "1":
            endings, first = True, number
        if bar.closes_repeat:
            again = first if endings else number + 1
            played, endings = played + again - start, False
        played += 1
    return played == int(option)


CHECKS = {
    "note_names": is_note,
    "intervals": is_interval,
    "intervals_in_context": is_interval,
    "key_signatures": is_signature,
    "key_relations": is_related_key,
    "scale_degrees": is_degree,
    "modes": is_mode,
    "bar_lengths": is_bar_length,
    "metres": is_metre,
    "note_values": is_value,
    "tuplets": is_length,
    "tempo": is_time,
    "chords": is_chord,
    "inversions": is_placed_chord,
    "chord_tones": is_foreign,
    "roman_numerals": is_numeral,
    "cadences": is_cadence,
    "transposition": is_transposed,
    "motifs": is_motif,
    "form": is_form,
    "played_bars": is_count,
}
"""Family -> whether an option is right."""
