from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from musicllm import config
from musicllm.data.corpus import Corpus
from musicllm.data.records import SPLITS
from musicllm.errors import ConfigError, InputError, NotAvailableError, StageError
from musicllm.job import Job
from musicllm.launch import runner
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
    job = job_of(tmp_path, "quickstart/prepare", *own_books(books), *overrides)
    rows = prepare.run(job)
    return Corpus.open(job.artifact_path, verify=True), dict(rows)


def own_books(books: Path) -> list[str]:
    source = "data.sources.music21_books"
    return [f"{source}.reader=files", f"{source}.location={books}",
            "data.vocab_size=300", "data.max_length=256"]  # fmt: skip


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
    assert corpus.facts["read"] == {"music21_books": 27}
    assert corpus.facts["dropped"] == {
        "music21_books": {
            "does not parse": 1, "is a duplicate": 1, "is a version of another tune": 1
        },
    }  # fmt: skip
    assert (summary["records read"], summary["dropped"]) == ("27", "3")
    assert "music21_books" in Path(str(summary["look at it"])).read_text()


def test_every_split_has_its_share_and_versions_of_a_tune_share_one(
    tmp_path: Path, books: Path
) -> None:
    settings = ["data.duplicates.melodic_similarity=1.0", "data.test_fraction=0.2"]
    corpus, _ = prepared(tmp_path, books, *settings)

    sizes = {split: corpus.facts["splits"][split]["documents"] for split in SPLITS}
    assert sum(sizes.values()) == 25
    assert sizes["test"] in (5, 6)
    assert sizes["validation"] in (2, 3)
    versions = {make_tune(5, num_bars=12), transpose(make_tune(5, num_bars=12), 2)}
    together = [versions & {record["text"] for record in corpus.records(s)} for s in SPLITS]
    assert sorted(map(len, together)) == [0, 0, 2]


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
    assert fault["place"].startswith("music21_books/second/tunes.abc:")
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
    assert lines[1].startswith("  10 x does not parse: music21_books/first/bad.abc:1: ")
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
    conversations(tmp_path, tunes, "data.instructions.tasks=[motif_to_tune,name_key]")

    said = "data.instructions.tasks: motif_to_tune was not used, since it fits no tune"
    assert said in capsys.readouterr().err


def test_chord_symbols_that_cannot_be_read_are_told(
    tmp_path: Path, books: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    book = books / "first" / "tunes.abc"
    text = book.read_text()
    place = text.index("| ") + 2
    book.write_text(f'{text[:place]}"H7"{text[place : place + 2]}"G7/b"{text[place + 2 :]}')

    corpus, _ = prepared(tmp_path, books)

    said = " ".join(capsys.readouterr().err.split())
    assert (
        '1 of 2 texts in the place of a chord symbol cannot be read, in 1 tunes: "H7" (1); they '
        "stay as they are, and nothing is asked about the chords of these tunes"
    ) in said
    (kept,) = [r["text"] for split in SPLITS for r in corpus.records(split) if '"' in r["text"]]
    assert '"H7"' in kept
    assert '"G7/B"' in kept


def test_an_unknown_family_is_an_error(tmp_path: Path, books: Path) -> None:
    tunes, _ = prepared(tmp_path, books)

    with pytest.raises(ConfigError, match=r"tasks=motif is no instruction family; did you mean"):
        conversations(tmp_path, tunes, "data.instructions.tasks=[motif]")


def test_the_tokenizer_of_a_model_can_be_used(tmp_path: Path, books: Path) -> None:
    own, _ = prepared(tmp_path, books)
    settings = ["data.tokenizer=model", f"model.location={own.tokenizer_path}", "seed=1"]

    borrowed, _ = prepared(tmp_path, books, *settings)

    assert borrowed.facts["tokenizer_fingerprint"] == own.facts["tokenizer_fingerprint"]


def test_a_tokenizer_is_extended(
    tmp_path: Path, books: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own, _ = prepared(tmp_path, books)
    base = ["data.tokenizer=extend", f"model.location={own.tokenizer_path}", "data.vocab_size=null"]
    chosen, summary = prepared(tmp_path, books, *base, "data.num_new_tokens=20")
    new = chosen.facts["new_tokens"]
    assert (new["number"], new["first"], chosen.facts["vocab_size"]) == (20, 300, 320)
    assert new["after"] < new["before"]
    share = 1 - new["after"] / new["before"]
    assert summary["new tokens"] == f"20; {new['texts']} training texts are {share:.1%} shorter"
    tokens = [corpus.facts["splits"]["train"]["tokens"] for corpus in (own, chosen)]
    ends = 2 * chosen.facts["splits"]["train"]["documents"]
    assert (tokens[0] - ends) / (tokens[1] - ends) == new["before"] / new["after"]

    file = tmp_path / "tokens.txt"
    file.write_text("DEF\n|]\nA\n")
    named, _ = prepared(tmp_path, books, *base, f"data.new_tokens={file}")
    assert named.facts["new_tokens"]["number"] == 1 + (
        "|]" not in named.facts["new_tokens"]["known"]
    )
    said = " ".join(capsys.readouterr().err.split())
    assert "of its texts are tokens already and stay as they are: " in said
    job = job_of(
        tmp_path, "quickstart/prepare", *own_books(books), *base, f"data.new_tokens={file}"
    )
    file.write_text("DEF\n")
    other = job_of(
        tmp_path, "quickstart/prepare", *own_books(books), *base, f"data.new_tokens={file}"
    )
    assert job.fingerprint != other.fingerprint

    file.write_text("A\n")
    with pytest.raises(InputError, match="the 1 tokens of the file are tokens of"):
        prepared(tmp_path, books, *base, f"data.new_tokens={file}")


def test_a_model_without_tokenizer_is_an_error(tmp_path: Path, books: Path) -> None:
    with pytest.raises(InputError, match=r"data\.tokenizer=model, but model tiny has no tokenizer"):
        prepared(tmp_path, books, "data.tokenizer=model", "model=tiny")


def test_benchmarks_are_kept_out(tmp_path: Path, books: Path) -> None:
    (tmp_path / "quiz").mkdir()
    words = "which of these dances of Ireland has nine quavers in every bar of its written music"
    (tmp_path / "quiz" / "test.csv").write_text(f"{words},reel,slip jig,polka,hornpipe,B\n")
    (books / "first" / "notes.txt").write_text(f"Quiz: {words}, asked the old fiddler.\n")
    quiz = ["benchmark=[mmlu]", f"benchmark.mmlu.location={tmp_path / 'quiz'}"]
    corpus, summary = prepared(tmp_path, books, *quiz)

    assert corpus.facts["dropped"]["music21_books"]["holds a benchmark question"] == 1
    assert summary["benchmarks"] == "1 records hold one of 1 questions"


def test_a_data_set_that_is_not_here_says_what_to_place_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    cache = f"paths.cache={tmp_path / 'cache'}"
    job = job_of(tmp_path, "prepare_pretrain", cache, "data.tokenizer=train", "data.vocab_size=300")
    with pytest.raises(NotAvailableError) as caught:
        prepare.run(job)
    text = str(caught.value)
    assert "m-a-p/MusicPile" in text
    assert str(tmp_path / "cache" / "datasets" / "m-a-p" / "MusicPile") in text
    assert "data.sources.musicpile.location=" in text


def test_tunes_that_change_while_they_are_read_leave_no_corpus(
    tmp_path: Path, books: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(tmp_path, "quickstart/prepare", *own_books(books))

    def change(*_: object) -> dict[str, object]:
        (books / "second" / "tunes.abc").write_text(make_tune(1))
        return {}

    monkeypatch.setattr(prepare, "prepare", change)
    with pytest.raises(
        StageError,
        match=r"tunes\.abc of data\.sources\.music21_books\.location changed while "
        r"quickstart/prepare read it, so nothing is kept; run the same command again",
    ):
        prepare.run(job)
    assert job.existing() is None
