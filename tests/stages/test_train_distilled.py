"""The stage train with a teacher: what it refuses, its identity, its plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from musicllm import config
from musicllm.data.corpus import Corpus
from musicllm.errors import ArtifactError, ConfigError
from musicllm.job import Job
from musicllm.launch import runner
from musicllm.runs import distilling
from musicllm.runs.planning import run_plan
from musicllm.stages import train
from musicllm.train import metrics
from musicllm.train.distillation.teachers import ModelTeacher
from tests.helpers import make_corpus
from tests.stages.test_train import SMALL

DISTILLED = ["objective=distillation", "model.config.hidden_size=8"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus") / "corpus")


@pytest.fixture(scope="module")
def teacher(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    job = job_of(tmp_path_factory.mktemp("teacher"), corpus, "training.max_steps=40")
    train.run(job)
    return job.artifact_path


def job_of(tmp_path: Path, corpus: Corpus, *words: str) -> Job:
    places = [f"paths.runs={tmp_path / 'runs'}", f"inputs.corpus={corpus.path}"]
    job = runner.bind(*config.load(["recipe=quickstart/pretrain", *places, *SMALL, *words]))
    job.folder.mkdir(parents=True, exist_ok=True)
    return job


def distilled(tmp_path: Path, corpus: Corpus, teacher: Path, *words: str) -> Job:
    return job_of(tmp_path, corpus, *DISTILLED, f"inputs.teacher={teacher}", *words)


def test_a_smaller_student_becomes_a_plain_model(
    tmp_path: Path, corpus: Corpus, teacher: Path
) -> None:
    job = distilled(tmp_path, corpus, teacher, "training.max_steps=12")
    train.run(job)
    made = job.existing()
    assert made is not None
    assert made.kind == "model"
    assert made.provenance["inputs"]["teacher"]["path"] == str(teacher)
    lines = metrics.read(job.folder / metrics.NAME)
    steps = [line for line in lines if "train/divergence" in line]
    assert len(steps) == 12
    assert steps[-1]["train/divergence"] < steps[0]["train/divergence"]
    plan = json.loads((job.folder / "plan.json").read_text())
    assert plan["teacher_parameters"] > plan["trainable_parameters"] > 0
    assert plan["memory_bytes"]["teacher_weights"] == 4 * plan["teacher_parameters"]


def test_the_teacher_and_its_settings_decide_the_result_and_sft_has_none(
    tmp_path: Path, corpus: Corpus, teacher: Path
) -> None:
    plain, own = job_of(tmp_path, corpus), distilled(tmp_path, corpus, teacher)
    assert not [key for key in plain.decides["settings"] if key.startswith("objective")]
    assert own.decides["settings"]["objective.divergence"] == "forward_kl"
    assert own.decides["inputs"].keys() == {"corpus", "teacher"}
    other = distilled(tmp_path, corpus, teacher, "objective.temperature=2")
    planned = distilled(tmp_path, corpus, teacher, "objective.teacher_model=tiny")
    assert other.fingerprint != own.fingerprint == planned.fingerprint


def test_vocabularies_are_compared_token_by_token(
    tmp_path: Path, corpus: Corpus, teacher: Path
) -> None:
    other = make_corpus(tmp_path / "other", vocab_size=290)
    job = distilled(tmp_path, other, teacher)
    with pytest.raises(ArtifactError) as refused:
        distilling.objective_of(job, other)
    assert str(refused.value).startswith(
        f"inputs.teacher={teacher} has another vocabulary than the corpus {other.path}: token 290 "
        f"is '"
    )
    assert "' there and missing here, so distributions cannot be compared; take a teacher" in str(
        refused.value
    )


def test_what_a_teacher_cannot_be(tmp_path: Path, corpus: Corpus, teacher: Path) -> None:
    with pytest.raises(ArtifactError, match="of kind corpus, and a model is needed here"):
        distilled(tmp_path, corpus, corpus.path)
    job = distilled(tmp_path, corpus, teacher, "objective.top_k=300")
    with pytest.raises(ConfigError) as refused:
        distilling.objective_of(job, corpus)
    assert str(refused.value).endswith(
        "objective.top_k=300 leaves no rest of 300 tokens; write null for all of them"
    )
    config_json = json.loads((teacher / "config.json").read_text())
    short = tmp_path / "short"
    short.mkdir()
    for file in teacher.iterdir():
        (short / file.name).symlink_to(file)
    (short / "config.json").unlink()
    (short / "config.json").write_text(json.dumps(config_json | {"max_position_embeddings": 100}))
    (short / "manifest.json").unlink()
    with pytest.raises(ArtifactError, match=r"has 100 positions, and the corpus .* rows of 256"):
        distilling.objective_of(distilled(tmp_path, corpus, short), corpus)


def test_a_teacher_has_its_own_dtype(tmp_path: Path, corpus: Corpus, teacher: Path) -> None:
    words = ["objective.teacher_dtype=bfloat16", "objective.top_k=7"]
    job = distilled(tmp_path, corpus, teacher, *words)
    made = distilling.model_teacher(job, corpus, top_k=7)
    assert isinstance(made, ModelTeacher)
    assert {str(weight.dtype) for weight in made.model.parameters()} == {"torch.bfloat16"}
    plan = run_plan(job.config, corpus.facts)
    assert plan.teacher is not None
    assert plan.memory.teacher_weights == 2 * plan.teacher[1]


def plan_of(tmp_path: Path, corpus: Corpus, *words: str) -> Any:
    places = [f"paths.runs={tmp_path}", f"inputs.corpus={corpus.path}", "stage=plan"]
    words = ("recipe=quickstart/pretrain", *places, *SMALL, *DISTILLED, *words)
    return run_plan(config.load(words)[0], corpus.facts)


def test_the_plan_has_a_teacher_that_is_not_there_yet(tmp_path: Path, corpus: Corpus) -> None:
    plain = run_plan(job_of(tmp_path, corpus, DISTILLED[1]).config, corpus.facts)
    later = plan_of(tmp_path, corpus, "inputs.teacher=later", "objective.teacher_model=tiny")
    assert later.teacher == ("tiny", 3_315_968)
    assert later.memory.teacher_weights == 4 * later.teacher[1]
    flops = later.duration.flops_per_token - plain.duration.flops_per_token
    assert flops == pytest.approx(2 * later.teacher[1], rel=0.1), "a forward pass"
    unknown = plan_of(tmp_path, corpus, "inputs.teacher=later")
    assert unknown.teacher is None
    assert unknown.memory.teacher_weights == 0
    with pytest.raises(ConfigError, match=r"teacher_model=tinny is not an option .* mean tiny\?"):
        plan_of(tmp_path, corpus, "inputs.teacher=later", "objective.teacher_model=tinny")
