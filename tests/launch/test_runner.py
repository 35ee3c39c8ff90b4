"""Run folders, fingerprints, inputs, up-to-date stages; with a stage that the test brings."""

from __future__ import annotations

import fcntl
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from musicllm import artifacts, config, facts
from musicllm.errors import ArtifactError, ConfigError, InputError, NotAvailableError
from musicllm.job import Job
from musicllm.launch import runner
from musicllm.runs import needs
from musicllm.runs.binding import bind
from musicllm.runs.inputs import find_input


@pytest.fixture
def prepare(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A prepare stage that writes one file; returns the fingerprints of its runs."""
    runs: list[str] = []

    def run(job: Job) -> list[tuple[str, object]]:
        runs.append(job.fingerprint)
        with job.writing() as (folder, facts):
            (folder / "rows").write_text("1 2 3")
            facts["metrics"] = {"tokens": 3}
        return [("tokens", 3)]

    module = ModuleType("musicllm.stages.prepare")
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "musicllm.stages.prepare", module)
    return runs


def load(folder: Path, *words: str) -> config.Config:
    return config.load(["recipe=quickstart/prepare", f"paths.runs={folder}", *words])[0]


def test_a_run_leaves_what_the_design_promises(tmp_path: Path, prepare: list[str]) -> None:
    outcome = runner.run(load(tmp_path), "quickstart/prepare")
    folder = tmp_path / "quickstart" / "prepare" / prepare[0]
    assert outcome.folder == folder
    assert outcome.metrics == {"tokens": 3}
    assert (folder / "artifact" / "rows").read_text() == "1 2 3"
    assert "melodic_similarity" in (folder / "config.yaml").read_text()
    assert json.loads((folder / "summary.json").read_text())["rows"] == [["tokens", "3"]]
    provenance = artifacts.read(folder / "artifact").provenance
    assert provenance["recipe"] == "quickstart/prepare"
    assert provenance["config"]["data"]["name"] == "music21_books"
    assert provenance["packages"]["hydra-core"]
    assert provenance["commit"] is None or len(provenance["commit"]) >= 40


def test_facts_are_gathered_before_the_work_and_none_of_them_costs_it(
    tmp_path: Path, prepare: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No git, a package whose metadata is damaged: nothing of it is worth a result."""
    done: list[str] = []

    def missing(name: str) -> object:
        def fail(*_: object, **__: object) -> None:
            done.append(f"{name} before {len(prepare)} runs")
            raise FileNotFoundError(name)

        return fail

    monkeypatch.setattr(facts.subprocess, "run", missing("git"))
    monkeypatch.setattr(facts.metadata, "version", missing("torch"))
    monkeypatch.setattr(facts, "ROOT", tmp_path)
    (tmp_path / ".git").mkdir()
    outcome = runner.run(load(tmp_path), "quickstart/prepare")
    monkeypatch.undo()
    provenance = artifacts.read(outcome.folder / "artifact").provenance
    assert provenance["commit"] is None
    assert provenance["packages"] == {}
    assert provenance["argv"] == sys.argv
    assert "git before 0 runs" in done
    assert not any("before 1" in line for line in done)


def test_what_a_stage_needs_is_asked_before_it_works(
    tmp_path: Path, prepare: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needs, "find_spec", lambda _: None)
    with pytest.raises(NotAvailableError, match=r"engine\.name=ray needs ray"):
        runner.run(load(tmp_path, "engine=ray"), "quickstart/prepare")
    assert prepare == []
    assert not list(tmp_path.iterdir())


def test_the_same_command_does_nothing_twice(
    tmp_path: Path, prepare: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    runner.run(load(tmp_path), "quickstart/prepare")
    again = runner.run(load(tmp_path), "quickstart/prepare")
    assert again.up_to_date
    assert again.metrics == {"tokens": 3}
    assert len(prepare) == 1
    assert "up to date: " in capsys.readouterr().out


def test_settings_that_matter_make_another_run_and_others_do_not(
    tmp_path: Path, prepare: list[str]
) -> None:
    runner.run(load(tmp_path), "quickstart/prepare")
    assert runner.run(load(tmp_path, "hardware.num_threads=1"), "quickstart/prepare").up_to_date
    assert not runner.run(load(tmp_path, "seed=7"), "quickstart/prepare").up_to_date
    assert len(set(prepare)) == 2


def test_watching_a_run_does_not_change_its_fingerprint(tmp_path: Path, prepare: list[str]) -> None:
    corpus = runner.run(load(tmp_path), "quickstart/prepare").folder
    words = ["recipe=quickstart/pretrain", f"paths.runs={tmp_path}", f"inputs.corpus={corpus}"]
    jobs = [
        bind(config.load([*words, *more])[0], "quickstart/pretrain")
        for more in ([], ["training.log_every_steps=1"], ["training.max_steps=5"])
    ]
    assert jobs[0].fingerprint == jobs[1].fingerprint != jobs[2].fingerprint


def test_an_input_may_be_a_recipe_a_run_folder_or_an_artifact(
    tmp_path: Path, prepare: list[str]
) -> None:
    folder = runner.run(load(tmp_path), "quickstart/prepare").folder
    for name in ("quickstart/prepare", str(folder), str(folder / "artifact")):
        found = find_input("inputs.corpus", name, load(tmp_path))
        assert found.path.resolve() == (folder / "artifact").resolve()


def test_the_latest_complete_run_of_a_recipe_is_the_input(
    tmp_path: Path, prepare: list[str]
) -> None:
    runner.run(load(tmp_path), "quickstart/prepare")
    runner.run(load(tmp_path, "seed=7"), "quickstart/prepare")
    found = find_input("inputs.corpus", "quickstart/prepare", load(tmp_path))
    assert found.fingerprint == prepare[1]


def test_a_name_belongs_to_one_run(tmp_path: Path, prepare: list[str]) -> None:
    runner.run(load(tmp_path, "name=mine"), "quickstart/prepare")
    assert (tmp_path / "quickstart" / "prepare" / "mine" / "artifact").is_dir()
    with pytest.raises(ConfigError, match=r"name=mine is the name of a run .*: seed: 1234 -> 7;"):
        runner.run(load(tmp_path, "name=mine", "seed=7"), "quickstart/prepare")


def test_a_name_is_free_again_when_its_run_failed(
    tmp_path: Path, prepare: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(job: Job) -> None:
        (job.folder / "work").mkdir()
        raise InputError("line 3 is no tune")

    with monkeypatch.context() as patched:
        patched.setattr(sys.modules["musicllm.stages.prepare"], "run", fails)
        with pytest.raises(InputError):
            runner.run(load(tmp_path, "name=mine"), "quickstart/prepare")
    folder = tmp_path / "quickstart" / "prepare" / "mine"
    assert (folder / "failed").read_text() == "line 3 is no tune\n"
    assert not runner.run(load(tmp_path, "name=mine", "seed=7"), "quickstart/prepare").up_to_date
    assert not (folder / "work").exists()
    assert not (folder / "failed").exists()


def test_a_second_process_with_the_same_command_is_refused(
    tmp_path: Path, prepare: list[str]
) -> None:
    folder = bind(load(tmp_path), "quickstart/prepare").folder
    folder.mkdir(parents=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ArtifactError, match="is in use by another process; wait for it"):
            runner.run(load(tmp_path), "quickstart/prepare")
    assert prepare == []


def test_a_change_in_the_user_s_own_files_makes_another_run(
    tmp_path: Path, prepare: list[str]
) -> None:
    book = tmp_path / "books" / "mine.abc"
    book.parent.mkdir()
    book.write_text("X:1")
    source = "data.sources.music21_books"
    words = [f"{source}.reader=files", f"{source}.location={book.parent}"]
    runner.run(load(tmp_path, *words), "quickstart/prepare")
    assert runner.run(load(tmp_path, *words), "quickstart/prepare").up_to_date
    book.write_text("X:1 and more")
    assert not runner.run(load(tmp_path, *words), "quickstart/prepare").up_to_date
