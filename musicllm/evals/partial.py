"""What an evaluation has measured so far, so that an interrupted one continues.

One JSON file per finished measurement, written atomically. Knows nothing of what is measured.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from musicllm import artifacts


class Partial:
    """Finished measurements in a folder; those of other settings are ignored.

    Args:
        folder: created with the first measurement.
        fingerprint: of the settings and inputs that all measurements depend on.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        self._earlier = {path.relative_to(folder).as_posix() for path in folder.rglob("*.json")}
        self.num_earlier = 0
        """Measurements that an interrupted run had finished."""
        self.num_shared = 0
        """Measurements that this run had finished, for another benchmark."""

    def find(self, name: str) -> Any:
        """Return the stored value of a name, or None."""
        try:
            content = json.loads((self._folder / f"{name}.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        if not isinstance(content, dict) or content.get("fingerprint") != self._fingerprint:
            return None
        if f"{name}.json" in self._earlier:
            self.num_earlier += 1
        else:
            self.num_shared += 1
        return content["value"]

    def keep(self, name: str, value: Any) -> None:
        """Store a JSON value; processes may store values of different names at the same time."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._earlier.discard(f"{name}.json")
        content = {"fingerprint": self._fingerprint, "value": value}
        artifacts.write_json(self._folder / f"{name}.json", content)

    def get(self, name: str, measure: Callable[[], Any]) -> Any:
        """Return a stored measurement, or measure and store it.

        Args:
            name: of the file, without suffix.
            measure: gives a JSON value, and never None.
        """
        value = self.find(name)
        if value is None:
            value = measure()
            self.keep(name, value)
        return value

    def remove(self) -> None:
        """Delete all measurements; for when the results are written."""
        shutil.rmtree(self._folder, ignore_errors=True)
