"""Ray itself: starting it takes seconds, so everything here is slow and shares one cluster."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from musicllm.data.engines import LocalEngine, RayEngine
from musicllm.errors import ConfigError, Problem, StageError

ray = pytest.importorskip("ray", reason="engine=ray is an extra: pip install musicllm[ray]")
pytestmark = [
    pytest.mark.slow,
    # Ray leaves sockets and files of the processes that it starts to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def engine() -> Iterator[RayEngine]:
    yield RayEngine(num_workers=2)
    ray.shutdown()


@dataclass(frozen=True)
class Write:
    """Writes a file for an item, and kills its own worker the first time it sees number 3."""

    folder: Path
    dies: bool = False

    def __call__(self, number: int) -> str:
        marker = self.folder / "died"
        if self.dies and number == 3 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        content = hashlib.sha256(b"%d" % number).digest() * 1000
        part = self.folder / f"{number}.{os.getpid()}"
        part.write_bytes(content)
        part.rename(self.folder / f"{number}.bin")
        return hashlib.sha256(content).hexdigest()


def fail(number: int) -> int:
    if number == 3:
        raise ConfigError([Problem("data.x", number, "is three")])
    return number


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.glob("*.bin")}


def test_an_address_without_a_cluster_says_what_to_do() -> None:
    with pytest.raises(
        StageError, match=r"engine.address=auto: no Ray cluster answers .* start one"
    ):
        list(RayEngine(address="auto").map(fail, range(2), "failing"))


def test_a_cluster_that_loses_a_worker_makes_the_same_bytes(
    engine: RayEngine, tmp_path: Path
) -> None:
    ours, theirs = tmp_path / "local", tmp_path / "ray"
    ours.mkdir()
    theirs.mkdir()
    here = list(LocalEngine(2).map(Write(ours), range(12), "writing"))
    there = list(engine.map(Write(theirs, dies=True), range(12), "writing"))
    assert (theirs / "died").exists()
    assert there == here
    assert files(theirs) == files(ours)
    assert len(files(ours)) == 12


def test_an_error_of_the_user_arrives_as_it_was_raised(engine: RayEngine) -> None:
    with pytest.raises(ConfigError) as caught:
        list(engine.map(fail, range(6), "failing"))
    assert str(caught.value) == "1 problem in the configuration:\n  data.x=3 is three"
