"""The real command, killed and started again, against the same command left alone: bit by bit.

Dropout, accumulation, two data workers, validation and background saves are on. Kills come after
a random time (so in the middle of steps and of their micro-batches), or while a save is going on.
`STRATEGIES` lists what is held to this.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from musicllm import artifacts, config
from musicllm.model import base
from musicllm.runs.settings import model_spec
from musicllm.train import metrics
from musicllm.train.interruption import REQUEUE_EXIT_CODE
from tests.helpers import make_corpus
from tests.waiting import PATIENCE_S, wait_for

pytestmark = pytest.mark.slow

STRATEGIES = {
    "single": ["strategy=single"],
    "ddp on 2": ["strategy=ddp", "hardware.devices_per_node=2"],
    "zero1 on 2": ["strategy=zero1", "hardware.devices_per_node=2"],
    "zero2 on 2": ["strategy=zero2", "hardware.devices_per_node=2"],
    "zero3 on 2": ["strategy=zero3", "hardware.devices_per_node=2"],
}
"""Words of the command by name."""

ADAPTERS = {
    "lora": ["adapter=lora_r64", "adapter.r=8", "optimizer.lr=0.01"],
    "full": ["adapter=full", "optimizer.lr=0.01"],
}

NUM_STEPS = 24
NUM_KILLS = 6

SMALL = [
    "model=tiny",
    "model.config.vocab_size=300",
    "model.config.hidden_size=64",
    "model.config.intermediate_size=96",
    "model.config.num_hidden_layers=2",
    "model.config.num_attention_heads=2",
    "model.config.num_key_value_heads=1",
    "model.config.attention_dropout=0.1",
    "hardware=cpu",
    "hardware.precision=fp32",
    "hardware.num_threads=1",
    "hardware.num_data_workers=2",
    "hardware.max_rows_per_device=2",
    "logger=[]",
    "callbacks.progress_bar=false",
    "training.rows_per_step=8",
    "training.num_epochs=null",
    f"training.max_steps={NUM_STEPS}",
    "training.log_every_steps=1",
    "training.validate_every_steps=5",
    "training.checkpoint_every_steps=2",
    "training.keep_best_checkpoints=1",
]

Watch = Callable[["Training"], None]


class Training:
    """A command and the run folder in which it works; every start is the same command."""

    def __init__(self, place: Path, runs: str, *words: str) -> None:
        self._words = [
            *("recipe=pretrain", *SMALL, f"model.location={place / 'base'}"),
            *(f"inputs.corpus={place / 'corpus'}", f"paths.runs={place / runs}", "name=run"),
            *words,
        ]
        self.folder = place / runs / "pretrain" / "run"
        self.process: subprocess.Popen[str] | None = None

    @contextmanager
    def started(self) -> Iterator[subprocess.Popen[str]]:
        """Start the command; whatever is left of it at the end is killed."""
        process = subprocess.Popen(
            [sys.executable, "-m", "musicllm", *self._words],
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(Path(artifacts.__file__).parent.parent)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def finish(self) -> str:
        """Run it to its end."""
        with self.started() as process:
            said, _ = process.communicate(timeout=PATIENCE_S)
            assert process.returncode == 0, said
        return said

    def num_lines(self) -> int:
        path = self.folder / "metrics.jsonl"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def saving(self) -> bool:
        return any((self.folder / "checkpoints").glob(".step-*"))

    def losses(self) -> list[dict[str, Any]]:
        """Return metrics.jsonl without speeds, which no two runs share."""
        return [
            {name: value for name, value in line.items() if not name.startswith("perf/")}
            for line in metrics.read(self.folder / "metrics.jsonl")
        ]

    def weights(self) -> dict[str, bytes]:
        """Return the files of the artifact that hold tensors, and the last checkpoint's."""
        last = self.folder / "checkpoints" / f"step-{NUM_STEPS:08d}"
        files = [*(self.folder / "artifact").glob("*.safetensors"), *last.glob("*.safetensors")]
        assert len(files) == 3
        return {file.name: file.read_bytes() for file in files}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus of 48 training rows and a model to start from."""
    folder = tmp_path_factory.mktemp("exact")
    corpus = make_corpus(folder / "corpus", num_tunes=60, max_length=128)
    spec = model_spec(config.load(["recipe=pretrain", *SMALL])[0])
    for name, dropout in {"base": spec.config["attention_dropout"], "calm": 0.0}.items():
        model = base.build(spec.changed(attention_dropout=dropout), seed=1)
        model.save_pretrained(folder / name)
        shutil.copytree(corpus.tokenizer_path, folder / name, dirs_exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def undisturbed(place: Path) -> Callable[[str, str], Training]:
    """Return a maker of runs that nothing disturbed; each is made once."""
    made: dict[tuple[str, str], Training] = {}

    def make(strategy: str, adapter: str) -> Training:
        if (strategy, adapter) not in made:
            words = [*STRATEGIES[strategy], *ADAPTERS[adapter]]
            made[strategy, adapter] = Training(place, f"straight-{strategy}-{adapter}", *words)
            made[strategy, adapter].finish()
        return made[strategy, adapter]

    return make


def send_to_all(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """Send a signal to a process and all that it started: ranks and data workers."""
    main = psutil.Process(process.pid)
    for one in [main, *main.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            one.send_signal(number)


def wait_until(process: subprocess.Popen[str], happened: Callable[[], bool]) -> bool:
    """Wait for something that a process does; False if it ended before."""
    return bool(wait_for(lambda: happened() or process.poll() is not None, interval_s=0.0005)) and (
        process.poll() is None
    )


def kill_within_a_step(training: Training, draw: random.Random) -> bool:
    """Kill after a few more lines and a random part of a step; False if it had ended."""
    with training.started() as process:
        lines = training.num_lines() + draw.randint(1, 4)
        if not wait_until(process, lambda: training.num_lines() >= lines):
            return False
        time.sleep(draw.random() * 0.2)
        process.kill()
    return True


def kill_during_a_save(training: Training, draw: random.Random) -> bool:
    """Kill while a checkpoint is half written; False if it had ended."""
    with training.started() as process:
        saves = draw.randint(0, 2)
        while wait_until(process, training.saving):
            send_to_all(process, signal.SIGSTOP)
            if training.saving():
                saves -= 1
                if saves < 0:
                    send_to_all(process, signal.SIGKILL)
                    break
            send_to_all(process, signal.SIGCONT)
            wait_until(process, lambda: not training.saving())
        else:
            return False
    assert training.saving(), "half a checkpoint is left behind"
    return True


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_killed_again_and_again(
    place: Path, undisturbed: Callable[[str, str], Training], strategy: str, adapter: str
) -> None:
    straight = undisturbed(strategy, adapter)
    words = [*STRATEGIES[strategy], *ADAPTERS[adapter]]
    killed = Training(place, f"killed-{strategy}-{adapter}", *words)
    draw = random.Random(f"{strategy} {adapter}")
    kills = [kill_within_a_step, kill_during_a_save] * (NUM_KILLS // 2)
    num_killed = sum(kill(killed, draw) for kill in kills)
    assert num_killed >= NUM_KILLS // 2, "the run ended before it was disturbed enough"
    said = killed.finish()
    assert "damaged" not in said
    assert killed.losses() == straight.losses()
    assert killed.weights() == straight.weights()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_signal_to_all_processes_saves_and_the_same_command_continues(
    place: Path,
    undisturbed: Callable[[str, str], Training],
    strategy: str,
    number: signal.Signals,
) -> None:
    straight = undisturbed(strategy, "lora")
    words = [*STRATEGIES[strategy], *ADAPTERS["lora"]]
    stopped = Training(place, f"stopped-{strategy}-{number.name}", *words)
    with stopped.started() as process:
        assert wait_until(process, lambda: stopped.num_lines() >= 7)
        os.killpg(process.pid, number)  # as Slurm and a terminal do: data workers hear it, too
        said, _ = process.communicate(timeout=PATIENCE_S)
    code = 130 if number == signal.SIGINT else REQUEUE_EXIT_CODE
    assert process.returncode == code, said
    step = stopped.losses()[-1]["step"]
    assert f"stopped after step {step} of {NUM_STEPS}" in said
    assert f"continuing after step {step} of {NUM_STEPS}" in stopped.finish()
    assert stopped.losses() == straight.losses()
    assert stopped.weights() == straight.weights()


def test_another_micro_batch_sees_the_same_rows_and_learns_the_same(place: Path) -> None:
    """Dropout is drawn per micro-batch, so it is off here."""
    calm = [*STRATEGIES["single"], *ADAPTERS["lora"], "adapter.dropout=0.0"]
    calm += ["model.config.attention_dropout=0.0", f"model.location={place / 'calm'}"]
    straight = Training(place, "straight-calm", *calm)
    straight.finish()
    changed = Training(place, "changed-calm", *calm)
    assert kill_within_a_step(changed, random.Random(1))
    done = changed.num_lines()
    changed = Training(place, "changed-calm", *calm, "hardware.max_rows_per_device=4")
    assert "continuing after step" in changed.finish()
    plan = json.loads((changed.folder / "plan.json").read_text())
    assert plan["rows_per_device"] == 4
    assert 0 < done < len(straight.losses())
    for ours, theirs in zip(changed.losses(), straight.losses(), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
