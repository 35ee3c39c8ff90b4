"""Any text survives the way through a shell and Hydra's grammar."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from musicllm import config, quoting
from musicllm.command import parse
from musicllm.errors import ConfigError
from musicllm.sweep import space

NAMES = [
    "runs", "läufe", "runs (new)", "josé/mine", "d/O'Neill's", "d/Übung für Geige", "曲",
    "d/Tunes (copy)", "d/a,b", "123", "1e5", "null", ".1", "", " ", "a=b", "[x]", "{y}", "${y}",
    "\\${y}", "a\\", "a\\'", 'say "hi"', "$HOME", "`id`", "wow!", "~", "~/tunes", "-m", "#1",
    "a\tb", "new\nline", "C:\\tunes", "true", "../x", "*.abc", "a;b", "a&b", "a|b", "50%",
]  # fmt: skip


def texts() -> list[str]:
    """Return the names above and random ones out of what is special somewhere."""
    draw = random.Random(0)
    parts = [*"aZé曲 '\"\\${},()[]=:;|&#%~.-+*/\t1e!`<>", "${", "\\", "'"]
    mixed = ["".join(draw.choices(parts, k=draw.randint(1, 8))) for _ in range(300)]
    return [*NAMES, *mixed]


def test_hydra_reads_back_every_text() -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import QuotedString
    from omegaconf import OmegaConf

    parser = OverridesParser.create()
    for text in texts():
        value = parser.parse_override(quoting.argument("a", text)).value()
        value = value.text if isinstance(value, QuotedString) else value
        assert OmegaConf.create({"a": value}).a == text


def test_unquoted_undoes_quoted() -> None:
    for text in texts():
        assert quoting.unquoted(quoting.quoted(text)) == text


def test_a_shell_reads_back_every_argument() -> None:
    arguments = [quoting.argument("location", text) for text in texts()]
    line = " ".join(map(quoting.in_shell, arguments))
    printed = subprocess.run(
        ["/bin/sh", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True
    ).stdout
    assert printed.decode().split("\0")[:-1] == arguments


def test_lists_of_texts_are_composed() -> None:
    composed, _ = config.load(
        ["recipe=generate", quoting.list_argument("generation.prompts", texts())]
    )
    assert composed.generation.prompts == texts()


@pytest.mark.parametrize("name", ["d/O'Neill's", "曲 (copy), 2", "123", "${y}"])
def test_a_folder_of_any_name_is_composed(name: str) -> None:
    key = "data.sources.abc_folder.location"
    words = ["recipe=prepare_pretrain", "data=abc_folder", quoting.argument(key, name)]
    composed, _ = config.load(words)
    assert composed.data.sources["abc_folder"].location == name
    assert parse(words).value(key) == name


def test_an_input_of_any_name_is_composed() -> None:
    words = ["recipe=sft", quoting.argument("inputs.corpus", "läufe/O'Neill's ${x}, (1)")]
    assert config.load(words)[0].inputs["corpus"] == "läufe/O'Neill's ${x}, (1)"


def test_folders_of_options_may_have_any_name(tmp_path: Path) -> None:
    for name in ("josé", "a,b", "O'Neill's (copy) = ${x}"):
        folder = tmp_path / name
        (folder / "recipe").mkdir(parents=True)
        (folder / "recipe" / "übung.yaml").write_text(
            "# @package _global_\ndefaults:\n  - /recipe/quickstart/prepare\n  - _self_\n"
            "description: mine\n"
        )
        composed, recipe = config.load([quoting.argument("recipe", "übung")], [folder])
        assert (composed.description, recipe) == ("mine", "übung")


def test_arguments_that_need_no_quotes_are_shown_without() -> None:
    assert quoting.typed("inputs.model", "runs/sft/123abc") == "inputs.model=runs/sft/123abc"
    assert quoting.typed("paths.runs", "läufe") == "paths.runs=\"'läufe'\""
    assert quoting.command("recipe=sft", "name=a b") == 'python -m musicllm recipe=sft name="a b"'


KEY = "data.sources.abc_folder.location"
MISREAD = "cannot be read: letters outside ASCII and ( ) [ ] { } , = ' \" need quotes round "
LIST = "is not a complete list or mapping: brackets and quotes come in pairs, and texts with "


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (f"{KEY}=d/O'Neill's",
         f"{KEY}=d/O'Neill's {MISREAD}the value, and quotes of the shell round those; "
         f"write {KEY}=\"'d/O\\'Neill\\'s'\""),
        (f"{KEY}='d/O'Neill's'",
         f"{KEY}='d/O'Neill's' {MISREAD}the value, and quotes of the shell round those; "
         f"write {KEY}=\"'d/O\\'Neill\\'s'\""),
        (f"{KEY}=d/Übung für Geige",
         f"{KEY}=d/Übung für Geige {MISREAD}the value, and quotes of the shell round those; "
         f"write {KEY}=\"'d/Übung für Geige'\""),
        (f"{KEY}=d/a,b",
         f"{KEY}=d/a,b stands for several values, one for each run of a sweep; add -m, or write "
         f"it as a text: {KEY}=\"'d/a,b'\""),
        (f"{KEY}=123", f"{KEY}=123 must be str, not int; write {KEY}=\"'123'\""),
        (f"{KEY}=1.10", f"{KEY}=1.10 must be str, not float; write {KEY}=\"'1.10'\""),
        ("benchmark=[mmlu",
         f"benchmark=[mmlu {LIST}letters outside ASCII or signs need quotes; "
         "write it like benchmark=\"['ü',b]\""),
        ("data", "command=data is not a setting; write group=option or group.key=value"),
        ("größe=3", "größe=3 is not a setting: names have ASCII letters, digits and _ . /"),
    ],
)  # fmt: skip
def test_words_that_hydra_misreads_are_explained(word: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.load(["recipe=prepare_pretrain", "data=abc_folder", word])
    assert [str(problem) for problem in caught.value.problems] == [message]


def test_all_words_that_cannot_be_read_are_reported_together() -> None:
    with pytest.raises(ConfigError, match=r"^2 problems"):
        config.load(["recipe=sft", "paths.runs=läufe", "paths.cache=cache (new)"])


def test_a_sweep_explains_them_as_well() -> None:
    with pytest.raises(ConfigError, match=r"write paths\.runs=\"'läufe'\""):
        space.parse(["recipe=sft", "paths.runs=läufe", "optimizer.lr=1e-3,2e-3"])
