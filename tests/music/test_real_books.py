"""Properties that must hold for every tune of three printed collections."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from musicllm.music.abc import (
    AbcError,
    Score,
    Tune,
    canonical,
    check,
    find_tunes,
    parse,
    read_book,
    repair,
)
from musicllm.music.analysis import (
    form,
    key_fit,
    melodic_fingerprint,
    motif,
    unreadable_chords,
)
from musicllm.music.transform import transpose

BOOKS = ("oneills1850", "airdsAirs", "ryansMammoth")


@pytest.fixture(scope="module")
def real_tunes() -> list[Tune]:
    """The tunes that ship inside music21, read as files; music21 itself is not imported."""
    found = importlib.util.find_spec("music21")
    assert found is not None, "music21 is a dependency"
    assert found.submodule_search_locations, "music21 is a package"
    corpus = Path(found.submodule_search_locations[0]) / "corpus"
    files = [path for book in BOOKS for path in sorted((corpus / book).glob("*.abc"))]
    read = [tune for path in files for tune in read_book(path)]
    tunes = [tune for tune in read if isinstance(tune, Tune)]
    assert len(tunes) == len(read) == 4248
    return tunes


@pytest.fixture(scope="module")
def scores(real_tunes: list[Tune]) -> list[Score]:
    return list(readable(real_tunes))


@pytest.fixture(
    scope="module",
    params=[pytest.param(11, id="sample"), pytest.param(1, id="all", marks=pytest.mark.slow)],
)
def sample(scores: list[Score], request: pytest.FixtureRequest) -> list[Score]:
    return scores[:: request.param]


def readable(tunes: list[Tune]) -> Iterator[Score]:
    for tune in tunes:
        try:
            yield parse(tune.text)
        except AbcError:
            continue


def sound(score: Score, semitones: int = 0) -> list[tuple[object, ...]]:
    return [
        (bar.voice, tuple(pitch + semitones for pitch in note.pitches), note.duration)
        for bar in score.bars
        for note in bar.notes
    ]


def test_almost_all_tunes_parse(scores: list[Score], real_tunes: list[Tune]) -> None:
    assert len(scores) >= 0.985 * len(real_tunes)


def test_almost_all_bars_fit(scores: list[Score]) -> None:
    reports = [check(score) for score in scores]
    assert sum(r.num_fitting for r in reports) >= 0.985 * sum(r.num_bars for r in reports)


def test_canonical_form_sounds_the_same_and_is_stable(sample: list[Score]) -> None:
    for score in sample:
        text = canonical(score)
        again = parse(text)
        assert sound(again) == sound(score)
        assert check(again).num_fitting == check(score).num_fitting
        assert canonical(again) == text


def test_transposed_tunes_sound_exactly_higher_or_lower(sample: list[Score]) -> None:
    plain = [score for score in sample if not unreadable_chords(score)]
    assert len(plain) > 0.97 * len(sample)
    for index, score in enumerate(plain):
        semitones = index % 23 - 11
        text = transpose(score, semitones)
        moved = parse(text)
        assert sound(moved) == sound(score, semitones)
        assert canonical(moved) == text
        assert melodic_fingerprint(moved) == melodic_fingerprint(score)


def test_analysis_of_every_tune(sample: list[Score]) -> None:
    assert sum(key_fit(score) for score in sample) / len(sample) > 0.98
    assert sum(form(score) == "AABB" for score in sample) > 0.4 * len(sample)
    assert all(motif(score) for score in sample)


def test_tunes_are_found_amid_prose(sample: list[Score]) -> None:
    for number, score in enumerate(sample):
        tune = score.source.replace("\n", ("\n", "\r\n", "</s>\n")[number % 3])
        text = f"Sure! In Key: A, a tune:\n{tune}\n\nIts form is |:A:|:B:|, I think."
        assert [text[found.start : found.stop] for found in find_tunes(text)] == [tune]


def test_repairs_leave_the_sound(sample: list[Score]) -> None:
    for score in sample:
        mended, _ = repair(score.source, complete=True)
        assert sound(parse(mended)) == sound(score)
