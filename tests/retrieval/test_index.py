"""An index of tunes: what it holds, and which of them are found by melody and by text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from musicllm.data.engines import LocalEngine
from musicllm.data.records import Record
from musicllm.data.sources import find_parts
from musicllm.errors import ArtifactError, InputError
from musicllm.music.transform import transpose
from musicllm.retrieval import Index
from musicllm.retrieval.build import build
from musicllm.retrieval.reading import IndexSettings
from tests.helpers import make_tune, write_sources
from tests.retrieval.indexes import make_index

TUNES = [make_tune(number) for number in range(12)]


def record(text: str) -> Record:
    return {"source": "mine", "id": "", "text": text}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    return make_index(tmp_path_factory.mktemp("index") / "artifact", list(map(record, TUNES)))


def test_a_tune_is_found_in_every_key(index: Index) -> None:
    for number, tune in enumerate(TUNES):
        for semitones in (-5, 0, 2, 7):
            first, *rest = index.similar(transpose(tune, semitones), 3)
            assert (first.abc, first.id) == (tune.strip(), f"mine/mine.jsonl:{number + 1}")
            assert first.source == "mine"
            assert first.score == pytest.approx(1)
            assert all(other.score < 0.5 for other in rest)


def test_a_tune_amid_prose_is_found(index: Index) -> None:
    query = f"What does this remind you of?\n\n{TUNES[3]}\nThank you."
    assert index.similar(query, 1)[0].abc == TUNES[3].strip()


def test_neighbours_are_in_the_order_of_their_scores(index: Index) -> None:
    half = TUNES[5][: TUNES[5].index("|", 60)] + "| " + TUNES[6].split("K:D\n")[1]
    scores = [tune.score for tune in index.similar(half, 20)]
    assert scores == sorted(scores, reverse=True)
    assert 1 <= len(scores) <= 12
    assert all(0 < score <= 1 for score in scores)


def test_a_melody_comes_once(tmp_path: Path) -> None:
    """In another key, or in another record, it is the same; the first counts."""
    other = transpose(TUNES[0], 5)
    made = make_index(tmp_path / "artifact", [record(TUNES[0]), record(other), record(TUNES[1])])
    assert (len(made), made.facts["num_repeated"]) == (2, 1)
    assert [tune.abc for tune in made.similar(other, 5)][:1] == [TUNES[0].strip()]


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    short = "X:1\nM:4/4\nL:1/8\nK:D\nDEF |"
    broken = "X:1\nM:4/4\nL:1/8\nK:D\nDEFG [[ABcd | DEFG ABcd |"
    texts = [TUNES[0], "No tune is in here.", short, broken]
    made = make_index(tmp_path / "artifact", list(map(record, texts)))
    assert made.facts["left_out"] == {
        "records without a tune": 1, "tunes that are too short": 1, "tunes that do not parse": 1,
    }  # fmt: skip
    assert made.facts["by_source"] == {"mine": 1}


def test_words_find_by_text_in_both_languages(tmp_path: Path) -> None:
    titled = TUNES[0].replace("R:reel\n", "T:The Lädies' Fancy\nR:jig\n")
    flat = TUNES[1].replace("K:D", "K:Bb").replace("R:reel", "R:hornpipe")
    request: Record = {
        "source": "mine",
        "id": "",
        "messages": [
            {"role": "user", "content": "请写一首关于大海的欢快曲子。"},
            {"role": "assistant", "content": TUNES[2]},
        ],
    }
    made = make_index(tmp_path / "artifact", [record(titled), record(flat), request])
    expected = {
        "lady's fancies": titled,
        "a jig": titled,
        "吉格舞曲": titled,
        "hornpipes in Bb major": flat,
        "降B大调的号笛舞曲": flat,
        "关于大海": TUNES[2],
    }
    for words, tune in expected.items():
        assert made.similar(words, 1, "text")[0].abc == tune.strip(), words
    assert made.similar("jig", 1, "text")[0].title == "The Lädies' Fancy"
    assert made.similar("waltz", 5, "text") == []
    assert made.similar(flat.replace("DEFG", "d"), 1, "text")[0].abc == flat.strip()


def test_bm25_by_hand(tmp_path: Path) -> None:
    """One of two tunes has the word, twice, and is as long as the mean."""
    plain = "X:1\nM:4/4\nL:1/8\nK:none\n"
    body = [tune.split("K:D\n")[1] for tune in TUNES[:2]]
    texts = [f"sea sea\n\n{plain}{body[0]}", f"hill hill\n\n{plain}{body[1]}"]
    made = make_index(tmp_path / "artifact", list(map(record, texts)))
    (only,) = made.similar("sea", 5, "text")
    rarity = 0.6931471805599453  # ln(1 + (2 - 1 + 0.5) / (1 + 0.5))
    assert only.score == pytest.approx(rarity * 2 * 2.2 / (2 + 1.2))


def test_the_number_of_workers_and_parts_changes_nothing(tmp_path: Path) -> None:
    parts = [
        part
        for number in range(3)
        for spec in write_sources(tmp_path / f"{number}", [record(t) for t in TUNES[number::3]])
        for part in find_parts(spec)
    ]
    settings = IndexSettings(("train",), 8)
    for name, workers in (("one", 1), ("two", 2)):
        (tmp_path / name).mkdir()
        engine = LocalEngine(workers)
        facts = build(parts, settings, engine, tmp_path / f"{name}.work", tmp_path / name)
        assert facts["num_tunes"] == len(TUNES)
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*.*"))
    assert len(files) == 12
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_records_of_other_splits_are_left_out(tmp_path: Path) -> None:
    (spec,) = write_sources(tmp_path / "sources", [record(TUNES[0])])
    (part,) = find_parts(spec)
    parts = [replace(part, split=split) for split in ("validation", "train", "test")]
    (tmp_path / "folder").mkdir()
    settings = IndexSettings(("validation", "test"), 8)
    facts = build(parts, settings, LocalEngine(1), tmp_path / "work", tmp_path / "folder")
    assert (facts["num_tunes"], facts["num_repeated"]) == (1, 1)


@pytest.mark.parametrize("name", ["tunes.jsonl", "melody/tunes.u4", "melody/starts.i8", "sizes.u4"])
@pytest.mark.parametrize("is_shorter", [True, False])
def test_a_damaged_index_is_refused(tmp_path: Path, name: str, is_shorter: bool) -> None:
    make_index(tmp_path / "artifact", [record(TUNES[0])])
    file = tmp_path / "artifact" / name
    content = file.read_bytes()
    file.write_bytes(content[:-1] if is_shorter else content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ArtifactError, match=f"{name} is damaged .*run its stage again"):
        Index.open(tmp_path / "artifact")


def test_an_index_of_another_layout_is_refused(tmp_path: Path) -> None:
    make_index(tmp_path / "artifact", [record(TUNES[0])])
    manifest = tmp_path / "artifact" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"layout": 1', '"layout": 0'))
    with pytest.raises(ArtifactError, match="is an index of layout 0, and 1 is read here; delete"):
        Index.open(tmp_path / "artifact")


def test_a_folder_that_is_no_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="is not an artifact"):
        Index.open(tmp_path)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("a reel in D", "there is no tune in the query: ABC needs a header with K: and music"),
        ("X:1\nM:4/4\nL:1/8\nK:D\nDE [[F |", "the tune of the query does not parse"),
        ("X:1\nM:4/4\nL:1/8\nK:D\nDFD2 |", "is too short to be looked up; write two bars or more"),
    ],
)
def test_what_cannot_be_looked_up_is_refused(index: Index, query: str, text: str) -> None:
    with pytest.raises(InputError, match=text):
        index.similar(query)


def test_a_number_of_neighbours_below_one_is_refused(index: Index) -> None:
    with pytest.raises(InputError, match="k=0 must be at least 1"):
        index.similar(TUNES[0], 0)
