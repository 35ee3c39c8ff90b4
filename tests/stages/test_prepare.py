from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from musicllm import config, runner
from musicllm.data.corpus import Corpus
from musicllm.data.records import SPLITS
from musicllm.errors import ConfigError, InputError, NotAvailableError, StageError
from musicllm.job import Job
from musicllm.music.abc import canonical, parse
from musicllm.music.transform import transpose
from musicllm.stages import prepare
from tests.helpers import make_tune

NUM_TUNES = 24


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """Two books: 24 good tunes, one of them twice, another also in a second key, and a bad one."""
    tunes = [make_tune(i, num_bars=12) for i in range(NUM_TUNES)]
    first = [*tunes[:12], tunes[3]]
    second = [*tunes[12:], transpose(tunes[5], 2), "X:9\nM:4/4\nK:D\nDEFG ABcd & D8 |]\n"]
    for name, content in (("first", first), ("second", second)):
        (tmp_path / "books" / name).mkdir(parents=True)
        (tmp_path / "books" / name / "tunes.abc").write_text("\n".join(content))
    return tmp_path / "books"


def job_of(tmp_path: Path, recipe: str, *overrides: str) -> Job:
    words = [f"recipe={recipe}", f"paths.runs={tmp_path / 'runs'}", *overrides]
    return runner.bind(*config.load(words))


def prepared(tmp_path: Path, books: Path, *overrides: str) -> tuple[Corpus, dict[str, object]]:
    words = [f"data.location={books}", "data.vocab_size=300", "data.max_length=256"]
    job = job_of(tmp_path, "quickstart/prepare", *words, *overrides)
    rows = prepare.run(job)
    return Corpus.open(job.artifact_path, verify=True), dict(rows)


def conversations(tmp_path: Path, corpus: Corpus, *overrides: str) -> Corpus:
    words = [f"inputs.corpus={corpus.path}", *overrides]
    job = job_of(tmp_path, "quickstart/instructions", *words)
    prepare.run(job)
    return Corpus.open(job.artifact_path)


def test_books_become_a_corpus(tmp_path: Path, books: Path) -> None:
    corpus, summary = prepared(tmp_path, books)

    records = [record for split in SPLITS for record in corpus.records(split)]
    assert sorted(record["text"] for record in records) == sorted(
        make_tune(i, num_bars=12) for i in range(NUM_TUNES)
    )
    assert len({record["id"] for record in records}) == NUM_TUNES
    assert corpus.facts["read"] == {"first": 13, "second": 14}
    assert corpus.facts["dropped"] == {
        "first": {"is a duplicate": 1},
        "second": {"does not parse": 1, "is a near-duplicate": 1},
    }
    assert (summary["records read"], summary["dropped"]) == ("27", "3")


def test_every_split_has_its_share_and_no_group_is_in_two(tmp_path: Path, books: Path) -> None:
    settings = ["data.near_duplicate_similarity=1.0", "data.test_fraction=0.2"]
    corpus, _ = prepared(tmp_path, books, *settings)

    groups = {split: {r["fingerprint_group"] for r in corpus.records(split)} for split in SPLITS}
    sizes = {split: corpus.facts["splits"][split]["documents"] for split in SPLITS}
    assert sum(sizes.values()) == 25
    assert sizes["test"] in (5, 6)
    assert sizes["validation"] in (2, 3)
    assert not groups["train"] & groups["test"]
    assert not groups["train"] & groups["validation"]
    assert not groups["validation"] & groups["test"]
    assert sum(map(len, groups.values())) == NUM_TUNES


def test_rows_hold_the_records_token_by_token(tmp_path: Path, books: Path) -> None:
    corpus, _ = prepared(tmp_path, books)
    tokenizer = AutoTokenizer.from_pretrained(corpus.tokenizer_path)
    store = corpus.rows("train")

    texts = tokenizer.decode([t for i in range(len(store)) for t in store.row(i).input_ids])
    assert sorted(texts.removesuffix("</s>").replace("<s>", "").split("</s>")) == sorted(
        record["text"] for record in corpus.records("train")
    )


def test_what_was_dropped_is_on_file_with_its_place(tmp_path: Path, books: Path) -> None:
    corpus, _ = prepared(tmp_path, books)

    drops = [json.loads(line) for line in (corpus.path / "rejected.jsonl").read_text().splitlines()]
    fault = next(drop for drop in drops if drop["is_fault"])
    assert fault["place"].startswith("second/tunes.abc:")
    assert fault["detail"].startswith("line 4, column 11: voice overlays")


def test_only_training_tunes_are_transposed(tmp_path: Path, books: Path) -> None:
    corpus, _ = prepared(tmp_path, books, "data.transpose_semitones=[0,2,-2]")

    ids = {split: [record["id"] for record in corpus.records(split)] for split in SPLITS}
    assert len(ids["train"]) == 3 * sum(not name.endswith(("+2", "-2")) for name in ids["train"])
    assert not any(name.endswith(("+2", "-2")) for name in ids["validation"] + ids["test"])


def test_the_same_books_and_settings_give_the_same_files(tmp_path: Path, books: Path) -> None:
    files = [
        json.loads((prepared(tmp_path / run, books)[0].path / "manifest.json").read_text())["files"]
        for run in ("one", "two")
    ]

    assert files[0] == files[1]


def test_too_many_faults_stop_before_a_corpus_is_written(tmp_path: Path, books: Path) -> None:
    (books / "first" / "bad.abc").write_text(
        "\n".join("X:1\nM:4/4\nK:H\nDE&F |]\n" for _ in range(9))
    )

    with pytest.raises(StageError) as caught:
        prepared(tmp_path, books)

    lines = str(caught.value).splitlines()
    assert lines[0] == (
        "10 of 36 records (27.8%) were dropped; data.max_reject_fraction=0.1 allows 10.0%:"
    )
    assert lines[1].startswith("  10 x does not parse: first/bad.abc:1: ")
    assert not list((tmp_path / "runs").rglob("manifest.json"))


def test_an_empty_training_split_is_an_error(tmp_path: Path, books: Path) -> None:
    with pytest.raises(StageError, match="no record is left for training"):
        prepared(tmp_path, books, "data.test_fraction=1.0")


def test_instructions_keep_splits_and_tokenizer_of_their_corpus(
    tmp_path: Path, books: Path
) -> None:
    tunes, _ = prepared(tmp_path, books)
    chats = conversations(tmp_path, tunes)

    assert chats.facts["tokenizer_fingerprint"] == tunes.facts["tokenizer_fingerprint"]
    for split in SPLITS:
        texts = {record["text"] for record in tunes.records(split)}
        made = list(chats.records(split))
        assert len(made) == len(texts)
        assert {canonical(record["messages"][1]["content"]) for record in made} == texts
        assert all(parse(record["messages"][1]["content"]).bars for record in made)


def test_a_family_that_no_tune_fits_is_named(
    tmp_path: Path, books: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tunes, _ = prepared(tmp_path, books)
    conversations(tmp_path, tunes, "data.tasks=[chords_to_tune,motif_to_tune]")

    assert (
        "data.tasks: chords_to_tune was not used, since it fits no tune" in capsys.readouterr().err
    )


def test_an_unknown_family_is_an_error(tmp_path: Path, books: Path) -> None:
    tunes, _ = prepared(tmp_path, books)

    with pytest.raises(
        ConfigError, match=r"data\.tasks=motif is no instruction family; there are "
    ):
        conversations(tmp_path, tunes, "data.tasks=[motif]")


def test_the_tokenizer_of_a_model_can_be_used(tmp_path: Path, books: Path) -> None:
    own, _ = prepared(tmp_path, books)
    settings = ["data.tokenizer=model", f"model.location={own.tokenizer_path}", "seed=1"]

    borrowed, _ = prepared(tmp_path, books, *settings)

    assert borrowed.facts["tokenizer_fingerprint"] == own.facts["tokenizer_fingerprint"]


def test_a_model_without_tokenizer_is_an_error(tmp_path: Path, books: Path) -> None:
    with pytest.raises(InputError, match=r"data\.tokenizer=model, but model tiny has no tokenizer"):
        prepared(tmp_path, books, "data.tokenizer=model", "model=tiny")


def test_a_source_that_cannot_be_read_yet_is_an_error(tmp_path: Path) -> None:
    job = job_of(tmp_path, "prepare_pretrain")

    with pytest.raises(
        NotAvailableError, match=r"data\.source=hub cannot be prepared by this version"
    ):
        prepare.run(job)
