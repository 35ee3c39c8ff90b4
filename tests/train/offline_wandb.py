"""Reads what wandb recorded offline, which is what `wandb sync` would upload.

A recording is a log of protocol buffers in LevelDB's log format: blocks of 32 KiB, and in them
pieces with a head of 7 bytes (checksum, length, kind), where kinds 1 and 4 end a record.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK = 1 << 15
HEAD = 7


class Recording:
    """A run.

    Attributes:
        run_id: of the run.
        config: by name.
        history: what was logged, in order; without wandb's own fields.
        artifacts: names of artifacts with the paths in them.
    """

    def __init__(self, folder: Path) -> None:
        self.config: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []
        self.artifacts: dict[str, list[str]] = {}
        (path,) = folder.glob("run-*.wandb")
        for record in _records(path):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                self.run_id: str = record.run.run_id
                self.config |= _values(record.run.config.update)
            elif kind == "config":
                self.config |= _values(record.config.update)
            elif kind == "history":
                line = _values(record.history.item)
                self.history.append({k: v for k, v in line.items() if not k.startswith("_")})
            elif kind == "artifact":
                paths = [entry.path for entry in record.artifact.manifest.contents]
                self.artifacts[record.artifact.name] = paths


def _records(path: Path) -> Iterator[Any]:
    from wandb.proto import wandb_internal_pb2

    data, at, record = path.read_bytes(), HEAD, b""  # the file has a head of its own
    while at + HEAD <= len(data):
        if BLOCK - at % BLOCK < HEAD:  # no head fits into the rest of a block
            at += BLOCK - at % BLOCK
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + HEAD])
        record += data[at + HEAD : at + HEAD + length]
        at += HEAD + length
        if kind in (1, 4):
            yield wandb_internal_pb2.Record.FromString(record)
            record = b""


def _values(items: Any) -> dict[str, Any]:
    return {
        item.key or "/".join(item.nested_key): json.loads(item.value_json, parse_constant=str)
        for item in items
    }
