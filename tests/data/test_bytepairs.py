from __future__ import annotations

import json
import random
from array import array
from collections.abc import Callable

import pytest
from kitoken import Kitoken
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from musicllm.data import bytepairs
from musicllm.data.bytepairs import MOST_CHARS, TEXTS_PER_COMPARISON, BytePairs, plain
from musicllm.data.vocabulary import train_tokenizer
from musicllm.errors import StageError
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
def test_texts_have_the_tokens_that_tokenizers_gives_them(name: str) -> None:
    core = TOKENIZERS[name]()
    encoder = BytePairs.of(core)
    assert encoder is not None
    draw = random.Random(name)
    texts = [*TEXTS, "", " ", "  a ", "\n", *(random_text(draw) for _ in range(1500))]
    assert encoder.encode(texts) == list(plain(core, texts))


@pytest.mark.parametrize("name", ["gpt2", "llama3", "sentencepiece"])
def test_a_long_run_of_blanks_has_the_same_tokens(name: str) -> None:
    core = TOKENIZERS[name]()
    encoder = BytePairs.of(core)
    assert encoder is not None
    text = " " * (MOST_CHARS - 1) + "a"
    assert encoder.encode([text]) == list(plain(core, [text]))
    assert encoder._needs_core(text + "a") == (name != "sentencepiece")  # patterns that look ahead


def test_every_code_point_has_the_same_tokens() -> None:
    points = [chr(point) for point in range(0x30000) if not 0xD800 <= point < 0xE000]
    texts = ["".join(points[start : start + 97]) for start in range(0, len(points), 97)]
    for name in ("gpt2", "sentencepiece"):
        core = TOKENIZERS[name]()
        encoder = BytePairs.of(core)
        assert encoder is not None
        assert encoder.encode(texts) == list(plain(core, texts))


@pytest.mark.parametrize("name", TOKENIZERS)
def test_tokens_are_taken_in_the_order_of_their_merges(name: str) -> None:
    core = TOKENIZERS[name]()
    model = json.loads(core.to_str())["model"]
    settings = json.loads(core.to_str()) | {"post_processor": None, "decoder": None}
    definition = Kitoken.from_tokenizers(json.dumps(settings).encode()).definition()
    merged = dict.fromkeys(model["vocab"]["".join(pair)] for pair in model["merges"])
    ids = [token["id"] for token in definition["model"]["BytePair"]["vocab"]]
    assert [token for token in ids if token in merged] == list(merged)


def sentencepiece(vocab: list[str], merges: list[tuple[str, str]]) -> Tokenizer:
    """Return a tokenizer that spells blanks as `▁`, cuts nowhere, and falls back to bytes."""
    tokens = [*(f"<0x{byte:02X}>" for byte in range(256)), *vocab]
    places = {token: place for place, token in enumerate(tokens)}
    core = Tokenizer(models.BPE(places, merges, byte_fallback=True))
    core.normalizer = normalizers.Replace(" ", "▁")
    return core


def without_bytes() -> Tokenizer:
    """Return a tokenizer that merges letters over what it has no token for."""
    core = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]))
    core.normalizer = normalizers.Replace(" ", "▁")
    return core


@pytest.mark.parametrize(
    ("merges", "cut"),
    [
        ([("a", "b"), ("▁", "▁"), ("▁", "ab")], "Words"),
        ([("a", "1"), ("▁", "a1")], "blanks"),
        ([("a", "▁")], None),
    ],
)
def test_texts_are_cut_where_no_token_reaches_over(
    merges: list[tuple[str, str]], cut: str | None
) -> None:
    tokens = dict.fromkeys(["a", "b", "1", "▁", *map("".join, merges)])
    core = sentencepiece(list(tokens), merges)
    encoder = BytePairs.of(core)
    assert encoder is not None
    patterns = {"Words": bytepairs._WORDS, "blanks": bytepairs._BETWEEN_BLANKS}
    split = encoder._quick.config()["split"]
    assert [each["Pattern"]["pattern"]["Regex"] for each in split] == (
        [patterns[cut]] if cut else []
    )
    draw = random.Random(0)
    texts = ["".join(draw.choices("ab1  ", k=draw.randint(0, 40))) for _ in range(500)]
    assert encoder.encode(texts) == list(plain(core, texts))


def lower_case() -> Tokenizer:
    core = bpe(pre_tokenizers.ByteLevel())
    core.normalizer = normalizers.Lowercase()
    return core


def with_blank_in_added_token() -> Tokenizer:
    core = sentencepiece(["a", "▁"], [])
    core.add_tokens(["a a"])
    return core


REFUSED: dict[str, Callable[[], Tokenizer]] = {
    "a normalizer that may look further": lower_case,
    "merges by chance": lambda: bpe(pre_tokenizers.ByteLevel(), dropout=0.5),
    "no byte pairs": lambda: Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, "[UNK]")),
    "another way to cut": lambda: bpe(pre_tokenizers.Whitespace()),
    "a token that no merge makes": lambda: sentencepiece(["a", "b", "ab"], []),
    "a token that does not come out of its text": lambda: sentencepiece(
        ["a", "b", "c", "bc", "ab", "abc"], [("b", "c"), ("a", "b"), ("ab", "c")]
    ),
    "merges of a token apart from each other": lambda: sentencepiece(
        ["a", "b", "ab", "bb", "abb"], [("a", "b"), ("ab", "b"), ("b", "b"), ("a", "bb")]
    ),
    "an added token in other words": with_blank_in_added_token,
    "other tokens for the sample": without_bytes,
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_tokenizer_that_kitoken_may_take_differently_is_refused(why: str) -> None:
    assert BytePairs.of(REFUSED[why]()) is None


def test_a_tokenizer_that_differs_on_the_sample_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bytepairs, "_GPT2", r"\s?\S+|\s+")
    assert BytePairs.of(TOKENIZERS["gpt2"]()) is None


def test_a_difference_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = BytePairs.of(TOKENIZERS["ours"]())
    assert encoder is not None
    monkeypatch.setattr(encoder, "_encode_text", lambda _: array("i", [7]))
    encoder._num_texts = 1
    assert encoder.encode(["DEFG"] * (TEXTS_PER_COMPARISON - 1))[0] == array("i", [7])
    with pytest.raises(StageError, match="kitoken changes the tokens of 'ABcd'"):
        encoder.encode(["ABcd"])
