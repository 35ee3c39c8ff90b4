from __future__ import annotations

from pathlib import Path

import pytest

from musicllm.data import sources
from musicllm.data.sources import FREE_BOOKS, read_tunes, tune_books
from musicllm.errors import InputError, NotAvailableError
from tests.helpers import make_tune


def test_a_folder_of_files_is_a_book(tmp_path: Path) -> None:
    for name in ("b/two.abc", "b/one.abc", "a/three.abc", "a/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(make_tune(0))

    books = tune_books(str(tmp_path))

    assert {book: [file.name for file in files] for book, files in books.items()} == {
        "a": ["three.abc"],
        "b": ["one.abc", "two.abc"],
    }


def test_tunes_are_read_in_the_order_of_books_and_files(tmp_path: Path) -> None:
    (tmp_path / "2.abc").write_text(make_tune(3))
    (tmp_path / "1.abc").write_text(make_tune(1) + "\n" + make_tune(2))

    found = list(read_tunes(tune_books(str(tmp_path))))

    assert [book for book, _ in found] == [tmp_path.name] * 3
    assert [tune.text.strip() for _, tune in found] == [make_tune(i).strip() for i in (1, 2, 3)]


def test_the_free_books_of_music21_are_there_and_the_others_are_not() -> None:
    books = tune_books(None)

    assert list(books) == list(FREE_BOOKS)
    assert all(books.values())
    assert {file.parent.name for files in books.values() for file in files} == set(FREE_BOOKS)


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent is not a folder; give a folder of \.abc files"):
        tune_books(str(tmp_path / "absent"))


def test_a_folder_without_tunes_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no \.abc file"):
        tune_books(str(tmp_path))


def test_without_music21_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "find_spec", lambda _: None)

    with pytest.raises(NotAvailableError, match="not installed; pip install music21, or set data"):
        tune_books(None)
