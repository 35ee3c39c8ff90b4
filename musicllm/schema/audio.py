"""What a model hears with: an encoder of audio, and a bridge into the decoder."""

from __future__ import annotations

from typing import Any

from musicllm.schema.keys import NAME, group, key


@group
class AudioConfig:
    """How a model hears. Runs of models of text have none of it in their identity."""

    name: str = key(NAME)
    bridge: str | None = key(
        "from features into the decoder",
        null="a model of text",
        kinds="musicllm.model.audio.bridges:BRIDGES",
    )
    train_bridge: bool = key("train the bridge; false: it is as it was loaded")
    options: dict[str, Any] = key("settings of the bridge (docs/AUDIO.md)")
    encoder: str | None = key(
        "frozen encoder of audio",
        null="a model of text",
        kinds="musicllm.model.audio.encoders:ENCODERS",
    )
    encoder_location: str | None = key(
        "folder of the encoder's weights", null="an encoder without weights"
    )
    encoder_config: dict[str, Any] = key("config.json of the encoder, as published")
    window_s: float = key("audio that is encoded at a time", 1, 600, "seconds")
    max_clip_s: float = key("longest clip", 0.5, 36_000, "seconds")
    layer: int | None = key(
        "hidden state of the encoder that a projector gets, from 0", 0, 1000, null="the last"
    )
    num_frames: int | None = key(
        "averages over time that a projector gets for a clip, each a token",
        1,
        100_000,
        null="not a projector",
    )
