"""Clips of audio that belong to records: features beside tokens.

A record may have `features`, a list with one entry `{"kind": "audio", "file": path, "start_s": 0,
"duration_s": null}` beside its text or messages. A path is absolute or relative to the folder of
the data file. When the record is read the file is looked at, and the SHA-256 of its content becomes
part of the entry, so that features are those of these sounds wherever the file lies later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from musicllm import artifacts
from musicllm.files import audio
from musicllm.files.misfit import Misfit

FEATURES = "features"
KIND = "audio"
_KEYS = ("kind", "file", "start_s", "duration_s", "sha256")


@dataclass(frozen=True)
class Clip:
    """A stretch of an audio file.

    Attributes:
        file: absolute path, where it was when the record was read.
        start_s: where it begins, in seconds.
        duration_s: its length in seconds; None up to the end of the file.
        sha256: of the content of the file.
    """

    file: str
    start_s: float
    duration_s: float | None
    sha256: str

    @property
    def key(self) -> str:
        """What its features are stored by: content and stretch."""
        return artifacts.fingerprint([self.sha256, self.start_s, self.duration_s])

    def as_json(self) -> dict[str, Any]:
        """Return the entry of a record."""
        return {"kind": KIND, **asdict(self)}

    @classmethod
    def of_json(cls, entry: Mapping[str, Any]) -> Clip:
        """Return the clip of an entry that `as_json` wrote."""
        return cls(entry["file"], entry["start_s"], entry["duration_s"], entry["sha256"])


def clip_of(record: Mapping[str, Any]) -> Clip | None:
    """Return the clip of a record that was read by `resolved`; None for one without."""
    entries = record.get(FEATURES)
    if not entries:
        return None
    (entry,) = entries
    return Clip.of_json(entry)


def resolved(entries: Any, folder: Path) -> list[dict[str, Any]]:
    """Return the `features` of a record with absolute paths and checksums.

    Cost: reads every file once in a process, for its checksum.

    Args:
        entries: as they stand in the data.
        folder: of the data file.

    Raises:
        Misfit: they are no list of one entry, or the file is missing or cannot be read as audio, or
            the clip lies outside of it.
    """
    if not isinstance(entries, list) or len(entries) != 1 or not isinstance(entries[0], dict):
        detail = 'expected [{"kind": "audio", "file": ..., "start_s": ..., "duration_s": ...}]'
        raise Misfit("has features of another form", detail)
    entry: dict[str, Any] = entries[0]
    if unknown := sorted(entry.keys() - set(_KEYS)):
        raise Misfit("has features of another form", f"unknown key {unknown[0]}")
    if entry.get("kind") != KIND or not isinstance(entry.get("file"), str):
        raise Misfit("has features of another form", f'kind is "{KIND}", and file a path')
    start = _seconds(entry, "start_s", 0.0)
    duration = _seconds(entry, "duration_s", None)
    path = (folder / Path(entry["file"]).expanduser()).resolve()
    sound, sha256 = _look(path)
    assert start is not None, "it has a default"
    if start >= sound.duration_s or (duration is not None and duration <= 0):
        detail = f"from {start:g} s of {sound.duration_s:.3f} s of {entry['file']}"
        raise Misfit("has a clip outside of its audio", detail)
    if "sha256" in entry and entry["sha256"] != sha256:
        raise Misfit("has audio that changed", f"{entry['file']} has another content than recorded")
    return [Clip(str(path), start, duration, sha256).as_json()]


def _seconds(entry: Mapping[str, Any], key: str, otherwise: float | None) -> float | None:
    value = entry.get(key)
    if value is None:
        return otherwise
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e7:
        raise Misfit("has features of another form", f"{key} is {value!r}, not seconds")
    return float(value)


@lru_cache(maxsize=4096)
def _look(path: Path) -> tuple[audio.Sound, str]:
    """Return what the header of a file says, and its checksum; many records share a file."""
    return audio.probe(path), artifacts.checksum(path)
