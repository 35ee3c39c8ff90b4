"""What a part finds out: one line of the table. Imports nothing but the standard library."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Verdict = Literal["right", "wrong", "measured", "not here", "failed"]

BAD: tuple[Verdict, ...] = ("wrong", "failed")


@dataclass(frozen=True)
class Finding:
    """One figure, and whether it is right.

    Attributes:
        name: of what was checked, such as `varlen, bfloat16, window 64`.
        figure: the number; None where there is none.
        unit: of the figure.
        rule: when it is right; empty for what is only measured.
        verdict: `not here` where device or packages lack something; `failed` by an exception.
        note: for people, such as the reason.
    """

    name: str
    figure: float | None = None
    unit: str = ""
    rule: str = ""
    verdict: Verdict = "measured"
    note: str = ""


@dataclass(frozen=True)
class Setting:
    """Where a part runs.

    Attributes:
        device: cuda or cpu.
        dry: with tiny shapes.
        work: an empty folder of the part.
    """

    device: str
    dry: bool
    work: Path

    @property
    def accelerator(self) -> str:
        """The device in the words of `hardware.accelerator`."""
        return "gpu" if self.device == "cuda" else "cpu"


Part = Callable[[Setting], Iterator[Finding]]


def at_most(name: str, figure: float, limit: float, unit: str = "", note: str = "") -> Finding:
    """Judge a figure that must not exceed a limit; one that is not a number is wrong."""
    verdict: Verdict = "right" if figure <= limit else "wrong"
    return Finding(name, figure, unit, f"at most {limit:.3g}", verdict, note)


def attempt(name: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Yield the findings of a check; an exception becomes a finding, and later checks run."""
    try:
        yield from check()
    except ModuleNotFoundError as error:
        own = (error.name or "").partition(".")[0] in ("musicllm", "tests")
        yield Finding(name, verdict="failed" if own else "not here", note=_line(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
        yield Finding(name, verdict="failed", note=_line(error))


def write(file: Path, findings: Iterator[Finding]) -> None:
    """Append findings to a file, each as soon as it is there."""
    with file.open("a", encoding="utf-8") as lines:
        for finding in findings:
            lines.write(json.dumps(asdict(finding)) + "\n")
            lines.flush()


def read(file: Path) -> list[Finding]:
    """Return the findings in a file, without a line that was cut off."""
    findings = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else []:
        try:
            findings.append(Finding(**json.loads(line)))
        except ValueError:
            break
    return findings


def _line(error: BaseException) -> str:
    """Return an error with its class, on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
