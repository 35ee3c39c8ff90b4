"""Old tokens stay what they are, whatever is added to a vocabulary."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    AutoTokenizer,
    LlamaTokenizer,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    Qwen2Tokenizer,
)

from musicllm.data import bytepairs, extension, gain
from musicllm.data.encoder import Encoder
from musicllm.data.extension import replaced_pieces
from musicllm.data.settings import RowSettings
from musicllm.data.vocabulary import train_tokenizer
from musicllm.errors import InputError, NotAvailableError, StageError
from tests.helpers import TEMPLATE, make_tune
from tests.vocabularies import llama_like

TUNES = [make_tune(seed) for seed in range(40)]
TEXTS = [*TUNES, *["There is a bagful of reels, and this is there.\n"] * 5]


def learned(core: Tokenizer, vocab_size: int, special: list[str]) -> tuple[dict[str, int], list]:
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if not special else [],
        show_progress=False,
    )
    core.train_from_iterator([text.replace("\n", " ") for text in TEXTS], trainer)
    model = json.loads(core.to_str())["model"]
    return model["vocab"], [tuple(merge) for merge in model["merges"]]


def llama() -> PreTrainedTokenizerBase:
    """Return a tokenizer of the class of Llama 2: blanks as `▁`, bytes for what it lacks."""
    core = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    vocabulary, merges = learned(core, 420, special)
    return LlamaTokenizer(vocab=vocabulary, merges=merges, chat_template=TEMPLATE)


def qwen() -> PreTrainedTokenizerBase:
    """Return one of Qwen2's class: bytes, words cut by a pattern, special tokens apart."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    vocabulary, merges = learned(core, 320, [])
    tokenizer = Qwen2Tokenizer(vocab=vocabulary, merges=merges, chat_template=TEMPLATE)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    return tokenizer


def ours() -> PreTrainedTokenizerBase:
    return train_tokenizer(TEXTS, 320, TEMPLATE)


def takes_words() -> PreTrainedTokenizerBase:
    """Return one like Llama 3's: a word that is a token needs no merges."""
    content = json.loads(ours().backend_tokenizer.to_str())
    content["model"]["ignore_merges"] = True
    core = Tokenizer.from_str(json.dumps(content))
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>")


def unigram() -> PreTrainedTokenizerBase:
    """Return a tokenizer of SentencePiece's other kind."""
    letters = sorted(set("".join(TEXTS)) | {"▁", "2"})
    scores = [("<unk>", 0.0), ("</s>", 0.0), *((letter, -5.0) for letter in letters)]
    core = Tokenizer(models.Unigram([*scores, ("▁the", -6.0), ("re", -7.0)], 0, False))
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    core.decoder = decoders.Metaspace(prepend_scheme="first", split=False)
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="</s>", unk_token="<unk>")


def word_piece() -> PreTrainedTokenizerBase:
    pieces = [sign + letter for letter in sorted(set("".join(TEXTS))) for sign in ("", "##")]
    vocabulary = {token: i for i, token in enumerate(["[UNK]", "[SEP]", *pieces])}
    core = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer(lowercase=False)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.decoder = decoders.WordPiece()
    return PreTrainedTokenizerFast(tokenizer_object=core, sep_token="[SEP]", unk_token="[UNK]")


MARK = "<|im_end|> |"
Make = Callable[[], PreTrainedTokenizerBase]
BYTE_PAIRS = [llama, qwen, ours, takes_words, lambda: llama_like(TEMPLATE)]
NAMES = ["llama", "qwen", "ours", "takes_words", "legacy"]


def by_gain(tokenizer: PreTrainedTokenizerBase, num: int = 40) -> PreTrainedTokenizerBase:
    merges = gain.choose_merges(tokenizer.backend_tokenizer, TEXTS, num)
    assert len(merges) == num
    return extension.with_merges(tokenizer, merges, TEXTS[:3])


def ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False).input_ids


def soup(seed: int) -> str:
    """Return a text that is cut from tunes, English and signs at random places."""
    draw = random.Random(seed)
    pieces = []
    for _ in range(20):
        text = draw.choice([*TEXTS, "音楽 🎻 ß", "the there reels", "|: (3abc :|", "</s", "\t\r\n"])
        start = draw.randrange(len(text))
        pieces.append(text[start : start + draw.randrange(1, 12)])
    return "".join(pieces)


@pytest.mark.parametrize("make", BYTE_PAIRS, ids=NAMES)
def test_new_tokens_replaced_by_their_pieces_are_the_old_encoding(make: Make) -> None:
    old = make()
    new = by_gain(old)
    pieces = replaced_pieces(old.backend_tokenizer, new.backend_tokenizer)
    assert pieces is not None
    assert list(pieces) == list(range(len(old), len(old) + 40))
    assert new.get_vocab().items() > old.get_vocab().items()
    num_replaced = 0
    for text in [*TEXTS, *map(soup, range(200))]:
        before, after = ids(old, text), ids(new, text)
        assert [piece for id_ in after for piece in pieces.get(id_, [id_])] == before
        assert new.decode(after) == old.decode(before)
        num_replaced += len(before) - len(after)
    assert num_replaced > 300
    assert new.chat_template == old.chat_template
    assert new.special_tokens_map == old.special_tokens_map
    assert new.all_special_ids == old.all_special_ids


def test_the_first_choice_is_the_pair_that_saves_most() -> None:
    old = ours()
    encodings = [old(text, add_special_tokens=False) for text in TEXTS]
    counts: dict[tuple[int, int], int] = {}
    for encoding in encodings:
        tokens, words = encoding.input_ids, encoding.word_ids()
        for i in range(len(tokens) - 1):
            if words[i] == words[i + 1]:
                pair = (tokens[i], tokens[i + 1])
                counts[pair] = counts.get(pair, 0) + 1
    merge = gain.choose_merges(old.backend_tokenizer, TEXTS, 1)[0]
    ids_ = tuple(old.convert_tokens_to_ids(list(merge)))
    assert counts[ids_] == max(counts.values())
    new = extension.with_merges(old, [merge], TEXTS)
    saved = sum(len(ids(old, text)) - len(ids(new, text)) for text in TEXTS)
    assert saved == counts[ids_]


@pytest.mark.parametrize("make", [llama, qwen, ours, unigram], ids=lambda make: make.__name__)
def test_named_tokens_stand_for_their_text_and_change_no_other(make: Make) -> None:
    old = make()
    tokens = ["A2B2", "DEF", "|] |"]
    new = extension.with_tokens(old, tokens, TEXTS)
    first = len(old)
    pieces = replaced_pieces(old.backend_tokenizer, new.backend_tokenizer)
    assert pieces is not None
    assert list(pieces) == [first, first + 1, first + 2]
    for token, its_pieces in zip(tokens, pieces.values(), strict=True):
        assert old.decode(its_pieces) == token
    assert first in ids(new, "xA2B2y")
    for text in [*TEXTS, *map(soup, range(100))]:
        before, after = ids(old, text), ids(new, text)
        if not any(token in text for token in tokens):
            assert after == before
        if not set(text) & set("音楽🎻ß\t\r"):  # which `unigram` lacks
            assert new.decode(after) == old.decode(before)


def test_an_extension_can_be_extended_and_saved(tmp_path: Path) -> None:
    old = qwen()
    named = extension.with_tokens(old, ["A2B2"], TEXTS)
    both = by_gain(named, 5)
    both.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again.backend_tokenizer.to_str() == both.backend_tokenizer.to_str()
    pieces = replaced_pieces(old.backend_tokenizer, again.backend_tokenizer)
    assert pieces is not None
    assert len(pieces) == 6
    assert all(piece < len(old) for some in pieces.values() for piece in some)


def test_what_is_no_extension_is_recognised() -> None:
    old, new = (tokenizer.backend_tokenizer for tokenizer in (qwen(), by_gain(qwen())))
    assert replaced_pieces(old, old) == {}
    assert replaced_pieces(new, old) is None
    assert replaced_pieces(ours().backend_tokenizer, new) is None
    content = json.loads(new.to_str())
    content["normalizer"] = {"type": "NFKC"}
    assert replaced_pieces(old, Tokenizer.from_str(json.dumps(content))) is None
    content = json.loads(new.to_str())
    content["model"]["merges"].insert(0, content["model"]["merges"].pop())
    assert replaced_pieces(old, Tokenizer.from_str(json.dumps(content))) is None


def test_kitoken_still_encodes_an_extended_vocabulary() -> None:
    assert bytepairs.BytePairs.of(by_gain(ours()).backend_tokenizer) is not None


def test_conversations_are_encoded_with_new_tokens() -> None:
    old = llama()
    new = by_gain(old)
    pieces = replaced_pieces(old.backend_tokenizer, new.backend_tokenizer)
    assert pieces is not None
    rows = RowSettings("pack", 512, "drop", None, audio_tokens=0)
    messages = [
        {"role": "user", "content": "Write a reel in D."},
        {"role": "assistant", "content": TUNES[0]},
    ]
    before, after = (Encoder(t, rows).prompt(messages) for t in (old, new))
    assert [piece for id_ in after for piece in pieces.get(id_, [id_])] == before
    assert len(after) < len(before)


@pytest.mark.parametrize("make", [unigram, word_piece], ids=lambda make: make.__name__)
def test_gain_is_for_byte_pairs_only(make: Make) -> None:
    with pytest.raises(NotAvailableError) as caught:
        gain.choose_merges(make().backend_tokenizer, TEXTS, 3)
    assert "tokens are chosen by gain for byte pairs only; name the tokens in a file" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("make", "token", "text"),
    [
        (lambda: llama_like(None), "A2B2", "'aA2B2b' would be decoded as 'aA2B2 b'; leave it out"),
        (word_piece, "A2B2", "'aA2B2b' would be decoded as 'a A2B2 b'; leave it out"),
        (ours, "é", "'é' would be decoded as '\ufffd'; leave it out"),
        (qwen, MARK, "'<|im_end|> |' holds a special token of"),
    ],
)
def test_tokens_that_would_not_give_their_text_back_are_refused(
    make: Make, token: str, text: str
) -> None:
    with pytest.raises(InputError) as caught:
        extension.with_tokens(make(), [token], TEXTS)
    assert text in str(caught.value)
    assert ("chosen by gain" in str(caught.value)) == (make is not word_piece and token != MARK)


def test_a_tokenizer_that_transformers_changes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    old = qwen()
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", lambda _folder: ours())
    with pytest.raises(StageError, match="changes when transformers saves and loads it with"):
        by_gain(old)


def test_known_tokens_are_told_from_new_ones() -> None:
    new, known = extension.split_known(ours(), ["A", "A2B2", " the", "A2B2", "</s>", " |"])
    assert new == ["A2B2", " the"]
    assert known == ["A", "</s>", " |"]


@pytest.mark.parametrize(
    ("name", "content", "tokens"),
    [
        ("a.txt", "A2\r\n B2 \n\n", ("A2", " B2 ")),
        ("a.json", '["A2", " |\\n"]', ("A2", " |\n")),
        ("b.json", '{"A2": 1}', "is no JSON list of texts"),
        ("c.json", "[", "cannot be read: "),
        ("b.txt", "\n", "has no tokens; write one a line"),
        ("missing.txt", None, "cannot be read: "),
    ],
)
def test_files_of_tokens(
    tmp_path: Path, name: str, content: str | None, tokens: tuple[str, ...] | str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content, newline="")
    if isinstance(tokens, tuple):
        assert extension.read_tokens(tmp_path / name) == tokens
        return
    with pytest.raises(InputError) as caught:
        extension.read_tokens(tmp_path / name)
    assert f"data.new_tokens={tmp_path / name} " in str(caught.value)
    assert tokens in str(caught.value)
