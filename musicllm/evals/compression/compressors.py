"""How small xz, gzip, bzip2 and zstd make documents, each at its strongest level.

All compress the same bytes: documents, each closed by a newline. The sizes are those of whole
files, headers included.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Sequence

import pyarrow as pa

PRESET = 9 | lzma.PRESET_EXTREME


def joined(texts: Sequence[str]) -> bytes:
    """Return the documents as UTF-8, each closed by a newline."""
    return "".join(f"{text}\n" for text in texts).encode()


def compressed_bytes(data: bytes) -> dict[str, int]:
    """Return the size of `data` by compressor.

    They are `xz -9e`, `gzip -9`, `bzip2 -9` and `zstd --ultra -22`; the last looks back 128 MiB.
    """
    zstd_level = pa.Codec.maximum_compression_level("zstd")
    return {
        "xz": xz_bytes(data),
        "gzip": len(gzip.compress(data, 9, mtime=0)),
        "bz2": len(bz2.compress(data, 9)),
        "zstd": int(pa.Codec("zstd", zstd_level).compress(data).size),
    }


def primed_bytes(training: bytes, data: bytes) -> int:
    """Return what `data` adds to `xz -9e` of the training text in front of it.

    xz looks back 64 MiB, so more training text than that does not help it. Takes about a second
    per MB of both.
    """
    return xz_bytes(training + data) - xz_bytes(training)


def xz_bytes(data: bytes) -> int:
    """Return the size of `xz -9e`."""
    return len(lzma.compress(data, preset=PRESET))
