"""`/v1/chat/completions` by OpenAI's client: answers, streams, choices, stops, context, grammar."""

from __future__ import annotations

from typing import Any

import pytest

from musicllm.errors import InputError, NotAvailableError
from tests.serve.api.engines import Steered, client_of, said
from tests.waiting import wait_for

HELLO = said("Hello")


def ask(client: Any, **fields: Any) -> Any:
    fields = {"model": "steered", "messages": HELLO, **fields}
    return client.chat.completions.create(**fields)


def refusal(client: Any, **fields: Any) -> Any:
    """Return the error of a request that is wrong."""
    import openai

    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, **fields)
    return caught.value


def test_an_answer_is_whole(client: Any, engine: Steered) -> None:
    answer = ask(client, seed=5, temperature=0, top_p=0.5, max_tokens=100)
    (choice,) = answer.choices
    assert (choice.message.content, choice.finish_reason) == ("You said: Hello", "stop")
    assert answer.model == "steered"
    assert answer.id.startswith("chatcmpl-")
    usage = answer.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (15, 5, 20)
    own = {"end": "model", "seed": 5, "num_left_out": 0, "num_prompt_tokens": 15}
    assert answer.musicllm == choice.musicllm == own
    (request,) = engine.requests
    settings = request.settings
    assert (settings.temperature, settings.top_p, settings.max_new_tokens) == (0, 0.5, 100)
    assert (request.seed, request.rules) == (5, None)


def test_a_stream_has_the_same_text_in_pieces(client: Any) -> None:
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))
    *pieces, last, usage = chunks
    texts = [chunk.choices[0].delta.content for chunk in pieces]
    assert texts == ["", "You", " sa", "id:", " He", "llo"]
    assert pieces[0].choices[0].delta.role == "assistant"
    assert last.choices[0].finish_reason == "stop"
    assert last.musicllm["end"] == "model"
    assert not usage.choices
    assert usage.usage.total_tokens == 20
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_stream_says_how_many_come_first(address: str, engine: Steered) -> None:
    import httpx

    body = {"messages": HELLO, "stream": True}
    with httpx.stream("POST", f"{address}/v1/chat/completions", json=body) as response:
        content = response.read().decode()
    assert response.headers["content-type"].startswith("text/event-stream")
    assert content.startswith(": waiting 0\n\n")
    assert content.endswith("data: [DONE]\n\n")


def test_an_answer_ends_at_its_length(client: Any) -> None:
    answer = ask(client, max_tokens=2)
    assert answer.choices[0].message.content == "You sa"
    assert answer.choices[0].finish_reason == "length"
    assert answer.musicllm["end"] == "length"
    assert ask(client, max_completion_tokens=1).choices[0].message.content == "You"


def test_choices_have_seeds_of_their_own(client: Any, engine: Steered) -> None:
    answer = ask(client, n=3, seed=2**32 - 2)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert [choice.musicllm["seed"] for choice in answer.choices] == [2**32 - 2, 2**32 - 1, 0]
    assert answer.usage.completion_tokens == 15
    streamed: dict[int, str] = {}
    for chunk in ask(client, n=2, stream=True):
        index, piece = chunk.choices[0].index, chunk.choices[0].delta.content
        streamed[index] = streamed.get(index, "") + (piece or "")
    assert streamed == {0: "You said: Hello", 1: "You said: Hello"}


def test_without_a_seed_each_answer_takes_the_next(client: Any) -> None:
    first, second = ask(client), ask(client, n=2)
    third = ask(client)
    assert first.musicllm["seed"] + 1 == second.choices[0].musicllm["seed"]
    assert first.musicllm["seed"] + 3 == third.musicllm["seed"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_string_ends_the_text_before_it(client: Any, engine: Steered, stream: bool) -> None:
    engine.script = lambda _: "abcdefghijklmnopqrstuvwxyz" * 30
    engine.pause_s = 0.005
    answer = ask(client, stop=["mno", "XYZ"], stream=stream, max_tokens=300)
    if stream:
        chunks = list(answer)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        finish, own = chunks[-1].choices[0].finish_reason, chunks[-1].musicllm
    else:
        text, finish = answer.choices[0].message.content, answer.choices[0].finish_reason
        own = answer.musicllm
    assert (text, finish, own["end"]) == ("abcdefghijkl", "stop", "stopped")
    wait_for(lambda: engine.num_ended_early == 1)
    assert engine.num_pieces < 260
    if not stream:
        assert answer.usage.completion_tokens == 12  # as this engine counts what it reads


def test_content_may_be_parts_and_developers_are_the_system(client: Any, engine: Steered) -> None:
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo ♯ 你好 🎵"}]
    answer = ask(
        client,
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": parts},
        ],
    )
    assert answer.choices[0].message.content == "You said: Hello ♯ 你好 🎵"
    assert engine.requests[0].messages == (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello ♯ 你好 🎵"},
    )


def test_without_a_length_an_answer_has_what_room_there_is(client: Any, engine: Steered) -> None:
    ask(client, messages=said("x" * 900))
    assert engine.requests[0].settings.max_new_tokens == 90
    error = refusal(client, messages=said("x" * 900), max_tokens=91)
    assert error.code == "context_length_exceeded"
    assert error.message.endswith(
        "messages has 910 tokens, and the context of the model 1,000, which leaves 90; write at "
        'most max_tokens=90, or write long_conversation="drop_oldest"'
    )
    assert "which the answer shares; shorten it" in str(refusal(client, messages=said("x" * 990)))


def test_old_turns_are_left_out_where_a_request_says_so(client: Any, engine: Steered) -> None:
    turns = [
        {"role": role, "content": letter * 200}
        for letter in "abc"
        for role in ("user", "assistant")
    ]
    messages = [{"role": "system", "content": "s"}, *turns, *HELLO]
    assert "shorten it" in str(refusal(client, messages=messages))
    extra = {"long_conversation": "drop_oldest"}
    answer = ask(client, messages=messages, max_tokens=400, extra_body=extra)
    assert answer.musicllm["num_left_out"] == 2
    assert answer.musicllm["num_prompt_tokens"] == 10 + 1 + 400 + 5
    seen = engine.requests[0].messages
    assert seen is not None
    assert [message["content"][:1] for message in seen] == ["s", "c", "c", "H"]
    too_long = refusal(client, messages=said("x" * 990), extra_body=extra)
    assert "the message is too long: it has 1000 tokens" in str(too_long)


def test_an_engine_that_counts_nothing_says_no_usage(client: Any, engine: Steered) -> None:
    engine.counts = False
    answer = ask(client)
    assert answer.choices[0].message.content == "You said: Hello"
    assert answer.usage is None
    assert answer.musicllm["num_prompt_tokens"] is None


def test_grammar_and_rules_of_a_tune(client: Any, engine: Steered) -> None:
    ask(client, extra_body={"grammar": "abc"})
    ask(client, extra_body={"tune": {"key": "Em", "chords": ["Em", "D"], "num_bars": 8}})
    plain, ruled = (request.rules for request in engine.requests)
    assert plain is not None
    assert ruled is not None
    assert (plain.key, ruled.key, ruled.chords, ruled.num_bars) == (None, "Em", ("Em", "D"), 8)
    wrong = {
        "tune.key": {"tune": {"key": "Q"}},
        "tune.num_bars": {"tune": {"num_bars": 0}},
        "tune.chords": {"tune": {"chords": "G"}},
        "tune.may_change": {"tune": {"may_change": None}},
        "tune": {"tune": {"key": "G"}, "grammar": None},
        "grammar": {"grammar": "json"},
    }
    for param, extra in wrong.items():
        assert refusal(client, extra_body=extra).param == param
    unknown = refusal(client, extra_body={"tune": {"meter": "3/4"}})
    assert (unknown.param, unknown.body["message"]) == (
        "tune.meter",
        'tune.meter="3/4" is no rule of a tune; metre?',
    )


def test_own_sampling_fields(client: Any, engine: Steered) -> None:
    ask(client, extra_body={"top_k": 7, "repetition_penalty": 1.3})
    settings = engine.requests[0].settings
    assert (settings.top_k, settings.repetition_penalty) == (7, 1.3)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (InputError("the chat template says: no"), 400, "the chat template says: no"),
        (NotAvailableError("the engine is gone"), 503, "the engine is gone"),
    ],
)
def test_an_error_of_the_engine_is_told(
    client: Any, engine: Steered, stream: bool, error: Exception, status: int, words: str
) -> None:
    import openai

    engine.error = error
    with pytest.raises(openai.APIError, match=words) as caught:
        list(ask(client, stream=stream))
    if not stream:
        assert getattr(caught.value, "status_code", None) == status
    engine.error = None
    assert ask(client).choices[0].finish_reason == "stop"


def test_other_models_are_named(client: Any) -> None:
    import openai

    with pytest.raises(openai.NotFoundError, match="there is no model gpt-4 here; there is steere"):
        ask(client, model="gpt-4")


def test_models(client: Any) -> None:
    (model,) = client.models.list().data
    assert (model.id, model.owned_by) == ("steered", "musicllm")
    assert model.musicllm == {
        "state": "ready",
        "error": None,
        "follows_grammar": True,
        "context": 1000,
    }
    assert client.models.retrieve("steered").id == "steered"


def test_the_system_prompt_of_the_server_stands_before_conversations_that_have_none(
    engine: Steered,
) -> None:
    from tests.browser.site import served, service_of

    pytest.importorskip("openai", reason="OpenAI's client is not installed")
    service = service_of({"steered": engine}, page=False, system="You compose.")
    own = [{"role": "system", "content": "Mine."}, *HELLO]
    with served(service) as address, client_of(address) as client:
        for messages in (HELLO, own, [{"role": "developer", "content": "Mine."}, *HELLO]):
            ask(client, messages=messages)
    heads = [request.messages[0] for request in engine.requests]
    assert [head["content"] for head in heads] == ["You compose.", "Mine.", "Mine."]
    assert {head["role"] for head in heads} == {"system"}
    assert all(request.messages[1:] == tuple(HELLO) for request in engine.requests)
