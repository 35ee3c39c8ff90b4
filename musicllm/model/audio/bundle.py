"""The files of a bridge in the folder of a model or an adapter.

`audio_bridge.json` has the kind of the bridge, its options, and the description of the features
that it was trained on, with the fingerprint of their encoder; `audio_bridge.safetensors` has its
weights. A folder with both is that of a model that hears.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from musicllm.errors import ArtifactError, InputError
from musicllm.model import tensors
from musicllm.model.audio.bridge import Bridge, attach, bridge_of, shape_of
from musicllm.model.audio.bridges import BRIDGES
from musicllm.model.audio.facts import BridgeFacts

SETTINGS = "audio_bridge.json"
WEIGHTS = "audio_bridge.safetensors"
FORMAT = 1


def build(causal: Any, facts: BridgeFacts) -> Bridge:
    """Attach a new bridge with random weights to a causal model, and return it."""
    kind = BRIDGES[facts.kind]
    bridge = kind.build(shape_of(causal), facts.feature_shape, facts.options)
    bridge.facts = facts
    attach(causal, bridge)
    return bridge


def save(model: Any, folder: Path) -> None:
    """Write the bridge of a model into a folder, in float32; nothing for a model of text."""
    bridge = bridge_of(model)
    if bridge is None:
        return
    text = json.dumps({"format": FORMAT, **asdict(bridge.facts)}, indent=2, sort_keys=True)
    (folder / SETTINGS).write_text(text + "\n", encoding="utf-8")
    weights = {name: tensor.contiguous().cpu() for name, tensor in bridge.state_dict().items()}
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})


def is_in(folder: Path | str) -> bool:
    """Return whether a folder has a bridge."""
    return (Path(folder) / SETTINGS).is_file()


def copy(source: Path, target: Path) -> bool:
    """Copy the files of a bridge, if there are any; returns whether there were."""
    if not is_in(source):
        return False
    for name in (SETTINGS, WEIGHTS):
        shutil.copyfile(source / name, target / name)
    return True


def read_facts(folder: Path) -> BridgeFacts:
    """Return what a folder says of its bridge.

    Raises:
        InputError: the file is missing or damaged, or of a newer version, or the kind unknown.
    """
    path = folder / SETTINGS
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        version = stored.pop("format")
        facts = BridgeFacts(**stored | {"feature_shape": tuple(stored["feature_shape"])})
    except FileNotFoundError:
        raise InputError(f"{folder} has no {SETTINGS}; it is no model that hears") from None
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} is damaged: {error!r}; copy it again") from error
    if version != FORMAT:
        raise InputError(f"{path} has format {version}; this version reads {FORMAT}")
    if facts.kind not in BRIDGES:
        known = ", ".join(BRIDGES)
        raise InputError(f"{path} is of a bridge {facts.kind!r}; known are {known}")
    return facts


def load(causal: Any, folder: Path) -> Bridge:
    """Attach the bridge of a folder to a causal model, and return it.

    This and `musicllm.model.base.load` are all that a program needs beside features:

        model = base.load(folder_of_the_base, dtype="float32")
        bridge = bundle.load(model, folder_of_the_bridge)
        inputs = bridge.inputs(model, input_ids, audio, clip_of_token, place_of_token)
        logits = model(**inputs).logits

    Raises:
        InputError: a file is missing or damaged, or has elements that are not finite.
        ArtifactError: its tensors do not fit this decoder; the message names them.
    """
    facts = read_facts(folder)
    path = folder / WEIGHTS
    try:
        stored = load_file(path)
    except (FileNotFoundError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read: {error}; copy it again") from error
    tensors.refuse_not_finite(folder, stored.items())
    bridge = build(causal, facts)
    shapes = {name: tensor.shape for name, tensor in bridge.state_dict().items()}
    given = {name: tensor.shape for name, tensor in stored.items()}
    if text := tensors.summarise(tensors.shape_faults(given, shapes, "is no part of the bridge")):
        raise ArtifactError(f"the audio bridge in {folder} does not fit its decoder: {text}")
    bridge.load_state_dict(stored)
    bridge.requires_grad_(requires_grad=False)
    return bridge
