"""What a process must settle before torch is loaded; the libraries read it only once.

Nothing here changes a number that is computed. A variable that the user has set stays as it is.
"""

from __future__ import annotations

import logging
import os

QUIET = {
    "TOKENIZERS_PARALLELISM": "true",  # said, so that forked workers do not warn
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",  # DeepSpeed imports mlflow where it is installed
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
}

ON_CPU = {
    "DS_ACCELERATOR": "cpu",  # or DeepSpeed looks for a GPU and says that it found none
    "GOMP_SPINCOUNT": "1000",  # waiting threads soon sleep, or one more process slows us 20 times
}


def prepare(accelerator: str) -> None:
    """Set the environment of this process and of those that it starts.

    Args:
        accelerator: cpu or gpu.
    """
    for name, value in {**QUIET, **(ON_CPU if accelerator == "cpu" else {})}.items():
        os.environ.setdefault(name, value)
    logging.getLogger("bitsandbytes.backends.cpu.ops").addFilter(_is_not_about_packing)


def _is_not_about_packing(record: logging.LogRecord) -> bool:
    """Leave out the remark that a kernel of packed weights is missing; none are packed here."""
    return "gemm_4bit_forward" not in record.getMessage()
