from __future__ import annotations

import itertools

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from musicllm.data.templates import ChatTemplate, UnfitError, without_bos
from tests.vocabularies import CHATML, SPECIAL, template

NAMED = {"bos_token": "<s>", "eos_token": "</s>"}


def conversation(*contents: str, system: str | None = None) -> list[dict[str, str]]:
    roles = itertools.cycle(("user", "assistant"))
    turns = [{"role": role, "content": content} for role, content in zip(roles, contents)]  # noqa: B905
    return [{"role": "system", "content": system}] * (system is not None) + turns


def compiled(source: str) -> ChatTemplate:
    return ChatTemplate(source, NAMED, SPECIAL)


@pytest.mark.parametrize("ends_in_prompt", [False, True])
@pytest.mark.parametrize(
    ("name", "messages"),
    [
        ("chatmusician", conversation("One", "DEF\n| é", "Two", "GAB")),
        ("llama2", conversation(" One ", "DEF", "Two", "GAB", "Three", system="Be short.")),
        ("llama2", conversation("One", "DEF")),
        ("internlm2", conversation("One", "DEF", "Two", system="Be short.")),
        ("alpaca", conversation("One", "DEF", "Two", "GAB")),
        ("alpaca", conversation("One", "DEF", system="Be short.")),
    ],
)
def test_text_and_answers_are_those_that_transformers_finds(
    name: str, messages: list[dict[str, str]], ends_in_prompt: bool
) -> None:
    source = template(name)
    (text,), (spans,) = render_jinja_template(
        [messages],
        chat_template=source,
        return_assistant_tokens_mask=True,
        add_generation_prompt=ends_in_prompt,
        **NAMED,
    )

    parts = compiled(source).parts(messages, ends_in_prompt=ends_in_prompt)

    assert "".join(each for each, _ in parts) == text
    assert [each for each, is_answer in parts if is_answer] == [text[i:j] for i, j in spans]


def test_alpaca_begins_with_the_system_message_or_its_own_sentence() -> None:
    template_ = compiled(template("alpaca"))
    rest = "\n\n### Instruction:\nOne\n\n### Response:"
    own = "Below is an instruction that describes a task. Write a response that appropriately "
    plain = template_.parts(conversation("One"), ends_in_prompt=True)
    led = template_.parts(conversation("One", system="Be short."), ends_in_prompt=True)
    assert plain == [(f"<s>{own}completes the request.{rest}", False)]
    assert led == [(f"<s>Be short.{rest}", False)]


def test_answers_are_found_in_a_template_without_blocks() -> None:
    parts = compiled(CHATML).parts(conversation("One", "DEF", "Two", "GAB\n"))
    assert parts == [
        (
            "<|im_start|>system\nHelp.<|im_end|>\n<|im_start|>user\nOne<|im_end|>\n"
            "<|im_start|>assistant\n",
            False,
        ),
        ("DEF<|im_end|>", True),
        ("\n<|im_start|>user\nTwo<|im_end|>\n<|im_start|>assistant\n", False),
        ("GAB\n<|im_end|>", True),
        ("\n", False),
    ]


def test_without_an_end_token_the_white_space_stays_with_the_answer() -> None:
    source = (
        "{% for m in messages %}{{ m.role }}: {{ m.content + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    parts = compiled(source).parts(conversation("One", "DEF"))
    assert parts == [("user: One\nassistant: ", False), ("DEF\n", True)]


@pytest.mark.parametrize(
    "source",
    [
        # the last message alone has an end; earlier answers are left out
        CHATML.replace("+ '<|im_end|>' + '\n'}}", "}}{% if loop.last %}</s>{% endif %}"),
        CHATML.replace("message['content']", "(message['content'] if loop.last else '')"),
    ],
)
def test_answers_that_cannot_be_found_are_an_error(source: str) -> None:
    with pytest.raises(UnfitError) as caught:
        compiled(source).parts(conversation("One", "DEF", "Two", "GAB"))
    assert "cannot be told from the rest" in str(caught.value)
    assert "choose another template" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "messages", "message"),
    [
        ("llama2", conversation("a")[:1] * 2, "wants user and assistant in turn, and found user"),
        ("alpaca", conversation("a") + conversation(system="b"), "knows one system message"),
        ("chatmusician", conversation(system="b"), "knows the roles user and assistant, not sys"),
    ],
)
def test_conversations_that_a_template_refuses(
    name: str, messages: list[dict[str, str]], message: str
) -> None:
    with pytest.raises(UnfitError, match=message):
        compiled(template(name)).parts(messages)


def test_a_template_reaches_nothing_but_its_messages() -> None:
    source = "{{ messages.__class__.__base__.__subclasses__() }}"
    with pytest.raises(UnfitError, match="unsafe"):
        compiled(source).parts(conversation("a"))


def test_helpers_that_templates_call() -> None:
    source = "{{ {'é': 1} | tojson }}{% for m in messages %}{% break %}{{ m }}{% endfor %}"
    assert compiled(source).parts(conversation("a")) == [('{"é": 1}', False)]
    year = compiled("{{ strftime_now('%Y') }}").parts([])[0][0]
    assert len(year) == 4


def test_a_template_can_be_told_to_write_no_beginning() -> None:
    for name in ("chatmusician", "llama2", "internlm2", "alpaca"):
        parts = compiled(without_bos(template(name))).parts(conversation("One", "DEF", "Two"))
        assert "<s>" not in "".join(text for text, _ in parts)
        assert parts[0][0][0] in "H[<B"
