"""Commands in the pages compose and pass the checks; links and names of pages lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from musicllm import cli, config
from musicllm.checks import check
from musicllm.command import parse
from musicllm.sweep import space
from tests.test_architecture import FLOORS

ROOT = Path(__file__).parent.parent
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "launch" / "README.md", *DOCS]
RECIPES = sorted((ROOT / "recipes").rglob("*.yaml"))
COMMAND = re.compile(r"(?:^[# ]*|`)(?:\.venv/bin/)?python -m musicllm( [^`\n]+)", re.MULTILINE)
PLACEHOLDERS = {
    "recipe=<name>": "recipe=sft",
    "data=<name>": "data=musicpile",
    "model=<name>": "model=llama2_7b",
    "benchmark=[<name>]": "benchmark=[theory]",
    "hardware=<profile>": "hardware=cpu",
    "<group>": "optimizer",
    "<fingerprint>": "0123456789ab",
    "<folder of MMLU>": "mmlu",
    "<folder>": "mmlu",
    "<run>": "mine",
}


def commands() -> dict[str, str]:
    """Return what follows `python -m musicllm` in pages and recipes, and where it stands first."""
    first: dict[str, str] = {}
    for page in (*PAGES, *RECIPES):
        for words in COMMAND.findall(page.read_text(encoding="utf-8").replace("\\\n", " ")):
            if "extensions=" not in words:  # see test_contributing
                first.setdefault(words.split(" #")[0].strip(), str(page.relative_to(ROOT)))
    return first


COMMANDS = commands()


def with_values(words: str) -> list[str]:
    """Return a command whose placeholders have values."""
    for placeholder, value in PLACEHOLDERS.items():
        words = words.replace(placeholder, value)
    return shlex.split(words)


@pytest.mark.parametrize("words", [words for words in COMMANDS if "recipe=" in words])
def test_a_command_composes_and_passes_the_checks(words: str, tmp_path: Path) -> None:
    """Of a sweep, its first job; a folder of the user's own is an empty one here."""
    command = parse(with_values(words.replace("my_configs", str(tmp_path))))
    swept = space.parse(command.overrides)
    check(config.load(swept.words(swept.corner()), command.folders)[0])


@pytest.mark.parametrize("words", [words for words in COMMANDS if "recipe=" not in words])
def test_a_command_without_a_recipe_helps(words: str) -> None:
    assert cli.main(with_values(words)) == 0


def test_commands_are_found_on_every_kind_of_page() -> None:
    pages = set(COMMANDS.values())
    assert {"README.md", "CONTRIBUTING.md", "launch/README.md", "recipes/compare.yaml"} <= pages
    assert len(COMMANDS) > 50


def test_the_readme_begins_with_targets_of_the_makefile() -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert named == ["quickstart", "test"]
    assert set(named) <= set(targets)


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_a_file_and_a_heading(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text(encoding="utf-8"))
    for file, anchor in links:
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), file
        assert not anchor or anchor in anchors(target), f"{file}#{anchor}"


def test_every_page_is_in_the_table_of_contents() -> None:
    contents = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(([A-Z_]+\.md)", contents))
    assert linked == {page.name for page in DOCS} - {"README.md"}


def test_pages_that_code_and_configuration_name_exist() -> None:
    folders = ("musicllm", "conf", "recipes", "launch", "tests", "docs")
    files = [path for name in folders for path in (ROOT / name).rglob("*")]
    files = [path for path in files if path.suffix in {".py", ".yaml", ".md", ".toml", ".sbatch"}]
    for path in (*files, *PAGES):
        for name in re.findall(r"docs/([A-Z_]+\.md)", path.read_text(encoding="utf-8")):
            assert (ROOT / "docs" / name).exists(), f"{path} names docs/{name}"


def test_the_import_order_is_that_of_the_architecture_test() -> None:
    page = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = page[page.index("Imports run one way") : page.index("`tests/test_architecture.py`")]
    items = re.split(r"^\d+\. ", section, flags=re.MULTILINE)[1:]
    assert [tuple(re.findall(r"`([\w.]+)`", item)) for item in items] == list(FLOORS)


def test_files_that_pages_name_exist() -> None:
    """Paragraphs that begin with `Before` name files that are gone, and `my_...` is the user's."""
    missing: list[str] = []
    for page in PAGES:
        paragraphs = page.read_text(encoding="utf-8").split("\n\n")
        text = "\n\n".join(part for part in paragraphs if not part.startswith("Before"))
        names = re.findall(r"`((?!my_)(?:\w+/)+\w+\.(?:py|yaml|toml))`", text)
        places = (ROOT, ROOT / "musicllm")
        missing += [n for n in names if not any((place / n).exists() for place in places)]
    assert not missing


def test_walks_name_the_files_of_a_package() -> None:
    page = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    walks = re.findall(r"`([\w/]+)`[\w\s]*\[([\w, ]+)", page[page.index("### (a)") :])
    assert len(walks) >= 6
    for package, files in walks:
        for name in files.strip(", ").split(", "):
            assert list((ROOT / "musicllm" / package).glob(f"{name}*")), f"{package}: {name}"
