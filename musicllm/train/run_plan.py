"""The plan of a training run: steps, parameters, memory, time and disk, and whether it fits.

Each comes from the module of its name; this one combines them, formats them as tables and refuses
runs that do not fit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from musicllm.errors import ConfigError, Problem
from musicllm.model.size import Size
from musicllm.train.disk import Disk
from musicllm.train.duration import Duration
from musicllm.train.memory import Memory
from musicllm.train.plan import Length, Plan
from musicllm.train.rehearsal import Rehearsal

Rows = list[tuple[str, str]]


@dataclass(frozen=True)
class Advice:
    """Settings that fit: their overrides, and the bytes that a device needs with them."""

    overrides: str
    total: int


@dataclass(frozen=True)
class RunPlan:
    """The plan of a run.

    Attributes:
        steps: batches and steps.
        size: parameters.
        memory: of one device at the peak of a step, in bytes.
        device_bytes: memory of one device; None if unknown.
        host_bytes: CPU memory of one machine; None if unknown.
        devices_per_node: devices that share `host_bytes`.
        duration: work and time.
        length: number of steps chosen by speed; None where the settings determine it.
        rehearsal: measured steps, or None.
        price_per_hour: of one device; None if unknown.
        disk: checkpoints and the result.
        runs: the folder of the runs.
        teacher: name and parameters of a teacher on the fly; None without one.
        find_advice: searches for settings that fit; takes about a second.
    """

    steps: Plan
    size: Size
    memory: Memory
    device_bytes: float | None
    host_bytes: float | None
    devices_per_node: int
    duration: Duration
    length: Length | None
    rehearsal: Rehearsal | None
    price_per_hour: float | None
    disk: Disk
    runs: Path
    teacher: tuple[str, int] | None
    find_advice: Callable[[], Advice | None] = dataclasses.field(repr=False)

    def fits(self) -> bool:
        """Return whether devices and CPU memory are large enough, as far as they are known."""
        return fits(self.memory, self.device_bytes, self.host_bytes, self.devices_per_node)

    def refuse(self, *, reused: int = 0) -> None:
        """Raise if the run does not fit into memory or on the disk.

        Args:
            reused: bytes of checkpoints that an earlier start of the run left there.

        Raises:
            ConfigError: memory; lists its parts and the nearest settings that fit.
            StageError: disk.
        """
        self.refuse_memory()
        self.disk.refuse(self.runs, reused=reused)

    def refuse_memory(self) -> None:
        """Raise if the run does not fit into memory; the disk may be that of another machine."""
        if not self.fits():
            raise ConfigError([self._problem()])

    def as_dict(self) -> dict[str, Any]:
        """Return the content of plan.json; bytes, seconds and shares."""
        return {
            **dataclasses.asdict(self.steps),
            "trainable_parameters": self.size.num_trainable,
            "frozen_parameters": self.size.num_frozen,
            "teacher_parameters": None if self.teacher is None else self.teacher[1],
            "checkpoint_bytes": self.disk.checkpoint,
            "memory_bytes": dataclasses.asdict(self.memory) | {"total": self.memory.total},
            "device_bytes": self.device_bytes,
            "host_bytes": self.host_bytes,
            "length": None if self.length is None else dataclasses.asdict(self.length),
            "rehearsal": None if self.rehearsal is None else self.rehearsal.as_dict(),
            "duration": dataclasses.asdict(self.duration) | {"hours": self.duration.hours},
            "price": self.price(),
            "disk_bytes": dataclasses.asdict(self.disk) | {"needed": self.disk.needed},
            "expected": self.expected(),
        }

    def expected(self) -> dict[str, float | None]:
        """Return what the metrics `perf/<name>` are expected to be; None where it is unknown."""
        work = self.duration
        speed, peak = work.tokens_per_s, work.peak_flops_per_s
        return {
            "step_time_s": work.step_s,
            "tokens_per_s": speed,
            "mfu": None if speed is None or peak is None else speed * work.flops_per_token / peak,
            "memory_peak_gb": self.memory.total / 1e9,
        }

    def price(self) -> float | None:
        """Return the price of the time in steps, over all devices; None if it is unknown."""
        hours = self.duration.hours
        if self.price_per_hour is None or hours is None:
            return None
        return hours * self.price_per_hour * self.duration.num_devices

    def memory_rows(self) -> Rows:
        """Return the parts of the memory, in GB, and their sum and what is available."""
        rows = [(name, _gb(size)) for name, size in parts(self.memory) if size]
        rows.append(("all together", _against(self.memory.total, self.device_bytes)))
        if self.memory.on_host:
            needed = self.memory.on_host * self.devices_per_node
            rows.append(("CPU memory of one machine", _against(needed, self.host_bytes)))
        return rows

    def time_rows(self) -> Rows:
        """Return tokens, FLOPs, speed and hours."""
        work = self.duration
        rows = [
            ("tokens", f"{work.num_tokens:,}, {work.supervised_share:.0%} of them supervised"),
            ("FLOPs per token", f"{work.flops_per_token:.3g}"),
        ]
        if work.flops_per_update:
            rows.append(("FLOPs of an update", f"{work.flops_per_update:.3g}"))
        if work.tokens_per_s is None or work.hours is None:
            return [*rows, ("time", "unknown: hardware.peak_tflops or expected_mfu is null")]
        if work.peak_flops_per_s is None or work.rehearsed_step_s is not None:
            basis = "measured"
        else:
            basis = f"at {work.expected_mfu:.0%} of {work.peak_flops_per_s / 1e12:,.4g} TFLOP/s"
        return [
            *rows,
            ("speed", f"{work.tokens_per_s:,.0f} tokens/s, {basis}"),
            ("time in steps", _hours(work.hours)),
            *self._price_rows(),
        ]

    def _price_rows(self) -> Rows:
        price = self.price()
        if price is None:
            return []
        devices = f"{self.duration.num_devices} device{'s' * (self.duration.num_devices > 1)}"
        rate = f"{self.price_per_hour:g} an hour, {devices}"
        return [("price", f"about {price:,.2f} ({rate}), of the time in steps")]

    def disk_rows(self) -> Rows:
        """Return the sizes of checkpoints and result, and the free space."""
        disk = self.disk
        return [
            ("one checkpoint", f"{_gb(disk.checkpoint)} (weights trained, optimizer)"),
            ("checkpoints at a time", f"{disk.num_checkpoints}, one of them being written"),
            ("result", _gb(disk.artifact)),
            ("all together", _against(disk.needed, disk.free)),
        ]

    def short_rows(self) -> Rows:
        """Return one row for each of the tables."""
        time = self.duration.hours
        length = [] if self.length is None else [("steps", self.length.as_text())]
        threads = [] if self.rehearsal is None else [("threads", self.rehearsal.as_text())]
        return [
            *threads,
            *length,
            ("memory per device", _against(self.memory.total, self.device_bytes)),
            ("time in steps", "unknown" if time is None else _hours(time)),
            *self._price_rows(),
            ("disk", _against(self.disk.needed, self.disk.free)),
        ]

    def _problem(self) -> Problem:
        too_large = self.device_bytes is not None and self.memory.total > self.device_bytes
        key = "hardware.memory_gb" if too_large else "hardware.host_memory_gb"
        have = self.device_bytes if too_large else self.host_bytes
        assert have is not None, "only what is known can be too small"
        need = self.memory.total if too_large else self.memory.on_host * self.devices_per_node
        breakdown = parts(self.memory) if too_large else []
        terms = ", ".join(f"{name} {size / 1e9:.1f}" for name, size in breakdown if size >= 5e7)
        rule = f"is less than the {need / 1e9:.1f} GB that this run needs"
        advice = self.find_advice()
        fix = (
            f"use {advice.overrides}, with which it needs {_gb(advice.total)}"
            if advice
            else "use a smaller model, shorter rows, fewer trained weights or larger devices: no "
            "micro-batch, checkpointing, ZeRO stage, offload or 4-bit base makes it fit"
        )
        return Problem(key, f"{have / 1e9:.1f}", f"{rule} ({terms})" if terms else rule, fix)


def fits(
    memory: Memory, device_bytes: float | None, host_bytes: float | None, devices_per_node: int
) -> bool:
    """Return whether a step fits into the memories whose sizes are known."""
    on_device = device_bytes is None or memory.total <= device_bytes
    on_host = host_bytes is None or memory.on_host * devices_per_node <= host_bytes
    return on_device and on_host


def parts(memory: Memory) -> list[tuple[str, int]]:
    """Return the terms of `memory.total` by name."""
    moment = "loss" if memory.logits > memory.layer else "layer"
    working = {
        "loss": ("logits and their gradient (more than one layer needs)", memory.logits),
        "layer": ("one layer in the backward pass (more than the loss needs)", memory.layer),
    }
    within = [
        ("teacher's hidden states", memory.teacher_states),
        ("activations kept", memory.activations),
        working[moment],
    ]
    if memory.moving > sum(size for _, size in within):
        within = [("teacher's forward pass (more than the student's)", memory.teacher_forward)]
    return [
        ("frozen weights", memory.frozen_weights),
        ("teacher's weights", memory.teacher_weights),
        ("trained weights", memory.trained_weights),
        ("gradients", memory.gradients),
        ("optimizer", memory.optimizer),
        *within,
        ("messages and gathered weights", memory.communication),
        ("context and reserve", memory.reserve),
    ]


def _gb(size: float) -> str:
    return f"{size / 1e9:.2f} GB"


def _against(need: float, have: float | None) -> str:
    return f"{need / 1e9:.2f} GB of " + ("unknown" if have is None else f"{have / 1e9:.1f} GB")


def _hours(hours: float) -> str:
    if hours < 1:
        return f"about {max(1, round(60 * hours))} min"
    return (
        f"about {hours:.1f} h" if hours < 72 else f"about {hours:,.0f} h ({hours / 24:,.1f} days)"
    )
