from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from musicllm.errors import InputError
from musicllm.evals.questions import read_solved

HEADER = "question,choice0,choice1,choice2,choice3,answer\n"
THEORY: dict[str, Any] = {
    "stem": "Which key has one sharp?",
    "options": {"A": "C", "B": "G", "C": "F", "D": "D"},
    "answer": "B",
    "subject": "knowledge",
    "abc_score": "X:1\nK:G\nGABc|\n",
}


def mmlu(folder: Path, split: str, text: str, subject: str = "virology") -> Path:
    (folder / split).mkdir(parents=True, exist_ok=True)
    file = folder / split / f"{subject}_{split}.csv"
    file.write_text(text, encoding="utf-8")
    return file


def test_mmlu_with_and_without_a_header_is_the_same(tmp_path: Path) -> None:
    named, bare = tmp_path / "named", tmp_path / "bare"
    mmlu(named, "test", HEADER + '"What, now?",a,b,c,d,2\nNext?,1,2,3,4,0\n')
    mmlu(bare, "test", '"What, now?",a,b,c,d,C\nNext?,1,2,3,4,A\n')

    solved = list(read_solved("mmlu", named))

    assert solved == list(read_solved("mmlu", bare))
    assert [q.question.id for q in solved] == ["virology/test/0", "virology/test/1"]
    assert solved[0].question.stem == "What, now?"
    assert solved[0].question.options == ("a", "b", "c", "d")
    assert [(q.answer, q.subject) for q in solved] == [
        ("C", "virology"),
        ("A", "virology"),
    ]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_line_ends_inside_a_cell_are_line_feeds_as_in_opencompass(
    tmp_path: Path, end: bytes
) -> None:
    file = mmlu(tmp_path, "test", "")
    file.write_bytes(end.join([b'"Which', b'key?",a,"b', b'c",d,e,C', b""]))

    (solved,) = read_solved("mmlu", tmp_path)

    assert solved.question.stem == "Which\nkey?"
    assert solved.question.options == ("a", "b\nc", "d", "e")


@pytest.mark.parametrize(
    ("word", "split"),
    [
        ("dev", "dev"),
        ("val", "validation"),
        ("Test", "test"),
        ("train", "train"),
        (None, "validation"),
        ("other", "validation"),
    ],
)
def test_a_row_may_name_its_split(tmp_path: Path, word: str | None, split: str) -> None:
    file = tmp_path / "validation.jsonl"
    file.write_text(json.dumps(THEORY | {"split": word}))

    assert [q.split for q in read_solved("mtb", file)] == [split]


def test_splits_are_named_by_folders_and_files(tmp_path: Path) -> None:
    mmlu(tmp_path, "test", HEADER + "Q?,a,b,c,d,0\n", "high_school_test_taking")
    mmlu(tmp_path, "dev", HEADER + "Q?,a,b,c,d,0\n")
    mmlu(tmp_path, "other_layout", "Q?,a,b,c,d,A\n")
    (tmp_path / "lone-validation.jsonl").write_text(json.dumps(THEORY))

    rows = [(q.split, q.question.id) for q in read_solved("mmlu", tmp_path)]
    alone = next(read_solved("mtb", tmp_path / "lone-validation.jsonl"))

    assert rows[0] == ("dev", "virology/dev/0")
    assert [split for split, _ in rows] == ["dev", "test"]
    assert alone.split == "validation"


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".parquet"])
def test_musictheorybench_comes_in_several_files(tmp_path: Path, suffix: str) -> None:
    file, rows = tmp_path / f"test{suffix}", [THEORY, THEORY | {"abc_score": ""}]
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    else:
        lines = json.dumps(rows) if suffix == ".json" else "\n\n".join(map(json.dumps, rows))
        file.write_text(lines, encoding="utf-8")

    first, second = read_solved("mtb", tmp_path)

    assert first.question.options == ("C", "G", "F", "D")
    assert first.question.abc == THEORY["abc_score"]
    assert second.question.abc is None
    assert (first.answer, first.subject, first.split) == ("B", "knowledge", "test")
    assert first.question.id != second.question.id


def test_the_hubs_mmlu_has_a_list_of_choices(tmp_path: Path) -> None:
    row = {"question": "Q?", "subject": "virology", "choices": [*"abcd"], "answer": 3}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "test-00000-of-00001.parquet")

    (solved,) = read_solved("mmlu", tmp_path)

    assert (solved.question.options, solved.answer) == (("a", "b", "c", "d"), "D")
    assert (solved.subject, solved.split) == ("virology", "test")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "subject,input,choice0,choice1,choice2,target\nv,Q?,a,b,c,0\n",
            ":2 has the fields subject",
        ),
        ("question,A,B,C,D,answer\nQ?,a,b,c,d,0\n", ":2 has the fields question, a, b, c, d, answ"),
        (" ,a,b,c,d,A\n", ":1 asks nothing: its question is blank"),
        ("Q?,a,b,c,d,\n", ":1 has the answer ''; expected is A to D, or 0 to 3"),
        (HEADER + "Q?,a,b,c,d,0,e\n", ":2 has 7 columns, but the header has 6 (question, choice"),
        (HEADER + "Q?,a,b,c,d,5\n", ":2 has the answer '5'; expected is A to D, or 0 to 3"),
        (HEADER + "Q?,a,b,c,d,0\nQ?,a,b\n", ":3 has 3 columns, but the header has 6 (question"),
        ("Q?,a,b,c,A\n", ":1 has 5 columns without names; expected are stem, options"),
    ],
)
def test_a_bad_row_of_a_csv_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = mmlu(tmp_path, "test", text)

    with pytest.raises(InputError) as error:
        list(read_solved("mmlu", tmp_path))

    assert str(error.value).startswith(f"{file}{message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            json.dumps(THEORY | {"options": dict(zip("ABCDE", "abcde", strict=True))}),
            "has the fields stem, options, answer, subj",
        ),
        (json.dumps(THEORY | {"answer": "E"}), ":1 has the answer 'E'; expected is A to D"),
        ('{"stem": 1', ":1 is not valid JSON (line 1, column 11: unexpected end of data)"),
        ("[1]", "has 1 columns without names; expected are"),
        ("3", "has no fields without names; expected are"),
        (
            json.dumps(THEORY | {"options": {"A": "a"}}),
            "has the fields stem, options, answer, subj",
        ),
        (
            json.dumps(THEORY | {"options": {"A": 1, "B": "b", "C": "c", "D": "d"}}),
            "has the options (1, 'b', 'c', 'd'); expected are four texts",
        ),
    ],
)
def test_a_bad_row_of_json_lines_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "test.jsonl").write_text(text)

    with pytest.raises(InputError) as error:
        list(read_solved("mtb", tmp_path))

    assert str(tmp_path / "test.jsonl") in str(error.value)
    assert message in str(error.value)


def test_json_that_is_no_list_is_named(tmp_path: Path) -> None:
    (tmp_path / "test.json").write_text("{}")

    with pytest.raises(InputError, match=r"test\.json is no list of questions$"):
        list(read_solved("mtb", tmp_path))


def test_an_open_quote_does_not_swallow_the_rest(tmp_path: Path) -> None:
    file = mmlu(tmp_path, "test", 'Q?,a,b,c,d,A\n"Q?,a,b,c,d,A\nQ?,a,b,c,d,A\n')

    with pytest.raises(
        InputError, match=r"virology_test\.csv:2 is not valid CSV \(lines 2 to 3: unexpected end"
    ):
        list(read_solved("mmlu", file))


def test_a_folder_without_questions_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no questions; expected files \.csv, \.json"):
        list(read_solved("mtb", tmp_path))
