"""Rows in the places of a batch: reading prompts, and one token for every row at a time.

A prompt is read alone and once for all rows that go on from it one after the other, without
padding. Places come when rows need them and go when many are free. An error that concerns one row
ends that row alone; whatever else is raised concerns all of them.

Axes: B places, V vocabulary.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache

from musicllm.data.encoder import Encoder
from musicllm.errors import StageError
from musicllm.inference.decoding.cache import OneRow, RowsCache, can_share
from musicllm.inference.decoding.choosing import NotNumbersError, Race, choose, penalised
from musicllm.inference.decoding.rows import Row
from musicllm.inference.scorer.memory import is_out_of_memory

ROWS_ON_CPU = 4
"""Places on a CPU come in fours: kernels of products round the rows of a rest in other ways."""


class Batch:
    """See the module.

    Args:
        model: a causal language model of transformers, in evaluation mode while it is used.
        encoder: of its tokenizer; its `end_ids` end a text.
        num_places: the most rows.
    """

    def __init__(self, model: Any, encoder: Encoder, num_places: int) -> None:
        self.device: torch.device = model.device
        self.num_places = self._rounded(num_places)
        self._model = model
        self._end_ids = encoder.end_ids
        arguments = inspect.signature(model.forward).parameters
        self._arguments = frozenset(arguments)
        self._takes_cache_as = (
            "past_key_values" if "past_key_values" in arguments else "cache_params"
        )
        self._turning_point = _turning_point(model.config.get_text_config())
        self._places: list[Row | None] = []
        self._refused: list[Row] = []
        self._cache: Any = None
        self._read: tuple[tuple[int, ...], Cache, Tensor] | None = None

    @property
    def rows(self) -> list[Row]:
        """The rows that are being continued."""
        return [row for row in self._places if row is not None]

    @property
    def size(self) -> int:
        """How many places there are now."""
        return len(self._places)

    def has_room_for(self, row: Row) -> bool:
        """Tell whether a row can be admitted now."""
        rows = self.rows
        if not rows:
            return True
        if isinstance(self._cache, OneRow) or self._goes_alone(row):
            return False
        return len(rows) < self.num_places

    def admit(self, row: Row, num_waiting: int) -> None:
        """Read the prompt of a row, put it into a place and draw its first token.

        Args:
            row: for which there is room.
            num_waiting: how many rows want a place, this one included.

        Raises:
            RuntimeError: memory does not suffice; any other error ends the row alone.
        """
        ids = tuple(row.prompt.ids)
        try:
            row.start()
            if self._read is None or self._read[0] != ids:
                self._read = None
                self._read = (ids, *self._fed(ids))
        except Exception as error:
            if is_out_of_memory(error):
                raise
            row.fail(error)
            self._refused.append(row)
            return
        _, cache, logits = self._read
        place = self._place(row, cache, num_waiting)
        self._places[place] = row
        row.see(ids, logits.shape[-1], self.device)
        self._choose([row], logits)

    def step(self) -> None:
        """Feed the last token of every row, and draw the next one."""
        rows = self.rows
        if not rows:
            return
        if self._cache.lengths == [self._turning_point]:
            ids = (*rows[0].prompt.ids, *rows[0].text.ids)
            cache, logits = self._fed(ids)
            self._cache = OneRow(cache, len(ids))
            self._choose(rows, logits)
            return
        tokens = [[0 if row is None else row.last] for row in self._places]
        inputs = torch.tensor(tokens, device=self.device)
        positions = torch.tensor(self._cache.lengths, device=self.device)[:, None]
        arguments: dict[str, Any] = {"position_ids": positions}
        mask = self._cache.next_mask()
        if self._cache.has_attention:
            arguments["attention_mask"] = mask
        logits = self._scores(inputs, self._cache.for_model, arguments)
        self._cache.advance()
        taken = [place for place, row in enumerate(self._places) if row is not None]
        self._choose(rows, logits if len(rows) == len(logits) else logits[taken])

    def released(self) -> list[Row]:
        """Free the places of rows that are over, and return those rows."""
        over, self._refused = self._refused, []
        for place, row in enumerate(self._places):
            if row is not None and row.is_over:
                self._places[place] = None
                self._cache.release(place)
                over.append(row)
        return over

    def close_up(self) -> None:
        """Drop free places, when they are many."""
        taken = [place for place, row in enumerate(self._places) if row is not None]
        number = self._rounded(len(taken))
        if taken and 4 * number <= 3 * len(self._places):
            free = [place for place, row in enumerate(self._places) if row is None]
            chosen = (taken + free)[:number]
            self._cache.select(chosen)
            self._places = [self._places[place] for place in chosen]

    def drop(self) -> None:
        """Forget all rows, and free what they hold."""
        self._cache, self._places, self._read, self._refused = None, [], None, []

    def _place(self, row: Row, cache: Cache, num_waiting: int) -> int:
        """Return a place for a row, with its cache in it."""
        num_rows = len(self.rows)
        if not num_rows and (isinstance(self._cache, OneRow) or self._goes_alone(row)):
            self._cache, self._places = None, []
        if not can_share(cache) or self._goes_alone(row):
            self._cache, self._places = OneRow(cache, len(row.prompt.ids)), [None]
            self._read = None  # its cache is written on
            return 0
        if num_rows == len(self._places):
            self._add_places(min(self.num_places, self._rounded(num_rows + num_waiting)), cache)
        place = self._places.index(None)
        self._cache.admit(place, cache, len(row.prompt.ids))
        return place

    def _add_places(self, number: int, cache: Cache) -> None:
        """Have so many places."""
        if self._cache is None:
            self._cache = RowsCache(number, cache)
        else:
            self._cache.grow(number)
        self._places += [None] * (number - len(self._places))

    def _goes_alone(self, row: Row) -> bool:
        """Tell whether the text of a row may pass the length at which frequencies change."""
        return self._turning_point is not None and row.prompt.most_tokens > self._turning_point

    def _fed(self, ids: tuple[int, ...]) -> tuple[Cache, Tensor]:
        """Return the cache behind a prompt, and the scores [1, V] of what comes next."""
        cache = DynamicCache(config=self._model.config.get_text_config(decoder=True))
        inputs = torch.tensor([ids], device=self.device)
        arguments = {"attention_mask": torch.ones_like(inputs), "logits_to_keep": 1}
        return cache, self._scores(inputs, cache, arguments)

    def _scores(self, inputs: Tensor, cache: Cache, arguments: dict[str, Any]) -> Tensor:
        chosen = {name: value for name, value in arguments.items() if name in self._arguments}
        chosen[self._takes_cache_as] = cache
        logits: Tensor = self._model(input_ids=inputs, use_cache=True, **chosen).logits
        return logits[:, -1].float()

    def _choose(self, rows: list[Row], scores: Tensor) -> None:
        """Draw the next token of every row from scores [rows, V]."""
        if any(row.seen is not None for row in rows):
            unseen = torch.zeros(scores.shape[1], dtype=torch.bool, device=scores.device)
            seen = torch.stack([unseen if row.seen is None else row.seen for row in rows])
            scores = penalised(
                scores, seen, [row.prompt.settings.repetition_penalty for row in rows]
            )
        self._draw(rows, scores)

    def _draw(self, rows: list[Row], scores: Tensor) -> None:
        draws = [(row.prompt.seed, len(row.text.ids)) for row in rows]
        try:
            tokens, race_of = choose(scores, [row.prompt.settings for row in rows], draws)
        except NotNumbersError as error:
            for number in error.rows:
                rows[number].fail(error)
            left = [number for number in range(len(rows)) if number not in error.rows]
            if left:
                self._draw([rows[number] for number in left], scores[left])
            return
        for number, (row, token) in enumerate(zip(rows, tokens, strict=True)):
            try:
                chosen = self._allowed(row, token, partial(race_of, number))
            except StageError as error:
                row.fail(error)
                continue
            row.see([chosen], scores.shape[1], self.device)
            row.add(chosen, self._end_ids)

    def _allowed(self, row: Row, token: int, race: Callable[[], Race]) -> int:
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

    def _rounded(self, num_rows: int) -> int:
        """Return how many places rows take."""
        if self.device.type != "cpu":
            return num_rows
        return -(-num_rows // ROWS_ON_CPU) * ROWS_ON_CPU


def _turning_point(config: Any) -> int | None:
    """Return behind how many tokens rotary frequencies change; None: they do not.

    They then depend on the longest row of a batch (`longrope` of Phi-3, `dynamic`), so a row that
    may pass this length is written alone, and read anew when it does.
    """
    parameters = getattr(config, "rope_parameters", None) or {}
    if parameters.get("rope_type") not in ("longrope", "dynamic"):
        return None
    length: int = parameters.get("original_max_position_embeddings") or getattr(
        config, "original_max_position_embeddings", config.max_position_embeddings
    )
    return length
