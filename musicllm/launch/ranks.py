"""Which of a run's processes this one is, as the launcher left it in the environment.

`torchrun`, DeepSpeed's launcher and `musicllm.launch.processes` set RANK, LOCAL_RANK, WORLD_SIZE,
MASTER_ADDR and MASTER_PORT; `srun` has names of its own, which `adopt_slurm` translates. Nothing
here starts a process or talks to one, and nothing heavy is imported.
"""

from __future__ import annotations

import os

from musicllm.errors import InputError

NAMES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")

SLURM = {"RANK": "SLURM_PROCID", "LOCAL_RANK": "SLURM_LOCALID", "WORLD_SIZE": "SLURM_NTASKS"}


def rank() -> int:
    """Return the number of this process over all machines; 0 when it is alone."""
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """Return the number of this process on its machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def world_size() -> int:
    """Return the number of processes over all machines."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Tell whether this process is the one that writes files and prints."""
    return rank() == 0


def launched() -> bool:
    """Tell whether a launcher started this process as one of several, or as a single one.

    Raises:
        InputError: the launcher set only some of the variables.
    """
    adopt_slurm()
    missing = [name for name in NAMES if name not in os.environ]
    if "RANK" in os.environ and missing:
        raise InputError(
            f"RANK={os.environ['RANK']} says that a launcher started this process, but "
            f"{', '.join(missing)} is not set; start it by torchrun, srun or deepspeed as "
            f"launch/README.md shows, or run `unset RANK`"
        )
    return not missing


def adopt_slurm() -> None:
    """Translate `srun`'s variables, if this process is one task of a step with several."""
    if "RANK" in os.environ or int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) < 2:
        return
    for ours, theirs in SLURM.items():
        os.environ[ours] = os.environ[theirs]
