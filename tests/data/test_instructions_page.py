from __future__ import annotations

import re
from pathlib import Path

import pytest

from musicllm.data.instructions import TASKS, make_instructions, wordings
from musicllm.data.records import Record
from tests.helpers import instruction_settings

PAGE = (Path(__file__).parents[2] / "docs" / "INSTRUCTIONS.md").read_text(encoding="utf-8")
TUNE = PAGE.split("```abc\n")[1].split("\n```")[0]
RECORD: Record = {"id": "example", "source": "oneills1850", "text": TUNE}


EXAMPLES = PAGE.split("seed 0:\n\n```text\n")[1].split("\n```")[0] + "\n"
SHOWN = re.findall(r"^(\w+) +>", EXAMPLES, re.MULTILINE)


def example(task: str) -> str:
    """Return what the builder makes of the tune, as the page shows it."""
    settings = instruction_settings(
        (task,),
        languages=("zh",) if task == "name_key" else ("en",),
        max_turns=3 if task == "dialogue" else 1,
    )
    records, _ = make_instructions(RECORD, settings, 0)
    header = TUNE[: TUNE.index("K:D") + len("K:D")]
    lines = []
    for message in records[0]["messages"]:
        content = message["content"].replace(TUNE, "(the tune)").replace(header, "(the header)")
        first, *rest = content.split("\n")
        lines.append(("> " if message["role"] == "user" else "< ") + first)
        lines += [f"  {line}".rstrip() for line in rest]
    block = "\n".join(" " * 20 + line if line else "" for line in lines)
    return task.ljust(20) + block.removeprefix(" " * 20) + "\n"


def test_the_page_has_examples_of_several_families() -> None:
    assert len(SHOWN) >= 6


@pytest.mark.parametrize("task", SHOWN)
def test_the_examples_are_what_the_builder_makes(task: str) -> None:
    assert example(task) in EXAMPLES


@pytest.mark.parametrize("task", TASKS)
def test_the_table_has_each_family(task: str) -> None:
    assert re.search(rf"^\| `{task}` \|", PAGE, re.MULTILINE)


def test_the_files_for_users_work(tmp_path: Path) -> None:
    files = re.findall(r"```toml\n# my_phrasings/(\w+)\.toml\n(.*?)```", PAGE, re.DOTALL)
    assert [language for language, _ in files] == ["en", "de"]
    for language, text in files:
        (tmp_path / f"{language}.toml").write_text(text, encoding="utf-8")
        assert wordings(language, tmp_path).of("name_key", "requests")
