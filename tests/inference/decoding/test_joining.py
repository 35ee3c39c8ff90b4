"""Requests that join texts that are being written: each text is what it is alone."""

from __future__ import annotations

import dataclasses
import gc
import threading
from collections import defaultdict
from collections.abc import Sequence
from functools import wraps
from typing import Any

import pytest
import torch

from musicllm.data.encoder import Encoder
from musicllm.errors import InputError, StageError
from musicllm.inference.decoding import batch
from musicllm.inference.decoding.loop import Prompt, Writer
from musicllm.inference.requests import Completion, WritingRequest
from tests.inference.decoding.test_loop import GREEDY, IDS, KINDS, PROMPTS, QUICK, SAMPLED
from tests.inference.feeds import NotedTicket, TimedFeed
from tests.model import families

TIMES = (0, 0, 1, 4, 9, 10, 11, 30)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(families.tokenizer())


@pytest.fixture(scope="module")
def llama() -> torch.nn.Module:
    return families.build("llama", attention=None)


def serve(
    writer: Writer,
    prompts: Sequence[Prompt],
    times: Sequence[int] = TIMES,
    **ticket: Any,
) -> list[NotedTicket]:
    """Return the tickets of prompts that came at some times; a request names its prompt."""
    tickets = [
        NotedTicket(WritingRequest(None, str(number), prompt.settings, prompt.seed), **ticket)
        for number, prompt in enumerate(prompts)
    ]
    feed = TimedFeed(tickets, times[: len(tickets)])
    writer.serve(feed, lambda request: prompts[int(request.text or "")])
    return tickets


def alone(model: torch.nn.Module, encoder: Encoder, prompts: Sequence[Prompt]) -> list[Completion]:
    return [next(iter(Writer(model, encoder, 1).write([prompt])))[1] for prompt in prompts]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name in KINDS
        if name not in families.MOE
    ],
)
def test_a_text_does_not_depend_on_when_it_joined(name: str, encoder: Encoder) -> None:
    model = families.build(name, attention=None)
    expected = alone(model, encoder, PROMPTS)
    for batch_size, times in ((8, TIMES), (3, [0] * 8), (5, [0, 20, 21, 22, 23, 24, 25, 26])):
        tickets = serve(Writer(model, encoder, batch_size), PROMPTS, times)
        assert [ticket.completion for ticket in tickets] == expected
        assert ["".join(ticket.pieces) for ticket in tickets] == [one.text for one in expected]
    backwards = serve(Writer(model, encoder, 8), PROMPTS[::-1])
    assert [ticket.completion for ticket in backwards] == expected[::-1]


def test_logits_are_the_same_bits_whenever_a_text_joined(
    llama: torch.nn.Module, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[int, list[torch.Tensor]] = defaultdict(list)
    choose = batch.choose

    def noted(scores, settings, draws):  # type: ignore[no-untyped-def]
        for row, (seed, _) in zip(scores, draws, strict=True):
            seen[seed].append(row.clone())
        return choose(scores, settings, draws)

    monkeypatch.setattr(batch, "choose", noted)
    settings = dataclasses.replace(SAMPLED, max_new_tokens=40)
    prompts = [dataclasses.replace(prompt, settings=settings) for prompt in PROMPTS]
    alone(llama, encoder, prompts)
    expected, seen = seen, defaultdict(list)
    serve(Writer(llama, encoder, 8), prompts)
    assert seen.keys() == expected.keys()
    for seed, rows in expected.items():
        assert torch.equal(torch.stack(seen[seed]), torch.stack(rows)), seed


def test_places_come_and_go_with_the_texts(
    llama: torch.nn.Module, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = noted_shapes(llama, monkeypatch)
    prompts = [
        Prompt(IDS[0], dataclasses.replace(GREEDY, max_new_tokens=length), seed)
        for seed, length in enumerate([60, 12, 12, 12, 12, 12])
    ]
    writer = Writer(llama, encoder, 16)
    tickets = serve(writer, prompts, [0, 1, 2, 3, 4, 5])
    written = [ticket.completion for ticket in tickets]
    assert [one.num_new_tokens for one in written if one and not one.finished][:1] == [60]
    sizes = [shape[0] for shape in shapes if shape[1] == 1]
    assert sizes[:3] == [4, 4, 4]
    assert max(sizes) == 8
    assert sizes[-1] == 4
    assert writer._batch.size == 0, "nothing is held when nothing is written"


def test_a_text_that_is_over_costs_nothing_from_the_next_token_on(
    llama: torch.nn.Module, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = noted_shapes(llama, monkeypatch)
    prompt = Prompt(IDS[0], dataclasses.replace(SAMPLED, max_new_tokens=300), 3)
    [ticket] = serve(Writer(llama, encoder, 4), [prompt], [0], most_pieces=5)
    assert len(ticket.pieces) == 5
    assert ticket.completion is not None
    assert ticket.completion.text.startswith("".join(ticket.pieces))
    num_tokens = ticket.completion.num_new_tokens
    assert len([shape for shape in shapes if shape[1] == 1]) == num_tokens - 1
    assert not ticket.completion.finished


def test_a_text_of_special_tokens_alone_ends_when_it_is_over(
    llama: torch.nn.Module, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only when a piece of text comes, which may be never."""
    special = next(n for n in sorted(encoder.lexicon.special_ids) if n not in encoder.end_ids)
    forward = llama.forward
    calls: list[NotedTicket] = []
    prompt = Prompt(IDS[1], dataclasses.replace(GREEDY, max_new_tokens=400), 0)
    ticket = NotedTicket(WritingRequest(None, "0", prompt.settings, 0))

    @wraps(forward)
    def only_special(**keywords: Any) -> Any:
        calls.append(ticket)
        ticket.is_over = len(calls) > 10
        output = forward(**keywords)
        output.logits[..., special] = 1e4
        return output

    monkeypatch.setattr(llama, "forward", only_special)
    Writer(llama, encoder, 4).serve(TimedFeed([ticket], [0]), lambda _: prompt)
    assert (ticket.pieces, len(calls)) == ([], 11)
    assert ticket.completion == Completion("", 11, False, len(prompt.ids))


class NoWay:
    """A constraint that allows some tokens and then none; see `Constraint`."""

    def __init__(self, num_allowed: int) -> None:
        self.num_allowed = num_allowed

    def begin(self) -> NoWay:
        return NoWay(self.num_allowed)

    def accept(self, _: int) -> bool:
        self.num_allowed -= 1
        return self.num_allowed >= 0

    def first(self, _: object) -> None:
        return None


def test_a_request_that_cannot_be_written_fails_alone(
    llama: torch.nn.Module, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No token is allowed, too long, no prompt at all, an error while it is read, no numbers."""
    expected = alone(llama, encoder, PROMPTS)
    bad = 17
    forward = llama.forward

    @wraps(forward)
    def picky(input_ids: torch.Tensor, **keywords: Any) -> Any:
        if input_ids.shape[1] == 7:
            raise IndexError("index out of range in self")
        output = forward(input_ids=input_ids, **keywords)
        output.logits[(input_ids == bad).any(1)] = float("nan")
        return output

    monkeypatch.setattr(llama, "forward", picky)
    others = [prompt for prompt in PROMPTS if bad not in prompt.ids]
    assert all(bad not in prompt.ids for prompt in PROMPTS)
    stuck: Any = NoWay(3)
    failing = [
        dataclasses.replace(PROMPTS[0], constraint=stuck),
        dataclasses.replace(PROMPTS[0], ids=[5] * 4000),
        dataclasses.replace(PROMPTS[0], ids=[]),
        dataclasses.replace(PROMPTS[0], ids=[5] * 7),
        dataclasses.replace(PROMPTS[0], ids=[5, bad]),
    ]
    mixed = [one for pair in zip(others, failing, strict=False) for one in pair]
    mixed += others[len(failing) :]
    tickets = serve(Writer(llama, encoder, 8), mixed, [0, 0, 2, 2, 3, 3, 4, 4, 5, 6, 6, 6, 6])
    good = [ticket for ticket in tickets if ticket.error is None]
    assert [ticket.completion for ticket in good] == expected
    errors = [ticket.error for ticket in tickets if ticket.error is not None]
    assert [type(error) for error in errors[:3]] == [StageError, InputError, InputError]
    for error, words in zip(
        errors,
        (
            "as the grammar demands",
            "prompt 1 has 4000 tokens",
            "prompt 1 is empty",
            "index out of range",
            "scores that are not numbers",
        ),
        strict=True,
    ):
        assert words in str(error)


def test_an_error_of_a_step_ends_what_is_written_and_not_what_comes(
    llama: torch.nn.Module, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    [_, _, expected] = alone(llama, encoder, PROMPTS[:3])
    forward = llama.forward
    steps: list[int] = []

    @wraps(forward)
    def fails_once(input_ids: torch.Tensor, **keywords: Any) -> Any:
        steps.append(input_ids.shape[1])
        if len(steps) == 6:
            raise RuntimeError("a kernel failed")
        return forward(input_ids=input_ids, **keywords)

    monkeypatch.setattr(llama, "forward", fails_once)
    first, second, third = serve(Writer(llama, encoder, 4), PROMPTS[:3], [0, 1, 50])
    assert [str(one.error) for one in (first, second)] == ["a kernel failed"] * 2
    assert third.completion == expected


def test_memory_that_does_not_suffice_halves_the_places_until_nothing_is_written(
    llama: torch.nn.Module, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = alone(llama, encoder, PROMPTS)
    forward = llama.forward

    @wraps(forward)
    def limited(input_ids: torch.Tensor, **keywords: Any) -> Any:
        if input_ids.shape[0] > 4 and keywords["past_key_values"].get_seq_length() > 44:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return forward(input_ids=input_ids, **keywords)

    monkeypatch.setattr(llama, "forward", limited)
    writer = Writer(llama, encoder, 8)
    tickets = serve(writer, PROMPTS, [0] * 8)
    assert [ticket.completion for ticket in tickets] == expected
    assert ["".join(ticket.pieces) for ticket in tickets] == [one.text for one in expected]
    assert writer._batch.num_places == 8


def test_memory_that_does_not_suffice_for_one_request_fails_it_alone(
    llama: torch.nn.Module, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    [expected] = alone(llama, encoder, PROMPTS[:1])
    forward = llama.forward

    @wraps(forward)
    def limited(input_ids: torch.Tensor, **keywords: Any) -> Any:
        if input_ids.shape[1] > 50:
            raise MemoryError("nothing left")
        return forward(input_ids=input_ids, **keywords)

    monkeypatch.setattr(llama, "forward", limited)
    large = dataclasses.replace(PROMPTS[0], ids=[5] * 60)
    good, bad = serve(Writer(llama, encoder, 4), [PROMPTS[0], large], [0, 50])
    assert good.completion == expected
    assert "memory does not suffice for one prompt" in str(bad.error)


def test_texts_whose_frequencies_change_wait_until_they_are_alone(encoder: Encoder) -> None:
    rope = {
        "rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * 4,
        "long_factor": [8.0] * 4, "original_max_position_embeddings": 48,
    }  # fmt: skip
    model = families.build("phi3", rope_parameters=rope, original_max_position_embeddings=48)
    prompts = [dataclasses.replace(prompt, settings=GREEDY) for prompt in PROMPTS]
    expected = alone(model, encoder, prompts)
    tickets = serve(Writer(model, encoder, 8), prompts, [0] * 8)
    assert [ticket.completion for ticket in tickets] == expected


def test_who_leaves_before_there_is_room_lets_others_pass(encoder: Encoder) -> None:
    rope = {
        "rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * 4,
        "long_factor": [8.0] * 4, "original_max_position_embeddings": 60,
    }  # fmt: skip
    model = families.build("phi3", rope_parameters=rope, original_max_position_embeddings=60)
    prompts = [
        Prompt(IDS[1], dataclasses.replace(GREEDY, max_new_tokens=length), 0)
        for length in (50, 100, 2)  # the second has to be alone
    ]
    tickets = [NotedTicket(WritingRequest(None, str(n), GREEDY, n)) for n in range(3)]
    tickets[1].is_over = True
    told: list[int] = []
    for number, ticket in enumerate(tickets):
        done = ticket.done
        ticket.done = lambda whole, n=number, done=done: (told.append(n), done(whole))  # type: ignore[method-assign,assignment,misc]
    feed = TimedFeed(tickets, [0, 1, 2])
    Writer(model, encoder, 8).serve(feed, lambda request: prompts[int(request.text or "")])
    assert told == [1, 2, 0]


def test_two_models_at_a_time_write_as_one_does(encoder: Encoder) -> None:
    """Attention is replaced for all models of the process while one of them computes."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    before = ALL_ATTENTION_FUNCTIONS["sdpa"]
    models = [families.build(name, attention=None) for name in ("llama", "qwen3")]
    expected = [alone(model, encoder, PROMPTS) for model in models]
    tickets: dict[int, list[NotedTicket]] = {}

    def work(number: int) -> None:
        tickets[number] = serve(Writer(models[number], encoder, 4), PROMPTS)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(2):
        assert [ticket.completion for ticket in tickets[number]] == expected[number]
    assert ALL_ATTENTION_FUNCTIONS["sdpa"] is before


def test_memory_stays_flat_over_many_requests(llama: torch.nn.Module, encoder: Encoder) -> None:
    settings = dataclasses.replace(SAMPLED, max_new_tokens=3)
    prompts = [Prompt(IDS[seed % len(IDS)], settings, seed) for seed in range(500)]
    alive: list[int] = []

    def prompt_of(request: WritingRequest) -> Prompt:
        if request.seed % 100 == 99:
            gc.collect()
            alive.append(sum(isinstance(one, torch.Tensor) for one in gc.get_objects()))
        return prompts[request.seed]

    tickets = [NotedTicket(WritingRequest(None, "", settings, seed)) for seed in range(500)]
    Writer(llama, encoder, 8).serve(TimedFeed(tickets, range(500)), prompt_of)
    assert all(ticket.completion for ticket in tickets)
    assert len(alive) == 5
    assert max(alive) - min(alive) < 40, alive


def noted_shapes(model: torch.nn.Module, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Return a list to which the shape of every input is added."""
    shapes: list[tuple[int, ...]] = []
    forward = model.forward

    @wraps(forward)
    def noted(input_ids: torch.Tensor, **keywords: Any) -> Any:
        shapes.append(tuple(input_ids.shape))
        return forward(input_ids=input_ids, **keywords)

    monkeypatch.setattr(model, "forward", noted)
    return shapes
