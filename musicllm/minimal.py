"""A switch that makes a machine look like one with less, to see how musicllm does there.

With `MUSICLLM_MINIMAL_MACHINE=1` in its environment a process and those that it starts have no
native bfloat16, no AVX-512 and no program on the PATH (fluidsynth, git, a compiler, a browser).
Packages of Python stay, and what they carry, such as symusic's abc2midi. It takes effect when
musicllm is first imported, since torch reads these variables once.

oneDNN keeps AVX-512 without bfloat16: torch hands it products in bfloat16 by the processor's own
flags, whatever it was told, and below AVX-512 it refuses them. Nothing else here goes through it.
"""

from __future__ import annotations

import os
import platform

VARIABLE = "MUSICLLM_MINIMAL_MACHINE"

X86 = {
    "ATEN_CPU_CAPABILITY": "avx2",  # torch's own kernels
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",  # what comes after it has bfloat16
}

NO_PROGRAMS = {"PATH": "/no/programs"}  # which is not there


def is_on() -> bool:
    """Return whether this process is to do without."""
    return os.environ.get(VARIABLE, "0") not in ("", "0")


def hide() -> None:
    """Hide from this process and its children what the switch hides, if it is on."""
    if is_on():
        os.environ.update({**NO_PROGRAMS, **(X86 if is_x86() else {})})


def is_x86() -> bool:
    """Return whether this processor has x86-64's instructions."""
    return platform.machine() in ("x86_64", "AMD64")
