from __future__ import annotations

import re
from itertools import chain
from typing import Literal

import pytest
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from musicllm.data.encoder import Encoder
from musicllm.data.records import Record
from musicllm.errors import InputError
from tests.helpers import row_settings
from tests.vocabularies import llama_like, notes, template

ROWS = row_settings("single", 2048, compat="reference")


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return llama_like(template("chatmusician"))


@pytest.fixture(scope="module")
def encoder(tokenizer: PreTrainedTokenizerBase) -> Encoder:
    return Encoder(tokenizer, ROWS)


def published(
    tokenizer: PreTrainedTokenizerBase, instruction: str, output: str
) -> tuple[list[int], list[int]]:
    """Return input ids and labels by the published rules, step by step and token by token."""
    tokens, labels = [], []
    for token in tokenizer.tokenize(instruction):
        if len(tokens) < 1536:
            tokens.append(token)
            labels.append(-100)
    source_length = len(tokens)
    for token in tokenizer.tokenize(output):
        if len(tokens) < 2048 - 3:
            tokens.append(token)
    if output.strip()[-4:] != "</s>":
        tokens.append("</s>")
    ids = [tokenizer.convert_tokens_to_ids(token) for token in tokens]
    return ids, labels + ids[source_length:]


def record(*contents: str) -> Record:
    roles = ("user", "assistant") * len(contents)
    messages = [{"role": roles[i], "content": content} for i, content in enumerate(contents)]
    return {"id": "c/1", "source": "c", "messages": messages}


TUNE = "X:1\nM:4/4\nK:D\n" + notes(3, 8)

CASES = [
    # messages, the published instruction, the published output, whether it is cut
    (("Write a reel.", TUNE), "Human: Write a reel. </s> Assistant: ", TUNE, False),
    (("Write.", TUNE + "</s>"), "Human: Write. </s> Assistant: ", TUNE + "</s>", False),
    (("Write.", " Hello </s>\n"), "Human: Write. </s> Assistant: ", " Hello </s>\n", False),
    (("Say </s> é 音.", ""), "Human: Say </s> é 音. </s> Assistant: ", "", False),
    ((notes(1, 700), TUNE), f"Human: {notes(1, 700)} </s> Assistant: ", TUNE, True),
    (("Write.", notes(2, 900)), "Human: Write. </s> Assistant: ", notes(2, 900), True),
    (
        ("Write.", notes(2, 900) + " </s>"),
        "Human: Write. </s> Assistant: ",
        notes(2, 900) + " </s>",
        True,
    ),
    (
        (notes(1, 700), notes(2, 700)),
        f"Human: {notes(1, 700)} </s> Assistant: ",
        notes(2, 700),
        True,
    ),
    (
        ("One", "DEFG", "Two", TUNE),
        "Human: One </s> Assistant: DEFG </s> Human: Two </s> Assistant: ",
        TUNE,
        False,
    ),
]


@pytest.mark.parametrize(("contents", "instruction", "output", "is_cut"), CASES)
def test_conversations_have_the_published_tokens(
    tokenizer: PreTrainedTokenizerBase,
    encoder: Encoder,
    contents: tuple[str, ...],
    instruction: str,
    output: str,
    is_cut: bool,
) -> None:
    ids, labels = published(tokenizer, instruction, output)

    made = encoder.encode([record(*contents)])

    assert made.documents.input_ids.tolist() == ids
    assert made.documents.supervised.tolist() == [label != -100 for label in labels]
    assert made.num_cut == is_cut


def test_a_masked_last_answer_leaves_nothing_to_learn(encoder: Encoder) -> None:
    first, last = (record("One", "DEFG", "Two", TUNE) for _ in range(2))
    whole = encoder.encode([first]).documents
    first["messages"][1]["weight"] = last["messages"][3]["weight"] = 0

    made = encoder.encode([first, last])

    assert made.documents.supervised.tolist() == whole.supervised.tolist()
    assert [(drop.reason, drop.detail) for drop in made.drops] == [
        ("has nothing to learn", "no message of the assistant that is trained")
    ]


def test_published_texts_go_before_the_messages_made_of_them(
    tokenizer: PreTrainedTokenizerBase, encoder: Encoder
) -> None:
    instruction, output = "Human: Write.  </s> Assistant:", f"\n{TUNE} </s> "
    ids, labels = published(tokenizer, instruction, output)

    made = encoder.encode([record("Write.", TUNE) | {"published": [instruction, output]}])

    assert made.documents.input_ids.tolist() == ids
    assert made.documents.supervised.tolist() == [label != -100 for label in labels]


BLANKS = [
    "Human: Write. </s> Assistant: ",
    " Write.",
    "  Write.</s>Now </s>  </s>\n",
    "</s> Write. <s>",
    "\u2581Write",
    " ",
    "",
]


def with_metaspace(
    tokenizer: PreTrainedTokenizerBase, scheme: Literal["always", "first"]
) -> Encoder:
    """Encode as transformers 5 loads LLaMA's tokenizer: legacy (always) or not (first)."""
    core = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    core.normalizer = None
    core.pre_tokenizer = pre_tokenizers.Metaspace("\u2581", prepend_scheme=scheme, split=False)
    own = {"eos_token": "</s>", "bos_token": "<s>", "chat_template": tokenizer.chat_template}
    return Encoder(PreTrainedTokenizerFast(tokenizer_object=core, **own), ROWS)


def published_ids(tokenizer: PreTrainedTokenizerBase, text: str, is_legacy: bool) -> list[int]:
    """Return the tokens of transformers 4's Python tokenizer, stretch by stretch."""
    core = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    core.normalizer = normalizers.Replace(" ", "\u2581")  # what SentencePiece does but for a prefix
    ids: list[int] = []
    for number, stretch in enumerate(re.split("(<s>|</s>)", text)):
        blank = "\u2581" if stretch and number % 2 == 0 and (is_legacy or number == 0) else ""
        ids += core.encode(blank + stretch, add_special_tokens=False).ids
    return ids


@pytest.mark.parametrize("is_legacy", [True, False])
def test_blanks_are_those_of_the_published_tokenizer(
    tokenizer: PreTrainedTokenizerBase, is_legacy: bool
) -> None:
    encoder = with_metaspace(tokenizer, "always" if is_legacy else "first")

    for text in BLANKS:
        assert encoder.text(text) == published_ids(tokenizer, text, is_legacy), text
    messages = record("One", "DEFG", "Two")["messages"]
    source = "Human: One </s> Assistant: DEFG </s> Human: Two </s> Assistant: "
    assert encoder.prompt(messages) == published_ids(tokenizer, source, is_legacy)
    made = encoder.encode([record("One", " DEFG")]).documents
    first = published_ids(tokenizer, "Human: One </s> Assistant: ", is_legacy)
    answer = published_ids(tokenizer, " DEFG", is_legacy)
    assert made.input_ids.tolist() == [*first, *answer, 2]


def test_lengths_of_cut_samples_by_hand(encoder: Encoder) -> None:
    # Q is a byte of its own: every letter is a token
    def length(question: int, answer: int, end: str = "") -> tuple[int, int, int]:
        made = encoder.encode([record("Q" * question, "Q" * answer + end)])
        return len(made.documents.input_ids), int(made.documents.supervised.sum()), made.num_cut

    assert length(5000, 5000) == (2046, 510, 1)  # 1536 + (2048 - 3 - 1536) + </s>
    assert length(5000, 508) == (2046, 510, 1)  # the blank and 508 letters just fit
    assert length(5000, 400) == (1938, 402, 1)
    assert length(5000, 5000, "</s>") == (2045, 509, 1)  # its own end is cut off, none is added


def test_texts_have_no_special_tokens_but_their_own(
    tokenizer: PreTrainedTokenizerBase, encoder: Encoder
) -> None:
    texts = [TUNE, f"Q </s> {TUNE}", notes(4, 2000)]
    made = encoder.encode([{"id": "t", "source": "t", "text": text} for text in texts])

    expected = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    assert made.documents.input_ids.tolist() == list(chain.from_iterable(expected))
    assert made.documents.lengths.tolist() == [len(ids) for ids in expected]
    assert (~made.documents.supervised).sum() == 3
    assert made.num_cut == 0
    assert encoder.text(texts[0]) == expected[0]


def test_prompt_is_the_published_source(
    tokenizer: PreTrainedTokenizerBase, encoder: Encoder
) -> None:
    messages = record("One", "DEFG", "Two")["messages"]
    source = "Human: One </s> Assistant: DEFG </s> Human: Two </s> Assistant: "
    expected = tokenizer(source, add_special_tokens=False)["input_ids"]
    assert encoder.prompt(messages) == expected


@pytest.mark.parametrize(
    "unusable", [record("Write."), {"id": "t", "source": "t", "text": ""}, record("a", "b", "c")]
)
def test_what_ends_without_an_answer_has_nothing_to_learn(
    encoder: Encoder, unusable: Record
) -> None:
    (drop,) = encoder.encode([unusable]).drops
    assert drop.reason == "has nothing to learn"


def test_the_template_passes_its_check_without_a_beginning(encoder: Encoder) -> None:
    encoder.check()
    assert encoder.end_ids == [2]


def test_shorter_rows_are_refused(tokenizer: PreTrainedTokenizerBase) -> None:
    with pytest.raises(InputError) as caught:
        Encoder(tokenizer, row_settings("single", 1024, compat="reference"))
    assert str(caught.value) == (
        "data.max_length=1024 is less than the 2048 tokens at which data.compat=reference cuts; "
        "write data.max_length=2048"
    )
