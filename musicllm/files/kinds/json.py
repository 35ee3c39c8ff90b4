"""JSON documents: a list of rows, or an object with lists of them."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator
from typing import IO, Any

from musicllm.files.kinds import KINDS, FileKind
from musicllm.files.misfit import Entry
from musicllm.files.pieces import Piece

_HEAD_BYTES = 1 << 20
_STARTS = ("start_map", "start_array")
_ENDS = ("end_map", "end_array")


def is_json_lines(file: IO[bytes]) -> bool:
    """Whether a file called `.json` holds one object a line, as many do."""
    import orjson

    line = file.readline(_HEAD_BYTES)
    try:
        return isinstance(orjson.loads(line), dict) and bool(file.readline(_HEAD_BYTES).strip())
    except orjson.JSONDecodeError:
        return False


def list_names(file: io.BufferedReader) -> list[str]:
    """Return the names of the lists in a JSON object, in order; of other JSON, none.

    Cost: one read of the whole object.
    """
    if not file.peek(_HEAD_BYTES).lstrip().startswith(b"{"):
        return []
    names: dict[str, None] = {}
    depth, key = 0, ""
    for event, value in _events(file):
        if depth == 1 and event == "map_key":
            key = value
        elif depth == 1 and event == "start_array":
            names[key] = None
        depth += (event in _STARTS) - (event in _ENDS)
    return list(names)


def _read(file: IO[bytes], piece: Piece, _: Collection[str] | None) -> Iterator[Entry]:
    """Yield the items of a list, or of every list in an object, such as `data` or `train`.

    Items are numbered through all lists, also where `piece.list_name` selects one of them.
    """
    from ijson.common import ObjectBuilder

    number = depth = item_depth = 0
    name = ""
    builder: ObjectBuilder | None = None
    for event, value in _events(file):
        depth -= event in _ENDS
        if builder is None and depth == item_depth > 0 and event not in _ENDS:
            builder = ObjectBuilder()
        if builder is not None:
            builder.event(event, value)
            if depth == item_depth and event not in _STARTS:
                number += 1
                if piece.list_name in ("", name):
                    yield number, builder.value
                builder = None
        elif event == "map_key" and depth == 1:
            name = value
        elif event == "start_array" and depth <= 1:
            item_depth = depth + 1
        elif event == "end_array" and depth == item_depth - 1:
            item_depth = 0
        depth += event in _STARTS


def _events(file: IO[bytes]) -> Iterator[tuple[str, Any]]:
    import ijson

    yield from ijson.basic_parse(file, use_float=True)


KIND = KINDS.register(FileKind("json", (".json",), _read))
