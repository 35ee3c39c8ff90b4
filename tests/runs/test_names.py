"""A name goes to another run only where nothing is lost, and what differs is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from musicllm import artifacts
from musicllm.artifacts import Artifact
from musicllm.errors import ConfigError
from musicllm.runs import longer, names

CORPUS = Artifact(Path("corpus"), "corpus", "0", {"splits": {"train": {"rows": 100}}})


def settings(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "training.rows_per_step": 4,
        "training.num_epochs": None,
        "training.max_steps": 6,
        "training.clip": 1.0,
        "schedule.name": "constant",
        "schedule.warmup_fraction": 0.0,
        "schedule.min_lr_ratio": 0.1,
        "seed": 0,
    }
    names_of = {key.split(".")[-1]: key for key in values}
    return values | {names_of[name]: value for name, value in changes.items()}


def decides(corpus: str = "a", **changes: Any) -> dict[str, Any]:
    return {
        "task": "train",
        "version": 2,
        "settings": settings(**changes),
        "inputs": {"corpus": corpus},
    }


def taken(folder: Path, given: dict[str, Any], *kept: str) -> Path:
    """Let a job take a folder, and put files there."""
    names.take(folder, artifacts.fingerprint(given), given, ())
    for name in kept:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    return folder


def claimed(folder: Path, given: dict[str, Any]) -> tuple[str, ...]:
    identity = artifacts.fingerprint(given)
    return names.claim(folder, identity, given, name="mine", corpus=CORPUS)


def refused(folder: Path, given: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        claimed(folder, given)
    return str(caught.value.problems[0])


FINISHED = ("artifact/manifest.json", "checkpoints/step-00000006/weights.safetensors")


def test_what_differs_is_said_with_both_values(tmp_path: Path) -> None:
    folder = taken(tmp_path / "run", decides(), *FINISHED)
    assert claimed(folder, decides()) == ()
    assert refused(folder, decides("b", clip=0.5, max_steps=8)) == (
        f"name=mine is the name of a run with other settings or inputs ({folder}): "
        f"training.max_steps: 6 -> 8, training.clip: 1.0 -> 0.5, inputs.corpus is another artifact"
        f"; choose another name, or delete {folder}"
    )


def test_many_differences_are_counted(tmp_path: Path) -> None:
    folder = taken(tmp_path / "run", {"settings": {str(n): n for n in range(9)}}, *FINISHED)
    text = refused(folder, {"settings": {str(n): None for n in range(9)}})
    assert "0: 0 -> null" in text
    assert "4: 4 -> null and 4 more" in text


def test_contents_versions_and_older_folders(tmp_path: Path) -> None:
    given = {"version": 1, "settings": {"data.location.contents": "a"}}
    folder = taken(tmp_path / "run", given, *FINISHED)
    text = refused(folder, {"version": 2, "settings": {"data.location.contents": "b"}})
    assert "the stage makes version 2 now, and made 1 then" in text
    assert "the content of data.location is another" in text
    (folder / names.RECORD).unlink()
    assert "it was made by an older version, which did not note them; its config.yaml" in (
        refused(folder, decides())
    )


def test_a_run_that_failed_leaves_its_name(tmp_path: Path) -> None:
    folder = taken(tmp_path / "run", decides(), "work/read/part", "metrics.jsonl", "mine.txt")
    names.fail(folder, ValueError("the data are wrong"))
    given = decides(clip=0.5)
    assert claimed(folder, given) == ()
    taken(folder, given)
    left = {path.name for path in folder.iterdir()}
    assert left == {"fingerprint", "identity.json", "mine.txt"}


def test_work_that_was_interrupted_keeps_the_name(tmp_path: Path) -> None:
    folder = taken(tmp_path / "run", decides(), "work/read/part")
    assert "training.clip: 1.0 -> 0.5" in refused(folder, decides(clip=0.5))
    assert claimed(taken(tmp_path / "empty", decides()), decides(clip=0.5)) == ()


def test_checkpoints_keep_the_name_of_a_run_that_failed(tmp_path: Path) -> None:
    folder = taken(tmp_path / "run", decides(), FINISHED[1])
    names.fail(folder, ValueError("the loss is NaN"))
    assert "training.clip: 1.0 -> 0.5" in refused(folder, decides(clip=0.5))


def test_a_longer_run_goes_on_with_the_checkpoints_of_the_shorter(tmp_path: Path) -> None:
    folder = taken(tmp_path / "run", decides(), *FINISHED)
    first, second = (artifacts.fingerprint(decides(max_steps=n)) for n in (6, 8))
    assert claimed(folder, decides(max_steps=8)) == (first,)
    names.take(folder, second, decides(max_steps=8), (first,))
    assert claimed(folder, decides(max_steps=8)) == (first,)
    assert claimed(folder, decides(max_steps=10)) == (first, second)
    assert json.loads((folder / names.RECORD).read_text())["earlier"] == [first]
    assert "a run of 8 steps cannot be made one of 6; start a new run from its weights: " in (
        refused(folder, decides(max_steps=6))
    )


@pytest.mark.parametrize(
    ("changes", "num_done", "text"),
    [
        ({}, 6, None),
        ({"num_epochs": 4.0, "max_steps": 50}, 6, None),
        ({"warmup_fraction": 0.1}, 6, None),  # one step of 6, and of 8
        (
            {"warmup_fraction": 0.5},
            6,
            "it cannot be made longer: with 8 steps instead of 6, schedule=constant would have had "
            "another learning rate from step 1 on, and 6 are done, since "
            "schedule.warmup_fraction=0.5 warms up for 4 steps instead of 3",
        ),
        (
            {"name": "cosine"},
            6,
            "it cannot be made longer: with 8 steps instead of 6, schedule=cosine would have had "
            "another learning rate from step 2 on, and 6 are done (runs with schedule=constant and "
            "as much warm-up can be made longer)",
        ),
        ({"name": "linear"}, 1, None),
        ({}, 0, "it cannot be made longer, since none of its checkpoints is left"),
    ],
)
def test_only_what_would_have_been_the_same_is_made_longer(
    changes: dict[str, Any], num_done: int, text: str | None
) -> None:
    old, new = settings(**changes), settings(**{"max_steps": 8, **changes})
    assert longer.why_not(old, new, CORPUS, num_done) == text


def test_a_length_that_followed_the_speed_is_not_changed() -> None:
    old = settings(max_steps=None) | {"training.step_choices": [5, 9]}
    assert longer.why_not(old, old | {"training.max_steps": 9}, CORPUS, 5) == (
        "it cannot be made longer, since training.step_choices let its speed set its length"
    )
    old = settings() | {"training.max_hours": 8.0}
    assert longer.why_not(old, old | {"training.max_hours": 9.0}, CORPUS, 5) == (
        "it cannot be made longer, since training.max_hours let its speed set its length"
    )


@pytest.mark.parametrize("name", ["constant", "linear", "cosine"])
@pytest.mark.parametrize("warmup_fraction", [0.0, 0.2, 0.5])
def test_no_step_with_another_rate_is_overlooked(name: str, warmup_fraction: float) -> None:
    for length in (1, 2, 3, 7, 12):
        for more in (length, length + 1, length + 2, 2 * length):
            old, new = (
                longer._schedule(
                    settings(max_steps=n, name=name, warmup_fraction=warmup_fraction), CORPUS
                )
                for n in (length, more)
            )
            differing = [s for s in range(length) if old.lr_scale(s) != new.lr_scale(s)]
            first = longer._first_difference(old, new, length)
            assert (first is None) == (not differing)


def test_an_adapter_is_merged_before_it_is_trained_on(tmp_path: Path) -> None:
    folder = taken(
        tmp_path / "run", decides(name="cosine"), *FINISHED, "artifact/adapter_config.json"
    )
    assert refused(folder, decides(name="cosine", max_steps=8)).endswith(
        f"start a new run from its weights: python -m musicllm recipe=merge inputs.adapter={folder}"
        f", and inputs.model=<that run>, or delete {folder}"
    )
