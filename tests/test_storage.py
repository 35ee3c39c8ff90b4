"""A disk that is full or refuses is one block, whoever noticed it."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError

from musicllm import cli, storage

FULL = "make room, or write paths.runs=<folder on a larger disk>; what is complete is kept"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/x"),
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
        OSError(f"[Errno 28] Error writing bytes to file. Detail: {os.strerror(errno.ENOSPC)}"),
        SafetensorError("while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_told_whichever_library_noticed_it(error: Exception) -> None:
    told = storage.explain(error)
    assert told is not None
    assert "the disk is full (" in told
    assert FULL in told


def test_the_cause_of_an_error_is_looked_at() -> None:
    error = RuntimeError("a worker failed")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device", "runs/part")
    assert str(storage.explain(error)).startswith("runs/part: the disk is full (No space left")


def test_other_errors_are_our_own() -> None:
    assert storage.explain(ValueError("wrong")) is None
    assert storage.explain(FileNotFoundError(errno.ENOENT, "No such file", "x")) is None


def test_a_folder_that_cannot_be_written_is_one_block(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs").write_text("a file where a folder should be")
    words = ["recipe=quickstart/prepare", f"paths.runs={tmp_path}/runs/below"]
    assert cli.main(words) == 1
    told = capsys.readouterr().err
    assert f"{tmp_path}/runs" in told
    assert "cannot be read or written (Not a directory); give this user the right to it" in told


def test_a_disk_that_gets_full_during_a_stage_is_one_block(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "part.arrow"))

    monkeypatch.setattr("musicllm.launch.processes.work", work)
    words = ["recipe=quickstart/prepare", f"paths.runs={tmp_path}"]
    assert cli.main(words) == 1
    assert f"{tmp_path}/part.arrow: the disk is full" in capsys.readouterr().err
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(OSError, match="No space left"):
        cli.main(words)
