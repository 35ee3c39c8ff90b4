from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from musicllm.data.encoder import Encoded, Encoder
from musicllm.data.records import Record
from musicllm.errors import InputError
from tests.helpers import row_settings
from tests.vocabularies import CHATML, llama_like, notes, template

ROWS = row_settings("pack", 512)
NAMES = ["chatmusician", "llama2", "internlm2", "alpaca"]
USER, ASSISTANT = "user", "assistant"


def chat(*contents: str, name: str = "c/1") -> Record:
    roles = itertools.cycle((USER, ASSISTANT))
    messages = [{"role": role, "content": content} for role, content in zip(roles, contents)]  # noqa: B905
    return {"id": name, "source": "c", "messages": messages}


def text(content: str, name: str = "t/1") -> Record:
    return {"id": name, "source": "t", "text": content}


def document(made: Encoded, number: int = 0) -> tuple[list[int], list[bool]]:
    offsets = made.documents.offsets
    span = slice(offsets[number], offsets[number + 1])
    return made.documents.input_ids[span].tolist(), made.documents.supervised[span].tolist()


def learned(tokenizer: PreTrainedTokenizerBase, made: Encoded) -> list[str]:
    """Return the text of every supervised stretch."""
    ids, counts = document(made)
    stretches = itertools.groupby(zip(ids, counts, strict=True), key=lambda pair: pair[1])
    return [tokenizer.decode([i for i, _ in pairs]) for counts, pairs in stretches if counts]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return llama_like(template("chatmusician"))


@pytest.fixture(scope="module")
def encoder(tokenizer: PreTrainedTokenizerBase) -> Encoder:
    return Encoder(tokenizer, ROWS)


def test_a_text_is_supervised_but_for_its_first_token(encoder: Encoder) -> None:
    # by hand: <s> is 1, </s> is 2, bytes begin at 5, and Q and Z are in no merge
    made = encoder.encode([text("Q"), text("QZ")])

    blank = document(made)[0][1]
    q, z = 5 + ord("Q"), 5 + ord("Z")
    assert document(made, 0) == ([1, blank, q, 2], [False, True, True, True])
    assert document(made, 1) == ([1, blank, q, z, 2], [False, True, True, True, True])
    assert made.documents.input_ids.dtype == "int32"
    assert (made.record_indices, made.drops, made.num_cut) == ([0, 1], [], 0)


def test_texts_and_conversations_mix_and_keep_their_order(encoder: Encoder) -> None:
    records = [text("Q" * (i % 7 + 1)) if i % 3 else chat("Q", "W" * (i % 5)) for i in range(700)]
    records[5] = chat("Q")

    made = encoder.encode(records)

    assert made.record_indices == [*range(5), *range(6, 700)]
    for place, number in ((0, 0), (5, 6), (698, 699)):
        assert document(made, place) == document(encoder.encode([records[number]]))


def test_what_a_text_spells_out_becomes_that_token(encoder: Encoder) -> None:
    ids, _ = document(encoder.encode([text("Q </s> W")]))
    assert ids.count(2) == 2


@pytest.mark.parametrize(
    ("name", "whole", "answers"),
    [
        (
            "chatmusician",
            "<s>Human: One </s>  Assistant: DEF </s>  Human: Two </s>  Assistant: GAB </s>",
            ["DEF </s>", "GAB </s>"],
        ),
        (
            "llama2",
            "<s>[INST] One [/INST] DEF </s><s>[INST] Two [/INST] GAB </s>",
            ["DEF </s>", "GAB </s>"],
        ),
        (
            "internlm2",
            "<s><|im_start|>user\nOne<|im_end|>\n<|im_start|>assistant\n DEF<|im_end|>\n"
            "<|im_start|>user\nTwo<|im_end|>\n<|im_start|>assistant\n GAB<|im_end|>\n",
            ["DEF<|im_end|>", "GAB<|im_end|>"],
        ),
        (
            "alpaca",
            "<s>Below is an instruction that describes a task. Write a response that appropriately "
            "completes the request.\n\n### Instruction:\nOne\n\n### Response: DEF</s>\n\n"
            "### Instruction:\nTwo\n\n### Response: GAB</s>",
            ["DEF</s>", "GAB</s>"],
        ),
    ],
)
def test_every_answer_and_its_end_count_and_nothing_else(
    name: str, whole: str, answers: list[str]
) -> None:
    tokenizer = llama_like(template(name))
    encoder = Encoder(tokenizer, ROWS)
    encoder.check()

    made = encoder.encode([chat("One", "DEF", "Two", "GAB")])

    ids, _ = document(made)
    squeezed = tokenizer.decode(ids).replace(" ", "")  # how blanks stand is told by the next tests
    assert squeezed == whole.replace(" ", "")
    assert [each.replace(" ", "") for each in learned(tokenizer, made)] == [
        answer.replace(" ", "") for answer in answers
    ]
    assert ids.count(1) == (2 if name == "llama2" else 1)
    assert ids[0] == 1 != ids[1]


@pytest.mark.parametrize("source", [*map(template, NAMES), CHATML])
def test_a_masked_answer_has_its_tokens_but_is_not_learned(source: str) -> None:
    tokenizer = llama_like(source)
    encoder = Encoder(tokenizer, ROWS)
    record = chat("One", "DEF", "Two", " GAB", "Three", "AGE")
    whole, _ = document(encoder.encode([record]))
    _, first, third = learned(tokenizer, encoder.encode([record]))
    assert (("DEF" in learned(tokenizer, encoder.encode([record]))[0]), "GAB" in first) == (1, 1)

    record["messages"][3]["weight"] = 0
    made = encoder.encode([record])

    assert document(made)[0] == whole
    assert learned(tokenizer, made)[1:] == [third]
    record["messages"][1]["weight"] = 0
    assert learned(tokenizer, encoder.encode([record])) == [third]
    record["messages"][5]["weight"] = 0
    (drop,) = encoder.encode([record]).drops
    assert drop.reason == "has nothing to learn"


def test_a_masked_answer_that_a_template_does_not_write_is_told() -> None:
    source = (
        "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% elif loop.last %}"
        "{% generation %}{{ m.content }}</s>{% endgeneration %}{% endif %}{% endfor %}"
    )
    record = chat("One", "DEF", "Two", "GAB")
    record["messages"][1]["weight"] = 0

    (drop,) = Encoder(llama_like(source), ROWS).encode([record]).drops

    assert drop.reason == "does not fit the chat template"
    assert drop.detail.startswith("a turn is masked, and the chat template writes 1 answers for t")


def test_llama2_has_the_tokens_of_its_publication() -> None:
    """There each question with its answer is one text between <s> and </s>."""
    tokenizer = llama_like(template("llama2"))
    record = chat("Hello", "Here it is", "Write", notes(1, 2))
    record["messages"].insert(0, {"role": "system", "content": "Help."})
    pairs = [
        "[INST] <<SYS>>\nHelp.\n<</SYS>>\n\nHello [/INST] Here it is ",
        f"[INST] Write [/INST] {notes(1, 2)} ",
    ]

    ids, _ = document(Encoder(tokenizer, ROWS).encode([record]))

    turns = [[1, *tokenizer(pair, add_special_tokens=False)["input_ids"], 2] for pair in pairs]
    assert ids == turns[0] + turns[1]


@pytest.mark.parametrize("name", NAMES)
def test_training_sees_the_tokens_of_the_prompt(name: str) -> None:
    encoder = Encoder(llama_like(template(name)), ROWS)
    record = chat("One", notes(1, 3), "Two", " | DEFG |]")

    ids, counts = document(encoder.encode([record]))

    first, second = encoder.prompt(record["messages"][:1]), encoder.prompt(record["messages"][:3])
    assert ids[: len(first)] == first
    assert ids[: len(second)] == second
    assert counts.index(True) == len(first)
    assert counts[len(second)]
    assert not counts[len(second) - 1]


@pytest.mark.parametrize("source", [*map(template, NAMES), CHATML])
def test_other_tools_chat_the_same_with_the_saved_tokenizer(source: str, tmp_path: Path) -> None:
    # the post-processor of this tokenizer adds a BOS of its own where it is let
    llama_like(source).save_pretrained(tmp_path)
    saved = Encoder.load(tmp_path, ROWS)
    messages = chat("Write a reel in D!")["messages"]

    theirs = AutoTokenizer.from_pretrained(tmp_path).apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True
    )

    assert saved.prompt(messages) == theirs["input_ids"]
    assert Encoder.load(tmp_path, ROWS) is saved


def test_a_saved_tokenizer_encodes_as_the_one_in_memory(
    tokenizer: PreTrainedTokenizerBase, encoder: Encoder, tmp_path: Path
) -> None:
    tokenizer.save_pretrained(tmp_path)
    records = [chat("One", notes(1, 3)), text(notes(2, 9) + " é 音 </s>")]

    saved, own = Encoder.load(tmp_path, ROWS).encode(records), encoder.encode(records)

    assert saved.documents.input_ids.tolist() == own.documents.input_ids.tolist()
    assert saved.documents.supervised.tolist() == own.documents.supervised.tolist()


def test_encoding_needs_no_transformers(tmp_path: Path) -> None:
    llama_like(template("llama2")).save_pretrained(tmp_path)
    code = (
        "import sys; from pathlib import Path; from musicllm.data.encoder import Encoder; "
        f"encoder = Encoder.load(Path({str(tmp_path)!r}), None); encoder.check(); "
        "print({'transformers', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_folder_without_a_tokenizer_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        Encoder.load(tmp_path, ROWS)
    assert str(caught.value) == (
        f"{tmp_path} has no tokenizer.json and no tokenizer_config.json; save a tokenizer there"
    )


def test_an_earlier_truncation_cuts_nothing(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.backend_tokenizer.enable_truncation(3)
    ids, _ = document(Encoder(tokenizer, ROWS).encode([text("QZQZQZQZ")]))
    assert len(ids) == 11


def test_end_tokens_are_those_of_texts_and_of_answers(encoder: Encoder) -> None:
    assert encoder.end_ids == [2]
    assert Encoder(llama_like(template("internlm2"))).end_ids == [2, 4]
    assert Encoder(llama_like(CHATML)).end_ids == [2, 4]
    assert Encoder(llama_like(None)).end_ids == [2]


def test_a_text_has_the_tokens_of_a_training_sample(encoder: Encoder) -> None:
    whole = encoder.text("Hello é")
    assert whole == document(encoder.encode([text("Hello é")]))[0]
    assert encoder.text("Hello é", is_whole=False) == whole[:-1]


def test_decoding_leaves_special_tokens_out(encoder: Encoder) -> None:
    ids, _ = document(encoder.encode([text("Hello é")]))
    assert encoder.decode(ids) == "Hello é"


def test_a_long_conversation_is_dropped_or_stops_and_a_long_text_is_neither(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    records = [chat("Q", "Q" * 100), text("Q" * 100)]
    made = Encoder(tokenizer, row_settings("pack", 64)).encode(records)

    (drop,) = made.drops
    length = len(document(Encoder(tokenizer, ROWS).encode(records[:1]))[0])
    assert (drop.source, drop.place, drop.reason) == ("c", "c/1", "is longer than a row")
    assert drop.detail == f"{length} tokens, data.max_length=64"
    assert made.record_indices == [1]
    assert made.documents.lengths.tolist() == [103]

    with pytest.raises(InputError) as caught:
        Encoder(tokenizer, row_settings("pack", 64, long_conversations="stop")).encode(records)
    assert str(caught.value) == (
        f"c, c/1: the conversation has {length} tokens, more than data.max_length=64, and is not "
        "cut; write a larger one, or data.long_conversations=drop to leave such conversations out"
    )


@pytest.mark.parametrize(
    ("record", "reason", "detail"),
    [
        (chat("Say </s> now", "DEF"), "spells out a special token", "</s>"),
        (chat("Play!", "<|im_end|>"), "spells out a special token", "<|im_end|>"),
        (chat("Play!", "\ufdd0"), "spells out a special token", "\ufdd0"),
        (chat("Play!"), "has nothing to learn", "no message of the assistant that is trained"),
        (
            {"id": "c/1", "source": "c", "messages": [{"role": "system", "content": "Be."}]},
            "does not fit the chat template",
            "the chat template says: the template chatmusician knows the roles user and assistant, "
            "not system",
        ),
    ],
)
def test_conversations_that_cannot_be_used(
    encoder: Encoder, record: Record, reason: str, detail: str
) -> None:
    made = encoder.encode([record, text("Q")])

    assert [(drop.reason, drop.detail) for drop in made.drops] == [(reason, detail)]
    assert made.record_indices == [1]


def test_a_tokenizer_without_an_end_or_a_template_is_an_error() -> None:
    tokenizer = llama_like(None)
    message = "has no chat template, so a model with it continues texts but does not chat"
    encoder = Encoder(tokenizer, ROWS)
    assert encoder.encode([text("Q")]).drops == []
    for ask in (
        encoder.check,
        lambda: encoder.encode([chat("a", "b")]),
        lambda: encoder.prompt([]),
    ):
        with pytest.raises(InputError, match=message):
            ask()
    tokenizer.eos_token = None
    with pytest.raises(InputError, match="lacks an end token; choose another one"):
        Encoder(tokenizer, ROWS)


GOOD = template("chatmusician")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ bos_token }}" + GOOD, "a conversation starts with two <s>, not one"),
        (GOOD.replace("{{ bos_token }}", ""), "a conversation starts with no <s>, not one"),
        (
            GOOD.replace(" {{ eos_token }}{% endgeneration %}", "{% endgeneration %} </s>"),
            "</s> is not in the {% generation %} block, so the model would never learn to stop",
        ),
        (
            "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}"
            "{% if false %}{% generation %}{% endgeneration %}{% endif %}",
            "no token is supervised; put what the assistant says",
        ),
        ("{{ bos_token }}\n{% for m in %}", "template.jinja: line 2: Expected an expression"),
    ],
)
def test_a_template_that_cannot_teach_is_an_error(source: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        Encoder(llama_like(source), ROWS).check()
    assert message in str(caught.value)
