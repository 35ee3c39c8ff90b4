"""A whole preparation on a Ray cluster that loses a worker in every phase."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from musicllm.data.engines import LocalEngine, RayEngine
from tests.data.pipeline.test_pipeline import preparation, prepared, tunes

ray = pytest.importorskip("ray", reason="engine=ray is an extra: pip install musicllm[ray]")
pytestmark = [
    pytest.mark.slow,
    # Ray leaves sockets and files of the processes that it starts to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@dataclass(frozen=True)
class KilledOnce:
    """Does an item's work, but the first worker to try is killed when it has done it."""

    function: Callable[[Any], Any]
    marker: Path

    def __call__(self, item: Any) -> Any:
        result = self.function(item)
        if not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return result


@dataclass(frozen=True)
class LosingWorkers:
    """A cluster that loses a worker in every map."""

    engine: RayEngine
    folder: Path

    def map(
        self,
        function: Callable[[Any], Any],
        items: Sequence[Any],
        description: str,
        unit: str = "part",
    ) -> Iterator[Any]:
        if len(items) < 2:  # stays in this process
            return self.engine.map(function, items, description, unit)
        marker = self.folder / description.replace(" ", "-")
        return self.engine.map(KilledOnce(function, marker), items, description, unit)


def test_a_cluster_that_loses_workers_prepares_the_same_bytes(tmp_path: Path) -> None:
    told = preparation(tmp_path, [*tunes(20), *tunes(9, "more")], transpose_semitones=(0, 2))
    here = prepared(tmp_path, told, LocalEngine(2), to="here", work="a")
    cluster = LosingWorkers(RayEngine(num_workers=2), tmp_path)
    try:
        there = prepared(tmp_path, told, cluster, to="there", work="b")
    finally:
        ray.shutdown()
    assert (tmp_path / "reading-and-checking").exists()
    assert (tmp_path / "tokenizing").exists()
    assert there.digest() == here.digest()
    assert there.facts == here.facts
