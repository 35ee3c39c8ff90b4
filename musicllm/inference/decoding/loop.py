"""The loop that writes: prompts are read one by one, and continued together, token by token.

Many prompts share the places of a batch; who ends makes room for the next: of prompts that are
there from the beginning the longest first, of those that come while others are written the first to
come. A prompt is read alone and once for all texts that go on from it, without padding. Every
prompt draws from a random stream of its own, so its text is the same whatever shares the batch,
whenever it joined and however many places there are, as far as the sums of the model are: in
float32 on a CPU they are bit by bit, since the rows of a product come in fours, which its kernels
round alike, and attention takes every row by itself (`attention`). Elsewhere, and in layers with
experts, kernels round by the number of rows, and now and then a token differs (docs/GENERATE.md
says where).
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import nn

from musicllm import console
from musicllm.data.encoder import Encoder
from musicllm.inference.decoding.attention import row_by_row
from musicllm.inference.decoding.batch import Batch
from musicllm.inference.decoding.rows import Prompt, Row, check_room
from musicllm.inference.feed import Feed, Ticket
from musicllm.inference.requests import Completion, WritingRequest
from musicllm.inference.scorer.memory import is_out_of_memory, too_large
from musicllm.model.adapters import causal_model

__all__ = ["Prompt", "Writer"]


class Writer:
    """A model that continues prompts.

    Args:
        model: any causal language model of transformers, with or without PEFT's adapters.
        encoder: of its tokenizer; its `end_ids` end a text.
        batch_size: prompts continued together; memory grows with it. Where memory does not suffice
            it is halved, with a note, and what was begun is begun anew.
    """

    def __init__(self, model: nn.Module, encoder: Encoder, batch_size: int) -> None:
        self._whole = model
        self._encoder = encoder
        self._model = causal_model(model)
        self._batch = Batch(self._model, encoder, batch_size)
        self._most_places = self._batch.num_places

    def write(
        self, prompts: Sequence[Prompt], on_piece: Callable[[int, str], None] | None = None
    ) -> Iterator[tuple[int, Completion]]:
        """Yield the number and the completion of every prompt, as they end.

        Args:
            prompts: in any order.
            on_piece: gets the number of a prompt and text that was just written after it.

        Raises:
            InputError: a prompt has no tokens, or no room for its answer, or its budget is smaller
                than what its constraint demands.
            StageError: the model's scores are not numbers, memory does not suffice for one prompt,
                or the constraint allows no token.
        """
        check_room(prompts, self._model)
        for constraint in {prompt.constraint for prompt in prompts}:
            if constraint is not None:
                constraint.begin()
        emits = [None if on_piece is None else partial(on_piece, n) for n in range(len(prompts))]
        waiting = deque(
            Row(prompts[number], self._encoder, emits[number], index=number)
            for number in _order(prompts)
        )
        with self._writing():
            while waiting or self._batch.rows:
                ended: list[Row] = []
                self._advance(waiting, ended, len(waiting))
                for row in ended:
                    yield row.index, row.completion()

    def serve(self, feed: Feed, prompt_of: Callable[[WritingRequest], Prompt]) -> None:
        """Write the requests of a feed until it is closed; see `Joinable`.

        While rows are continued, one prompt is read before every token, so that those who wait for
        the next token of theirs do not wait for many prompts.

        Args:
            feed: of requests.
            prompt_of: returns the prompt of a request; what it raises is the request's own error.
        """
        waiting: deque[Row] = deque()
        with self._writing():
            while waiting or self._batch.rows or feed.wait():
                self._take(feed, waiting, prompt_of)
                self._serve(waiting)

    def _take(
        self, feed: Feed, waiting: deque[Row], prompt_of: Callable[[WritingRequest], Prompt]
    ) -> None:
        """Let the next request of a feed wait for a place, if there may be one for it."""
        if waiting or len(self._batch.rows) >= self._batch.num_places:
            return
        ticket = feed.take()
        if ticket is None:
            return
        try:
            prompt = prompt_of(ticket.request)
            check_room([prompt], self._model)
            waiting.append(Row(prompt, self._encoder, ticket.piece, ticket=ticket))
        except Exception as error:  # noqa: BLE001 - it belongs to the request
            ticket.fail(error)

    def _serve(self, waiting: deque[Row]) -> None:
        """Give every row of a feed a token, and tell those that are over what became of them."""
        batch = self._batch
        for row in [*batch.rows, *waiting]:
            row.is_over = row.is_over or _ticket(row).is_over
        ended: list[Row] = []
        try:
            self._advance(waiting, ended, num_admitted=1)
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait for it
            ended += self._lost(error, waiting)
        for row in ended:
            _tell(row)
        if not batch.rows and not waiting:
            self._rest()

    def _advance(self, waiting: deque[Row], ended: list[Row], num_admitted: int) -> None:
        """Fill free places, and give every row a token.

        Args:
            waiting: rows, the next one first.
            ended: to which rows are added that are over.
            num_admitted: the most rows that get places.
        """
        batch = self._batch
        failure = None
        try:
            with torch.no_grad(), row_by_row(batch.device):
                ended += batch.released()
                while waiting and (
                    waiting[0].is_over or (num_admitted and batch.has_room_for(waiting[0]))
                ):
                    if waiting[0].is_over:
                        ended.append(waiting[0])
                    else:
                        batch.admit(waiting[0], len(waiting))
                        num_admitted -= 1
                    waiting.popleft()
                ended += batch.released()
                batch.step()
                ended += batch.released()
                if not waiting:
                    batch.close_up()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            failure = str(error)
        if failure is not None:  # by now what the failed step held is free
            self._begin_anew(waiting, failure)

    def _begin_anew(self, waiting: deque[Row], reason: str) -> None:
        """Halve the places after memory did not suffice, and let their rows wait again."""
        batch = self._batch
        rows = batch.rows
        if len(rows) + bool(waiting) < 2 or batch.num_places == 1:
            raise too_large(reason)
        batch.num_places = min(batch.num_places, max(batch.size, 2)) // 2
        batch.drop()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        console.note(
            f"memory did not suffice; {batch.num_places} texts are written together from now on"
        )
        for row in reversed(rows):
            waiting.appendleft(row)

    def _lost(self, error: Exception, waiting: deque[Row]) -> list[Row]:
        """Return the rows that an error ends, which are those in the batch, or the next one."""
        rows = self._batch.rows or [waiting.popleft()]
        for row in rows:
            row.fail(error)
        self._batch.drop()
        return rows

    def _rest(self) -> None:
        """Free the cache while nothing is written."""
        self._batch.drop()
        self._batch.num_places = self._most_places

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Put the model into evaluation mode; afterwards every module is as before."""
        modes = {module: module.training for module in self._whole.modules()}
        self._whole.eval()
        self._batch.drop()
        try:
            yield
        finally:
            self._batch.drop()
            for module, mode in modes.items():
                module.training = mode


def _ticket(row: Row) -> Ticket:
    assert row.ticket is not None, "rows of a feed have tickets"
    return row.ticket


def _tell(row: Row) -> None:
    """Tell the client of a row what became of it."""
    try:
        completion = row.completion()
    except Exception as error:  # noqa: BLE001 - it belongs to the client
        _ticket(row).fail(error)
    else:
        _ticket(row).done(completion)


def _order(prompts: Sequence[Prompt]) -> list[int]:
    """Return the numbers of prompts, the longest first and equal ones beside each other."""
    first: dict[tuple[int, ...], int] = {}
    for number, prompt in enumerate(prompts):
        first.setdefault(tuple(prompt.ids), number)
    return sorted(
        range(len(prompts)),
        key=lambda n: (-len(prompts[n].ids), first[tuple(prompts[n].ids)], n),
    )
