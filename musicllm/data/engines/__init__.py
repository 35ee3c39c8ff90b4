"""Where the work of a preparation is done: on this machine's cores, or on a cluster with Ray Data.

An engine maps a pure function over small items and gives the results in the order of the items,
so that the engine changes how long a preparation takes and not one byte of what it makes.
"""

from __future__ import annotations

from musicllm.data.engines.base import Engine
from musicllm.data.engines.local import LocalEngine
from musicllm.data.engines.ray_data import RayEngine
from musicllm.errors import ConfigError, Problem

__all__ = ["Engine", "LocalEngine", "RayEngine", "make_engine"]


def make_engine(name: str, num_workers: int | None = None, address: str | None = None) -> Engine:
    """Return the engine that the settings name; starting it costs nothing until it has work.

    Args:
        name: `local` or `ray`.
        num_workers: processes; None takes all cores of the machine or of the cluster.
        address: of a running Ray cluster; None starts one on this machine.

    Raises:
        ConfigError: no such engine, or a setting that it does not have.
        NotAvailableError: Ray is not installed.
    """
    problems = []
    if name not in ("local", "ray"):
        problems.append(Problem("engine.name", name, "is no engine; there are local and ray"))
    if num_workers is not None and num_workers < 1:
        fix = "write null for all cores"
        problems.append(Problem("engine.num_workers", num_workers, "is less than 1", fix))
    if name == "local" and address is not None:
        rule, fix = "is the address of a Ray cluster", "write engine=ray, or engine.address=null"
        problems.append(Problem("engine.address", address, rule, fix))
    if problems:
        raise ConfigError(problems)
    return RayEngine(num_workers, address) if name == "ray" else LocalEngine(num_workers)
