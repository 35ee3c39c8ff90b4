"""Asking without a server: an engine that cannot be joined, one that fails, and stored answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from musicllm.data.records import Message
from musicllm.errors import ArtifactError, StageError
from musicllm.inference.requests import Completion, SamplingSettings, WritingRequest
from musicllm.synthesis.answers import Answer, AnswerStore
from musicllm.synthesis.asking import Asking, Limits
from musicllm.synthesis.dialogue import Dialogues, Settled
from musicllm.synthesis.items import Items
from musicllm.synthesis.kind import Item
from musicllm.synthesis.kinds.prompt import PromptSynthesis
from musicllm.synthesis.limits import Bucket, Budget, Prices, Usage
from musicllm.synthesis.prompt_file import PromptFile

SAMPLING = SamplingSettings(0.5, 0, 1.0, 1.0, 16)


class Echo:
    """An engine that writes one text at a time: what it was told, after some empty answers."""

    context: int | None = None

    def __init__(self, num_empty: int = 0, error: Exception | None = None) -> None:
        self.requests: list[WritingRequest] = []
        self.threads: set[str] = set()
        self._num_empty, self._error = num_empty, error

    def count_tokens(self, prompt: Sequence[Message] | str) -> int | None:
        return None

    def write(
        self, requests: Sequence[WritingRequest], on_piece: object = None
    ) -> Iterator[tuple[int, Completion]]:
        if self._error is not None:
            raise self._error
        self.threads.add(threading.current_thread().name)
        for index, request in enumerate(requests):
            self.requests.append(request)
            assert request.messages is not None
            is_empty = len(self.requests) <= self._num_empty
            text = "" if is_empty else f" {request.messages[-1]['content']}\n"
            yield index, Completion(text, 4, True, 6)

    def close(self) -> None: ...


def asking_of(
    folder: Path, engine: Any, store: AnswerStore, *, temperature: float = 0.5, items: int = 3
) -> tuple[Asking, Items, Dialogues]:
    path = folder / "p.jinja"
    path.write_text("Say {{ text }}.")
    listed = [Item(f"i{n}", {"text": str(n)}) for n in range(items)]
    own = Items(folder / "items.jsonl", listed, None)
    sampling = SamplingSettings(temperature, 0, 1.0, 1.0, 16)
    kind, prompt = PromptSynthesis(path, None), PromptFile(path)
    dialogues = Dialogues(kind, prompt, store, "me", sampling, 1, 3)
    budget = Budget(Prices(0, 0), None, None, Usage(*store.spent()))
    limits = Limits(Bucket(None), Bucket(None), budget, 2, 1.0)
    return Asking(engine, own, dialogues, limits, lambda *_: None), own, dialogues


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AnswerStore]:
    with AnswerStore(tmp_path / "answers.sqlite", "run") as opened:
        yield opened


def test_an_engine_that_cannot_be_joined_works_in_one_thread(
    tmp_path: Path, store: AnswerStore
) -> None:
    engine = Echo(num_empty=2)
    asking, items, dialogues = asking_of(tmp_path, engine, store)
    tally = asking.run()
    assert (tally.num_asked, tally.num_settled, tally.num_rejected) == (5, 3, 0)
    assert engine.threads == {"teacher"}
    states = [dialogues.state(item) for item in items]
    assert [state.value for state in states if isinstance(state, Settled)] == [
        "Say 0.", "Say 1.", "Say 2.",
    ]  # fmt: skip
    assert [state.tries for state in states if isinstance(state, Settled)] == [2, 2, 1]
    assert len({request.seed for request in engine.requests}) == 5
    assert store.spent() == (30, 20)
    again, _, _ = asking_of(tmp_path, Echo(error=StageError("must not be asked")), store)
    assert again.run().num_asked == 0


def test_a_greedy_teacher_is_not_asked_the_same_again(tmp_path: Path, store: AnswerStore) -> None:
    engine = Echo(num_empty=3)
    asking, _, _ = asking_of(tmp_path, engine, store, temperature=0)
    assert asking.run().num_rejected == 3
    assert len(engine.requests) == 3


def test_an_error_of_the_engine_ends_the_run(tmp_path: Path, store: AnswerStore) -> None:
    asking, _, _ = asking_of(tmp_path, Echo(error=StageError("the power is gone")), store)
    with pytest.raises(StageError, match="the power is gone"):
        asking.run()


def test_a_store_keeps_the_first_answer_and_says_what_is_wrong_with_its_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "s.sqlite"
    first, second = (Answer(text, True, 1, 2, "t") for text in ("曲\ud800"[:1], "other"))
    with AnswerStore(path, "a") as one, AnswerStore(path, "b") as two:
        one.add(b"k", first)
        two.add(b"k", second)
        assert two.get(b"k") == first
        assert one.get(b"x") is None
        assert (one.spent(), two.spent()) == ((1, 2), (1, 2))
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(
        ArtifactError, match=r"s\.sqlite cannot be used .*; if it is damaged, delete"
    ):
        AnswerStore(path, "a")
