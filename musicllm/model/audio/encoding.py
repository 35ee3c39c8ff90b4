"""From the windows of a clip to its features, of one shape whatever the clip's length.

`layers`: the mean over time of every hidden state, [L, D], as MU-LLaMA has them. `frames`: one
hidden state, averaged over `num_frames` stretches of equal length, [F, D].

Axes: S samples, L layers, T frames of the encoder, F frames that are kept, D width.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from musicllm.files.misfit import Misfit
from musicllm.model.audio.encoders import AudioEncoder
from musicllm.model.audio.facts import FeatureSpec

if TYPE_CHECKING:
    from musicllm.files.audio import Samples

Features = npt.NDArray[np.float32]

SHORTEST_S = 0.5
"""A last window that is shorter is encoded together with the one before."""

TOO_SHORT = "names audio that is too short"


def features_of(encoder: AudioEncoder, spec: FeatureSpec, windows: Iterable[Samples]) -> Features:
    """Return the features of a clip, float32 [L, D] or [F, D].

    Cost: that of the encoder, in the length of a window and linear in windows. Memory: a window;
    with `frames` also one hidden state of the whole clip, 300 kB a second for MERT.

    Args:
        encoder: the one that `spec` names.
        spec: what is kept.
        windows: samples of the clip, mono at the encoder's rate, float32 [S] each.

    Raises:
        Misfit: the clip is shorter than `SHORTEST_S`.
    """
    total: Tensor | None = None
    num_frames, kept = 0, []
    for window in _joined(windows, round(SHORTEST_S * encoder.facts.sample_rate)):
        states = encoder.encode(torch.from_numpy(window)[None])[0].float().cpu()  # [L, T, D]
        if spec.pooling == "frames":
            kept.append(states[spec.layer if spec.layer is not None else -1])
        else:
            added = states.double().sum(1)
            total = added if total is None else total + added
        num_frames += states.shape[1]
    if spec.pooling == "frames":
        assert spec.num_frames is not None, "frames are counted"
        pooled = functional.adaptive_avg_pool1d(torch.cat(kept).T[None], spec.num_frames)[0].T
    else:
        assert total is not None, "a clip has a window"
        pooled = (total / num_frames).float()
    features: Features = pooled.contiguous().numpy()
    assert features.shape == spec.shape, f"features {features.shape} of a spec {spec.shape}"
    return features


def _joined(windows: Iterable[Samples], shortest: int) -> Iterator[Samples]:
    """Yield windows, the last together with the one before if it is short."""
    before: Samples | None = None
    for window in windows:
        if before is not None and len(window) < shortest:
            before = np.concatenate([before, window])
            continue
        if before is not None:
            yield before
        before = window
    if before is None or len(before) < shortest:
        raise Misfit(TOO_SHORT, f"it has less than {SHORTEST_S:g} s")
    yield before
