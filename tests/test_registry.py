"""Kinds of the user's own: where they come from, and what is said when they cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from musicllm import config
from musicllm.errors import InputError
from musicllm.registry import load_extensions
from musicllm.runs.binding import bind
from musicllm.train.optimizers import OPTIMIZERS

TWO = """
from dataclasses import dataclass
from musicllm.train.optimizers import OPTIMIZERS

@dataclass
class Kind:
    name: str

"""


def test_what_cannot_be_imported_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.py").write_text("1 / 0")
    (tmp_path / "notes.txt").write_text("no code")
    for name, text in (
        ("missing.py", "extensions names {}, which does not exist"),
        ("empty", "extensions names {}, a folder without Python files"),
        ("notes.txt", "extensions names {}, which is no Python file"),
        ("broken.py", "extensions: {} cannot be imported: ZeroDivisionError('division by zero')"),
    ):
        place = tmp_path / name
        with pytest.raises(InputError) as caught:
            config.load(["recipe=quickstart/sft", f"extensions=[{place}]"])
        assert str(caught.value) == text.format(place)


@pytest.mark.parametrize("names", [["adamw"], ["mine", "mine"]])
def test_a_name_that_is_taken_is_refused_in_the_file_that_takes_it_again(
    tmp_path: Path, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OPTIMIZERS, "_kinds", {**OPTIMIZERS})
    file = tmp_path / "own.py"
    file.write_text(TWO + "\n".join(f"OPTIMIZERS.register(Kind({name!r}))" for name in names))
    with pytest.raises(InputError) as caught:
        load_extensions([str(file)])
    assert str(caught.value) == (
        f"extensions: {file} cannot be imported: there are two kinds of optimizer named "
        f"{names[0]}; rename one"
    )


def test_extensions_count_by_what_they_hold(tmp_path: Path) -> None:
    def identity(place: Path) -> str:
        words = ["recipe=quickstart/prepare", f"extensions=[{place}]", f"paths.cache={tmp_path}"]
        return bind(*config.load(words)).fingerprint

    folders = [tmp_path / name for name in ("one", "copy", "other")]
    for folder in folders:
        folder.mkdir()
        (folder / "own.py").write_text(f"x = {folder.name == 'other'}")
        (folder / "notes.txt").write_text(folder.name)
    first, copy, other = map(identity, folders)
    assert first == copy != other
    assert first != bind(*config.load(["recipe=quickstart/prepare"])).fingerprint
