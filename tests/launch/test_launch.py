"""The files of launch/: their shell, their commands, and that they hold no hyper-parameter."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from musicllm import config
from musicllm.checks import check
from tests.waiting import PATIENCE_S, has_ended, wait_for

ROOT = Path(__file__).parent.parent.parent
LAUNCH = ROOT / "launch"
FILES = sorted(path for path in LAUNCH.iterdir() if path.is_file())
BASH = shutil.which("bash", path=os.defpath) or "bash"
SCRIPTS = [path for path in FILES if path.read_text().startswith("#!")]
COMMANDS = [
    (path.name, found)
    for path in FILES
    for found in re.findall(r"\b(recipe=[^`\n#]+)", path.read_text())
    if not re.search(r"\$\{|\.\.\.|<", found)
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_well_formed(script: Path) -> None:
    subprocess.run([BASH, "-n", script], check=True)


@pytest.mark.parametrize(("file", "words"), COMMANDS)
def test_commands_compose(file: str, words: str) -> None:
    check(config.load(shlex.split(words))[0])


def test_every_file_shows_a_command() -> None:
    assert {file for file, _ in COMMANDS} == {path.name for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_hyper_parameter_lives_here(path: Path) -> None:
    text = path.read_text()
    if path.name == "wandb_sweep.yaml":  # it names what is drawn, and nothing else
        text = text[: text.index("parameters:")]
    groups = "|".join(("data", "model", "adapter", "optimizer", "schedule", "training"))
    assert re.findall(rf"\b(?:{groups})\.\w+=", text) == []


@pytest.mark.slow
def test_the_sweep_of_wandb_starts_a_command_that_composes() -> None:
    from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

    sweep: dict[str, Any] = yaml.safe_load((LAUNCH / "wandb_sweep.yaml").read_text())
    drawn = {
        name: {"value": spec["values"][0] if "values" in spec else spec["min"]}
        for name, spec in sweep["parameters"].items()
    }
    words = create_sweep_command_args({"args": drawn})["args_no_hyphens"]
    command = sweep["command"]
    assert command[:4] == ["${env}", "${interpreter}", "-m", "musicllm"]
    assert command[-1] == "${args_no_hyphens}"
    settings, _ = config.load([*command[4:-1], *words])
    check(settings)
    assert settings.logger["wandb"].kind == "wandb"
    assert settings.optimizer.lr == sweep["parameters"]["optimizer.lr"]["min"]
    assert sweep["metric"] == {"name": settings.sweep.metric, "goal": settings.sweep.direction}


def script(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text("#!/usr/bin/env bash\n" + text)
    path.chmod(0o755)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which the commands of a cluster write down how they were called."""
    script(tmp_path, "scontrol", 'echo "scontrol $*" >>calls; [ "$1" = show ] && echo node1; :\n')
    path = f"{tmp_path}:{Path(sys.executable).parent}:{os.defpath}"
    return {**os.environ, "PATH": path, "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "node[1-2]"}


@pytest.mark.parametrize(("asked", "code"), [(signal.SIGUSR1, 75), (signal.SIGTERM, 75), (None, 3)])
def test_a_job_that_saved_is_queued_again_and_one_that_failed_is_not(
    tmp_path: Path, environment: dict[str, str], asked: signal.Signals | None, code: int
) -> None:
    waiting = "trap 'sleep 0.2; exit 75' USR1; touch ready; while :; do sleep 0.05; done\n"
    step = 'echo "srun $* $MASTER_ADDR $MASTER_PORT" >>calls\n'
    script(tmp_path, "srun", step + (waiting if asked else "touch ready; exit 3\n"))
    process = subprocess.Popen(
        [BASH, LAUNCH / "train.sbatch", "recipe=sft", "seed=1"], cwd=tmp_path, env=environment
    )
    wait_for((tmp_path / "ready").exists)
    if asked:
        process.send_signal(asked)
    assert process.wait(timeout=PATIENCE_S) == code
    calls = (tmp_path / "calls").read_text()
    assert "python -m musicllm recipe=sft seed=1 node1 20007\n" in calls
    assert ("scontrol requeue 7\n" in calls) is (code == 75)


def hosts(tmp_path: Path, environment: dict[str, str], text: str, body: str) -> tuple[int, str]:
    script(tmp_path, "shell", body)
    (tmp_path / "hostfile").write_text(text)
    done = subprocess.run(
        [BASH, LAUNCH / "hosts.sh", "hostfile", "recipe=sft", "name=it's"],
        cwd=tmp_path, env={**environment, "REMOTE_SHELL": "shell"}, timeout=PATIENCE_S, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


HOSTFILE = "# two machines\nnode1 slots=8\n\nnode2 slots=8\n"


def test_every_host_starts_its_processes(tmp_path: Path, environment: dict[str, str]) -> None:
    body = 'echo "$1: $(bash -c "${2/exec /echo }")"\n'
    code, text = hosts(tmp_path, environment, HOSTFILE, body)
    assert code == 0, text
    for number in (0, 1):
        assert (
            f"node{number + 1}: {Path(sys.executable).parent}/python -m torch.distributed.run "
            f"--nnodes=2 --node-rank={number} --nproc-per-node=8 --master-addr=node1 "
            f"--master-port=29500 -m musicllm recipe=sft name=it's\n"
        ) in text


def test_a_host_that_fails_ends_the_others(tmp_path: Path, environment: dict[str, str]) -> None:
    body = '[ "$1" = node2 ] && exit 9\necho $$ >waiting\nexec sleep 600\n'
    assert hosts(tmp_path, environment, HOSTFILE, body)[0] == 9  # in less than 600 s
    waiting = tmp_path / "waiting"
    wait_for(lambda: not waiting.exists() or has_ended(int(waiting.read_text())))


def test_a_host_without_slots_is_named(tmp_path: Path, environment: dict[str, str]) -> None:
    code, text = hosts(tmp_path, environment, "node1\n", "exit 0\n")
    assert code != 0
    assert "no slots= for node1 in hostfile" in text


def lmdeploy(folder: Path, environment: dict[str, str], *words: str) -> tuple[int, str]:
    script(folder.parent, "lmdeploy", 'printf "<%s>" "$@"\n')
    done = subprocess.run(
        [BASH, LAUNCH / "lmdeploy.sh", folder, *words], env=environment, timeout=PATIENCE_S,
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


AWQ = {"quantization_config": {"quant_method": "awq", "group_size": 128}}


@pytest.mark.parametrize(("settings", "kind"), [(AWQ, "awq"), ({"model_type": "llama"}, "hf")])
def test_lmdeploy_serves_what_was_exported(
    tmp_path: Path, environment: dict[str, str], settings: dict[str, Any], kind: str
) -> None:
    folder = tmp_path / "an export"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(settings))
    code, text = lmdeploy(folder, environment | {"PORT": "4000"}, "--tp", "2")
    assert (code, text) == (
        0,
        f"<serve><api_server><{folder}><--backend><turbomind><--model-format><{kind}>"
        "<--server-name><127.0.0.1><--server-port><4000><--tp><2>",
    )


def test_lmdeploy_gets_no_groups_that_it_does_not_run(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    folder = tmp_path / "export"
    assert (
        "export has no config.json; name the artifact of an export"
        in lmdeploy(folder, environment)[1]
    )
    folder.mkdir()
    small = {"quantization_config": {"quant_method": "awq", "group_size": 64}}
    (folder / "config.json").write_text(json.dumps(small))
    code, text = lmdeploy(folder, environment)
    assert code != 0
    assert "quantized by awq in groups of 64; LMDeploy runs AWQ in groups of 128" in text
    assert "<serve>" not in text
