"""What places hold: equal for copies, read once, never taken from a cache that may be wrong."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from musicllm import artifacts, console, contents
from musicllm.errors import InputError

OLD = 1_600_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two tunes and what does not count: a hidden file, a hidden folder, a link to nothing."""
    made = tmp_path / "tunes"
    (made / "sub").mkdir(parents=True)
    (made / "a.abc").write_text("X:1")
    (made / "sub" / "b.abc").write_text("X:2")
    (made / ".c.abc").write_text("X:3")
    (made / ".git").mkdir()
    (made / ".git" / "config").write_text("x")
    (made / "gone.abc").symlink_to("nowhere")
    return made


def read(path: Path) -> contents.Contents:
    return contents.read(path, path.parent / "cache")


def test_files_count_by_relative_name_and_bytes(folder: Path) -> None:
    names = {"a.abc": b"X:1", "sub/b.abc": b"X:2"}
    assert read(folder).digests == {name: sha256(text).hexdigest() for name, text in names.items()}
    assert read(folder / "a.abc").digests.keys() == {"a.abc"}
    only = contents.read(folder, folder.parent / "cache", lambda name: name.startswith("sub/"))
    assert only.digests.keys() == {"sub/b.abc"}


def test_a_copy_elsewhere_or_a_touch_changes_nothing_and_other_bytes_do(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = read(folder).identity
    copy = shutil.copytree(folder, tmp_path / "copy", symlinks=True)
    os.utime(folder / "a.abc")
    monkeypatch.chdir(tmp_path)
    assert {read(place).identity for place in (folder, copy, Path("tunes"))} == {identity}
    (tmp_path / "linked").symlink_to(folder)
    assert read(tmp_path / "linked").identity == identity
    (copy / "a.abc").rename(copy / "d.abc")
    (folder / "a.abc").write_text("X:4")
    assert len({identity, read(folder).identity, read(copy).identity}) == 3


def test_a_linked_folder_is_entered_once(folder: Path) -> None:
    (folder / "sub" / "up").symlink_to(folder)
    (folder / "more").symlink_to(folder / "sub")
    assert read(folder).digests.keys() == {"a.abc", "sub/b.abc"}


def test_bytes_are_read_once_and_again_after_a_change(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    checksum = artifacts.checksum

    def counting(path: Path, *rest: object) -> str:
        seen.append(path.name)
        return checksum(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(artifacts, "checksum", counting)
    monkeypatch.setattr(contents, "PATIENCE_S", 0.0)  # as if the files were old
    first = read(folder)
    assert read(folder) == first
    assert sorted(seen) == ["a.abc", "b.abc"]
    (folder / "a.abc").write_text("X:7")
    os.utime(folder / "a.abc", (OLD, OLD))  # same size, and an older time
    assert read(folder).identity != first.identity
    assert sorted(seen) == ["a.abc", "a.abc", "b.abc"]


def test_what_changed_a_moment_ago_is_not_taken_from_the_cache(folder: Path) -> None:
    read(folder)
    (record,) = (folder.parent / "cache" / "contents").iterdir()
    assert record.read_text() == "[]"


def test_a_damaged_or_missing_cache_costs_only_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "PATIENCE_S", 0.0)
    first = read(folder)
    (record,) = (folder.parent / "cache" / "contents").iterdir()
    for text in ("{", "7", '[["a.abc", [1], 2, 3]]'):
        record.write_text(text)
        assert read(folder) == first
    shutil.rmtree(folder.parent / "cache")
    (folder.parent / "cache").write_text("no folder")
    assert read(folder) == first


def test_changes_while_a_stage_runs_are_named(folder: Path) -> None:
    before = read(folder)
    os.utime(folder / "a.abc", (OLD, OLD))
    assert before.changed() == []
    (folder / "a.abc").write_text("X:9")
    (folder / "sub" / "b.abc").unlink()
    assert before.changed() == ["a.abc", "sub/b.abc"]


def test_a_file_that_changes_while_it_is_read_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(path: Path, *_: object) -> str:
        path.write_text("longer than before")
        return "0"

    monkeypatch.setattr(artifacts, "checksum", slow)
    with pytest.raises(InputError, match=r"a\.abc changed while it was read; run the same command"):
        read(folder)


def test_a_file_that_cannot_be_read_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(artifacts, "checksum", refuse)
    with pytest.raises(InputError, match=r"a\.abc cannot be read: Permission denied"):
        read(folder)


def test_names_that_are_not_utf8_are_told_apart(tmp_path: Path) -> None:
    for folder, name in (("one", b"\xff.abc"), ("two", b"\xfe.abc")):
        (tmp_path / folder).mkdir()
        Path(os.fsdecode(os.fsencode(tmp_path / folder) + b"/" + name)).write_text("X:1")
    one, two = read(tmp_path / "one"), read(tmp_path / "two")
    assert list(one.digests) == [r"\xff.abc"]
    assert one.identity != two.identity
    assert one.changed() == []


def test_reading_that_takes_long_shows_how_far_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checksum = artifacts.checksum

    def slow(path: Path, advance: Callable[[int], None]) -> str:
        time.sleep(0.05)
        return checksum(path, advance)

    monkeypatch.setattr(artifacts, "checksum", slow)
    monkeypatch.setattr(contents, "PATIENCE_S", 0.0)
    monkeypatch.setattr(contents, "MEBIBYTE", 1)
    monkeypatch.setattr(console, "PLAIN_INTERVAL_S", 0.0)
    read(folder)
    assert f"reading {folder}: 6 of 6 MiBs" in capsys.readouterr().out
