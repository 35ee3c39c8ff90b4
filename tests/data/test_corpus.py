from __future__ import annotations

import json
from pathlib import Path

import pytest

from musicllm.data.corpus import Corpus
from musicllm.errors import ArtifactError
from tests.helpers import make_corpus, make_tune


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus") / "artifact")


def test_records_and_rows_of_a_split(corpus: Corpus) -> None:
    records = list(corpus.records("test"))
    store = corpus.rows("test")

    assert {record["text"] for record in records} < set(map(make_tune, range(30)))
    assert len(records) == 3
    assert sum(len(store.row(i).document_lengths) for i in range(len(store))) == 3


def test_facts_count_what_is_there(corpus: Corpus) -> None:
    train = corpus.facts["splits"]["train"]
    store = corpus.rows("train")

    assert train["documents"] == 24
    assert sum(train["by_source"].values()) == 24
    assert train["characters"] == sum(len(record["text"]) for record in corpus.records("train"))
    assert train["rows"] == len(store)
    assert train["tokens"] == store.num_tokens.sum()
    assert train["supervised_tokens"] == train["tokens"] - 24
    assert train["packing_efficiency"] == train["tokens"] / (256 * len(store))
    assert corpus.facts["sources"] == ["other", "made"]
    assert corpus.facts["read"] == {"made": 15, "other": 15}
    assert corpus.facts["vocab_size"] == 300


def test_the_same_settings_give_the_same_files(corpus: Corpus, tmp_path: Path) -> None:
    again = make_corpus(tmp_path / "artifact")

    files = [
        json.loads((each.path / "manifest.json").read_text())["files"] for each in (corpus, again)
    ]
    assert files[0] == files[1]


def test_dropped_conversations_are_in_neither_records_nor_rows(tmp_path: Path) -> None:
    short = make_corpus(tmp_path / "artifact", content="messages", max_length=108)

    dropped = [
        json.loads(line) for line in (short.path / "rejected.jsonl").read_text().splitlines()
    ]
    kept = {record["id"] for split in short.facts["splits"] for record in short.records(split)}

    assert 0 < len(dropped) < 30
    assert len(kept) + len(dropped) == 30
    assert kept.isdisjoint(drop["place"] for drop in dropped)
    assert sum(split["documents"] for split in short.facts["splits"].values()) == len(kept)


def test_an_unknown_split_is_an_error(corpus: Corpus) -> None:
    with pytest.raises(ArtifactError, match="has no split 'dev'; it has train, validation, test"):
        list(corpus.records("dev"))


def test_damage_is_found_when_asked_for(tmp_path: Path) -> None:
    made = make_corpus(tmp_path / "artifact")
    (made.path / "records" / "test" / "00000.jsonl").write_text("")

    Corpus.open(made.path)
    with pytest.raises(ArtifactError, match=r"test/00000\.jsonl is damaged"):
        Corpus.open(made.path, verify=True)


def test_another_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="is not an artifact"):
        Corpus.open(tmp_path)
