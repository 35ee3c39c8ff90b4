"""Processes that the command starts by itself, one per device."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from musicllm import config
from musicllm.data.corpus import Corpus
from musicllm.errors import ConfigError, InputError, NotAvailableError, Problem, StageError
from musicllm.job import Job
from musicllm.launch import processes, runner
from musicllm.runs.binding import bind
from tests.helpers import make_corpus
from tests.stages.test_train import SMALL

SPREAD = ["optimizer=adamw", "hardware.devices_per_node=2", "strategy=zero1"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus") / "corpus")


def words(tmp_path: Path, corpus: Corpus, *more: str) -> list[str]:
    places = [f"paths.runs={tmp_path / 'runs'}", f"inputs.corpus={corpus.path}"]
    return ["recipe=quickstart/pretrain", *places, *SMALL, *SPREAD, *more]


def job_of(tmp_path: Path, corpus: Corpus, *more: str) -> Job:
    job = bind(*config.load(words(tmp_path, corpus, *more)))
    job.folder.mkdir(parents=True, exist_ok=True)
    return job


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["zero2", "ddp", "zero3"])
def test_processes_measure_together_how_many_steps_fit(
    tmp_path: Path, corpus: Corpus, strategy: str
) -> None:
    limits = ["training.step_choices=[]", "training.max_steps=3", f"strategy={strategy}"]
    weights = []
    for name, more in {"hours": ["training.max_hours=0.05"], "steps": []}.items():
        outcome = runner.run(*config.load(words(tmp_path / name, corpus, *limits, *more)))
        weights.append((outcome.folder / "artifact" / "model.safetensors").read_bytes())
        assert (outcome.folder / "length.json").is_file() == (name == "hours")
    assert weights[0] == weights[1]


def test_two_processes_make_one_artifact(
    tmp_path: Path, corpus: Corpus, capfd: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own.py"
    own.write_text("import os\nopen(f'{__file__}.{os.environ.get(\"RANK\")}', 'w').close()\n")
    more = f"extensions=[{own}]"
    outcome = runner.run(*config.load(words(tmp_path, corpus, more)))
    said = capfd.readouterr().out
    assert outcome.metrics["train_loss"] > 0
    assert "1 x 2 CPU" in said
    assert said.count("validation loss") == 1
    assert len(list((tmp_path / "runs" / "quickstart" / "pretrain").glob("*/artifact"))) == 1
    assert (outcome.folder / "deepspeed.json").is_file()
    again = runner.run(*config.load(words(tmp_path, corpus, more)))
    assert again.up_to_date
    assert sorted(tmp_path.glob("own.py.*")) == [
        tmp_path / f"own.py.{rank}" for rank in ("0", "1", "None")
    ], "every process imports the user's own kinds"


@pytest.mark.slow
def test_what_a_rank_raises_is_raised(tmp_path: Path, corpus: Corpus) -> None:
    with pytest.raises(ConfigError) as error:
        processes.work(job_of(tmp_path, corpus, "model.config.vocab_size=200"))
    assert "model.config.vocab_size=200 is less than the 300 tokens" in str(error.value)


@pytest.mark.slow
def test_a_rank_that_dies_ends_the_others(tmp_path: Path, corpus: Corpus) -> None:
    def kill_one() -> None:
        while len(started := ranks_of_this_process()) < 2:
            time.sleep(0.1)
        os.kill(started[-1].pid, signal.SIGKILL)

    threading.Thread(target=kill_one, daemon=True).start()
    with pytest.raises(StageError, match=r"rank \d was killed by signal 9; signal 9 is often"):
        processes.work(job_of(tmp_path, corpus, "training.max_steps=1000"))
    assert ranks_of_this_process() == []


@pytest.mark.parametrize(
    ("codes", "said", "reason"),
    [
        ([1, 1], [None, ConfigError([Problem("a", 1, "is not 2")])], "a=1 is not 2"),
        ([1, -9], [None, None], "rank 0 failed; what it said is above"),
        ([-signal.SIGTERM, -9], [None, None], "143"),
        ([130, 130], [None, None], "130"),
    ],
)
def test_the_reason_is_what_a_rank_said_or_how_it_ended(
    codes: list[int], said: list[Exception | None], reason: str
) -> None:
    ended = []
    for number, (code, error) in enumerate(zip(codes, said, strict=True)):
        ours, theirs = multiprocessing.Pipe(duplex=False)
        if error is not None:
            theirs.send(error)
        theirs.close()
        ended.append(processes._Rank(number, SimpleNamespace(exitcode=code), ours))  # type: ignore[arg-type]
    assert reason in str(processes._reason(ended[0], ended))


def ranks_of_this_process() -> list[psutil.Process]:
    children = psutil.Process().children()
    return [each for each in children if "spawn_main" in " ".join(each.cmdline())]


def test_several_machines_need_a_launcher(tmp_path: Path, corpus: Corpus) -> None:
    with pytest.raises(NotAvailableError, match=r"has 2 machines, and this command starts"):
        processes.work(job_of(tmp_path, corpus, "hardware.num_nodes=2"))


def test_launchers_that_start_another_number_are_refused(
    tmp_path: Path, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    settings, recipe = config.load(words(tmp_path, corpus))
    with pytest.raises(InputError, match=r"started 3 processes, but .* has 1 x 2 devices"):
        processes.refuse_other_ranks(settings, recipe)
    settings, recipe = config.load(["recipe=quickstart/prepare"])
    with pytest.raises(InputError, match=r"runs in one process, but .* started 3"):
        processes.refuse_other_ranks(settings, recipe)
