"""Which files of a data set are its records, its questions, or its texts of a split.

Files are selected by their names; nothing is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath, PurePosixPath

from musicllm.errors import InputError
from musicllm.files.hub import Selection
from musicllm.files.kinds import is_data, readable_suffixes
from musicllm.files.listing import ABOUT_JSON
from musicllm.files.splits import SPLIT_OF_WORD, split_of_name, split_word

QUESTION_SUFFIXES = (".csv", ".json", ".jsonl", ".parquet")


def records() -> Selection:
    """Return the files of records."""
    return Selection("records", choose_records, f"files ({readable_suffixes()})")


def choose_records(names: Sequence[str]) -> list[str]:
    """Pick the files of a data set that are its records.

    Where files are named after splits, as the hub wants it, those are the records, and others are
    something else: lists of ids, renderings, copies. Without training files among them the others
    are what there is to train on.
    """
    splits = {name: split_of_name(name) for name in names if is_data(name)}
    return [name for name in splits if splits[name] or "train" not in splits.values()]


def questions() -> Selection:
    """Return the files of questions."""
    expected = (
        f"question files ({', '.join(QUESTION_SUFFIXES)}; in dev/ and test/, or named after their "
        "split)"
    )
    return Selection("questions", choose_questions, expected)


def choose_questions(names: Sequence[str]) -> list[str]:
    """Leave out training files, and single subjects where a folder holds them all, as in MMLU."""
    files = [name for name in names if _holds_questions(PurePosixPath(name))]
    return [name for name in files if name.startswith("all/")] or files


def _holds_questions(path: PurePosixPath) -> bool:
    is_hidden = any(part.startswith(".") for part in path.parts)
    is_of_kind = path.suffix in QUESTION_SUFFIXES and path.name not in ABOUT_JSON
    return is_of_kind and not is_hidden and question_split(path) != "train"


def question_split(path: PurePath) -> str | None:
    """Return the split that a file's or its folder's name says, or None; `dev` has examples."""
    word = split_word(f"{path.parent.name}/{path.name}")
    return None if word is None else "dev" if word == "dev" else SPLIT_OF_WORD[word]


def texts(key: str, location: str, split: str | None) -> Selection:
    """Return the files of general texts, which are of `split` (None: all) in one folder.

    Args:
        key: the benchmark, for messages.
        location: of the data set, likewise.
        split: as a setting names it.
    """

    def choose(names: Sequence[str]) -> list[str]:
        files = choose_texts(key, location, split, names)
        if not files:
            raise InputError(
                f"{key}.location={location}: the data set has no file of texts there; supported "
                f"are {readable_suffixes()}"
            )
        folders = sorted({name.partition("/")[0] for name in files if "/" in name})
        if len(folders) > 1:
            raise InputError(
                f"{key}.location={location}: the data set has several folders of texts "
                f"({', '.join(folders)}); name one: {key}.location={location}/{folders[0]}"
            )
        return files

    name = SPLIT_OF_WORD.get(split, split) if split else "all"
    return Selection(f"texts.{name}", choose, f"files of texts ({readable_suffixes()})")


def choose_texts(key: str, location: object, split: str | None, names: Sequence[str]) -> list[str]:
    """Pick the files of a split, or all that can be read where none is named after a split.

    Raises:
        InputError: they are of other splits.
    """
    splits = {name: split_of_name(name, has_titles=False) for name in names if is_data(name)}
    existing = sorted({name for name in splits.values() if name})
    if split is None or not existing:
        return list(splits)
    canonical = SPLIT_OF_WORD.get(split, split)
    if canonical not in existing:
        raise InputError(
            f"{key}.location={location} has no files of split={split}, but of "
            f"{', '.join(existing)}; set {key}.split to one of these"
        )
    return [name for name in splits if splits[name] == canonical]
