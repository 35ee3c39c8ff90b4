"""Inspect: samples of any data and looks into a corpus, as they appear in a terminal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from musicllm import artifacts, config
from musicllm.errors import InputError, StageError
from musicllm.launch import runner
from tests.helpers import make_corpus, make_tune

TRAINED = ["data.tokenizer=train", "data.vocab_size=300", "data.max_length=256"]


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A folder with one book: twelve good tunes, one of them twice, and a bad one."""
    tunes = [make_tune(number) for number in range(12)]
    bad = "X:9\nT:\x1b[31mred\nM:4/4\nK:D\n" + "DEFG | " * 8 + "\n"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "book.abc").write_text("\n".join([*tunes, tunes[3], bad]))
    return tmp_path / "mine"


def inspect(tmp_path: Path, *words: str) -> Path:
    """Run the stage; return the run folder."""
    settings, recipe = config.load(["recipe=inspect", f"paths.runs={tmp_path / 'runs'}", *words])
    return runner.run(settings, recipe).folder


def of_book(book: Path, *words: str) -> list[str]:
    location = f"data.sources.abc_folder.location={book}"
    return ["data=abc_folder", location, "data.validation_fraction=0", *TRAINED, *words]


def test_a_sample_shows_sources_drops_rows_and_tunes(
    tmp_path: Path, book: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inspect(tmp_path, *of_book(book, "data.test_fraction=0"))
    said = capsys.readouterr().out

    assert re.search(r"\n *abc_folder +abc\S* +14 +2 +12 +0 +0 ", said)
    assert re.search(r"abc_folder +1 +is a duplicate +\S*book\.abc", said)
    assert "Supervised tokens stand between [[ and ]]." in said
    assert re.search(r"── document 1 of \d · abc_folder · \d+ tokens, \d+ supervised ──\n", said)
    assert "<s>[[X:1\nR:reel\nL:1/8\nM:4/4\nK:D\n" in said
    assert "</s>]]\n♪ reel, D major, 4/4, 8 bars, all fit" in said
    assert "\x1b" not in said


def test_what_was_shown_is_kept_and_the_sample_is_not(tmp_path: Path, book: Path) -> None:
    folder = inspect(tmp_path, *of_book(book))

    artifacts.read(folder / "artifact", "inspection").verify()
    samples = (folder / "artifact" / "samples.txt").read_text()
    assert samples.count("── document 1 of ") == samples.count("train row ") == 3
    page = (folder / "report.html").read_text()
    assert "14 records read from one source" in page
    assert "recipe=&lt;a recipe that prepares&gt; data=abc_folder" in page
    assert not list(folder.glob(".sample-*"))


def test_settings_say_how_much_is_shown(
    tmp_path: Path, book: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["inspect.num_samples=1", "inspect.num_records=5", "inspect.num_bars=0"]
    folder = inspect(tmp_path, *of_book(book, "data.test_fraction=0", *few))

    samples = (folder / "artifact" / "samples.txt").read_text()
    assert samples.count("── document 1 of ") == 1
    assert "●" not in samples
    assert re.search(r"\n *abc_folder +abc\S* +5 ", capsys.readouterr().out)


def test_a_look_is_shown_again(
    tmp_path: Path, book: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inspect(tmp_path, *of_book(book))
    first = capsys.readouterr().out
    inspect(tmp_path, *of_book(book))
    second = capsys.readouterr().out
    assert "up to date" not in second
    assert first.count("♪") == second.count("♪") > 0


def test_a_look_does_not_stop_because_of_faults(
    tmp_path: Path, book: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inspect(tmp_path, *of_book(book, "data.max_reject_fraction=0.0"))
    assert "Dropped" in capsys.readouterr().out


def test_when_nothing_is_left_the_drops_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    bad = "X:9\nM:4/4\n[red]\x1b[31m\nK:D\n" + "DEFG ABcd | " * 8 + "\n"
    (tmp_path / "mine" / "book.abc").write_text(bad)
    with pytest.raises(StageError, match="no record is left for training"):
        inspect(tmp_path, *of_book(tmp_path / "mine"))
    said = capsys.readouterr().out
    assert re.search(r'abc_folder +1 +does not parse +\S+: line 3: "\[red\]<U\+001B>', said)
    assert "\x1b" not in said


def test_a_prepared_corpus_is_looked_into(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = make_corpus(tmp_path / "corpus", content="messages")
    folder = inspect(tmp_path, f"inputs.corpus={corpus.path}", "inspect.num_samples=2")

    said = capsys.readouterr().out
    assert said.count("train row ") == 2
    assert "<s>Human: Write a reel in D. </s> Assistant: [[X:1\n" in said
    page = (folder / "report.html").read_text()
    assert "30 records read from 2 sources" in page
    assert f"inputs.corpus={corpus.path}" in page


def test_conversations_are_made_from_the_tunes_of_a_corpus(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    words = ["data=music21_instructions", "data.max_reject_fraction=1.0", "data.max_length=1024"]
    inspect(tmp_path, f"inputs.corpus={corpus.path}", *words)

    said = capsys.readouterr().out
    assert re.search(r"<s>Human: .+? </s> Assistant: \[\[", said, re.DOTALL)


def test_a_split_without_rows_is_an_error(tmp_path: Path, book: Path) -> None:
    with pytest.raises(InputError) as caught:
        inspect(tmp_path, *of_book(book, "inspect.split=test", "data.test_fraction=0"))
    assert str(caught.value) == (
        "inspect.split=test has no rows here; train has some, or read more with inspect.num_records"
    )
