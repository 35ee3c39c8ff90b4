"""What is asked of a benchmark, what is shown before it, and what is said of it."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from musicllm.data.settings import Question
from musicllm.errors import InputError
from musicllm.evals.categories import (
    CATEGORIES,
    MMLU_SUBJECTS,
    STEM,
    category_of,
    harness_category_of,
)
from musicllm.evals.questions import LabelledQuestion, QuestionSet, draw, read_benchmark

SUBJECTS = ("anatomy", "virology")
SCORE = "L:1/4\nM:4/4\nK:C\n[CEG]4 |]"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two subjects of MMLU with three questions and two examples each."""
    for subject in SUBJECTS:
        for split, number in (("test", 3), ("dev", 2)):
            rows = [f"{subject} {split} {i}?,a,b,c,d,{'ABCD'[i]}\n" for i in range(number)]
            file = tmp_path / "mmlu" / split / f"{subject}_{split}.csv"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("".join(rows))
    return tmp_path / "mmlu"


def read(
    path: Path, num_fewshot: int = 2, subjects: tuple[str, ...] = (), **settings: Any
) -> QuestionSet:
    split = settings.pop("split", "test")
    return read_benchmark(
        "mmlu", str(path), path, split, subjects, num_fewshot=num_fewshot, **settings
    )


def theory(stem: str = "Which chord?", **fields: Any) -> dict[str, Any]:
    options = {"A": "C", "B": "D", "C": "E", "D": "F"}
    return {"stem": stem, "options": options, "answer": "A", "subject": "knowledge"} | fields


def bench(folder: Path, *rows: dict[str, Any], split: str = "test") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{split}.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def test_a_subject_is_shown_its_own_examples(folder: Path) -> None:
    quiz = read(folder)

    assert [q.question.id for q in quiz.questions[2:4]] == [
        "anatomy/test/2",
        "virology/test/0",
    ]
    assert [q.question.stem for q in quiz.examples["virology"]] == [
        "virology dev 0?",
        "virology dev 1?",
    ]
    assert (quiz.num_published, quiz.flags) == (14_042, {})


def test_what_is_missing_of_mmlu_is_said(folder: Path) -> None:
    mine = folder / "test" / "my_subject_test.csv"
    shutil.copy(folder / "test" / "virology_test.csv", mine)

    missing, others, number, repeated = read(folder, 0).notes

    assert missing.startswith("Only 2 of MMLU's 57 subjects are here; missing: abstract_algebra, a")
    assert others == "No subjects of MMLU: my_subject."
    assert number == "9 questions are here, 14,042 are published."
    assert repeated == "3 of 9 questions asked are flagged: duplicate."


def test_subjects_may_be_chosen(folder: Path) -> None:
    (folder / "dev" / "virology_dev.csv").unlink()

    quiz = read(folder, 2, ("anatomy",))

    assert {q.subject for q in quiz.questions} == set(quiz.examples) == {"anatomy"}
    assert quiz.notes[-1] == "1 of 2 subjects are asked."


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"subjects": ("virologi", "anatomy")},
            "benchmark.mmlu.subjects=['virologi'] (did you mean virology?): {folder} has no test "
            "questions of these; it has anatomy, virology",
        ),
        (
            {"num_fewshot": 3},
            "benchmark.mmlu.num_fewshot=3, but the dev files in {folder} have fewer examples of "
            "anatomy (2), virology (2); place them there, or write num_fewshot=2",
        ),
        (
            {"split": "validation"},
            "benchmark.mmlu.split=validation, but {folder} has dev (4), test (6); place its files "
            "there, or write another split",
        ),
        (
            {"split": "dev"},
            "benchmark.mmlu.split=dev would show every question with its answer: with "
            "benchmark.mmlu.num_fewshot=2, write test or validation",
        ),
        (
            {"revision": "main"},
            "benchmark.mmlu.revision=main is of a hub data set, but benchmark.mmlu.location="
            "{folder} is a path; use null",
        ),
    ],
)
def test_a_wrong_setting_is_named(folder: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        read(folder, **settings)

    assert str(error.value) == message.format(folder=folder)


def test_a_subject_without_examples_is_named(folder: Path) -> None:
    (folder / "dev" / "virology_dev.csv").unlink()

    with pytest.raises(InputError, match=r"have fewer examples of virology \(0\); place them"):
        read(folder)

    assert len(read(folder, 0).questions) == 6


def test_examples_without_questions_are_named(folder: Path) -> None:
    (folder / "test" / "virology_test.csv").unlink()

    with pytest.raises(InputError) as error:
        read(folder, 0)

    assert str(error.value) == (
        f"{folder} has dev examples, but no test questions, of virology; place the missing files "
        "there, or write the subjects that are to be asked into benchmark.mmlu.subjects"
    )
    assert len(read(folder, 2, ("anatomy",)).questions) == 3


def test_the_hubs_layout_has_the_same_questions(folder: Path) -> None:
    quiz, hub = read(folder), folder.parent / "hub"
    (hub / "all").mkdir(parents=True)
    for split in ("test", "dev"):
        solved = [*quiz.questions] if split == "test" else sum(quiz.examples.values(), ())
        rows = [
            {
                "question": q.question.stem,
                "subject": q.subject,
                "choices": list(q.question.options),
                "answer": "ABCD".index(q.answer),
            }
            for q in solved
        ]
        pq.write_table(pa.Table.from_pylist(rows), hub / "all" / f"{split}-00000-of-00001.parquet")
        (hub / "virology").mkdir(exist_ok=True)
        shutil.copy(hub / "all" / f"{split}-00000-of-00001.parquet", hub / "virology")
    (hub / "all" / "auxiliary_train-00000-of-00001.parquet").write_bytes(b"not read")
    (hub / "dataset_infos.json").write_text("{}")

    assert read(hub) == quiz


def test_musictheorybench_shows_all_subjects_the_same_examples(tmp_path: Path) -> None:
    examples = [theory(f"Example {number}?", analysis=" As it is. ") for number in range(5)]
    bench(tmp_path, *examples, split="dev")
    bench(tmp_path, theory(), theory("How many?", subject="reasoning", abc_score=SCORE))

    quiz = read(tmp_path, 5)

    assert quiz.examples["reasoning"] == quiz.examples["knowledge"]
    assert [q.question.stem for q in quiz.examples["reasoning"]] == [
        f"Example {number}?" for number in range(5)
    ]
    assert quiz.examples["reasoning"][0].analysis == "As it is."
    assert quiz.num_published == 367
    assert quiz.notes == (
        "2 questions are here, 367 are published.",
        "1 of 2 questions asked have no score.",
    )


def test_odd_questions_are_flagged_and_asked(tmp_path: Path) -> None:
    options = {"A": "", "B": "x", "C": "x ", "D": None}
    sheet = "Determine the tonality of the following sheet music"
    example = "Use the example below to answer the question that follows. Which chord?"
    bench(tmp_path, theory("Shown?"), split="dev")
    file = bench(
        tmp_path,
        theory(options=options),
        theory(sheet, subject=None),
        theory(sheet, subject=None, abc_score=SCORE),
        theory(sheet, subject=None, abc_score="  "),
        theory(f"{example} {SCORE}"),
        theory(example),
        theory("Shown?"),
        theory("Which of the following scale degrees is the leading tone?"),
    )

    quiz = read(tmp_path, 1)

    assert quiz.flags == {
        "knowledge/test/0": ("blank option", "equal options"),
        "music theory/test/0": ("no score",),
        "music theory/test/2": ("no score", "duplicate"),
        "knowledge/test/2": ("no score",),
        "knowledge/test/3": ("shown as example",),
    }
    assert len(quiz.questions) == len(file.read_text().splitlines())
    assert "3 of 8 questions asked are flagged: no score." in quiz.notes
    assert quiz.questions[0].question.options == ("", "x", "x ", "")


def test_other_benchmarks_have_no_published_number(tmp_path: Path) -> None:
    assert read(bench(tmp_path, theory(subject="intervals")), 0).num_published is None


def questions(**numbers: int) -> list[LabelledQuestion]:
    return [
        LabelledQuestion(Question("b", f"{subject}/{i}", "?", tuple("abcd")), "A", subject, "test")
        for subject, number in numbers.items()
        for i in range(number)
    ]


def test_a_draw_is_even_over_subjects_and_keeps_the_order() -> None:
    whole = questions(many=50, few=2, some=9)

    part = draw(whole, 20, seed=1)

    assert Counter(q.subject for q in part) == {"many": 9, "few": 2, "some": 9}
    assert list(part) == [q for q in whole if q in part]
    assert part == draw(whole, 20, seed=1) != draw(whole, 20, seed=2)
    assert set(draw(whole, 10, seed=1)) < set(part)
    assert draw(whole, None, seed=1) == draw(whole, 99, seed=1) == tuple(whole)


def test_mmlu_has_57_subjects_in_four_categories() -> None:
    sizes = Counter(category_of(subject) for subject in MMLU_SUBJECTS)

    assert len(MMLU_SUBJECTS) == len(set(MMLU_SUBJECTS)) == 57
    assert [sizes[category] for category in CATEGORIES] == [18, 13, 12, 14]
    assert category_of("jazz") is harness_category_of("jazz") is None
    differ = [name for name in MMLU_SUBJECTS if category_of(name) != harness_category_of(name)]
    assert differ == ["anatomy"]
    assert harness_category_of("anatomy") == STEM
