from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from musicllm.data.records import Message
from musicllm.data.sources import find_parts, read_part
from musicllm.errors import InputError
from musicllm.serve.preferences import Comparisons, Pair, PreferenceFile, Side, Verdicts
from musicllm.serve.preferences import comparisons as module
from musicllm.serve.preferences import verdicts as verdicts_module
from tests.helpers import source_spec

PROMPT: list[Message] = [{"role": "user", "content": "Write a jig — Ä, 曲."}]
TIME = "2026-11-30T17:00:00+00:00"
SIDES = (Side("one", "one", {"grammar": None}), Side("two", "two", {"grammar": "abc"}))


def pair(chosen: str, rejected: str, author: str = "me") -> Pair:
    return Pair(PROMPT, chosen, rejected, "x", "y", "vote", author, TIME)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def ranked(path: Path) -> set[tuple[str, str]]:
    return {(own["chosen"][0]["content"], own["rejected"][0]["content"]) for own in lines(path)}


def test_a_line_is_a_conversational_preference_of_trl(tmp_path: Path) -> None:
    path = tmp_path / "new" / "pairs.jsonl"
    PreferenceFile(path).append(pair("better", "worse\n\nX:1"))
    (line,) = lines(path)
    assert line == {
        "id": pair("better", "worse\n\nX:1").id,
        "prompt": PROMPT,
        "chosen": [{"role": "assistant", "content": "better"}],
        "rejected": [{"role": "assistant", "content": "worse\n\nX:1"}],
        "chosen_by": "x",
        "rejected_by": "y",
        "origin": "vote",
        "time": TIME,
    }


def test_datasets_reads_the_file_as_a_table(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    file = PreferenceFile(tmp_path / "pairs.jsonl")
    for number in range(3):
        file.append(pair(f"{number}", "w"))
    table = datasets.load_dataset(
        "json", data_files=str(file.path), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert [row["chosen"][0]["content"] for row in table] == ["0", "1", "2"]
    assert table[0]["prompt"] == PROMPT


def test_threads_and_processes_append_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.serve.preferences.test_preferences import PreferenceFile, pair\n"
        "file = PreferenceFile(Path(sys.argv[1]))\n"
        "for n in range(40): file.append(pair(f'{sys.argv[2]}-{n}', 'w' * 20_000))"
    )
    command = [sys.executable, "-c", code, str(path)]
    others = [subprocess.Popen([*command, name]) for name in "ab"]
    file = PreferenceFile(path)
    threads = [
        threading.Thread(target=lambda n=n: [file.append(pair(f"{n}-{i}", "v")) for i in range(20)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for number in range(30):
        file.append(pair(f"gone-{number}", "v"))
        assert file.remove({pair(f"gone-{number}", "v").id}) == 1
    for thread in threads:
        thread.join()
    assert [other.wait(timeout=100) for other in others] == [0, 0]
    written = {own["chosen"][0]["content"] for own in lines(path)}
    assert written == {
        *(f"{name}-{n}" for name in "ab" for n in range(40)),
        *(f"{n}-{i}" for n in range(4) for i in range(20)),
    }
    assert [entry.name for entry in tmp_path.iterdir()] == ["pairs.jsonl"]


def test_a_line_that_a_crash_cut_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    file = PreferenceFile(path)
    file.append(pair("a", "b"))
    with path.open("ab") as end:
        end.write(b'{"prompt": [{"ro')
    PreferenceFile(path).append(pair("c", "d"))
    first, cut, last = path.read_text(encoding="utf-8").splitlines()
    assert json.loads(first)["chosen"] != json.loads(last)["chosen"]
    assert cut == '{"prompt": [{"ro'


def test_a_full_disk_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = PreferenceFile(tmp_path / "pairs.jsonl")
    file.append(pair("a", "b"))
    before = file.path.read_bytes()
    write = os.write

    def full(number: int, content: bytes) -> int:
        if len(content) < 100:
            raise OSError(28, "No space left on device")
        return write(number, content[: len(content) // 2])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(InputError, match=r"pairs.jsonl cannot be written: No space left"):
        file.append(pair("c", "d"))
    assert file.path.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("notes.txt", "", r"does not end in \.jsonl"),
        ("notes.jsonl", '{"messages": []}\n', "holds something else than preference pairs"),
        ("notes.jsonl", "Dear diary\n", "holds something else than preference pairs"),
    ],
)
def test_another_file_is_not_appended_to(
    tmp_path: Path, name: str, content: str, text: str
) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=text):
        PreferenceFile(path)
    assert path.read_text(encoding="utf-8") == content


def test_a_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "folder.jsonl"
    path.mkdir()
    with pytest.raises(InputError, match=r"cannot be written: Is a directory; name another"):
        PreferenceFile(path)


def judge(verdicts: Verdicts, answer: str, verdict: Any, visitor: str = "me") -> int:
    return verdicts.judge(visitor, PROMPT, answer, verdict, writer="m", time=TIME)


def test_kept_and_discarded_answers_to_one_prompt_become_pairs(tmp_path: Path) -> None:
    file = PreferenceFile(tmp_path / "pairs.jsonl")
    verdicts = Verdicts(file)
    assert judge(verdicts, "good", "keep") == 0
    assert judge(verdicts, "fine", "keep") == 0
    assert file.path.read_bytes() == b""
    assert judge(verdicts, "bad", "discard") == 2
    assert ranked(file.path) == {("good", "bad"), ("fine", "bad")}
    assert judge(verdicts, "bad", "discard") == 2, "the same verdict again"
    assert len(lines(file.path)) == 2
    assert {own["origin"] for own in lines(file.path)} == {"verdict"}


def test_a_verdict_is_changed_or_taken_back(tmp_path: Path) -> None:
    file = PreferenceFile(tmp_path / "pairs.jsonl")
    verdicts = Verdicts(file)
    for answer, verdict in (("one", "keep"), ("two", "discard"), ("three", "discard")):
        judge(verdicts, answer, verdict)
    assert ranked(file.path) == {("one", "two"), ("one", "three")}
    assert judge(verdicts, "two", "keep") == 1
    assert ranked(file.path) == {("one", "three"), ("two", "three")}
    assert judge(verdicts, "one", None) == 0
    assert ranked(file.path) == {("two", "three")}


def test_pairs_are_of_one_person_and_one_prompt(tmp_path: Path) -> None:
    file = PreferenceFile(tmp_path / "pairs.jsonl")
    verdicts = Verdicts(file)
    judge(verdicts, "good", "keep", "me")
    assert judge(verdicts, "bad", "discard", "you") == 0
    other: list[Message] = [{"role": "user", "content": "Write a reel."}]
    assert verdicts.judge("me", other, "bad", "discard", writer="m", time=TIME) == 0
    judge(verdicts, "bad", "discard", "me")
    judge(verdicts, "good", "keep", "you")
    assert len(lines(file.path)) == 2
    judge(verdicts, "good", None, "you")
    assert ranked(file.path) == {("good", "bad")}, "mine stays when yours is taken back"


def test_memory_of_verdicts_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts_module, "MAX_PROMPTS", 2)
    verdicts = Verdicts(PreferenceFile(tmp_path / "pairs.jsonl"))
    for number in range(3):
        prompt: list[Message] = [{"role": "user", "content": str(number)}]
        verdicts.judge("me", prompt, "good", "keep", writer="m", time=TIME)
    for number, count in ((0, 0), (2, 1)):
        prompt = [{"role": "user", "content": str(number)}]
        assert verdicts.judge("me", prompt, "bad", "discard", writer="m", time=TIME) == count


def test_sides_are_drawn_evenly() -> None:
    comparisons = Comparisons()
    first = [comparisons.begin(SIDES).sides["a"].model for _ in range(200)]
    assert 60 <= first.count("one") <= 140  # 1 in 10^8 that this fails by chance


def test_a_side_has_a_name_that_says_nothing_until_the_vote() -> None:
    comparisons = Comparisons()
    new = comparisons.begin(SIDES)
    names = [new.name(letter) for letter in "ab"]
    sides = [comparisons.side(name) for name in names]
    assert all(side in sides for side in SIDES)
    assert not any("one" in name or "two" in name for name in names)
    with comparisons.ending(new.id) as ended:
        assert ended is new
    assert [comparisons.side(name) for name in names] == [None, None]
    with pytest.raises(InputError, match="it has its vote"), comparisons.ending(new.id):
        pass


def test_a_vote_that_fails_leaves_the_comparison_open() -> None:
    comparisons = Comparisons()
    new = comparisons.begin(SIDES)
    with pytest.raises(OSError, match="full"), comparisons.ending(new.id):
        raise OSError("full")
    assert comparisons.side(new.name("a")) is not None


def test_a_comparison_lives_for_an_hour_and_so_many_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    comparisons = Comparisons(lambda: now)
    old, young = comparisons.begin(SIDES), None
    now = 3000.0
    young = comparisons.begin(SIDES)
    now = 3601.0
    assert comparisons.side(old.name("a")) is None
    assert comparisons.side(young.name("a")) is not None
    monkeypatch.setattr(module, "MAX_OPEN", 2)
    comparisons.begin(SIDES)
    assert comparisons.side(young.name("a")) is not None
    comparisons.begin(SIDES)
    assert comparisons.side(young.name("a")) is None


def test_the_file_is_data_to_train_on(tmp_path: Path) -> None:
    file = PreferenceFile(tmp_path / "pairs.jsonl")
    file.append(pair("better", "worse"))
    with file.path.open("ab") as end:
        end.write(b'{"prompt": [{"ro\n')
    parts = find_parts(source_spec("preferences", "files", str(file.path)))
    records = [record for part in parts for record in read_part(part)]
    assert [getattr(own, "reason", own) for own in records] == [
        {
            "id": "preferences/pairs.jsonl:1",
            "source": "preferences",
            "messages": [*PROMPT, {"role": "assistant", "content": "better"}],
        },
        "is not valid JSON",
    ]
