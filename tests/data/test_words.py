from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from musicllm.data import words
from musicllm.data.vocabulary import train_tokenizer
from musicllm.data.words import WordEncoder, plain
from tests.helpers import TEMPLATE, make_tune
from tests.vocabularies import llama_like

TEXTS = [
    "The fiddler's 3rd reel in D: DEFG ABcd | d2 fd ad fd.",
    "Er spielt — süß! — die Geige, und zwar um 12:30.",
    "中文 乐谱 里尔舞曲 D大调",
    *map(make_tune, range(4)),
]


def bpe(pre_tokenizer: pre_tokenizers.PreTokenizer | None, **options: object) -> Tokenizer:
    """Train a byte-pair vocabulary behind a pre-tokenizer."""
    core = Tokenizer(models.BPE(**options))
    if pre_tokenizer is not None:
        core.pre_tokenizer = pre_tokenizer
    core.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    core.train_from_iterator(TEXTS, trainer)
    return core


def llama3() -> pre_tokenizers.PreTokenizer:
    pattern = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
        r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])


TOKENIZERS: dict[str, Callable[[], Tokenizer]] = {
    "ours": lambda: train_tokenizer(TEXTS, 400, TEMPLATE).backend_tokenizer,
    "gpt2": lambda: bpe(pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "gpt2 with a blank before": lambda: bpe(pre_tokenizers.ByteLevel(add_prefix_space=True)),
    "llama3": lambda: bpe(llama3()),
    "sentencepiece": lambda: llama_like(TEMPLATE).backend_tokenizer,
}


def random_text(draw: random.Random) -> str:
    pieces = [
        "a", "DEFG", "d2", "|", "|:", "it's", "don't", "42", "1234567", ".", "—", "süß", "中文",
        "</s>", "<s>", "🎵", "Ⅻ", "_", "'s", "\0", "(3abc", "x" * 90,
    ]  # fmt: skip
    spaces = [" "] * 12 + [
        "",
        "  ",
        "   ",
        "\n",
        "\n ",
        " \n",
        "\n\n",
        "\t",
        " \t",
        "\u3000",
        "\xa0 ",
        "\r\n",
    ]
    return "".join(
        draw.choice(pieces) + "".join(draw.choices(spaces, k=draw.choice((1, 1, 1, 2, 3))))
        for _ in range(draw.randint(0, 30))
    )


@pytest.mark.parametrize("name", TOKENIZERS)
def test_words_have_the_tokens_of_their_text(name: str) -> None:
    core = TOKENIZERS[name]()
    encoder = WordEncoder.of(core)
    assert encoder is not None
    draw = random.Random(name)
    texts = [*TEXTS, "", " ", "  a ", "\n", *(random_text(draw) for _ in range(1500))]
    for _ in range(2):
        assert encoder.encode(texts) == list(plain(core, texts))


def lower_case() -> Tokenizer:
    core = bpe(pre_tokenizers.ByteLevel())
    core.normalizer = normalizers.Lowercase()
    return core


def over_blanks() -> Tokenizer:
    core = Tokenizer(
        models.BPE({"a": 0, "▁": 1, "b": 2, "▁b": 3, "a▁b": 4}, [("▁", "b"), ("a", "▁b")])
    )
    core.normalizer = normalizers.Replace(" ", "▁")
    return core


REFUSED: dict[str, Callable[[], Tokenizer]] = {
    "a normalizer that may look further": lower_case,
    "a token that reaches over a blank": over_blanks,
    "merges by chance": lambda: bpe(pre_tokenizers.ByteLevel(), dropout=0.5),
    "no byte pairs": lambda: Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, "[UNK]")),
    "no cut at blanks": lambda: bpe(pre_tokenizers.ByteLevel(False, use_regex=False)),
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_tokenizer_whose_words_depend_on_each_other_is_refused(why: str) -> None:
    assert WordEncoder.of(REFUSED[why]()) is None


def test_words_are_encoded_once_and_forgotten_when_there_are_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def watched(core: Tokenizer, texts: list[str]) -> object:
        asked.extend(texts)
        return plain(core, texts)

    encoder = WordEncoder.of(TOKENIZERS["ours"]())
    assert encoder is not None
    encoder.encode(["first"])  # every so many texts, beginning here, one is compared
    monkeypatch.setattr(words, "plain", watched)
    encoder.encode(["one two three", "two one\n two"])
    assert [text for text in asked if text] == [
        "one", "two", "<s> two<s> three<s> one\n two<s>"
    ]  # fmt: skip
    asked.clear()
    long = "x" * (words.MAX_REMEMBERED_CHARS + 1)
    for _ in range(2):
        encoder.encode([f"one {long} two three"])
    assert [text for text in asked if text] == [f"<s> {long}<s>"] * 2
    asked.clear()
    monkeypatch.setattr(words, "MAX_WORDS", 1)
    encoder.encode(["one four"])
    encoder.encode(["one five"])
    encoder.encode(["one four five"])
    assert [text for text in asked if len(text) > 3] == [
        "<s> four<s>", "<s> five<s>", "<s> four<s>"
    ]  # fmt: skip


def test_a_difference_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = WordEncoder.of(TOKENIZERS["ours"]())
    assert encoder is not None
    monkeypatch.setattr(words, "_split", lambda text: [text[:2], text[2:]])
    with pytest.raises(AssertionError, match="words change the tokens of 'DEFG ABcd'"):
        encoder.encode(["DEFG ABcd"])
