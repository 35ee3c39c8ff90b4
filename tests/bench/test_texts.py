from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from musicllm.bench import texts
from tests.helpers import music_config


@pytest.fixture(autouse=True)
def _little_prose(monkeypatch: pytest.MonkeyPatch) -> None:
    made = tuple(f"paragraph {number} " + "of some words " * 20 for number in range(50))
    monkeypatch.setattr(texts, "paragraphs", lambda: made)


def test_every_fifth_text_is_a_tune_and_more_texts_begin_with_the_fewer() -> None:
    few, many = (list(texts.documents(number, seed=1)) for number in (10, 20))
    assert many[:10] == few
    assert [text.startswith("X:") for text in few] == [False] * 4 + [True] + [False] * 4 + [True]
    assert list(texts.documents(10, seed=2)) != few


def test_texts_come_back_from_their_file(tmp_path: Path) -> None:
    texts.write_jsonl(tmp_path / "t.jsonl", 10, seed=1)
    assert texts.read_jsonl(tmp_path / "t.jsonl") == list(texts.documents(10, seed=1))


def test_questions_have_words_of_the_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "NUM_QUESTIONS", 5)
    texts.write_questions(tmp_path / "q.jsonl", seed=1)
    questions = texts.read_questions(tmp_path / "q.jsonl")
    assert [question.id for question in questions] == ["0", "1", "2", "3", "4"]
    assert [len(option.split()) for option in questions[0].options] == [6] * 4
    assert set(questions[0].stem.split()) <= set(" ".join(texts.paragraphs()).split())


def test_the_printed_tunes_are_those_of_the_free_books() -> None:
    assert [tune.text[:2] for tune in islice(texts.printed_tunes(), 3)] == ["X:"] * 3
    assert sum(1 for _ in texts.printed_tunes()) == 4248


def test_paragraphs_are_the_long_ones_of_docstrings(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text('"""One.\n\nTwo."""\ndef f():\n    """Three."""\n')
    assert list(texts._paragraphs(file)) == ["One.", "Two.", "Three."]
    file.write_text("not python {{")
    assert list(texts._paragraphs(file)) == []


def test_everything_on_means_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from musicllm.bench.contestants import preparation

    monkeypatch.setattr(texts, "NUM_QUESTIONS", 2)
    texts.write_questions(tmp_path / "q.jsonl", seed=1)
    plain = preparation(tmp_path / "t.jsonl", None)
    full = preparation(tmp_path / "t.jsonl", tmp_path / "q.jsonl")
    assert (plain.music.check, plain.duplicates.exact, plain.questions) == (False, False, ())
    assert full.music == music_config()
    assert full.duplicates.exact
    assert full.duplicates.near_similarity
    assert full.duplicates.melodic_similarity
    assert len(full.questions) == 2
