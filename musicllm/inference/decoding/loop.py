"""The loop that writes: prompts are read one by one, and continued together, token by token.

Many prompts share the places of a batch; who ends makes room for the next, the longest prompts
first. A prompt is read alone and once for all texts that go on from it, without padding. Every
prompt draws from a random stream of its own, so its text is the same whatever shares the batch and
however many places there are, as far as the sums of the model are: in float32 on a CPU they are
bit by bit, since the rows of a product come in fours, which its kernels round alike, and attention
takes every row by itself (`attention`). Elsewhere, and in layers with experts, kernels round by
the number of rows, and now and then a token differs (docs/GENERATE.md says where).

Axes: B places, V vocabulary.
"""

from __future__ import annotations

import gc
import inspect
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache, DynamicCache

from musicllm import console
from musicllm.data.encoder import Encoder
from musicllm.errors import InputError, StageError
from musicllm.inference.decoding.attention import row_by_row
from musicllm.inference.decoding.cache import OneRow, RowsCache, can_share
from musicllm.inference.decoding.choosing import Race, choose, penalised
from musicllm.inference.decoding.constraint import Constraint, Progress
from musicllm.inference.decoding.texts import WrittenText
from musicllm.inference.requests import Completion, SamplingSettings
from musicllm.inference.scorer.memory import is_out_of_memory, too_large
from musicllm.model.adapters import causal_model

ROWS_ON_CPU = 4
"""Places on a CPU come in fours: kernels of products round the rows of a rest in other ways."""


@dataclass(frozen=True)
class Prompt:
    """Tokens to go on from.

    Attributes:
        ids: at least one.
        settings: of the sampling.
        seed: of the random stream of this prompt.
        is_beginning: what is written continues their text; otherwise it is a text of its own.
        constraint: on what is written; None: there is none.
    """

    ids: Sequence[int]
    settings: SamplingSettings
    seed: int
    is_beginning: bool = False
    constraint: Constraint | None = None


class _Row:
    """A prompt that is being continued, in its place of the batch."""

    def __init__(
        self, index: int, prompt: Prompt, encoder: Encoder, emit: Callable[[str], None] | None
    ) -> None:
        self.index = index
        self.prompt = prompt
        self.text = WrittenText(encoder, prompt.ids if prompt.is_beginning else (), emit)
        self.progress: Progress | None = None
        self.seen: Tensor | None = None
        self.is_over = self.is_finished = False

    def start(self) -> None:
        """Begin, or begin anew."""
        self.text.restart()
        constraint = self.prompt.constraint
        self.progress = None if constraint is None else constraint.begin()
        self.seen = None
        self.is_over = self.is_finished = False

    @property
    def last(self) -> int:
        """The token that the model has not read yet."""
        return self.text.ids[-1]

    def see(self, ids: Sequence[int], vocab_size: int, device: torch.device) -> None:
        """Note tokens for the repetition penalty, which only those with an output can get."""
        if self.prompt.settings.repetition_penalty == 1:
            return
        if self.seen is None:
            self.seen = torch.zeros(vocab_size, dtype=torch.bool, device=device)
        self.seen[[token for token in ids if token < vocab_size]] = True

    def add(self, token: int, end_ids: Sequence[int]) -> None:
        """Take the next token."""
        self.is_finished = token in end_ids
        if not self.is_finished:
            self.text.add(token)
        limit = self.prompt.settings.max_new_tokens
        self.is_over = self.is_finished or len(self.text.ids) >= limit

    def completion(self) -> Completion:
        """Return what was written."""
        text = self.text.finished()
        return Completion(text, len(self.text.ids), self.is_finished, len(self.prompt.ids))


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
        self._model: Any = causal_model(model)
        self._encoder = encoder
        self._end_ids = encoder.end_ids
        self._device: torch.device = self._model.device
        self._num_places = self._rounded(batch_size)
        arguments = inspect.signature(self._model.forward).parameters
        self._arguments = frozenset(arguments)
        self._takes_cache_as = (
            "past_key_values" if "past_key_values" in arguments else "cache_params"
        )
        self._cache: Any = None
        self._places: list[_Row | None] = []
        self._read: tuple[tuple[int, ...], Cache, Tensor] | None = None
        self._turning_point: int | None = None

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
            _Row(number, prompts[number], self._encoder, emits[number])
            for number in _order(prompts)
        )
        longest = max((len(one.ids) + one.settings.max_new_tokens for one in prompts), default=0)
        self._turning_point = _turning_point(self._model.config.get_text_config(), longest)
        self._drop()
        with _evaluating(self._whole):
            try:
                while waiting or any(self._places):
                    yield from self._advanced(waiting)
            finally:
                self._drop()

    def _advanced(self, waiting: deque[_Row]) -> list[tuple[int, Completion]]:
        """Fill free places, give every row a token, and return what has ended."""
        ended: list[tuple[int, Completion]] = []
        failure = None
        try:
            with torch.no_grad(), row_by_row(self._device):
                while waiting and (place := self._free_place(len(waiting))) is not None:
                    self._admit(place, waiting)
                self._release(ended)
                if any(self._places):
                    self._step()
                    self._release(ended)
                if not waiting:
                    self._close_up()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            failure = str(error)
        if failure is not None:  # by now what the failed step held is free
            self._begin_anew(waiting, failure)
        return ended

    def _admit(self, place: int, waiting: deque[_Row]) -> None:
        """Read the next prompt, put it into a place and draw its first token."""
        ids = tuple(waiting[0].prompt.ids)
        if self._read is None or self._read[0] != ids:
            self._read = None
            self._read = (ids, *self._fed(ids))
        _, cache, logits = self._read
        if can_share(cache) and self._turning_point is None:
            if self._cache is None:
                self._cache = RowsCache(len(self._places), cache)
            self._cache.admit(place, cache, len(ids))
        else:
            self._cache, self._places, self._read = OneRow(cache, len(ids)), [None], None
        row = waiting.popleft()
        row.start()
        self._places[place] = row
        row.see(ids, logits.shape[-1], self._device)
        self._choose([row], logits)

    def _fed(self, ids: tuple[int, ...]) -> tuple[Cache, Tensor]:
        """Return the cache behind a prompt, and the scores [1, V] of what comes next."""
        cache = DynamicCache(config=self._model.config.get_text_config(decoder=True))
        inputs = torch.tensor([ids], device=self._device)
        arguments = {"attention_mask": torch.ones_like(inputs), "logits_to_keep": 1}
        return cache, self._scores(inputs, cache, arguments)

    def _step(self) -> None:
        """Feed the last token of every row, and draw the next one."""
        if self._cache.lengths == [self._turning_point]:
            [row] = [row for row in self._places if row is not None]
            ids = (*row.prompt.ids, *row.text.ids)
            cache, logits = self._fed(ids)
            self._cache = OneRow(cache, len(ids))
            return self._choose([row], logits)
        tokens = [[0 if row is None else row.last] for row in self._places]
        inputs = torch.tensor(tokens, device=self._device)
        positions = torch.tensor(self._cache.lengths, device=self._device)[:, None]
        arguments: dict[str, Any] = {"position_ids": positions}
        mask = self._cache.next_mask()
        if self._cache.has_attention:
            arguments["attention_mask"] = mask
        logits = self._scores(inputs, self._cache.for_model, arguments)
        self._cache.advance()
        taken = [place for place, row in enumerate(self._places) if row is not None]
        rows = [row for row in self._places if row is not None]
        return self._choose(rows, logits if len(rows) == len(logits) else logits[taken])

    def _scores(self, inputs: Tensor, cache: Cache, arguments: dict[str, Any]) -> Tensor:
        chosen = {name: value for name, value in arguments.items() if name in self._arguments}
        chosen[self._takes_cache_as] = cache
        logits: Tensor = self._model(input_ids=inputs, use_cache=True, **chosen).logits
        return logits[:, -1].float()

    def _choose(self, rows: list[_Row], scores: Tensor) -> None:
        """Draw the next token of every row from scores [rows, V]."""
        settings = [row.prompt.settings for row in rows]
        if any(row.seen is not None for row in rows):
            unseen = torch.zeros(scores.shape[1], dtype=torch.bool, device=scores.device)
            seen = torch.stack([unseen if row.seen is None else row.seen for row in rows])
            scores = penalised(scores, seen, [one.repetition_penalty for one in settings])
        draws = [(row.prompt.seed, len(row.text.ids)) for row in rows]
        tokens, race_of = choose(scores, settings, draws)
        for number, (row, token) in enumerate(zip(rows, tokens, strict=True)):
            chosen = self._allowed(row, token, partial(race_of, number))
            row.see([chosen], scores.shape[1], self._device)
            row.add(chosen, self._end_ids)

    def _allowed(self, row: _Row, token: int, race: Callable[[], Race]) -> int:
        """Return the first token of a race that the constraint of a row allows."""
        if row.progress is None or row.progress.accept(token):
            return token
        chosen = row.progress.first(race())
        if chosen is None:
            raise StageError(
                f"no token goes on from {row.text.finished()[-60:]!r} as the grammar demands; "
                f"write generation.grammar=null, or use another model"
            )
        return chosen

    def _free_place(self, num_waiting: int) -> int | None:
        """Return a free place, or None; the first call makes the places."""
        if not self._places:
            self._places = [None] * min(self._num_places, self._rounded(num_waiting))
        return next((n for n, row in enumerate(self._places) if row is None), None)

    def _release(self, ended: list[tuple[int, Completion]]) -> None:
        """Free the places of rows that have ended."""
        for place, row in enumerate(self._places):
            if row is not None and row.is_over:
                self._places[place] = None
                self._cache.release(place)
                ended.append((row.index, row.completion()))

    def _close_up(self) -> None:
        """Drop free places that nobody waits for, when they are many."""
        taken = [place for place, row in enumerate(self._places) if row is not None]
        number = self._rounded(len(taken))
        if taken and 4 * number <= 3 * len(self._places):
            free = [place for place, row in enumerate(self._places) if row is None]
            chosen = (taken + free)[:number]
            self._cache.select(chosen)
            self._places = [self._places[place] for place in chosen]

    def _rounded(self, num_rows: int) -> int:
        """Return how many places rows take."""
        if self._device.type != "cpu":
            return num_rows
        return -(-num_rows // ROWS_ON_CPU) * ROWS_ON_CPU

    def _begin_anew(self, waiting: deque[_Row], reason: str) -> None:
        """Halve the places after memory did not suffice, and let their rows wait again."""
        rows = [row for row in self._places if row is not None]
        if len(rows) + bool(waiting) < 2 or self._num_places == 1:
            raise too_large(reason)
        self._num_places = min(self._num_places, len(self._places)) // 2
        self._drop()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        console.note(
            f"memory did not suffice; {self._num_places} texts are written together from now on"
        )
        for row in reversed(rows):
            waiting.appendleft(row)

    def _drop(self) -> None:
        self._cache, self._places, self._read = None, [], None


def check_room(prompts: Sequence[Prompt], model: Any) -> None:
    """Refuse prompts without tokens, and those that leave no room for what is to be written.

    Raises:
        InputError: with the number of the prompt.
    """
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    for number, prompt in enumerate(prompts, start=1):
        length, new = len(prompt.ids), prompt.settings.max_new_tokens
        if not length:
            raise InputError(f"prompt {number} is empty: there is nothing to continue")
        if positions is not None and length + new > positions:
            raise InputError(
                f"prompt {number} has {length} tokens, and with "
                f"generation.max_new_tokens={new} the text could pass the "
                f"model's {positions} positions; at most {max(0, positions - length)} fit"
            )


def _turning_point(config: Any, longest: int) -> int | None:
    """Return behind how many tokens rotary frequencies change, if texts get longer; else None.

    They then depend on the longest row of a batch (`longrope` of Phi-3, `dynamic`), so each row is
    written alone, and read anew when it passes this length.
    """
    parameters = getattr(config, "rope_parameters", None) or {}
    if parameters.get("rope_type") not in ("longrope", "dynamic"):
        return None
    length = parameters.get("original_max_position_embeddings") or getattr(
        config, "original_max_position_embeddings", config.max_position_embeddings
    )
    return length if longest > length else None


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Put the model into evaluation mode, and every module back afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _order(prompts: Sequence[Prompt]) -> list[int]:
    """Return the numbers of prompts, the longest first and equal ones beside each other."""
    first: dict[tuple[int, ...], int] = {}
    for number, prompt in enumerate(prompts):
        first.setdefault(tuple(prompt.ids), number)
    return sorted(
        range(len(prompts)),
        key=lambda n: (-len(prompts[n].ids), first[tuple(prompts[n].ids)], n),
    )
