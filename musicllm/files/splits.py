"""Which split a file or folder is named after: `train.jsonl`, `test/1.abc`, `dev-00000-of-00002`.

The words are those of the Hugging Face hub (`datasets.data_files`). In names of files of rows they
may stand beside others, between `-`, `_`, `.` or blanks; a tune book or a text is often called by
its title, so there the word must be the whole name, or that of a folder.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from musicllm.files.kinds import COMPRESSIONS, KINDS, kind_of
from musicllm.files.pieces import Piece

SPLIT_OF_WORD = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
_SEPARATORS = re.compile(r"[-_. ]+")
_SHARDS = "of"


def split_of(piece: Piece) -> str | None:
    """Return the split that a piece is named after, the innermost name first; None for no split."""
    word = piece.list_name.lower()
    return SPLIT_OF_WORD.get(word) or split_of_name(piece.place)


def split_of_name(name: str, *, has_titles: bool = True) -> str | None:
    """Return the split that a path is named after, relative to the location of its data set.

    Args:
        name: the path, with `/`.
        has_titles: whether tune books and texts are called by titles, in which a word of a split
            means nothing.
    """
    word = split_word(name, has_titles=has_titles)
    return None if word is None else SPLIT_OF_WORD[word]


def split_word(name: str, *, has_titles: bool = True) -> str | None:
    """Return the word for a split, as it stands there, such as `dev` (see `split_of_name`)."""
    kind = kind_of(name)
    is_title = has_titles and kind is not None and kind[0].record_format is not None
    suffixes = {suffix for kind in KINDS.values() for suffix in kind.suffixes}
    ignored = {suffix.lstrip(".") for suffix in (*suffixes, *COMPRESSIONS, ".zip")} | {_SHARDS, ""}
    for component in reversed(PurePosixPath(name).parts):
        words = [word.rstrip("0123456789") for word in _SEPARATORS.split(component.lower())]
        words = [word for word in words if word not in ignored]
        split_words = [word for word in words if word in SPLIT_OF_WORD]
        if split_words and (not is_title or len(split_words) == len(words)):
            return split_words[-1]
    return None
