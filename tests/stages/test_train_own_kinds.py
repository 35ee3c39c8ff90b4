"""The optimizer, logger and callback of CONTRIBUTING.md, from a folder outside the package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from musicllm import config
from musicllm.checks import check
from musicllm.data.corpus import Corpus
from musicllm.errors import ConfigError
from musicllm.launch import runner
from musicllm.stages import train
from musicllm.train import metrics
from musicllm.train.callbacks import CALLBACKS, ORDER
from musicllm.train.loggers import LOGGERS
from musicllm.train.optimizers import OPTIMIZERS
from tests.examples import EXAMPLES
from tests.helpers import make_corpus
from tests.stages.test_train import SMALL


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder of the user's own; its kinds go when the test is over."""
    own = tmp_path / "own"
    own.mkdir()
    for name in ("descent.py", "sheet.py", "count.py"):
        (own / name).write_text(EXAMPLES[name])
    kinds = [(registry, dict(registry)) for registry in (OPTIMIZERS, LOGGERS, CALLBACKS)]
    yield own
    for registry, before in kinds:
        registry._kinds = before  # type: ignore[attr-defined]


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return make_corpus(tmp_path / "corpus")


def words(folder: Path, corpus: Corpus, *more: str) -> list[str]:
    return [
        "recipe=quickstart/pretrain", f"paths.runs={folder.parent / 'runs'}",
        f"inputs.corpus={corpus.path}", *SMALL, "training.max_steps=2", "logger=[csv]",
        f"extensions=[{folder}]", "optimizer.name=descent", "logger.csv.kind=sheet",
        *more,
    ]  # fmt: skip


def test_a_training_uses_them(folder: Path, corpus: Corpus) -> None:
    settings, recipe = config.load(
        words(
            folder, corpus, "+optimizer.options.momentum=0.5", "+logger.csv.options.folder=notes",
            "+callbacks.extra.mine={kind:count,metric:mine/is_last}",
        )
    )  # fmt: skip
    check(settings)
    job = runner.bind(settings, recipe)
    job.folder.mkdir(parents=True)
    assert dict(train.run(job))["steps"] == "2"
    lines = list(metrics.read(job.folder / metrics.NAME))
    own = [(line["step"], line["mine/is_last"]) for line in lines if "mine/is_last" in line]
    assert own == [(1, 0.0), (2, 1.0)]
    assert "mine/is_last" in (job.folder / "notes" / "metrics.csv").read_text()
    state = (job.folder / "checkpoints" / "step-00000002" / "state.json").read_text()
    assert "momentum_buffer" in state, "the optimizer's own state is saved"
    assert job.existing() is not None


def test_their_checks_are_those_of_the_house(folder: Path, corpus: Corpus) -> None:
    entries = {"mine": "kind:count", "typing": "kind:cuont", "step": "kind:metrics", "none": ""}
    wrong = [f"+callbacks.extra.{name}={{{entry}}}" for name, entry in entries.items()]
    settings, _ = config.load(words(folder, corpus, *wrong))
    with pytest.raises(ConfigError) as error:
        check(settings)
    text = str(error.value)
    assert "optimizer.options.momentum=null must be set" in text
    assert "callbacks.extra.mine.metric=null must be set" in text
    assert "callbacks.extra.typing.kind=cuont must be one of count" in text
    assert "callbacks.extra.step.kind=metrics must be one of count" in text
    assert "callbacks.extra.none={} must name either a Lightning callback by _target_" in text


def test_a_kind_of_the_house_refuses_options(corpus: Corpus, tmp_path: Path) -> None:
    settings, _ = config.load(
        ["recipe=quickstart/pretrain", f"paths.runs={tmp_path}", f"inputs.corpus={corpus.path}",
         "logger=[csv]", "+optimizer.options.a=1", "+logger.csv.options.a=1"]
    )  # fmt: skip
    with pytest.raises(ConfigError) as error:
        check(settings)
    assert "optimizer.options={'a': 1} has no effect on optimizer.name=" in str(error.value)
    assert "logger.csv.options={'a': 1} has no effect on a logger of kind csv" in str(error.value)


def test_every_callback_of_the_house_has_its_place_in_the_order() -> None:
    assert ORDER == (
        "loss_scale", "metrics", "incidents", "progress", "samples", "evaluation", "extra",
        "checkpoints",
    )  # fmt: skip
    assert set(CALLBACKS) == set(ORDER) - {"extra"}
