"""What an index costs, before it is built: measured on the free books (docs/SIMILAR.md)."""

from __future__ import annotations

BYTES_PER_TUNE = 3000
"""On disk: 190 figures of 5 bytes and their share of 16 for a different one, words, the tune; as
much again while it is built."""
SECONDS_PER_TUNE = 0.004
"""Of one core."""


def cost(num_tunes: int) -> str:
    """Return size and time of an index of so many tunes, in words."""
    megabytes = num_tunes * BYTES_PER_TUNE / 1e6
    minutes = num_tunes * SECONDS_PER_TUNE / 60
    return (
        f"at most {megabytes:,.1f} MB and {minutes:,.1f} minutes of one core, with a tune a record"
    )
