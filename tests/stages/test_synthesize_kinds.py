"""The stage synthesize with musicllm's kinds, against a server that knows the answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from musicllm import artifacts
from musicllm import config as configuration
from musicllm.artifacts import Artifact
from musicllm.data.translations import read_table
from musicllm.launch import runner
from musicllm.report.runs import read_lines
from tests.inference.servers import Stub, delta, serving

TUNE = "X:1\nL:1/8\nM:6/8\nK:D\nA|dcd efd|cBA A2:|"
Answer = Callable[[str, int], str]


def streamed(text: str) -> list[Any]:
    usage = {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5}}
    return [delta(text), delta(None, "stop"), usage]


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Callable[..., Artifact]]:
    """Run a recipe; the teacher answers a question and the number of answers before it."""
    stops = []

    def run(answer: Answer, recipe: str, *words: str) -> Artifact:
        def reply(_path: str, body: dict[str, Any], _number: int) -> list[Any]:
            messages = body["messages"]
            (question,) = (m["content"] for m in messages[1:2])
            return streamed(answer(question, (len(messages) - 2) // 2))

        context = serving(stub := Stub(reply))
        context.__enter__()
        stops.append(context)
        config, written = configuration.load([
            f"recipe={recipe}",
            f"model.endpoint={stub.url}",
            f"paths.runs={tmp_path / 'runs'}",
            f"paths.cache={tmp_path / 'cache'}",
            *words,
        ])  # fmt: skip
        return artifacts.read(runner.run(config, written).folder / "artifact", "records")

    yield run
    for context in stops:
        context.__exit__(None, None, None)


def test_translations_are_asked_again_and_become_a_table(
    ask: Callable[..., Artifact], tmp_path: Path
) -> None:
    rows = [
        {"instruction": "Harmonise this melody in D major:", "input": TUNE, "output": TUNE},
        {"instruction": "Harmonise this melody in D major:", "input": TUNE[:-1], "output": TUNE},
        {"instruction": "Write a jig with 16 bars.", "input": "", "output": TUNE},
        {"instruction": "Tell me of Bach.", "input": "", "output": "He was born in 1685."},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")

    def teacher(question: str, tries: int) -> str:
        assert TUNE not in question
        if "Harmonise" in question:
            return "为这段旋律配和弦：\n[[1]]" if not tries else "为这段D大调旋律配和弦：\n[[1]]"
        return "写一首16小节的吉格舞曲。" if "jig" in question else "Tell me more."

    words = ("data=files", f"data.sources.files.location={path}", "synthesis.max_reject_fraction=1")
    artifact = ask(teacher, "imelodist/translate", *words)
    records = read_lines(artifact.path / "records.jsonl")
    assert [(r["original"], r["text"], r["num_records"]) for r in records] == [
        ("Harmonise this melody in D major:\n[[1]]", "为这段D大调旋律配和弦：\n[[1]]", 2),
        ("Write a jig with 16 bars.", "写一首16小节的吉格舞曲。", 1),
    ]
    assert [record["provenance"]["tries"] for record in records] == [2, 1]
    (rejected,) = read_lines(artifact.path / "rejected.jsonl")
    assert rejected["reason"] == "is not in Chinese"
    assert rejected["tries"] == 4
    table = read_table(artifact.path / "records.jsonl")
    assert table["Write a jig with 16 bars.", "zh"] == "写一首16小节的吉格舞曲。"


def test_texts_are_polished(ask: Callable[..., Artifact]) -> None:
    def teacher(question: str, tries: int) -> str:
        text = question.rpartition("<text>\n")[2].removesuffix("\n</text>")
        if "Guido" in text:
            return f"<text>\n{text.replace('He also', 'He')}\n</text>"
        return text.replace("1685", "1865")

    words = ("synthesis.max_items=6", "synthesis.max_reject_fraction=1")
    artifact = ask(teacher, "imelodist/polish", *words)
    records = read_lines(artifact.path / "records.jsonl")
    assert len(records) == 5
    assert records[0]["text"].startswith("Around 1025 the monk Guido")
    assert "He wrote notes on lines" in records[0]["text"]
    (rejected,) = read_lines(artifact.path / "rejected.jsonl")
    assert (rejected["reason"], rejected["detail"]) == ("changes a number", "1685 is missing")


def test_an_assistant_knows_itself(ask: Callable[..., Artifact]) -> None:
    def teacher(question: str, tries: int) -> str:
        is_english = "The assistant is called" in question
        text = "Melodist writes tunes for you." if is_english else "Melodist 为你写曲子。"
        return json.dumps({"question": f"{len(question)}?", "answer": text}, ensure_ascii=False)

    artifact = ask(teacher, "imelodist/self_cognition", "synthesis.num_samples=8")
    records = read_lines(artifact.path / "records.jsonl")
    by_hand = [r for r in records if r["provenance"] == {"teacher": "written by hand"}]
    assert len(by_hand) == 34
    assert records[:34] == by_hand
    rejected = read_lines(artifact.path / "rejected.jsonl")
    assert {line["reason"] for line in rejected} == {"does not name the maker"}
    assert len(records) + len(rejected) == 34 + 8
    assert artifact.facts["num_given"] == 34
    assert {record["language"] for record in records[34:]} == {"en", "zh"}
