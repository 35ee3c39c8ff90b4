"""How many changed tunes of the free books are found again; `-m slow -s` prints the table."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import pytest

from musicllm.data.engines import LocalEngine
from musicllm.data.sources import Part, find_parts, read_part
from musicllm.errors import InputError
from musicllm.evals.memorisation import MelodyIndex
from musicllm.music import abc
from musicllm.music.analysis import Step, melodic_steps
from musicllm.retrieval import Index, nearest
from musicllm.retrieval.build import build
from musicllm.retrieval.entries import entries
from musicllm.retrieval.reading import IndexSettings
from tests.helpers import source_spec
from tests.retrieval.changes import CHANGES, wrong

MIN_NOTES = 16
PARTS = find_parts(source_spec("books", "books", None))


def of_books(folder: Path, parts: Sequence[Part], num_workers: int | None) -> Index:
    (folder / "index").mkdir()
    settings = IndexSettings(("train",), MIN_NOTES)
    facts = build(parts, settings, LocalEngine(num_workers), folder / "work", folder / "index")
    return Index(folder / "index", facts)


def drawn(count: int, parts: Sequence[Part]) -> list[abc.Score]:
    """Return tunes that an index of the parts holds."""
    records = [record for part in parts for record in read_part(part) if isinstance(record, dict)]
    random.Random(0).shuffle(records)
    drops: Counter[str] = Counter()
    tunes = (tune for record in records for tune in entries(record, MIN_NOTES, drops))
    return [tune.score for tune in islice(tunes, count)]


def recall(index: Index, scores: Sequence[abc.Score]) -> dict[str, tuple[float, float]]:
    """Return change -> share of the tunes that are first, and among the first ten."""
    own = [melodic_steps(score) for score in scores]
    shares = {}
    for name, (change, _) in CHANGES.items():
        places = []
        for number, score in enumerate(scores):
            changed = change(score, random.Random(number))
            if changed.bars:
                melodies = neighbours(index, changed)
                places.append(melodies.index(own[number]) if own[number] in melodies else 10)
        shares[name] = (places.count(0) / len(places), 1 - places.count(10) / len(places))
    return shares


def neighbours(index: Index, score: abc.Score) -> list[list[Step]]:
    """Return the melodies of the ten nearest tunes; none for a tune that is too short."""
    try:
        return [melodic_steps(abc.parse(tune.abc)) for tune in index.similar_to(score, 10)]
    except InputError:
        return []


@pytest.mark.slow
def test_changed_tunes_of_the_free_books_are_found(tmp_path: Path) -> None:
    index = of_books(tmp_path, PARTS, None)
    print(f"\n{len(index):,} tunes\n\n| change | first | among ten |\n| --- | --- | --- |")
    shares = recall(index, drawn(300, PARTS))
    for name, (first, ten) in shares.items():
        print(f"| {name} | {first:.1%} | {ten:.1%} |")
    for name, (first, ten) in shares.items():
        assert first >= CHANGES[name][1], name
        assert ten >= first


def test_changed_tunes_of_one_book_are_found(tmp_path: Path) -> None:
    """And the nearest version of each is the one that a comparison with all tunes tells."""
    aird = PARTS[1:2]
    index, scores = of_books(tmp_path, aird, 1), drawn(25, aird)
    shares = recall(index, scores)
    assert all(first >= CHANGES[name][1] - 0.15 for name, (first, _) in shares.items()), shares

    lines = (tmp_path / "index" / "tunes.jsonl").read_text().splitlines()
    everything = MelodyIndex([json.loads(line)["abc"] for line in lines])
    for number, score in enumerate(scores):
        changed = wrong(0.02 * number)(score, random.Random(number))
        match, version = everything.look_up(changed), nearest(index, changed)
        assert version is not None
        assert version.is_copy == match.is_copy
        if match.is_copy:
            assert version.similarity == pytest.approx(match.similarity)
