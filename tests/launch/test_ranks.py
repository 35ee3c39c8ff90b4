from __future__ import annotations

import pytest

from musicllm.errors import InputError
from musicllm.launch import ranks

PLACE = {
    "RANK": "3",
    "LOCAL_RANK": "1",
    "WORLD_SIZE": "4",
    "MASTER_ADDR": "10.0.0.1",
    "MASTER_PORT": "29500",
}


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PLACE, *ranks.SLURM.values(), "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)


def test_a_process_is_alone() -> None:
    assert not ranks.launched()
    assert ranks.is_main()
    assert (ranks.rank(), ranks.local_rank(), ranks.world_size()) == (0, 0, 1)


def test_a_launcher_says_which_process_this_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PLACE.items():
        monkeypatch.setenv(name, value)
    assert ranks.launched()
    assert not ranks.is_main()
    assert (ranks.rank(), ranks.local_rank(), ranks.world_size()) == (3, 1, 4)


def test_srun_says_it_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, PLACE[name])
    monkeypatch.setenv("SLURM_PROCID", "3")
    monkeypatch.setenv("SLURM_LOCALID", "1")
    monkeypatch.setenv("SLURM_NTASKS", "4")
    assert not ranks.launched()  # a batch script is not a task of a step
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    for name in ranks.SLURM:  # adopt_slurm sets them; they are taken back after the test
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    assert ranks.launched()
    assert (ranks.rank(), ranks.local_rank(), ranks.world_size()) == (3, 1, 4)


def test_half_a_launcher_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError) as error:
        ranks.launched()
    assert str(error.value) == (
        "RANK=1 says that a launcher started this process, but LOCAL_RANK, MASTER_ADDR, "
        "MASTER_PORT is not set; start it by torchrun, srun or deepspeed as launch/README.md "
        "shows, or run `unset RANK`"
    )
