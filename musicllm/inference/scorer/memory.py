"""How many tokens a batch may have: what memory allows by a probe, and less after a failure.

On a GPU a pass of a known size says how much memory a token takes; on a CPU speed decides, since
it stops growing with the batch long before memory is full.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch

from musicllm import console
from musicllm.errors import StageError

CPU_TOKENS = 1024
"""Two cores reach their full speed from about 800 tokens on (docs/BENCHMARKS.md)."""

GPU_TOKENS = 1 << 15
PROBE_TOKENS = 512
USED_SHARE = 0.7
"""Of the free memory; the rest is for the prefix, for logits and for fragments."""

_CPU_REFUSAL = "can't allocate memory"
"""What torch's allocator says on a CPU, in a plain RuntimeError."""


class Room:
    """The most tokens of a batch; it shrinks when a batch does not fit.

    Args:
        device: of the model.
        feed: runs a batch of one row with so many tokens.
    """

    def __init__(self, device: torch.device, feed: Callable[[int], object]) -> None:
        self.max_tokens = CPU_TOKENS if device.type != "cuda" else _probed(device, feed)

    def shrink(self, num_rows: int, tokens_per_row: int, reason: str) -> None:
        """Take half of what a batch had, after it did not fit.

        Args:
            num_rows: of the batch.
            tokens_per_row: as what its longest row counted when it was formed.
            reason: message of torch.

        Raises:
            StageError: it was a single row, which cannot be divided.
        """
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if num_rows == 1:
            raise too_large(reason)
        self.max_tokens = num_rows * tokens_per_row // 2
        console.note(f"memory did not suffice; batches have {self.max_tokens:,} tokens from now on")


def too_large(reason: str) -> StageError:
    """Return the error about one prompt that does not fit.

    Args:
        reason: message of torch.
    """
    message = "".join(reason.strip().splitlines()[:1])[:120]
    return StageError(
        f"memory does not suffice for one prompt ({message}); use shorter ones (of questions: "
        f"benchmark.<name>.max_length), hardware.precision=bf16, or a larger device"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that memory ran out, on a GPU or a CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and _CPU_REFUSAL in str(error)


def _probed(device: torch.device, feed: Callable[[int], object]) -> int:
    """Return how many tokens fit, by the peak of one pass; a pass that fails gives the fewest."""
    try:
        feed(PROBE_TOKENS)  # what is loaded at first use does not count
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        feed(PROBE_TOKENS)
        per_token = (torch.cuda.max_memory_allocated(device) - before) / PROBE_TOKENS
    except torch.OutOfMemoryError:
        return PROBE_TOKENS // 2
    free, _ = torch.cuda.mem_get_info(device)
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return max(PROBE_TOKENS, min(GPU_TOKENS, int(USED_SHARE * free / max(per_token, 1.0))))
