"""Rules on what a model hears with."""

from __future__ import annotations

from collections.abc import Iterator

from musicllm.errors import Problem
from musicllm.model.audio.bridges import BRIDGES
from musicllm.schema import Config

TASKS = ("prepare", "train", "features")
"""Those that read the group."""


def settings(config: Config) -> Iterator[Problem]:
    """Yield what is missing beside a bridge, and what has no effect.

    Evaluation and merging read the bridge in the folder of the model, and not these settings.
    """
    audio = config.audio
    if config.task == "features" and audio.bridge is None:
        fix = "choose audio=<option>, such as mu_llama"
        yield Problem("audio.bridge", "null", "says what features are for, and is missing", fix)
    if config.task not in TASKS or audio.bridge is None or audio.bridge not in BRIDGES:
        return  # the last is a problem of `values`
    kind = BRIDGES[audio.bridge]
    if audio.encoder is None:
        rule = f"gives audio.bridge={audio.bridge} nothing to hear"
        yield Problem("audio.encoder", "null", rule, "write mert or spectral")
    if kind.pooling == "frames" and audio.num_frames is None:
        rule = f"is missing: audio.bridge={audio.bridge} makes so many tokens of a clip"
        yield Problem("audio.num_frames", "null", rule, "write 16")
    for name in ("num_frames", "layer"):
        value = getattr(audio, name)
        if kind.pooling == "layers" and value is not None:
            rule = f"has no effect on audio.bridge={audio.bridge}, which gets all hidden states"
            yield Problem(f"audio.{name}", value, rule, "write null")


def options(config: Config) -> Iterator[Problem]:
    """Yield options of the bridge that it does not know, or that are no positive whole numbers."""
    audio = config.audio
    if config.task not in TASKS or audio.bridge is None or audio.bridge not in BRIDGES:
        return
    kind = BRIDGES[audio.bridge]
    for name, value in audio.options.items():
        if name not in kind.options:
            rule = f"is no setting of audio.bridge={audio.bridge}"
            fix = f"there are {', '.join(kind.options)}"
            yield Problem("audio.options", f"{{{name}: {value}}}", rule, fix)
        elif value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            rule = "is not a number"
            yield Problem("audio.options", f"{{{name}: {value}}}", rule, "write a whole number")
        elif value is not None and value < 1:
            yield Problem("audio.options", f"{{{name}: {value}}}", "is less than 1", "write more")
