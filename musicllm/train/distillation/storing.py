"""Storing what a teacher says of the rows of a corpus, by the functions that training calls.

Every row goes through the teacher once, in batches of whole rows; `data.teacher_logits` has the
files.

Axes: S supervised tokens of a batch, V vocabulary, k tokens of the teacher.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from musicllm.data.batches import MicroBatch, TeacherTop, collate
from musicllm.data.rows import RowStore, TopTokens
from musicllm.data.teacher_logits import ShardWriter
from musicllm.model.adapters import causal_model
from musicllm.train.distillation.targets import top_of
from musicllm.train.distillation.teachers import ModelTeacher
from musicllm.train.loss import piece_of, supervised_positions


@dataclass(frozen=True)
class Lecture:
    """A teacher and the rows of which it says something.

    Attributes:
        teacher: moved to the device with its first batch.
        rows: of a corpus.
        top_k: k.
        temperature: divides the logits.
        rows_per_batch: of a forward pass.
        device: of the teacher.
    """

    teacher: ModelTeacher
    rows: RowStore
    top_k: int
    temperature: float
    rows_per_batch: int
    device: torch.device

    def write(
        self, writer: ShardWriter, number: int, advance: Callable[[int], None] = lambda _: None
    ) -> None:
        """Write a shard.

        Time is one forward pass of its rows; memory is that of a batch, one piece of logits, and
        the records of the shard.

        Args:
            writer: of the shards.
            number: of the shard.
            advance: called with the rows that are done.
        """
        writer.write(number, self._of_shard(writer.shards[number], advance))

    def of_batch(self, batch: MicroBatch) -> TeacherTop:
        """Return what the teacher says of the S supervised tokens of a batch."""
        positions, _ = supervised_positions(batch["labels"], batch["position_ids"])
        states = self.teacher.states(batch, positions)
        vocab_size = causal_model(self.teacher.model).config.vocab_size
        parts = [  # without the exchange of `loss.slices`: processes have other numbers of rows
            top_of(self.teacher.logits(part), self.top_k, self.temperature)
            for part in torch.split(states, piece_of(states.device, vocab_size))
        ]
        return {
            "values": torch.cat([part["values"] for part in parts]),
            "ids": torch.cat([part["ids"] for part in parts]),
            "rest": torch.cat([part["rest"] for part in parts]),
        }

    def _of_shard(self, rows: range, advance: Callable[[int], None]) -> Iterator[TopTokens]:
        for first in range(0, len(rows), self.rows_per_batch):
            some = rows[first : first + self.rows_per_batch]
            yield from self._of_rows(some)
            advance(len(some))

    def _of_rows(self, indices: range) -> Iterator[TopTokens]:
        """Yield the records of every row, after one forward pass of all."""
        batch = collate([self.rows.row(index) for index in indices], 0)
        for name in ("input_ids", "position_ids", "labels", "cu_seq_lens"):
            batch[name] = batch[name].to(self.device)
        top = self.of_batch(batch)
        values, ids, rest = (top[name].cpu().numpy() for name in ("values", "ids", "rest"))
        begin = 0
        for index in indices:
            part = slice(begin, begin + int(self.rows.num_supervised[index]))
            yield TopTokens(values[part], ids[part], rest[part])
            begin = part.stop
        assert begin == len(rest), f"{len(rest)} records for {begin} supervised tokens"
