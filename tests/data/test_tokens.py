from __future__ import annotations

import itertools

import pytest
from transformers import PreTrainedTokenizerBase

from musicllm.data.records import Record
from musicllm.data.rows import Documents
from musicllm.data.tokens import tokenize
from musicllm.data.vocabulary import train_tokenizer
from musicllm.errors import InputError
from tests.helpers import TEMPLATE, make_tune

USER, ASSISTANT = "user", "assistant"


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return train_tokenizer([make_tune(i) for i in range(20)], 300, TEMPLATE)


def chat(*contents: str, name: str = "c/1") -> Record:
    roles = itertools.cycle((USER, ASSISTANT))
    messages = [{"role": role, "content": content} for role, content in zip(roles, contents)]  # noqa: B905
    return {"id": name, "source": "c", "messages": messages}


def document(documents: Documents, number: int) -> tuple[list[int], list[bool]]:
    span = slice(documents.offsets[number], documents.offsets[number + 1])
    return documents.input_ids[span].tolist(), documents.supervised[span].tolist()


def supervised_text(tokenizer: PreTrainedTokenizerBase, record: Record) -> str:
    documents, _ = tokenize(tokenizer, [record], ["c"], 512)
    ids, counts = document(documents, 0)
    return tokenizer.decode([token for token, counted in zip(ids, counts, strict=True) if counted])


def test_a_text_is_supervised_but_for_its_first_token(tokenizer: PreTrainedTokenizerBase) -> None:
    # both are single bytes, so the ids are known: BOS 0, EOS 1, then the byte's own token
    records = [{"source": "b", "text": "Q"}, {"source": "a", "text": "QW"}]

    documents, drops = tokenize(tokenizer, records, ["a", "b"], 512)

    q, w = tokenizer.convert_tokens_to_ids(["Q", "W"])
    assert document(documents, 0) == ([0, q, 1], [False, True, True])
    assert document(documents, 1) == ([0, q, w, 1], [False, True, True, True])
    assert documents.source.tolist() == [1, 0]
    assert drops == []


def test_a_conversation_supervises_the_answer_and_its_end(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    record = chat("Play!", "DEFG | A4 |]")
    documents, _ = tokenize(tokenizer, [record], ["c"], 512)

    ids, counts = document(documents, 0)

    assert tokenizer.decode(ids) == "<s>Human: Play! </s> Assistant: DEFG | A4 |] </s>"
    assert ids.count(0) == 1
    assert counts[-1]
    assert supervised_text(tokenizer, record) == "DEFG | A4 |] </s>"


def test_every_answer_of_a_long_conversation_counts(tokenizer: PreTrainedTokenizerBase) -> None:
    record = chat("One", "DEF", "Two", "GAB")

    assert supervised_text(tokenizer, record) == "DEF </s>GAB </s>"


def test_training_sees_the_tokens_of_the_prompt(tokenizer: PreTrainedTokenizerBase) -> None:
    # "| DEFG" merges over blanks in this vocabulary, so the border needs care
    record = chat("Play!", "| DEFG |]")
    documents, _ = tokenize(tokenizer, [record], ["c"], 512)
    prompt = tokenizer.apply_chat_template(
        record["messages"][:1], add_generation_prompt=True, return_dict=True
    )["input_ids"]

    ids, counts = document(documents, 0)

    assert ids[: len(prompt)] == prompt
    assert counts.index(True) == len(prompt)


def test_many_records_keep_their_order(tokenizer: PreTrainedTokenizerBase) -> None:
    records = [{"source": "a", "text": "Q" * (i % 7 + 1)} for i in range(1100)]

    documents, _ = tokenize(tokenizer, records, ["a"], 512)

    assert documents.lengths.tolist() == [i % 7 + 3 for i in range(1100)]


def test_a_long_conversation_is_dropped_and_a_long_text_is_not(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    documents, drops = tokenize(tokenizer, [chat("Q", "W" * 100)], ["c"], 64)
    texts, no_drops = tokenize(tokenizer, [{"source": "c", "text": "W" * 100}], ["c"], 64)

    assert (drops[0].place, drops[0].reason) == ("c/1", "is longer than a row")
    assert drops[0].detail.endswith("tokens, data.max_length=64")
    assert documents.lengths.tolist() == []
    assert len(texts.lengths) == 1
    assert no_drops == []


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (chat("Say </s> now", "DEF"), "spells out a special token"),
        (chat("Play!"), "has nothing to learn"),
    ],
)
def test_conversations_that_cannot_be_used(
    tokenizer: PreTrainedTokenizerBase, record: Record, reason: str
) -> None:
    _, drops = tokenize(tokenizer, [record], ["c"], 512)

    assert [drop.reason for drop in drops] == [reason]


def test_a_tokenizer_without_an_end_is_an_error() -> None:
    tokenizer = train_tokenizer([make_tune(0)], 300, TEMPLATE)
    tokenizer.eos_token = None

    with pytest.raises(InputError, match="lacks an end token; choose another one"):
        tokenize(tokenizer, [{"source": "a", "text": "Q"}], ["a"], 512)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("", "the tokenizer has no chat template; choose one with template="),
        ("{{ bos_token }}" + TEMPLATE, "a conversation starts with two <s>, not one"),
        (TEMPLATE.replace("{{ bos_token }}", ""), "a conversation starts with no <s>, not one"),
        (
            TEMPLATE.replace(" </s>{% endgeneration %}", "{% endgeneration %} </s>"),
            "</s> is not in the {% generation %} block, so the model would never learn to stop",
        ),
        (
            TEMPLATE.replace("{{ m.content }} </s>{% endgeneration %}", "{% endgeneration %}"),
            "no token is supervised; put what the assistant says",
        ),
    ],
)
def test_a_template_that_cannot_teach_is_an_error(template: str, message: str) -> None:
    tokenizer = train_tokenizer([make_tune(0)], 300, template)

    with pytest.raises(InputError) as caught:
        tokenize(tokenizer, [chat("Q", "W")], ["c"], 512)
    assert message in str(caught.value)
