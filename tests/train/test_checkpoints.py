from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import get_peft_model
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from musicllm import artifacts, config
from musicllm.errors import ArtifactError
from musicllm.model import adapters, base
from musicllm.model.adapters import attach, quiet_peft
from musicllm.model.architecture import config_of
from musicllm.model.size import count
from musicllm.runs.settings import adapter_spec, model_spec
from musicllm.train import checkpoints
from musicllm.train.checkpoints import Writer, tree, writing
from musicllm.train.optimizers import OPTIMIZERS
from tests.models import LORA, TINY
from tests.train.conftest import ADAMW, FULL

IDENTITY = "0123456789ab"
FILES = ("manifest.json", "state.json", "state.safetensors", "weights.safetensors")


def make_writer(run: Path, identity: str = IDENTITY, **keep: int) -> Writer:
    return Writer(run, identity, **{"keep_last": 100, "keep_best": 0, **keep})


def save(
    run: Path, step: int, identity: str = IDENTITY, score: float | None = None, **keep: int
) -> Path:
    writer = make_writer(run, identity, **keep)
    weights = {"a": torch.full((2, 3), float(step)), "b": torch.arange(4.0)[::2]}
    writer.save(step, weights, {"optimizer": {"a": {"step": torch.tensor(step)}}}, score)
    writer.wait()
    return checkpoints.folder_of(run, step)


def names(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def newest_step(run: Path) -> int | None:
    found = checkpoints.newest(run, IDENTITY)
    return None if found is None else found.step


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    path = save(tmp_path, 12)
    assert path == tmp_path / "checkpoints" / "step-00000012"
    assert sorted(file.name for file in path.iterdir()) == list(FILES)
    found = checkpoints.newest(tmp_path, IDENTITY)
    assert found is not None
    assert found.step == 12
    assert found.weights()["a"].tolist() == [[12.0] * 3] * 2
    assert found.weights()["b"].tolist() == [0.0, 2.0]
    assert found.state() == {"optimizer": {"a": {"step": torch.tensor(12)}}}


def test_a_state_comes_back_as_it_was() -> None:
    state = {
        "groups": [{"betas": (0.9, 0.95), "lr": 0.1 + 0.2, "names": ["a"]}, {}],
        "by number": {0: torch.ones(2), 7: None, "7": float("inf")},
        "$tensor": True,
        "flags": torch.tensor([True, False]),
        "half": [torch.tensor(1.5, dtype=torch.bfloat16), ()],
    }
    values, tensors = tree.split(state)
    assert set(tensors) == {"/by number/0", "/flags", "/half/0"}
    back = tree.join(json.loads(json.dumps(values)), tensors)
    assert str(back) == str(state)


def test_a_state_with_something_else_in_it_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="cannot hold the function at /a/0"):
        tree.split({"a": [make_writer]})


def test_there_is_none_at_first(tmp_path: Path) -> None:
    assert checkpoints.newest(tmp_path, IDENTITY) is None


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-3])


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("file", FILES[1:])
@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (cut, "{name} has {less} bytes, but {size} were written"),
        (flip_a_bit, "the bytes of {name} are not those that were written (SHA-256)"),
        (Path.unlink, "{name} is missing"),
    ],
)
def test_a_damaged_one_is_named_and_moved_and_the_one_before_is_used(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    file: str,
    damage: Callable[[Path], None],
    fault: str,
) -> None:
    save(tmp_path, 5)
    path = save(tmp_path, 10)
    size = (path / file).stat().st_size
    damage(path / file)
    assert newest_step(tmp_path) == 5
    aside = tmp_path / "checkpoints" / "damaged" / "step-00000010"
    fault = fault.format(name=file, size=size, less=size - 3)
    expected = f"the checkpoint {path} is damaged: {fault}; it was moved to {aside}\n"
    assert capsys.readouterr().err == expected
    assert names(tmp_path) == ["damaged", "step-00000005"]
    assert aside.is_dir()
    assert newest_step(tmp_path) == 5
    assert capsys.readouterr().err == "", "it is said once"


def test_the_same_step_may_be_damaged_twice(tmp_path: Path) -> None:
    for _ in range(2):
        cut(save(tmp_path, 10) / "state.json")
        assert newest_step(tmp_path) is None
    kept = sorted(path.name for path in (tmp_path / "checkpoints" / "damaged").iterdir())
    assert kept == ["step-00000010", "step-00000010.2"]


def test_no_flipped_bit_of_a_manifest_stops_a_start(tmp_path: Path) -> None:
    save(tmp_path, 5)
    path = save(tmp_path, 10, score=0.5)
    manifest = (path / "manifest.json").read_bytes()
    found = []
    for place in range(0, len(manifest), 3):
        changed = bytearray(manifest)
        changed[place] ^= 1 << place % 8
        (path / "manifest.json").write_bytes(changed)
        found.append(newest_step(tmp_path))
        damaged = tmp_path / "checkpoints" / "damaged"
        if damaged.exists():
            (damaged / path.name).rename(path)
            damaged.rmdir()
    assert set(found) == {5, 10}
    assert found.count(5) > 0.6 * len(found), "white space, the score and `provenance` may change"


@pytest.mark.parametrize("content", ["", "{}", '{"kind": "checkpoint"'])
def test_a_folder_without_a_valid_manifest_is_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    save(tmp_path, 5)
    path = save(tmp_path, 10)
    (path / "manifest.json").write_text(content)
    assert newest_step(tmp_path) == 5
    said = capsys.readouterr().err
    assert said.startswith(f"the checkpoint {path} is damaged: {path}/manifest.json is not a valid")


def test_one_of_another_job_is_named_and_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(tmp_path, 50, "ba9876543210")
    save(tmp_path, 5, keep_last=1)
    assert newest_step(tmp_path) == 5
    expected = f"skipping the checkpoint {path}: it was made with other settings or inputs\n"
    assert capsys.readouterr().err == expected
    assert names(tmp_path) == ["step-00000005", "step-00000050"]


def test_training_goes_on_while_files_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    weight = torch.ones(3)

    def slow(tensors: dict[str, Tensor], path: Path) -> None:
        assert gate.wait(10)
        save_file(tensors, path)

    monkeypatch.setattr(writing, "save_file", slow)
    writer = make_writer(tmp_path)
    writer.save(1, {"a": weight}, {"moment": weight}, None)
    weight.zero_()  # the next step
    assert newest_step(tmp_path) is None
    gate.set()
    writer.save(2, {"a": weight}, {}, None)
    assert newest_step(tmp_path) == 1, "the second save waited for the first"
    writer.wait()
    assert newest_step(tmp_path) == 2
    first = checkpoints.Checkpoint(checkpoints.folder_of(tmp_path, 1), 1)
    assert first.weights()["a"].tolist() == first.state()["moment"].tolist() == [1.0] * 3


def test_a_save_that_fails_is_told_at_the_next_call_and_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, 5)

    def full_disk(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    writer = make_writer(tmp_path)
    monkeypatch.setattr(artifacts, "write_json", full_disk)
    writer.save(10, {}, {}, None)
    with pytest.raises(ArtifactError) as error:
        writer.save(15, {}, {}, None)
    assert str(error.value) == (
        f"the checkpoint {tmp_path}/checkpoints/step-00000010 could not be written: [Errno 28] No "
        f"space left on device; earlier ones are whole. Make room or mend the disk, and start the "
        f"same command again"
    )
    writer.wait()  # it was said
    assert names(tmp_path) == ["step-00000005"]


def test_a_disk_that_fills_up_under_the_tensors_is_told(tmp_path: Path) -> None:
    """In a process of its own, since the limit on file sizes is the process's."""
    program = (
        "import resource, signal, sys, torch, pathlib\n"
        "from musicllm.train.checkpoints import Writer\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "writer = Writer(pathlib.Path(sys.argv[1]), 'ab', keep_last=1, keep_best=0)\n"
        "writer.save(10, {'a': torch.ones(10_000)}, {}, None)\n"
        "writer.wait()\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    assert "ArtifactError" in said.splitlines()[-1]
    assert "File too large" in said.splitlines()[-1]
    assert names(tmp_path) == []


def test_only_the_last_ones_stay_and_nothing_half_written(tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / ".step-00000006.123").mkdir(parents=True)
    for step in (3, 6, 100000000):
        save(tmp_path, step, keep_last=2)
    assert names(tmp_path) == ["step-00000006", "step-100000000"]
    assert newest_step(tmp_path) == 100000000


def test_the_best_stay_too_over_restarts(tmp_path: Path) -> None:
    scores = {1: 3.0, 2: 1.5, 3: None, 4: float("nan"), 5: 1.0, 6: 2.0, 7: 1.5, 8: 4.0}
    for step, score in scores.items():
        save(tmp_path, step, score=score, keep_last=1, keep_best=2)
    assert names(tmp_path) == ["step-00000005", "step-00000007", "step-00000008"]


@pytest.mark.slow
def test_the_size_of_llama_2_7b_is_what_the_plan_says() -> None:
    """Shapes alone, as PEFT makes them on torch's meta device."""
    settings = config.load(["recipe=pretrain"])[0]
    spec, adapter = model_spec(settings), adapter_spec(settings)
    with torch.device("meta"), quiet_peft():
        plain = AutoModelForCausalLM.from_config(config_of(spec))
        model = get_peft_model(plain, adapters._lora_config(plain, adapter))
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    lora = 32 * 64 * (4 * (4096 + 4096) + 3 * (4096 + 11008))
    assert sum(weight.numel() for weight in trained) == lora + 2 * 32_000 * 4096
    num_bytes = sum(3 * 4 * weight.numel() + 4 for weight in trained)  # and one step each
    assert num_bytes == pytest.approx(12 * count(spec, adapter).num_trainable, rel=0.05)


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_the_size_on_disk_is_what_the_plan_says(tmp_path: Path, kind: str) -> None:
    adapter = FULL if kind == "full" else replace(LORA, r=64, train_embeddings=True)
    spec = TINY.changed(hidden_size=128, intermediate_size=256, vocab_size=2000)
    weights, state = one_step(attach(base.build(spec, seed=3), adapter, seed=5))
    writer = make_writer(tmp_path)
    writer.save(1, weights, state, None)
    writer.wait()
    folder = checkpoints.folder_of(tmp_path, 1)
    on_disk = sum(file.stat().st_size for file in folder.iterdir())
    assert on_disk == pytest.approx(12 * count(spec, adapter).num_trainable, rel=0.05)


def one_step(model: nn.Module) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return what is trained and the optimizer's state by name, after one update."""
    optimizer = OPTIMIZERS["adamw"].build(model, ADAMW, has_bf16=False)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    for parameter in trained.values():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    state = {name: dict(optimizer.state[parameter]) for name, parameter in trained.items()}
    return {name: p.detach() for name, p in trained.items()}, {"optimizer": state}
