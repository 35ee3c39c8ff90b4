"""Prompt files: their blocks, what they refuse, and JSON that is read out of answers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from musicllm.errors import InputError
from musicllm.synthesis.kind import PROMPTS, Rejected
from musicllm.synthesis.kinds.prompt import PromptSynthesis
from musicllm.synthesis.prompt_file import PromptFile
from musicllm.synthesis.reading import json_in, schema_check


def prompt_of(folder: Path, text: str) -> PromptFile:
    path = folder / "p.jinja"
    path.write_text(text, encoding="utf-8")
    return PromptFile(path)


def test_blocks_become_messages(tmp_path: Path) -> None:
    prompt = prompt_of(
        tmp_path,
        "{% block system %} Be brief. {% endblock %}"
        "{% block user %}{% for name in names %}- {{ name }}\n{% endfor %}{% endblock %}"
        "{% block again %}{{ answer }} {{ reason }}: {{ detail }}{% endblock %}",
    )
    first = prompt.messages({"names": ["曲", "<b>"]})
    assert first == (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "- 曲\n- <b>"},
    )
    again = prompt.again(first, {"names": []}, "No.", Rejected("is short", "3"))
    assert again[:2] == first
    assert again[2:] == (
        {"role": "assistant", "content": "No."},
        {"role": "user", "content": "No. is short: 3"},
    )


def test_a_file_without_blocks_is_what_the_user_says_and_is_asked_again_as_it_is(
    tmp_path: Path,
) -> None:
    prompt = prompt_of(tmp_path, "Name {{ what }}.\n")
    first = prompt.messages({"what": "a key"})
    assert first == ({"role": "user", "content": "Name a key."},)
    assert prompt.again(first, {}, "x", Rejected("is short")) == first
    other = prompt_of(tmp_path, "Name {{ what }}!\n")
    assert other.version != prompt.version


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Name {{ key }}.", "p.jinja, block user: 'key' is undefined"),
        ("{% block user %} {% endblock %}", "p.jinja: the user says nothing"),
        ("{% block uses %}x{% endblock %}", "has a block uses, which nothing reads; blocks are "),
        ("{% block system %}x{% endblock %}", "has no block user, which says what the teacher"),
        ("one\n{{ two", r"p.jinja:2 is no Jinja: "),
        ("{{ ''.__class__.__mro__ }}", "p.jinja, block user: access to attribute '__class__'"),
        ("{{ 1 / 0 }}", "p.jinja, block user: division by zero"),
    ],
)
def test_what_a_prompt_refuses(tmp_path: Path, text: str, said: str) -> None:
    def ask() -> None:
        prompt_of(tmp_path, text).messages({})

    with pytest.raises(InputError, match=said):
        ask()


def test_a_prompt_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"synthesis\.prompt=.*no\.jinja cannot be read"):
        PromptFile(tmp_path / "no.jinja")


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ('Here you are: [1, {"b": "}"}] and so on', [1, {"b": "}"}]),
        ('Sure.\n```json\n{"a": "x"}\n```\n{"b": 2}', {"a": "x"}),
        ("```\n[]\n```", []),
        ("a key", Rejected("is no JSON", "it has neither { nor [")),
        ('{"a": NaN}', Rejected("is no JSON", "NaN is no JSON")),
    ],
)
def test_json_is_read_out_of_an_answer(answer: str, value: Any) -> None:
    assert json_in(answer) == value


@pytest.mark.parametrize("answer", ['{"a": 1', "{a: 1}", "[" * 100_000])
def test_broken_json_is_rejected(answer: str) -> None:
    value = json_in(answer)
    assert isinstance(value, Rejected)
    assert value.reason == "is no JSON"


def test_a_schema_that_is_none(tmp_path: Path) -> None:
    pytest.importorskip("jsonschema")
    path = tmp_path / "s.json"
    path.write_text('{"type": "text"}')
    with pytest.raises(InputError, match="is no JSON Schema: 'text' is not valid"):
        schema_check(path)
    path.write_text("{")
    with pytest.raises(InputError, match=r"s\.json cannot be read"):
        schema_check(path)
    path.write_text('{"type": "array", "items": {"type": "number"}}')
    check = schema_check(path)
    assert check([1, math.pi]) is None
    assert check(["x"]) == Rejected(
        "does not fit the JSON schema", "$[0]: 'x' is not of type 'number'"
    )


def test_records_of_the_kind_prompt(tmp_path: Path) -> None:
    kind = PromptSynthesis(PROMPTS / "prompt.jinja", None)
    messages = [
        {"role": "user", "content": "What is a jig?"},
        {"role": "assistant", "content": 'A "dance"\nin 6/8.'},
    ]
    text, talk = kind.requests(
        [
            {"id": "a", "source": "s", "text": "<abc>"},
            {"id": "b", "source": "s", "messages": messages},
        ]
    )
    assert talk.variables["text"] == 'What is a jig?\n\nA "dance"\nin 6/8.'
    assert kind.parse("", text) == Rejected("is empty")
    assert kind.record(text, kind.parse("Why?", text)) == {
        "messages": [
            {"role": "user", "content": "Why?"},
            {"role": "assistant", "content": "<abc>"},
        ]
    }
    path = tmp_path / "plain.jinja"
    path.write_text("{{ text }}")
    assert PromptSynthesis(path, None).record(text, "So.") == {"text": "So."}
    with pytest.raises(InputError, match="is no record: it needs text or messages"):
        PromptSynthesis(path, lambda _: None).record(text, {"key": "D"})
    path.write_text("{% block user %}x{% endblock %}{% block record %}{{ answer }}{% endblock %}")
    with pytest.raises(InputError, match="block record, writes no JSON"):
        PromptSynthesis(path, None).record(text, "So.")
    assert json.loads(
        PromptFile(PROMPTS / "prompt.jinja").text("record", {"answer": "曲", "text": "'"})
    )
