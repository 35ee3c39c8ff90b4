"""Which split the name of a file or folder says: `train.jsonl`, `test/1.abc`, `dev-00000-of-00002`.

The words are those of the Hugging Face hub (`datasets.data_files`). In names of files of rows they
may stand beside others, between `-`, `_`, `.` or blanks; a tune book or a text is often called by
its title, so there the word must be the whole name, or that of a folder.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from musicllm.files.pieces import Piece
from musicllm.files.suffixes import COMPRESSIONS, KINDS, OWN_FORMAT, kind_of

_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_SPLIT_OF = {word: split for split, words in _WORDS.items() for word in words}
_SEPARATORS = re.compile(r"[-_. ]+")
_SHARDS = "of"
_SUFFIXES = {suffix.lstrip(".") for suffix in (*KINDS, *COMPRESSIONS, ".zip")}


def split_of(piece: Piece) -> str | None:
    """Return the split that a piece's names say, the innermost first; None when none does."""
    if piece.list_name:
        return split_of_list(piece.list_name) or split_of_name(piece.place)
    return split_of_name(piece.place)


def split_of_name(name: str) -> str | None:
    """Return the split that a path says, relative to the location of its source."""
    kind = kind_of(name)
    is_title = kind is not None and kind[0] in OWN_FORMAT
    for component in reversed(PurePosixPath(name).parts):
        words = [word.rstrip("0123456789") for word in _SEPARATORS.split(component.lower())]
        words = [word for word in words if word and word != _SHARDS and word not in _SUFFIXES]
        splits = [_SPLIT_OF[word] for word in words if word in _SPLIT_OF]
        if splits and (not is_title or len(splits) == len(words)):
            return splits[-1]
    return None


def split_of_list(name: str) -> str | None:
    """Return the split that a list in a JSON object is, by its name there."""
    return _SPLIT_OF.get(name.lower())
