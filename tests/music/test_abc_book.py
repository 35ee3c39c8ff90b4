from __future__ import annotations

import os
import tracemalloc
from fractions import Fraction
from pathlib import Path

from musicllm.music.abc import Limits, Rejection, Tune, parse, read_book

TUNE = "X:{}\nT:Tune\nM:4/4\nL:1/8\nK:C\nCDEF GABc |]\n"


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def only_rejection(path: Path, limits: Limits | None = None) -> Rejection:
    (item,) = read_book(path, limits) if limits else read_book(path)
    assert isinstance(item, Rejection)
    return item


def test_tunes_carry_their_place(tmp_path: Path) -> None:
    text = "% a book\n\n" + TUNE.format("007") + "\nfree text\n\n" + TUNE.format(8)
    path = write(tmp_path / "a.abc", text)
    assert list(read_book(path)) == [
        Tune(TUNE.format("007").rstrip("\n"), "007", str(path), 3),
        Tune(TUNE.format(8).rstrip("\n"), "8", str(path), 12),
    ]


def test_next_x_line_ends_a_tune(tmp_path: Path) -> None:
    path = write(tmp_path / "a.abc", TUNE.format(1) + TUNE.format(2))
    assert [item.number for item in read_book(path)] == ["1", "2"]


def test_line_endings_encodings_and_byte_order_mark(tmp_path: Path) -> None:
    plain = TUNE.format(1).replace("Tune", "Är")
    wanted = plain.rstrip("\n")
    for content in (
        plain.encode(),
        plain.encode("latin-1"),
        plain.replace("\n", "\r\n").encode(),
        plain.replace("\n", "\r").encode("latin-1"),
        b"\xef\xbb\xbf" + plain.encode(),
    ):
        (tune,) = read_book(write(tmp_path / "a.abc", content))
        assert isinstance(tune, Tune)
        assert tune.text == wanted
        assert parse(tune.text).header["T"] == "Är"


def test_empty_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.abc", "")
    assert only_rejection(path) == Rejection(str(path), "", 0, "the file is empty", "")


def test_file_without_tunes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.abc", "\nDear reader,\nno music here.\n")
    rejection = only_rejection(path)
    assert rejection.reason == "no tune: no line starts with X: or K:"
    assert (rejection.line, rejection.excerpt) == (1, "Dear reader,")


def test_binary_file_keeps_the_tunes_before_it(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.abc", TUNE.format(1).encode() + b"\nab\0cd\n" + TUNE.format(2).encode()
    )
    tune, rejection = read_book(path)
    assert isinstance(tune, Tune)
    assert isinstance(rejection, Rejection)
    assert rejection.reason == "binary file: it holds a zero byte"
    assert rejection.line == 8


def test_missing_file_and_folder(tmp_path: Path) -> None:
    assert only_rejection(tmp_path / "no.abc").reason == "cannot be read: No such file or directory"
    assert only_rejection(tmp_path).reason == "cannot be read: Is a directory"


def test_long_line_in_a_tune_rejects_only_that_tune(tmp_path: Path) -> None:
    text = TUNE.format(1) + "C" * 10_001 + "\n\n" + TUNE.format(2)
    long, good = read_book(write(tmp_path / "a.abc", text))
    assert isinstance(long, Rejection)
    assert long.reason == "a line of more than 10,000 characters"
    assert (long.number, long.line, long.excerpt) == ("1", 7, "X:1")
    assert isinstance(good, Tune)


def test_line_of_exactly_the_limit_is_kept(tmp_path: Path) -> None:
    text = TUNE.format(1) + "%" * 10_000
    (tune,) = read_book(write(tmp_path / "a.abc", text))
    assert isinstance(tune, Tune)
    assert tune.text.endswith("%" * 10_000)


def test_long_tune_is_rejected_where_it_passes_the_limit(tmp_path: Path) -> None:
    text = TUNE.format(1) + "CDEF GABc |\n" * 100
    rejection = only_rejection(write(tmp_path / "a.abc", text), Limits(max_tune_chars=100))
    assert rejection.reason == "the tune is longer than 100 characters"
    assert rejection.line == 12


def test_huge_line_costs_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "huge.abc"
    with path.open("wb") as file:
        for _ in range(20):
            file.write(b"x" * (1 << 20))
        file.write(b"\n" + TUNE.format(1).encode())
    tracemalloc.start()
    rejection, tune = read_book(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(rejection, Rejection)
    assert rejection.reason == "a line of more than 10,000 characters outside a tune"
    assert rejection.excerpt == "x" * 200
    assert isinstance(tune, Tune)
    assert tune.line == 2
    assert peak < 8 << 20


def test_sparse_file_of_zeros_is_binary(tmp_path: Path) -> None:
    path = tmp_path / "zeros.abc"
    path.touch()
    os.truncate(path, 20 << 20)
    assert only_rejection(path).reason == "binary file: it holds a zero byte"


def texts(path: Path) -> list[str]:
    return [item.text for item in read_book(path) if isinstance(item, Tune)]


def test_fields_of_the_head_apply_to_tunes_without_their_own(tmp_path: Path) -> None:
    head = "%abc-2.1\nM:6/8\nL:1/4\nO:England\nI:abc-charset utf-8\n"
    book = head + "\nX:1\nT:A\nT:B\nK:C\nC|\n\nX:2\nL:1/16\nM:2/4\nK:C\nC|"
    first, second = texts(write(tmp_path / "a.abc", book))
    assert first == "X:1\nT:A\nT:B\nM:6/8\nL:1/4\nO:England\nK:C\nC|"
    assert second == "X:2\nO:England\nL:1/16\nM:2/4\nK:C\nC|"
    score = parse(first)
    assert (score.metre_text, score.unit_length) == ("6/8", Fraction(1, 4))


def test_fields_between_tunes_and_behind_prose_are_no_head(tmp_path: Path) -> None:
    book = "Some words.\nM:6/8\n\nL:1/4\n\nX:1\nK:C\nC|\n\nM:3/4\n\nX:2\nK:C\nC|"
    assert texts(write(tmp_path / "a.abc", book)) == ["X:1\nK:C\nC|", "X:2\nK:C\nC|"]


def test_head_that_every_tune_would_repeat_is_refused(tmp_path: Path) -> None:
    book = "M:3/4\nN:" + "n" * 4_000 + "\n\nX:1\nK:C\nC|"
    rejection, tune = read_book(write(tmp_path / "a.abc", book))
    assert isinstance(rejection, Rejection)
    assert rejection.reason == ("its head sets more than 4,000 characters, and is not applied")
    assert isinstance(tune, Tune)
    assert tune.text == "X:1\nK:C\nC|"


def test_tunes_of_a_file_without_numbers(tmp_path: Path) -> None:
    book = "T:One\nM:3/4\nK:C\nC3|\n\nWords: none.\n\nT:Two\nK:D\nD3|\n"
    path = write(tmp_path / "a.abc", book)
    assert list(read_book(path)) == [
        Tune("X:1\nT:One\nM:3/4\nK:C\nC3|", "1", str(path), 1),
        Tune("X:1\nT:Two\nK:D\nD3|", "1", str(path), 8),
    ]


def test_block_of_text_holds_blank_lines_and_ends_at_the_next_tune(tmp_path: Path) -> None:
    tune = "X:1\nM:4/4\nK:C\nC8|\n%%begintext\nAdd\n\na bead\n%%endtext\nD8|"
    book = f"{tune}\n\nX:2\nK:C\n%%beginps\nC\n\nD\nX:3\nK:C\nC|"
    whole, unended, last = texts(write(tmp_path / "a.abc", book))
    assert whole == tune
    assert [note.pitches for bar in parse(whole).bars for note in bar.notes] == [(60,), (62,)]
    assert unended.endswith("D")
    assert last.startswith("X:3")
