from __future__ import annotations

import pytest

from musicllm.music.abc import AbcError, parse_key


@pytest.mark.parametrize(
    ("value", "name", "accidentals", "tonic"),
    [
        ("C", "C", {}, 0),
        ("G", "G", {"F": 1}, 7),
        ("Gm", "Gm", {"B": -1, "E": -1}, 7),
        ("E Minor", "Em", {"F": 1}, 4),
        ("EM", "E", {"F": 1, "C": 1, "G": 1, "D": 1}, 4),
        ("ADor", "Ador", {"F": 1}, 9),
        ("D Mixolydian", "Dmix", {"F": 1}, 2),
        ("Bphr", "Bphr", {"F": 1}, 11),
        ("Glyd", "Glyd", {"F": 1, "C": 1}, 7),
        ("F#loc", "F#loc", {"F": 1}, 6),
        ("Bb", "Bb", {"B": -1, "E": -1}, 10),
        ("HP", "HP", {"F": 1, "C": 1}, 9),
        ("Hp", "HP", {"F": 1, "C": 1}, 9),
        ("none", "none", {}, None),
        ("D exp _b ^f", "D =c _b", {"F": 1, "B": -1}, 2),
        ("Dmin ^c", "Dm ^c", {"B": -1, "C": 1}, 2),
        ("G clef=bass octave=-1", "G", {"F": 1}, 7),
        ("G treble", "G", {"F": 1}, 7),
    ],
)
def test_keys(value: str, name: str, accidentals: dict[str, int], tonic: int | None) -> None:
    key = parse_key(value)
    assert key.name == name
    assert key.accidentals == accidentals
    assert key.tonic_pitch_class == tonic
    assert parse_key(key.name) == key


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", '"K:" names no key'),
        ("H", '"K:H" names no key'),
        ("Bn", '"K:Bn" names no key: "n" is unknown'),
        ("G#", "key G# major needs 8 accidentals; at most 7 exist"),
    ],
)
def test_broken_keys(value: str, reason: str) -> None:
    with pytest.raises(AbcError) as caught:
        parse_key(value)
    assert str(caught.value) == reason
