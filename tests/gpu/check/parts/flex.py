"""FlexAttention against plain attention; a part of its own, since each case is compiled."""

from __future__ import annotations

from collections.abc import Iterator

from tests.gpu.check.finding import Finding, Setting
from tests.gpu.check.parts.attention import compare
from tests.gpu.check.shapes import Case

CASES = (
    Case(),
    Case(sinks=True),
    Case(softcap=20.0),
    Case(window=64),
    Case(head_dim=256),
    Case(head_dim=64),
    Case(window=64, sinks=True),
    Case(head_dim=80),
)
"""The most wanted first: time may run out."""


def run(setting: Setting) -> Iterator[Finding]:
    """Yield the largest error of each case."""
    yield from compare(setting, ("flex",), CASES)
