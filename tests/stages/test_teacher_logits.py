"""What a teacher says is stored, continued when killed, and trained from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from musicllm import config
from musicllm.artifacts import Artifact
from musicllm.checks import check
from musicllm.data import teacher_logits as files
from musicllm.data.corpus import Corpus
from musicllm.data.teacher_logits import TeacherStore
from musicllm.errors import ConfigError
from musicllm.job import Job
from musicllm.launch import runner
from musicllm.model.weights import WeightFiles
from musicllm.runs.stored_teacher import plan_rows
from musicllm.stages import teacher_logits, train
from musicllm.train.distillation.storing import Lecture
from tests.helpers import make_corpus

SMALL = [
    "model.config.vocab_size=300",
    "model.config.hidden_size=16",
    "model.config.intermediate_size=24",
    "model.config.num_hidden_layers=1",
    "model.config.num_attention_heads=2",
    "model.config.num_key_value_heads=1",
    "training.max_steps=3",
    "training.log_every_steps=1",
    "callbacks.progress_bar=false",
    "hardware.num_threads=1",
    "hardware.precision=fp32",
]
LOGITS, STUDENT = "quickstart/distillation/logits", "quickstart/distillation/distilled"
TOP_K = 8


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus") / "corpus")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory, corpus: Corpus) -> Path:
    """A model that was trained for three steps; larger than the student."""
    words = ["model.config.hidden_size=24", "training.step_choices=[]"]
    job = job_of(tmp_path_factory.mktemp("teacher"), "quickstart/pretrain", corpus, *words)
    train.run(job)
    return job.artifact_path


def job_of(place: Path, recipe: str, corpus: Corpus, *words: str) -> Job:
    places = [f"paths.runs={place / 'runs'}", f"paths.cache={place / 'cache'}"]
    job = runner.bind(
        *config.load([f"recipe={recipe}", *places, f"inputs.corpus={corpus.path}", *SMALL, *words])
    )
    job.folder.mkdir(parents=True, exist_ok=True)
    return job


def stored(place: Path, corpus: Corpus, teacher: Path, *words: str) -> Artifact:
    job = job_of(
        place, LOGITS, corpus, f"inputs.teacher={teacher}", f"objective.top_k={TOP_K}", *words
    )
    teacher_logits.run(job)
    artifact = job.existing()
    assert artifact is not None
    return artifact


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory, corpus: Corpus, teacher: Path) -> Artifact:
    return stored(tmp_path_factory.mktemp("stored"), corpus, teacher)


def student(place: Path, corpus: Corpus, *words: str) -> dict[str, torch.Tensor]:
    """Train a student and return its weights."""
    job = job_of(place, STUDENT, corpus, *words)
    train.run(job)
    weights = WeightFiles.of_model(job.artifact_path)
    return {name: weights.read(name) for name in weights.shapes}


def test_every_supervised_token_is_stored(corpus: Corpus, artifact: Artifact) -> None:
    artifact.verify()
    rows = corpus.rows("train")
    assert artifact.kind == "teacher_logits"
    assert artifact.facts["num_tokens"] == rows.num_supervised.sum()
    assert artifact.facts["top_k"] == TOP_K
    assert not (artifact.path.parent / "partial").exists()
    records = TeacherStore(artifact.path, artifact.facts)
    for index in range(len(rows)):
        top = records.row(index)
        assert len(top) == rows.num_supervised[index]
        values = torch.from_numpy(top.values).float().exp()
        total = values.sum(-1) + torch.from_numpy(top.rest).float().exp()
        torch.testing.assert_close(total, torch.ones(len(top)), rtol=0, atol=5e-3)
        assert (values.diff(dim=-1) <= 0).all()


def test_a_killed_run_continues_behind_its_last_shard(
    tmp_path: Path,
    corpus: Corpus,
    teacher: Path,
    artifact: Artifact,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files, "SHARD_BYTES", 4000)
    write, numbers = Lecture.write, []

    def killed(lecture: Lecture, writer, number: int, advance) -> None:
        if len(numbers) == 2:
            raise KeyboardInterrupt
        numbers.append(number)
        write(lecture, writer, number, advance)

    monkeypatch.setattr(Lecture, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        stored(tmp_path / "killed", corpus, teacher)

    def counted(lecture: Lecture, writer, number: int, advance) -> None:
        numbers.append(number)
        write(lecture, writer, number, advance)

    monkeypatch.setattr(Lecture, "write", counted)
    parts = stored(tmp_path / "killed", corpus, teacher)
    assert len(numbers) > 2
    assert numbers == list(range(len(numbers)))  # none of them twice
    left, right = (TeacherStore(made.path, made.facts) for made in (artifact, parts))
    for index in range(len(left)):
        torch.testing.assert_close(
            torch.from_numpy(left.row(index).values),
            torch.from_numpy(right.row(index).values),
            rtol=2e-3,
            atol=1e-3,  # a rounding of float16: rows were in other batches
        )


def test_training_from_the_store_is_training_with_the_teacher(
    tmp_path: Path, corpus: Corpus, teacher: Path, artifact: Artifact
) -> None:
    k, store = f"objective.top_k={TOP_K}", f"inputs.teacher_logits={artifact.path}"
    model = ["~inputs.teacher_logits", f"inputs.teacher={teacher}"]
    from_store = student(tmp_path / "a", corpus, store, k)
    on_the_fly = student(tmp_path / "b", corpus, *model, k)
    other = student(tmp_path / "c", corpus, store, k, "objective.plain_weight=0.9")
    assert farthest(from_store, on_the_fly) < farthest(from_store, other) / 20


def farthest(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> float:
    assert left.keys() == right.keys()
    return max(float((left[name] - right[name]).abs().max()) for name in left)


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("objective.top_k=4", "objective.top_k=4 is not 8, with which inputs.teacher_logits="),
        ("objective.temperature=2", "objective.temperature=2.0 is not 1, with which inputs."),
    ],
)
def test_other_settings_than_those_of_the_store(
    tmp_path: Path, corpus: Corpus, artifact: Artifact, word: str, text: str
) -> None:
    words = [f"inputs.teacher_logits={artifact.path}", f"objective.top_k={TOP_K}", word]
    job = job_of(tmp_path / "student", STUDENT, corpus, *words)
    with pytest.raises(ConfigError) as caught:
        train.run(job)
    assert text in str(caught.value)
    assert "or store it again: recipe=distill/logits" in str(caught.value)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([LOGITS, "objective.top_k=null"], "objective.top_k=null must be set: the most likely"),
        ([LOGITS, "objective=sft"], "objective.temperature=null must be set; use objective=dist"),
        ([STUDENT, "objective.top_k=null"], "must be that with which inputs.teacher_logits was"),
        ([LOGITS, "hardware=v100x8", "strategy=single"], "strategy=single uses one device"),
    ],
)
def test_settings_that_cannot_be(words: list[str], text: str) -> None:
    settings, _ = config.load([f"recipe={words[0]}", *words[1:]])
    with pytest.raises(ConfigError) as caught:
        check(settings)
    assert text in str(caught.value)


def test_plan_tells_the_size(corpus: Corpus) -> None:
    settings, _ = config.load(["recipe=distill/logits", "objective.top_k=10"])
    rows = dict(plan_rows(settings, corpus.facts))
    supervised = corpus.facts["splits"]["train"]["supervised_tokens"]
    assert rows["size"] == f"0.00 GB: {supervised:,} supervised tokens, 42 bytes each"
    assert rows["stored"].startswith(f"10 of {corpus.facts['vocab_size']:,} tokens and the rest")
    before = dict(plan_rows(settings, None))
    assert before["size"].endswith("tokens, all of them as if supervised, 62 bytes each")
    assert before["teacher"] == "internlm2_chat_7b"
    assert "one forward pass; about" in str(before["time"])
