"""No field of the protocol is ignored: each is followed, or refused by its name with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_type_hints

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from musicllm.serve.api.fields import CHAT, TEXT, UNSERVED_CHAT, UNSERVED_TEXT
from tests.serve.api.engines import Steered, said

VALUES: dict[str, Any] = {
    "frequency_penalty": 0.5,
    "presence_penalty": -1,
    "logit_bias": {"5": 100},
    "logprobs": True,
    "top_logprobs": 3,
    "tools": [{"type": "function", "function": {"name": "play"}}],
    "tool_choice": "required",
    "parallel_tool_calls": True,
    "functions": [{"name": "play"}],
    "function_call": {"name": "play"},
    "response_format": {"type": "json_object"},
    "modalities": ["text", "audio"],
    "audio": {"voice": "ash", "format": "wav"},
    "prediction": {"type": "content", "content": "X:1"},
    "reasoning_effort": "high",
    "verbosity": "low",
    "web_search_options": {},
    "moderation": {"model": "omni"},
    "store": True,
    "metadata": {"a": "b"},
    "service_tier": "flex",
    "prompt_cache_options": {"mode": "x"},
    "prompt_cache_retention": "24h",
    "suffix": "|]",
    "best_of": 2,
}


@pytest.fixture(scope="module")
def post() -> Iterator[Any]:
    """A function that sends a body to a path of one server."""
    import httpx

    from tests.browser.site import served, service_of

    service = service_of({"steered": Steered()}, page=False)
    with served(service) as address, httpx.Client(base_url=address, timeout=60) as client:
        yield lambda path, body: client.post(path, json=body)


def test_the_tables_have_every_field_of_the_protocol() -> None:
    pytest.importorskip("openai", reason="OpenAI's client is not installed")
    from openai.types import completion_create_params as text
    from openai.types.chat import completion_create_params as chat

    for params, followed, unserved in (
        (chat.CompletionCreateParamsStreaming, CHAT, UNSERVED_CHAT),
        (text.CompletionCreateParamsStreaming, TEXT, UNSERVED_TEXT),
    ):
        assert set(get_type_hints(params)) <= {*followed, *unserved}
        assert not set(followed) & set(unserved)


@pytest.mark.parametrize("name", sorted({*UNSERVED_CHAT, *UNSERVED_TEXT}))
def test_a_field_that_is_not_followed_is_refused_with_the_reason(post: Any, name: str) -> None:
    chat = name in UNSERVED_CHAT
    reason, neutral = (UNSERVED_CHAT if chat else UNSERVED_TEXT)[name]
    path = "/v1/chat/completions" if chat else "/v1/completions"
    body = {"messages": said("Hi")} if chat else {"prompt": "Hi"}
    refused = post(path, {**body, name: VALUES[name]})
    assert refused.status_code == 400
    error = refused.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", name)
    assert error["message"].startswith(f"{name}=")
    assert error["message"].endswith(f"is not served: {reason}")
    for value in (None, *neutral):
        assert post(path, {**body, name: value}).status_code == 200


@pytest.mark.parametrize("name", ["temprature", "max_length", "x"])
@pytest.mark.parametrize("value", [1, None])
def test_an_unknown_field_is_refused(post: Any, name: str, value: Any) -> None:
    for path, body in (
        ("/v1/chat/completions", {"messages": said("Hi")}),
        ("/v1/completions", {"prompt": "Hi"}),
    ):
        answer = post(path, {**body, name: value})
        assert answer.status_code == 400
        message = answer.json()["error"]["message"]
        assert message.startswith(f"{name} is no field of this request; ")
        assert ("temperature?" in message) == (name == "temprature")


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("temperature", "hot", "must be a number"),
        ("temperature", -1, "must be from 0"),
        ("temperature", True, "must be a number"),
        ("top_p", 0, "must be from 1e-06"),
        ("top_p", 1.5, "must be from 1e-06"),
        ("top_k", 1.5, "must be a whole number"),
        ("repetition_penalty", 0, "must be from 0.01"),
        ("seed", -1, "must be a whole number from 0 to 4,294,967,295"),
        ("seed", 2**32, "must be a whole number from 0 to 4,294,967,295"),
        ("seed", 10**30, "must be a whole number from 0 to 4,294,967,295"),
        ("max_tokens", 0, "must be a whole number from 1 to 1,024"),
        ("max_tokens", 1025, "is more than the 1,024 tokens that this server writes"),
        ("max_tokens", "9", "must be a whole number"),
        ("n", 0, "must be a whole number from 1 to 128"),
        ("n", 129, "must be a whole number from 1 to 128"),
        ("stop", "", "must be a string that is not empty"),
        ("stop", [1], "must be a string that is not empty"),
        ("stop", ["a"] * 17, "has more than 16 strings"),
        ("stream", "yes", "must be true or false"),
        ("user", 5, "must be a string"),
        ("model", 5, "must be a string"),
        ("long_conversation", "cut", "must be refuse or drop_oldest"),
        ("grammar", 5, 'must be "abc" or null'),
        ("tune", [], "must be an object"),
    ],
)
def test_a_value_of_the_wrong_type_or_range(post: Any, name: str, value: Any, rule: str) -> None:
    answer = post("/v1/chat/completions", {"messages": said("Hi"), name: value})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["param"] == name
    assert rule in error["message"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "messages must be a list of {role, content}"),
        ({"messages": []}, "messages must be a list of {role, content}"),
        ({"messages": "Hi"}, "messages must be a list of {role, content}"),
        ({"messages": ["Hi"]}, "messages[0] is a string, and must be {role, content}"),
        ({"messages": [{"role": "user"}]}, "messages[0].content is null, and must be a string"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages[0].content is empty"),
        ({"messages": [{"role": "bard", "content": "a"}]}, 'messages[0].role="bard" is none of'),
        ({"messages": [{"role": ["a"], "content": "a"}]}, "messages[0].role="),
        ({"messages": [{"role": "tool", "content": "a"}]}, 'messages[0].role="tool" is none of'),
        ({"messages": [{"role": "system", "content": "a"}]}, "messages ends with one of the syst"),
        (
            {"messages": [*said("a"), {"role": "assistant", "content": "b"}]},
            "messages ends with one of the assistant",
        ),
        (
            {"messages": [{"role": "user", "content": "a", "name": "Bob"}]},
            "messages[0].name is not served",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            'messages[0].content[0] is of type "image_url"; the models of this server read text',
        ),
        ({"messages": [*said("a")] * 1001}, "messages has 1,001 messages, more than 1,000"),
        (
            {"messages": said("a"), "max_tokens": 5, "max_completion_tokens": 6},
            "max_tokens and max_completion_tokens differ",
        ),
        (
            {"messages": said("a"), "stream_options": {"include_usage": True}},
            "stream_options is only for stream=true",
        ),
        (
            {
                "messages": said("a"),
                "stream": True,
                "stream_options": {"include_obfuscation": True},
            },
            "include_obfuscation=true is not served",
        ),
    ],
)
def test_what_is_no_conversation(post: Any, body: Any, words: str) -> None:
    answer = post("/v1/chat/completions", body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]
