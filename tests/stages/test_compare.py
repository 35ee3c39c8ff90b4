"""The compare stage, from finished evaluations to page, numbers, pictures and wandb."""

from __future__ import annotations

import html
import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb

from musicllm import artifacts
from musicllm import config as configuration
from musicllm.artifacts import Artifact
from musicllm.job import Job
from musicllm.stages import compare
from musicllm.train import loggers
from tests.evals.evaluations import answers, evaluation
from tests.train.offline_wandb import Recording

FACTS = {"complete": True, "num_questions": 60, "num_available": 60}
ASKED: dict[str, Any] = {"num_questions": 30, "subjects": ["law"], "levels": []}

Compare = Callable[..., Artifact]


@pytest.fixture
def stages(tmp_path: Path) -> list[Artifact]:
    """One benchmark before and after a training, the second time on a part of it."""
    rows = {"before": answers(0.3, 20), "after": answers(0.9, 20)[:30]}
    facts = {"before": FACTS, "after": FACTS | {"complete": False, "num_questions": 30}}
    return [
        evaluation(tmp_path, run, {"model": {"mmlu": rows[run]}}, facts={"mmlu": facts[run]},
                   config={"mmlu": ASKED}, inputs=("model",))
        for run in rows
    ]  # fmt: skip


@pytest.fixture
def run(tmp_path: Path, stages: list[Artifact]) -> Compare:
    """Run the stage on both."""

    def run_with(*words: str) -> Artifact:
        config, recipe = configuration.load(["recipe=compare", f"paths.runs={tmp_path}", *words])
        folder = tmp_path / recipe / "0123456789ab"
        folder.mkdir(parents=True)
        inputs = {f"run {place}": one for place, one in enumerate(stages, 1)}
        job = Job(config, recipe, folder, "comparison", "0123456789ab", inputs)
        compare.run(job)
        return artifacts.read(job.artifact_path, "comparison")

    return run_with


@pytest.fixture
def without_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    yield
    loggers.close()


def test_page_numbers_pictures_and_what_to_do_next(
    run: Compare, capsys: pytest.CaptureFixture[str]
) -> None:
    made = run()
    made.verify()
    page = (made.path / "report.html").read_text(encoding="utf-8")
    assert page == (made.path.parent / "report.html").read_text(encoding="utf-8")
    assert "<h1>mmlu/before, mmlu/after</h1>" in page
    found = json.loads((made.path / "comparison.json").read_text())
    assert found["against_first"][0]["accuracy"]["num_questions"] == 30
    assert {path.name for path in (made.path / "pictures").iterdir()} == {
        "mmlu_order.png", "mmlu_category.png", "mmlu_subject.png", "mmlu_calibration.png",
    }  # fmt: skip
    accuracy = found["metrics"]["mmlu"]["mmlu/before"]["accuracy"]
    assert made.facts["metrics"]["mmlu/before mmlu accuracy"] == accuracy
    printed = capsys.readouterr()
    assert "mmlu of mmlu/after is not complete: a subset: 30 of 60 questions." in printed.err
    assert f"{accuracy:.4g}" in printed.out
    assert "p (Holm)" in printed.out
    assert_it_says_how_to_ask_the_rest(page)


def assert_it_says_how_to_ask_the_rest(page: str) -> None:
    (line,) = re.findall(r'<dd><pre class="wrap">(.*?)</pre>', page, re.DOTALL)
    words = shlex.split(html.unescape(line))
    assert words[3:6] == [
        "recipe=mmlu", "benchmark.mmlu.num_questions=null", "benchmark.mmlu.subjects=[]",
    ]  # fmt: skip
    assert words[6].startswith("inputs.model=")
    config, _ = configuration.load(words[3:])
    assert config.benchmark["mmlu"].num_questions is None


@pytest.mark.slow
@pytest.mark.usefixtures("without_key")
def test_wandb_gets_numbers_tables_pictures_and_page(run: Compare) -> None:
    made = run("logger=[wandb,csv]", "logger.wandb.log_artifact=true")
    assert wandb.run is None, "the run is ended"
    wandb.teardown()  # its process has written everything when it is gone
    recording = Recording(made.path.parent / "wandb" / "latest-run")
    curve = [line["mmlu/accuracy"] for line in recording.history if "mmlu/accuracy" in line]
    found = json.loads((made.path / "comparison.json").read_text())["metrics"]["mmlu"]
    assert curve == [found[label]["accuracy"] for label in ("mmlu/before", "mmlu/after")]
    logged = {name for line in recording.history for name in line}
    for name in ("overview", "significance", "mmlu_order", "mmlu_subject", "report"):
        assert f"comparison/{name}/path" in logged
    (path,) = (
        line["comparison/overview/path"]
        for line in recording.history
        if "comparison/overview/path" in line
    )
    table = json.loads((made.path.parent / "wandb/latest-run/files" / path).read_text())
    assert table["columns"] == ["what", "mmlu/before", "mmlu/after"]
    assert table["data"][0][0] == "mmlu: accuracy"
    assert table["data"][0][2].endswith("; subset: 30 of 60)")
    assert "comparison.json" in recording.artifacts["comparison-0123456789ab"]
    (lines,) = made.path.parent.glob("csv/*/metrics.csv")
    assert len(lines.read_text().splitlines()) == 3
