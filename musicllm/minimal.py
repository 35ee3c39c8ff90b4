"""A switch that hides optional capabilities of the machine, to test how musicllm works without.

With `MUSICLLM_MINIMAL_MACHINE=1` in the environment, a process and its children have no
native bfloat16, no AVX-512 and no program on the PATH (fluidsynth, git, a compiler, a browser).
Python packages stay, with their programs such as symusic's abc2midi. It takes effect when
musicllm is first imported, since torch reads these variables once.

oneDNN keeps AVX-512 without bfloat16: torch calls it for bfloat16 matmuls by the CPU's actual
flags, and below AVX-512 oneDNN rejects them. Nothing else here uses it.
"""

from __future__ import annotations

import os
import platform

VARIABLE = "MUSICLLM_MINIMAL_MACHINE"

X86 = {
    "ATEN_CPU_CAPABILITY": "avx2",  # torch's own kernels
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",  # the next level has bfloat16
}

NO_PROGRAMS = {"PATH": "/no/programs"}  # does not exist


def is_on() -> bool:
    """Return whether the switch is on."""
    return os.environ.get(VARIABLE, "0") not in ("", "0")


def hide() -> None:
    """If the switch is on, hide the capabilities from this process and its children."""
    if is_on():
        os.environ.update({**NO_PROGRAMS, **(X86 if is_x86() else {})})


def is_x86() -> bool:
    """Return whether this is an x86-64 machine."""
    return platform.machine() in ("x86_64", "AMD64")
