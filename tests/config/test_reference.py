"""What is generated from the schema is up to date: comments in conf/, docs/SETTINGS.md."""

from __future__ import annotations

from musicllm import config, reference
from musicllm.schema import DataConfig, TemplateConfig

FILES = list(reference.files())


def test_the_comment_behind_a_key_is_that_of_the_schema() -> None:
    for path, cls in FILES:
        text = path.read_text(encoding="utf-8")
        assert text == reference.commented(text, cls), f"{path}: run python -m musicllm.reference"


def test_every_file_of_conf_is_compared() -> None:
    every = {path for path in config.root().rglob("*.yaml") if "recipe" not in path.parts}
    assert {path for path, _ in FILES} == every


def test_the_page_of_settings_is_that_of_the_schema() -> None:
    path = config.root().parent / "docs" / "SETTINGS.md"
    assert path.read_text(encoding="utf-8") == reference.page(), "run python -m musicllm.reference"
    assert "| `data.duplicates.near_similarity` | float or null | from 0.5 to 1 | `0.8` |" in (
        reference.page()
    )


def test_comments_are_replaced_and_remarks_above_a_key_stay() -> None:
    text = (
        "# a corpus\nname: mine # old\nmix:\n  # measured\n  weights: {a: 2}\n"
        "transpose_semitones:\n  - 0 # the tune\n  - 2\n"
    )
    assert reference.commented(text, DataConfig) == (
        "# a corpus\nname: mine # shown in plans and reports\nmix:\n  # measured\n"
        "  weights: {a: 2} # relative shares of parts; {}: everything once\n"
        "transpose_semitones: # copies of every training tune; 0 is the tune itself\n"
        "  - 0 # the tune\n  - 2\n"
    )


def test_the_comment_of_a_block_of_text_stands_behind_its_sign() -> None:
    commented = reference.commented("jinja: >-\n  a # b\n  c\n", TemplateConfig)
    assert commented.startswith("jinja: >- # Jinja source; ")
    assert commented.endswith("own template\n  a # b\n  c\n")
