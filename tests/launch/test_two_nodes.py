"""Two machines, as torchrun sees them: two launchers here that meet at an address."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from musicllm import artifacts
from musicllm.launch.processes import free_port
from tests.helpers import make_corpus
from tests.stages.test_train import SMALL
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("strategy", ["ddp", "zero2"])
def test_two_nodes_make_one_artifact(tmp_path: Path, strategy: str) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    port = free_port()
    words = [
        "recipe=quickstart/pretrain",
        f"paths.runs={tmp_path / 'runs'}",
        f"inputs.corpus={corpus.path}",
        *SMALL,
        "optimizer=adamw",
        "hardware.num_nodes=2",
        f"strategy={strategy}",
    ]
    meeting = ["--nnodes=2", "--nproc-per-node=1", "--master-addr=127.0.0.1"]
    launch = [sys.executable, "-m", "torch.distributed.run", *meeting, f"--master-port={port}"]
    root = str(Path(artifacts.__file__).parent.parent)
    nodes = [
        subprocess.Popen(
            [*launch, f"--node-rank={node}", "-m", "musicllm", *words],
            env={**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for node in range(2)
    ]
    said = [node.communicate(timeout=PATIENCE_S) for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    assert "2 x 1 CPU" in said[0][0]
    assert said[1][0] == ""  # one of them speaks
    runs = list((tmp_path / "runs" / "quickstart" / "pretrain").glob("*/artifact/manifest.json"))
    assert len(runs) == 1
