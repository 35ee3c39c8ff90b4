"""Token documents in memory: what the encoder makes and the token store writes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Documents:
    """Tokenised documents, one after another: 5 bytes a token. T tokens, n documents.

    Attributes:
        input_ids: int32 [T].
        supervised: bool [T]; whether the token's own negative log-likelihood counts. The first
            token of a document never counts, since nothing of its document predicts it.
        offsets: int64 [n + 1]; document i is `offsets[i]` to `offsets[i + 1]`.
    """

    input_ids: npt.NDArray[np.int32]
    supervised: npt.NDArray[np.bool_]
    offsets: npt.NDArray[np.int64]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of every document, int64 [n]."""
        return np.diff(self.offsets)
