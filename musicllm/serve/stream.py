"""A file of JSON lines that grows while results come in, in whatever order they finish.

Every line is handed to the operating system when it is written, so that a killed process loses at
most what it was working on. A last line that was torn is cut off, and its result is due again.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from musicllm.errors import ArtifactError

Place = tuple[int, int]
"""Number of a prompt and of its candidate, from 0 on; `number` and `candidate` of a line."""


class Stream:
    """The lines of a file, by prompt and candidate. Memory: 8 bytes of each.

    Args:
        path: of the file; created if it is missing, continued if it is not.
        num_prompts: how many there are.
        num_candidates: of each.

    Attributes:
        num_earlier: lines that were there already.

    Raises:
        ArtifactError: a line before the last one is damaged.
    """

    def __init__(self, path: Path, num_prompts: int, num_candidates: int = 1) -> None:
        self.path = path
        self.num_candidates = num_candidates
        self._starts = array("q", [-1]) * (num_prompts * num_candidates)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        end = self._index()
        self._file = path.open("r+b")
        self._file.truncate(end)
        self._file.seek(end)
        self.num_earlier = len(self)

    def __enter__(self) -> Self:
        """Return the stream itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._file.close()

    def __len__(self) -> int:
        """Return the number of results that are there."""
        return len(self._starts) - self.num_missing

    def __contains__(self, place: Place) -> bool:
        """Return whether the result of a candidate is there."""
        return self._starts[self._slot(place)] >= 0

    @property
    def is_complete(self) -> bool:
        """Whether every result is there."""
        return not self.num_missing

    @property
    def num_missing(self) -> int:
        """Results that are not there yet."""
        return self._starts.count(-1)

    def add(self, line: Mapping[str, Any]) -> None:
        """Write a result, with `number` and `candidate`."""
        slot = self._slot((line["number"], line["candidate"]))
        assert self._starts[slot] < 0, f"prompt {line['number']} has this candidate"
        start = self._file.seek(0, 2)
        text = json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n"
        self._file.write(text.encode("utf-8", "backslashreplace"))
        self._file.flush()
        self._starts[slot] = start

    def read(self, place: Place) -> dict[str, Any]:
        """Return a result that is there."""
        start = self._starts[self._slot(place)]
        assert start >= 0, f"there is no result of {place}"
        self._file.seek(start)
        line: dict[str, Any] = json.loads(self._file.readline())
        return line

    def missing(self) -> Iterator[Place]:
        """Yield what is not there yet, in order; lines may be added meanwhile."""
        for slot, start in enumerate(self._starts):
            if start < 0:
                yield divmod(slot, self.num_candidates)

    def _slot(self, place: Place) -> int:
        number, candidate = place
        return number * self.num_candidates + candidate

    def _index(self) -> int:
        """Note where each line begins; return where the last whole one ends."""
        end = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    break
                try:
                    content = json.loads(line)
                    self._starts[self._slot((content["number"], content["candidate"]))] = end
                except (ValueError, KeyError, TypeError, IndexError):
                    raise ArtifactError(
                        f"{self.path}:{number} is damaged; delete this line, and the same command "
                        "does it again and continues"
                    ) from None
                end += len(line)
        return end
