from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from musicllm.data.lexicon import Lexicon
from tests.vocabularies import SPECIAL, llama_like


def lexicon(normalizer: object = None, splitter: object = None) -> Lexicon:
    core = Tokenizer(models.WordLevel({"a": 0, "</s>": 1}, unk_token="a"))
    core.normalizer, core.pre_tokenizer = normalizer, splitter
    return Lexicon("made", core, {"eos_token": "</s>"}, None)


def test_a_folder_says_what_the_tokenizer_in_memory_says(tmp_path: Path) -> None:
    tokenizer = llama_like("{{ messages }}")
    tokenizer.save_pretrained(tmp_path)
    read, taken = Lexicon.read(tmp_path), Lexicon.of(tokenizer)

    assert read.named_tokens == taken.named_tokens
    assert read.named_tokens == {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    assert read.template == taken.template == "{{ messages }}"
    assert read.special_tokens == taken.special_tokens == tuple(sorted(SPECIAL))
    assert read.special_ids == set(range(5))
    assert read.id_of("eos_token") == 2
    assert read.id_of("pad_token") is None


def test_tokens_are_also_named_by_objects(tmp_path: Path) -> None:
    llama_like(None).save_pretrained(tmp_path)
    path = tmp_path / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config |= {"bos_token": {"content": "<s>", "lstrip": False}, "add_bos_token": True}
    path.write_text(json.dumps(config | {"pad_token": None}), encoding="utf-8")

    read = Lexicon.read(tmp_path)

    assert read.named_tokens == {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    assert read.template is None


def test_the_default_one_of_several_templates_is_taken() -> None:
    tokenizer = llama_like(None)
    tokenizer.chat_template = {"default": "one", "tool_use": "two"}
    assert Lexicon.of(tokenizer).template == "one"


@pytest.mark.parametrize(
    ("normalizer", "splitter", "adds_blank"),
    [
        (None, None, False),
        (normalizers.Prepend("▁"), None, True),
        (None, pre_tokenizers.Metaspace(), True),
        (None, pre_tokenizers.Metaspace(prepend_scheme="never"), False),
        (None, pre_tokenizers.ByteLevel(add_prefix_space=False), False),
        (None, pre_tokenizers.ByteLevel(add_prefix_space=True), True),
    ],
)
def test_which_tokenizers_begin_a_text_with_a_blank(
    normalizer: object, splitter: object, adds_blank: bool
) -> None:
    assert lexicon(normalizer, splitter).adds_blank == adds_blank
