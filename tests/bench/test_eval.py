from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from musicllm import cli, console
from musicllm.bench.eval import questions, run
from musicllm.bench.eval.comparing import OURS, EvalComparison, backend
from musicllm.bench.eval.contestants import harness, instances, ours
from musicllm.bench.eval.task import (
    Answers,
    EvalSettings,
    EvalTask,
    largest_difference,
    share_identical,
)
from musicllm.bench.random_weights import write_base
from musicllm.errors import InputError
from musicllm.evals.questions import LabelledQuestion
from tests.models import TINY

SMALL = TINY.changed(vocab_size=257, max_position_embeddings=4096)


def byte_tokenizer() -> PreTrainedTokenizerFast:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate([*letters, "</s>"])}
    core = Tokenizer(models.BPE(vocabulary, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="</s>")


def write_mmlu(folder: Path, subjects: dict[str, tuple[int, int]]) -> Path:
    """Write questions: subject -> number of them, and their length in characters."""
    for split in ("dev", "test"):
        (folder / split).mkdir(parents=True)
        for name, (num_test, num_chars) in subjects.items():
            count = 5 if split == "dev" else num_test
            rows = [f"{number:0{num_chars}d},yes,no,both,none,B\n" for number in range(count)]
            (folder / split / f"{name}_{split}.csv").write_text("".join(rows))
    return folder


def answers(*logprobs: float, seconds: float = 1.0, peak: int = 100) -> Answers:
    return Answers(seconds, peak, logprobs)


def test_subjects_stand_for_a_quarter_of_the_questions_each(tmp_path: Path) -> None:
    sizes = {"a": (4, 90), "b": (2, 30), "c": (1, 20), "d": (3, 10), "e": (4, 50), "f": (2, 40)}
    asked = questions.from_folder(write_mmlu(tmp_path, sizes), 8, seed=0)
    # by length d d d c | b b f f | e e e e | a a a a: the middles of the quarters
    assert list(asked.examples) == ["d", "b", "e", "a"]
    subjects = [solved.subject for solved in asked.questions]
    assert {name: subjects.count(name) for name in asked.examples} == dict.fromkeys("dbea", 2)
    assert all(len(few) == 5 for few in asked.examples.values())


def test_few_subjects_are_all_taken(tmp_path: Path) -> None:
    asked = questions.from_folder(write_mmlu(tmp_path, {"a": (9, 9), "b": (1, 1)}), 100, seed=0)
    assert sorted(asked.examples) == ["a", "b"]
    assert len(asked.questions) == 10


def test_a_folder_without_questions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no questions"):
        questions.from_folder(tmp_path, 8, seed=0)


def test_made_questions_are_the_same_every_time_and_as_long_as_those_of_mmlu() -> None:
    asked = questions.synthetic(402, seed=1)
    assert len(asked.questions) == 402
    assert asked == questions.synthetic(402, seed=1)
    for name, (of_stem, _) in questions.LENGTHS.items():
        stems = [each.question.stem for each in asked.questions if each.subject == name]
        assert len(stems) in (100, 101)
        assert sorted(map(len, stems))[50] == pytest.approx(of_stem, rel=0.3)


def test_requests_are_those_of_the_harness() -> None:
    asked = questions.synthetic(4, seed=1)
    five, none = (list(questions.requests(asked, shots)) for shots in (5, 0))
    assert [option for _, option in five] == [" A", " B", " C", " D"] * 4
    hint = "The following are multiple choice questions (with answers) about short.\n\n"
    prompt, question = five[0][0], none[0][0].removeprefix(hint)
    assert prompt.startswith(hint)
    assert prompt.endswith(f"\n\n{question}")
    assert question.endswith("\nAnswer:")
    assert prompt.count("\nAnswer:") == 6
    one = instances(five)[3]
    assert (one.request_type, one.args, one.idx) == ("loglikelihood", five[3], 3)


def test_choices_and_differences_by_hand() -> None:
    one = answers(-1.0, -2.0, -3.0, -4.0, -9.0, -9.0, -9.0, -8.0)
    other = answers(-1.0, -2.5, -3.0, -4.0, -9.0, -7.0, -9.0, -8.0)
    assert (one.choices, other.choices) == ([0, 3], [0, 1])
    assert largest_difference(one, other) == 2.0
    assert share_identical(one, other) == 0.5
    assert largest_difference(one, answers(*[math.nan] * 8)) == math.inf


def test_the_faster_batch_size_counts_but_all_answers_do() -> None:
    same, off = (-1.0, -2.0, -3.0, -4.0), (-1.0, -2.0, -3.0, -4.25)
    compared = EvalComparison(
        {
            (OURS, 5): [answers(*same, seconds=2.0, peak=90), answers(*same, seconds=2.0)],
            (backend(1), 5): [answers(*same, seconds=12.0, peak=80)] * 2,
            (backend(8), 5): [answers(*off, seconds=20.0, peak=900)] * 2,
            (OURS, 0): [answers(*same, peak=50)] * 2,
            (backend(1), 0): [answers(*same, seconds=3.0)] * 2,
            (backend(8), 0): [answers(*same, seconds=1.5)] * 2,
        },
        num_questions=1,
    )
    assert (compared.shots, compared.batch_size(5), compared.batch_size(0)) == ([5, 0], 1, 8)
    assert compared.ratios() == {
        "vs_harness_5shot": 6.0,
        "vs_harness_0shot": 1.5,
        "max_abs_loglikelihood_difference": 0.25,
        "predictions_identical": 1.0,
        "peak_memory_vs_harness": 1.25,
    }
    assert set(compared.ratios()) == set(run.GOALS)


@pytest.mark.filterwarnings("ignore")
def test_both_contestants_answer_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console.out, "quiet", True)  # a contestant mutes its process
    write_base(tmp_path / "model", SMALL, shard_gb=1)
    byte_tokenizer().save_pretrained(tmp_path / "model")
    asked = questions.synthetic(4, seed=1)
    task = EvalTask(
        dataclasses.replace(SMALL, location=str(tmp_path / "model")),
        EvalSettings(None, tmp_path, "cpu", None),
        tuple(questions.requests(asked, 1)),
    )
    theirs, mine = harness(task, batch_size=2), ours(task)
    assert len(theirs.logprobs) == 16
    assert largest_difference(mine, theirs) < 1e-4
    assert share_identical(mine, theirs) == 1.0
    assert min(mine.seconds, theirs.seconds) > 0
    assert min(mine.peak_bytes, theirs.peak_bytes) > 1 << 27


def test_settings_of_other_benches_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = ["bench.vocab_size=400", "bench.num_slow_documents=4", f"paths.runs={tmp_path}"]
    other.append(f"model.location={tmp_path}")  # random weights need an extra
    assert cli.main(["recipe=bench/eval", *other]) != 0
    told = " ".join("".join(capsys.readouterr()).split())
    assert "bench.num_slow_documents=4 is not null, but all contestants answer the same" in told
    assert "bench.vocab_size=400 is not null" in told


@pytest.mark.slow
def test_the_real_bench_runs_on_a_random_model(tmp_path: Path) -> None:
    folder = write_mmlu(tmp_path / "mmlu", {"a": (4, 9), "b": (4, 20)})
    small = [
        "model=tiny", "bench.num_documents=4", "bench.num_rounds=1", f"paths.runs={tmp_path}",
        f"bench.questions={folder}",
    ]  # fmt: skip
    assert cli.main(["recipe=bench/eval", *small]) == 0
    (file,) = (tmp_path / "bench" / "eval").glob("*/bench.json")
    ratios = json.loads(file.read_text())["ratios"]
    assert set(ratios) == set(run.GOALS)
    assert ratios["predictions_identical"] == 1.0
    assert ratios["max_abs_loglikelihood_difference"] < 1e-4


def test_the_longest_subject_does_not_stand_twice() -> None:
    question = questions.synthetic(1, seed=0).questions[0]
    many: list[LabelledQuestion] = [
        dataclasses.replace(question, subject=name) for name in "aaaaaaaaaaaabcde"
    ]
    assert len(set(questions.representative(many))) == 4
