"""The engine of a cluster: Ray Data, extra `ray`.

Each item is a task. Ray gives the item of a lost worker to another one, however often that
happens, and says so each time; the results come in the order of the items. Nothing but items and
results is sent: the machines of a cluster need this package, and under one path the folder of the
files that the tasks read and write, and the files of `extensions`.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import pickle
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from musicllm.data.engines.base import Item, Result, Task, counted, outcome
from musicllm.errors import NotAvailableError, StageError

OBJECT_STORE_BYTES = 128 << 20
"""Shared memory of a cluster that is started here; only small values pass through it."""


class RayEngine:
    """A running cluster at `address`, or one that is started on this machine."""

    def __init__(self, num_workers: int | None = None, address: str | None = None) -> None:
        if importlib.util.find_spec("ray") is None:
            raise NotAvailableError(
                "engine=ray needs Ray Data: pip install musicllm[ray], or take engine=local"
            )
        self.num_workers = num_workers
        self.address = address

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        description: str,
        unit: str = "part",
    ) -> Iterator[Result]:
        """See `Engine.map`; a single item stays in this process.

        Raises:
            StageError: no cluster answers at the address, or the cluster was lost.
        """
        if len(items) <= 1:
            results: Iterator[Result] = map(function, items)
        else:
            self._connect()
            results = map(outcome, self._answers(function, items, description))
        yield from counted(results, len(items), description, unit)

    def _connect(self) -> None:
        """Start or join the cluster, once in this process."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        with _no_warnings():
            import ray.data

        for name in ("ray", "ray.data"):
            logging.getLogger(name).setLevel(logging.ERROR)
        if ray.is_initialized():
            return
        started_here: dict[str, Any] = {
            "num_cpus": self.num_workers,
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE_BYTES,
        }
        try:
            ray.init(
                address=self.address or "local",
                logging_level=logging.ERROR,
                log_to_driver=False,
                **(started_here if self.address is None else {}),
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise StageError(
                f"engine.address={self.address}: no Ray cluster answers ({error}); start one as "
                "launch/README.md shows, or write engine.address=null"
            ) from None

    def _answers(
        self, function: Callable[[Item], Result], items: Sequence[Item], description: str
    ) -> Iterator[bytes]:
        import ray
        from ray.exceptions import RayError

        with _no_warnings():
            context = ray.data.DataContext.get_current()
            context.execution_options.preserve_order = True
            context.enable_progress_bars = False
            rows = [{"item": pickle.dumps(item)} for item in items]
            dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
                _RowTask(function), concurrency=self.num_workers
            )
        try:
            for row in dataset.iter_rows():
                yield row["answer"]
        except RayError as error:
            raise StageError(
                f"{description}: the Ray cluster stopped working ({error}); run the same command "
                "again, which continues where it stopped"
            ) from None


class _RowTask(Task):
    """What Ray Data maps: an item in, the pickled answer out."""

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"answer": self.attempt(row["item"])}


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Keep from the user what Ray deprecates of itself."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"ray\.")
        yield
