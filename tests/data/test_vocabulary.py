from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from musicllm.data.vocabulary import train_tokenizer
from tests.helpers import TEMPLATE, make_tune

TUNES = [make_tune(i) for i in range(20)]


def test_special_tokens_have_the_documented_ids() -> None:
    tokenizer = train_tokenizer(TUNES, 300, TEMPLATE)

    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (0, 1, 2)
    assert len(tokenizer) == 300


@pytest.mark.parametrize(
    "text", [TUNES[0], " two  blanks\t\r\n\n end ", "Ó Riada: „Ceol“ 音楽 🎻", "", "a .b ,c 'd !"]
)
def test_decoding_gives_the_text_back(text: str) -> None:
    tokenizer = train_tokenizer(TUNES, 300, TEMPLATE)

    assert tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) == text


def test_training_is_deterministic() -> None:
    first, second = (train_tokenizer(TUNES, 400, TEMPLATE) for _ in range(2))

    assert first.backend_tokenizer.to_str() == second.backend_tokenizer.to_str()


def test_merges_make_tunes_shorter() -> None:
    large, small = (train_tokenizer(TUNES, size, TEMPLATE) for size in (400, 259))

    lengths = [len(tokenizer(TUNES[0]).input_ids) for tokenizer in (large, small)]
    assert lengths[1] == len(TUNES[0].encode())
    assert lengths[0] < 0.7 * lengths[1]


def test_no_token_reaches_over_white_space() -> None:
    texts = [f"{tune}\n\n  indented\n \n\n" for tune in TUNES] * 4
    tokenizer = train_tokenizer(texts, 400, TEMPLATE)

    tokens = [tokenizer.decode([number]) for number in range(3, len(tokenizer))]
    longer = [token for token in tokens if len(token) > 1]
    assert [token for token in longer if token[1:].split() != [token[1:]]] == []
    assert tokenizer.tokenize("a\n  b") == ["a", "Ċ", "Ġ", "Ġ", "b"]


def test_a_saved_tokenizer_is_the_same_with_its_template(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(TUNES, 300, TEMPLATE)
    tokenizer.save_pretrained(tmp_path)

    loaded = AutoTokenizer.from_pretrained(tmp_path)

    assert loaded.chat_template == TEMPLATE
    assert loaded(TUNES[1]).input_ids == tokenizer(TUNES[1]).input_ids
    assert loaded.eos_token_id == 1
