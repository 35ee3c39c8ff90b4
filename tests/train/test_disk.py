from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from musicllm.errors import StageError
from musicllm.model.size import Size
from musicllm.model.spec import AdapterSpec
from musicllm.train.disk import SMALL_FILES, Disk, disk

# LoRA r=64 on Llama-2-7B with embeddings and head trained, all of LoRA and nothing else by Muon
SIZE = Size(6_738_415_616, 422_051_840, 6_738_415_616, 159_907_840, 6_738_415_616, 0, 0, {}, {})


def test_checkpoints_of_llama_2_7b_with_lora(lora: AdapterSpec, tmp_path: Path) -> None:
    needs = disk(
        SIZE, lora, dtype="float16", optimizer="adamw", num_kept=2, num_steps=9, runs=tmp_path
    )
    assert needs.checkpoint == 12 * 422_051_840 + SMALL_FILES
    assert needs.num_checkpoints == 3  # one is being written
    assert needs.artifact == 4 * 422_051_840 + SMALL_FILES
    assert needs.needed == 3 * needs.checkpoint + needs.artifact
    assert needs.free > 0


def test_pissa_keeps_its_start_and_stores_twice_the_rank(lora: AdapterSpec, tmp_path: Path) -> None:
    pissa = dataclasses.replace(lora, init="pissa")
    needs = disk(
        SIZE, pissa, dtype="float16", optimizer="adamw", num_kept=2, num_steps=9, runs=tmp_path
    )
    assert needs.artifact == 4 * 422_051_840 + 8 * 159_907_840 + SMALL_FILES


def test_muon_keeps_one_number_where_adamw_keeps_two(lora: AdapterSpec, tmp_path: Path) -> None:
    needs = disk(
        SIZE, lora, dtype="float16", optimizer="muon", num_kept=2, num_steps=9, runs=tmp_path
    )
    matrices = 159_907_840
    assert needs.checkpoint == 8 * matrices + 12 * (422_051_840 - matrices) + SMALL_FILES


def test_a_whole_model_is_written_in_its_own_type(lora: AdapterSpec, tmp_path: Path) -> None:
    full = dataclasses.replace(lora, kind="full", targets=())
    size = Size(1000, 1000, 0, 0, 1000, 0, 0, {}, {})
    runs = tmp_path / "not" / "there"
    needs = disk(
        size, full, dtype="bfloat16", optimizer="adamw", num_kept=5, num_steps=1, runs=runs
    )
    assert needs.artifact == 2 * 1000 + SMALL_FILES
    assert needs.num_checkpoints == 1  # a run of one step


def test_a_disk_that_is_too_small_is_refused(tmp_path: Path) -> None:
    needs = Disk(checkpoint=int(5e9), num_checkpoints=3, artifact=int(2e9), free=int(16e9))
    with pytest.raises(StageError) as refused:
        needs.refuse(tmp_path)
    assert str(refused.value) == (
        f"{tmp_path} has 16.0 GB free, and this run writes up to 17.0 GB: 3 checkpoints (one is "
        f"being written) of 5.00 GB and a result of 2.00 GB; make room, write paths.runs=<folder "
        f"on a larger disk>, or keep fewer: training.keep_last_checkpoints, "
        f"training.keep_best_checkpoints"
    )
    dataclasses.replace(needs, free=int(17e9)).refuse(tmp_path)


def test_what_an_earlier_start_wrote_is_not_needed_again(tmp_path: Path) -> None:
    needs = Disk(checkpoint=int(5e9), num_checkpoints=3, artifact=int(2e9), free=int(7e9))
    needs.refuse(tmp_path, reused=int(10e9))
    with pytest.raises(StageError):
        needs.refuse(tmp_path, reused=int(9e9))
