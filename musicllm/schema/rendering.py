"""Which tunes become clips of audio with questions about them."""

from __future__ import annotations

from musicllm.schema.keys import group, key


@group
class RenderingConfig:
    """Clips of tunes, by task=render."""

    num_tunes: int | None = key("tunes to train on at most, drawn by the seed", 1, null="all")
    num_held_out_tunes: int | None = key(
        "tunes of each other split at most, drawn likewise", 1, null="all"
    )
    num_clips: int = key("clips of a tune, each in an instrument, tempo and key of its own", 1, 100)
    clip_s: float = key("longest clip", 1, 90, "seconds")
