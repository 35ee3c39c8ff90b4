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


@pytest.mark.parametrize("task", TASKS)
def test_the_example_of_each_family_is_what_the_builder_makes(task: str) -> None:
    settings = instruction_settings(
        (task,),
        languages=("zh",) if task == "name_key" else ("en",),
        max_turns=3 if task == "dialogue" else 1,
    )

    made, _ = make_instructions(RECORD, settings, 0)

    said = "\n".join(
        ("> " if message["role"] == "user" else "< ") + message["content"]
        for message in made[0]["messages"]
    )
    said = said.replace(TUNE, "(the tune)")
    said = said.replace(TUNE.replace("R:jig\n", ""), "(the tune without R:)")
    assert f"**{task}**\n```text\n{said}\n```" in PAGE
    assert re.search(rf"^\| `{task}` \|", PAGE, re.MULTILINE)


def test_the_files_for_users_work(tmp_path: Path) -> None:
    files = re.findall(r"```toml\n# my_phrasings/(\w+)\.toml\n(.*?)```", PAGE, re.DOTALL)
    assert [language for language, _ in files] == ["en", "de"]
    for language, text in files:
        (tmp_path / f"{language}.toml").write_text(text, encoding="utf-8")
        assert wordings(language, tmp_path).of("name_key", "requests")
