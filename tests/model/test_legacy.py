"""Blanks in tokenizers of LLaMA's class."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from transformers import AutoTokenizer, LlamaTokenizer

from musicllm.model import legacy
from tests.vocabularies import llama_like


@pytest.mark.parametrize(
    ("said", "saved", "scheme"),
    [
        (True, "first", "always"),
        (False, "first", "first"),
        (None, "first", "first"),  # written by transformers 5, which leaves the word out
        (None, "always", "always"),
        (None, None, "always"),  # written by transformers 4, whose default is legacy
    ],
)
def test_a_tokenizer_is_legacy_unless_its_files_say_otherwise(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    said: bool | None,
    saved: Literal["first", "always"] | None,
    scheme: str,
) -> None:
    LlamaTokenizer().save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings | {"legacy": said}))
    core = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    if saved is None:
        core.normalizer, core.pre_tokenizer = normalizers.Prepend("\u2581"), None
    else:
        core.pre_tokenizer = pre_tokenizers.Metaspace("\u2581", saved, False)
    core.save(str(tmp_path / "tokenizer.json"))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)

    legacy.as_published(tokenizer)

    assert tokenizer.backend_tokenizer.pre_tokenizer.prepend_scheme == scheme
    told = capsys.readouterr().err
    assert (f"the tokenizer {tmp_path} is legacy (its tokenizer_config" in told) == (
        scheme == "always"
    )


def test_a_tokenizer_without_settings_counts_by_how_it_was_saved(tmp_path: Path) -> None:
    LlamaTokenizer().save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()

    legacy.as_published(tokenizer)

    assert tokenizer.backend_tokenizer.pre_tokenizer.prepend_scheme == "first"


def test_a_tokenizer_of_another_kind_is_left_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    tokenizer = llama_like(None)
    legacy.as_published(tokenizer)
    assert tokenizer.backend_tokenizer.pre_tokenizer is None
    assert capsys.readouterr().err == ""
