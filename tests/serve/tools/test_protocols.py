"""How each protocol tells of tools, reads calls, and shows results; malformed calls are calls."""

from __future__ import annotations

import json

import pytest

from musicllm.data.records import Message
from musicllm.data.templates import ChatTemplate
from musicllm.errors import InputError
from musicllm.inference.engines import ChatForm
from musicllm.serve.tools import TOOLS, Call
from musicllm.serve.tools.loop import choose_protocol
from musicllm.serve.tools.protocols import PROTOCOLS, protocol_of
from tests.serve.chat.scripted import Scripted

USER: Message = {"role": "user", "content": "Check it."}
SYSTEM: Message = {"role": "system", "content": "You compose."}
CHECK = [TOOLS["check_tune"]]

HERMES = (
    "{% if tools %}TOOLS{% for tool in tools %}{{ tool | tojson }}{% endfor %}<tool_call>"
    "{% endif %}"
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
)
"""A template of the form of Qwen's: tools before the conversation, roles written out."""
LLAMA = "{% if tools is not none %}{{ tools | tojson }}{% endif %}ipython{{ messages[0].content }}"
CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"


def names(calls: tuple[Call, ...]) -> list[tuple[str, object]]:
    return [(call.name, dict(call.arguments)) for call in calls]


@pytest.mark.parametrize(
    ("template", "tokens", "protocol"),
    [
        (HERMES, (), "hermes"),
        (LLAMA, (), "llama3"),
        (CHATML, ("<|im_end|>", "<|plugin|>"), "internlm2"),
        (CHATML, ("<|im_end|>",), "plain"),
        (HERMES.replace("tools", "functions"), (), "plain"),
    ],
)
def test_the_protocol_is_that_of_the_template(
    template: str, tokens: tuple[str, ...], protocol: str
) -> None:
    assert protocol_of(ChatForm(template, tokens)).name == protocol
    assert protocol_of(None).name == "plain"


def test_a_protocol_that_the_template_does_not_tell_is_refused() -> None:
    engine = Scripted("x")
    assert choose_protocol(engine, None).name == "plain"
    assert choose_protocol(engine, "internlm2").name == "internlm2"
    with pytest.raises(InputError, match=r"tools.protocol=hermes is told by a chat template"):
        choose_protocol(engine, "hermes")
    engine.chat_form = ChatForm(HERMES, ())  # type: ignore[attr-defined]
    assert choose_protocol(engine, "hermes").name == "hermes"
    assert choose_protocol(engine, None).name == "hermes"
    with pytest.raises(InputError, match=r"tools.protocol=llama3"):
        choose_protocol(engine, "llama3")


def test_a_template_is_rendered_with_the_tools() -> None:
    template = ChatTemplate(HERMES, {}, [])
    told = PROTOCOLS["hermes"].told([USER], CHECK, True)
    ((text, _),) = template.parts(told)
    head, _, rest = text.partition("<tool_call>")
    assert json.loads(head.removeprefix("TOOLS"))["function"]["name"] == "check_tune"
    assert rest == "[user]Check it."
    ((without, _),) = template.parts([USER])
    assert without == "[user]Check it."


def test_hermes_reads_calls_and_nothing_that_is_made_up_behind_them() -> None:
    call = '<tool_call>\n{"name": "check_tune", "arguments": {"tune": "X:1\nK:D\n|"}}\n</tool_call>'
    other = '<tool_call>{"name": "transpose", "arguments": "{\\"semitones\\": 2}"}</tool_call>'
    written = PROTOCOLS["hermes"].read(f"Let me see. {call}\n{other} It is fine. {call}")
    assert written.text == "Let me see."
    assert names(written.calls) == [
        ("check_tune", {"tune": "X:1\nK:D\n|"}), ("transpose", {"semitones": 2}),
    ]  # fmt: skip
    assert written.content == f"Let me see. {call}\n{other}"
    plain = PROTOCOLS["hermes"].read("X:1\nK:D\nABcd|]")
    assert (plain.text, plain.calls) == ("X:1\nK:D\nABcd|]", ())
    (result,) = PROTOCOLS["hermes"].results([Call("x")], [{"valid": True}])
    assert result == {"role": "tool", "content": '{"valid": true}'}


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("<tool_call>{'name': 1}</tool_call>", "the call is no valid JSON"),
        ("<tool_call>", "the call is no valid JSON"),
        ("<tool_call>[1]</tool_call>", "the call has no name"),
        ('<tool_call>{"name": "x", "arguments": [1]}</tool_call>', "the arguments of x are no obj"),
        ('<tool_call>{"name": "x", "arguments": "{"}</tool_call>', "the arguments of x are no obj"),
        ("<tool_call>" + "[" * 100_000, "the call is no valid JSON"),
    ],
)
def test_a_malformed_call_is_a_call_with_a_problem(source: str, problem: str) -> None:
    (call,) = PROTOCOLS["plain"].read(source).calls
    assert call.problem.startswith(problem)
    assert '{"name": "check_tune", "arguments": {}}' in call.problem


def test_a_call_that_was_cut_off_is_read_to_the_end() -> None:
    (call,) = PROTOCOLS["plain"].read('<tool_call>{"name": "check_tune", "arguments": {}}').calls
    assert (call.name, call.problem) == ("check_tune", "")


def test_llama_writes_a_call_as_the_whole_answer() -> None:
    read = PROTOCOLS["llama3"].read
    call = '{"name": "transpose", "parameters": {"semitones": "2"}}'
    for answer in (call, f"<|python_tag|>{call}", f"  {call}\n\nThe result is"):
        written = read(answer)
        assert names(written.calls) == [("transpose", {"semitones": "2"})]
        assert (written.text, written.content) == ("", call)
    assert read(f"I call {call}").calls == ()
    assert read('{"name": ').calls[0].problem.startswith("the call is no valid JSON")
    (result,) = PROTOCOLS["llama3"].results([Call("x")], [{"error": "no"}])
    assert result["role"] == "ipython"


def test_internlm_tells_tools_and_results_in_roles_of_its_own() -> None:
    protocol = PROTOCOLS["internlm2"]
    told = protocol.told([SYSTEM, USER], CHECK, True)
    assert [message["role"] for message in told] == ["system", "system name=<|plugin|>", "user"]
    (function,) = json.loads(told[1]["content"])
    assert function["name"] == "check_tune"
    assert protocol.told([USER], CHECK, True)[0]["role"] == "system name=<|plugin|>"
    call = '{"name": "check_tune", "parameters": {}}'
    marked = f"I look.<|action_start|><|plugin|>\n{call}<|action_end|>"
    for answer in (marked, f"I look.{call}", f"{marked}\nIt says"):
        written = protocol.read(answer)
        assert written.text == "I look."
        assert names(written.calls) == [("check_tune", {})]
        assert written.content == marked
    assert protocol.read("A tune: X:1").calls == ()
    assert protocol.read("<|action_start|>hm").calls[0].problem.startswith("the call is no object")
    assert protocol.read('{"name": "x", oops').calls[0].problem.startswith("the call is no valid")
    (result,) = protocol.results([Call("x")], [{}])
    template = ChatTemplate(CHATML, {}, ["<|im_end|>"])
    ((text, _),) = template.parts([result])
    assert text == "<|im_start|>environment name=<|plugin|>\n{}<|im_end|>\n"


def test_the_fixed_form_is_told_in_the_system_prompt_or_the_first_message() -> None:
    told = PROTOCOLS["plain"].told
    first, last = told([USER], CHECK, True)
    assert first["role"] == "system"
    assert "\n- check_tune([tune]): Checks a tune" in first["content"]
    assert '<tool_call>{"name": "check_tune", "arguments": {}}</tool_call>' in first["content"]
    assert last == USER
    (own,) = told([USER], CHECK, False)
    assert own["role"] == "user"
    assert own["content"].startswith("Check it.\n\nYou can use tools.")
    system, _ = told([SYSTEM, USER], CHECK, True)
    assert system["content"].startswith("You compose.\n\nYou can use tools.")
    results = PROTOCOLS["plain"].results([Call("x"), Call("y")], [{"a": 1}, {"b": "音"}])
    assert results == [
        {
            "role": "user",
            "content": '<tool_response>\n{"a": 1}\n</tool_response>\n'
            '<tool_response>\n{"b": "音"}\n</tool_response>',
        }
    ]
