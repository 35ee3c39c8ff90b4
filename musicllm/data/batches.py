"""Which rows make which micro-batch: a pure function of (seed, epoch, position).

An epoch is a permutation of all rows, cut into optimizer steps of `rows_per_step` rows; what is
left over makes a last, smaller step. A step is spread over the ranks and their micro-batches, whose
number is the same for every step. Neither workers nor ranks change what a step holds, and resuming
needs only the number of finished steps: nothing is replayed.

Axes: N tokens of a micro-batch, D documents in it. Rows are put end to end; there is no padding.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import lru_cache
from typing import NotRequired, TypedDict

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from musicllm.data.rows import Row, RowAudio, RowStore, TopTokens

IGNORED = -100
"""Label of a token whose loss does not count, as in `torch.nn.functional.cross_entropy`."""


class TeacherTop(TypedDict):
    """What a teacher says of supervised tokens, in the order in which they stand.

    S supervised tokens but the first of a document, k tokens of the teacher: `values` float16
    [S, k], logarithms of their probabilities, descending; `ids` int32 [S, k]; `rest` float16 [S],
    logarithm of the probability of all others.
    """

    values: Tensor
    ids: Tensor
    rest: Tensor


class AudioFeatures(TypedDict):
    """Features of C clips, and which tokens they belong to.

    `audio` float32 [C, *shape]; `clip_of_token` int64 [1, N], index into `audio`, -1 in documents
    without audio; `place_of_token` int64 [1, N], which of the places for its clip a token is, -1
    for a token of text.
    """

    audio: Tensor
    clip_of_token: Tensor
    place_of_token: Tensor


class MicroBatch(TypedDict):
    """What one forward pass sees.

    `input_ids` int64 [1, N]; `position_ids` int64 [1, N], from 0 in every document; `labels`
    int64 [1, N], not shifted, -100 where not supervised; `cu_seq_lens` int32 [D + 1], where
    documents begin and the last one ends; `document_sources` int64 [D], which source each comes
    from; `num_supervised_in_step`, the denominator of the loss: supervised tokens of the whole
    optimizer step, over all ranks and micro-batches. `row_lengths`, the tokens of its rows, and
    `num_rows_in_step`, those of the whole step, are for losses of whole rows. `features` are
    beside the tokens; rows of a corpus without audio have none.
    `teacher` is what was stored for distillation.
    """

    input_ids: Tensor
    position_ids: Tensor
    labels: Tensor
    cu_seq_lens: Tensor
    document_sources: Tensor
    num_supervised_in_step: int
    row_lengths: list[int]
    num_rows_in_step: int
    features: NotRequired[AudioFeatures]
    teacher: NotRequired[TeacherTop]


@lru_cache(maxsize=2)
def row_order(num_rows: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Return the order in which an epoch reads the rows, int64 [num_rows].

    Rows are sorted by random keys from Philox's raw stream, which numpy keeps the same across
    versions (NEP 19), as it does not for `permutation`. Cost: n log n, about 0.1 s a million rows.
    """
    keys = np.random.Philox(np.random.SeedSequence([seed, epoch])).random_raw(num_rows)
    order = np.argsort(keys, kind="stable")
    order.setflags(write=False)
    return order


def steps_per_epoch(num_rows: int, rows_per_step: int) -> int:
    """Return the optimizer steps of an epoch, the last and smaller one included."""
    return -(-num_rows // rows_per_step)


def remaining_steps(
    start_step: int, num_steps: int, left_out: Collection[int]
) -> npt.NDArray[np.int64]:
    """Return the optimizer steps from `start_step` on, without those that are left out."""
    return np.setdiff1d(np.arange(start_step, num_steps), np.array(sorted(left_out), np.int64))


class StepBatches(Dataset[MicroBatch]):
    """The micro-batches of one rank, from one optimizer step to another.

    Read it through `DataLoader(batches, batch_size=None, num_workers=...)`, which keeps the order.
    Every step has `accumulation` micro-batches on every rank. In the last step of an epoch they
    hold fewer rows; one that would hold none gets a single token without a label, so that ranks
    stay in step and the loss is unchanged.
    """

    def __init__(
        self,
        store: RowStore,
        *,
        rows_per_step: int,
        rows_per_device: int,
        seed: int,
        num_steps: int,
        start_step: int = 0,
        left_out: Collection[int] = (),
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """Describe the batches; nothing is read yet.

        Args:
            store: the rows of a split; at least one.
            rows_per_step: rows of an optimizer step over all ranks.
            rows_per_device: rows of a micro-batch.
            seed: of the order.
            num_steps: optimizer steps of the whole run, over as many epochs as they need.
            start_step: optimizer steps that are already finished.
            left_out: steps, counted from the run's start, that are passed over.
            rank: which of the processes this is.
            world_size: number of processes.
        """
        self.accumulation, rest = divmod(rows_per_step, rows_per_device * world_size)
        assert rest == 0, (
            f"{rows_per_step} rows a step are not a multiple of "
            f"{world_size} ranks x {rows_per_device} rows"
        )
        assert len(store) > 0, f"{store.folder} holds no rows"
        assert 0 <= start_step <= num_steps, f"start at step {start_step} of {num_steps}"
        self.store = store
        self.rows_per_step = rows_per_step
        self.seed = seed
        self.start_step = start_step
        self.num_steps = num_steps
        self._steps = remaining_steps(start_step, num_steps, left_out)
        self.rank = rank
        self.world_size = world_size

    def __len__(self) -> int:
        """Return the number of micro-batches that are left for this rank."""
        return len(self._steps) * self.accumulation

    def __getitem__(self, index: int) -> MicroBatch:
        """Return a micro-batch, counted from the first one of `start_step`."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        step, micro = divmod(index, self.accumulation)
        step_rows = self.rows_of_step(int(self._steps[step]))
        shares = np.array_split(step_rows, self.accumulation * self.world_size)
        rows = [self.store.row(int(row)) for row in shares[micro * self.world_size + self.rank]]
        denominator = int(self.store.num_supervised[step_rows].sum())
        is_idle = not rows
        if is_idle:  # the first token of a row, without a label
            row = self.store.row(int(step_rows[0]))
            length = np.ones(1, np.int32)
            top = None if row.teacher is None else row.teacher[:0]
            audio = (
                None
                if row.audio is None
                else replace(row.audio, features=(), clip_of_document=np.full(1, -1))
            )
            unlabelled = np.zeros(1, np.bool_)
            rows = [Row(row.input_ids[:1], unlabelled, length, row.source[:1], top, audio)]
        batch = collate(rows, denominator)
        batch["num_rows_in_step"] = len(step_rows)
        if is_idle:
            batch["row_lengths"] = []
        return batch

    def rows_of_step(self, step: int) -> npt.NDArray[np.int64]:
        """Return the rows of an optimizer step over all ranks, counted from the run's start."""
        epoch, position = divmod(step, steps_per_epoch(len(self.store), self.rows_per_step))
        first = position * self.rows_per_step
        return row_order(len(self.store), self.seed, epoch)[first : first + self.rows_per_step]


def collate(rows: list[Row], num_supervised_in_step: int) -> MicroBatch:
    """Put rows end to end; see `MicroBatch`. They are all rows of their step."""
    lengths = np.concatenate([row.document_lengths for row in rows])
    ends = np.cumsum(lengths, dtype=np.int32)
    input_ids = np.concatenate([row.input_ids for row in rows]).astype(np.int64)
    supervised = np.concatenate([row.supervised for row in rows])
    positions = np.arange(len(input_ids)) - np.repeat(ends - lengths, lengths)
    batch: MicroBatch = {
        "input_ids": torch.from_numpy(input_ids)[None],
        "position_ids": torch.from_numpy(positions)[None],
        "labels": torch.from_numpy(np.where(supervised, input_ids, IGNORED))[None],
        "cu_seq_lens": torch.from_numpy(np.concatenate([np.zeros(1, np.int32), ends])),
        "document_sources": torch.from_numpy(
            np.concatenate([row.source for row in rows]).astype(np.int64)
        ),
        "num_supervised_in_step": num_supervised_in_step,
        "row_lengths": [len(row.input_ids) for row in rows],
        "num_rows_in_step": len(rows),
    }
    if tops := [row.teacher for row in rows if row.teacher is not None]:
        batch["teacher"] = _joined(tops)
    if audio := [row.audio for row in rows if row.audio is not None]:
        batch["features"] = _audio(audio, lengths, positions)
    return batch


def _audio(
    parts: list[RowAudio], lengths: npt.NDArray[np.int32], positions: npt.NDArray[np.int64]
) -> AudioFeatures:
    """Put the clips of rows one after another, and say which tokens each belongs to."""
    firsts = np.cumsum([0, *(len(part.features) for part in parts)])
    of_document = np.concatenate(
        [
            np.where(part.clip_of_document >= 0, part.clip_of_document + first, -1)
            for part, first in zip(parts, firsts[:-1], strict=True)
        ]
    )
    clip_of_token = np.repeat(of_document, lengths)
    place = positions - parts[0].first_place
    is_place = (clip_of_token >= 0) & (place >= 0) & (place < parts[0].num_places)
    features = [clip for part in parts for clip in part.features]
    return {
        "audio": torch.from_numpy(np.stack(features)) if features else torch.zeros(0),
        "clip_of_token": torch.from_numpy(clip_of_token)[None],
        "place_of_token": torch.from_numpy(np.where(is_place, place, -1))[None],
    }


def _joined(tops: list[TopTokens]) -> TeacherTop:
    """Put what a teacher says of rows end to end."""
    return {
        "values": torch.from_numpy(np.concatenate([top.values for top in tops])),
        "ids": torch.from_numpy(np.concatenate([top.ids for top in tops])),
        "rest": torch.from_numpy(np.concatenate([top.rest for top in tops])),
    }
