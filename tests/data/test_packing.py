from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from musicllm.data.packing import FORMERS, RowPlan

Rows = list[list[tuple[int, int, int]]]


def formed(name: str, lengths: Sequence[int], max_length: int) -> Rows:
    return unpacked(FORMERS[name](np.array(lengths, np.int64), max_length))


def unpacked(plan: RowPlan) -> Rows:
    columns = (plan.document, plan.start, plan.stop)
    pieces = list(zip(*(column.tolist() for column in columns), strict=True))
    offsets = plan.offsets.tolist()
    return [pieces[a:b] for a, b in pairwise(offsets)]


def plain_cut(lengths: Sequence[int], max_length: int) -> list[tuple[int, int, int]]:
    return [
        (document, start, min(start + max_length, length))
        for document, length in enumerate(lengths)
        for start in range(0, length - 1, max_length - 1)
    ]


def plain_pack(lengths: Sequence[int], max_length: int) -> Rows:
    """Look at every row for every piece; of equal spaces, the one that changed last is taken."""
    rows: list[tuple[int, int, list[tuple[int, int, int]]]] = []
    pieces = sorted(plain_cut(lengths, max_length), key=lambda piece: piece[1] - piece[2])
    for now, piece in enumerate(pieces):
        length = piece[2] - piece[1]
        fitting = [row for row in rows if row[0] >= length]
        best = min(fitting, key=lambda row: (row[0], -row[1]), default=(max_length, 0, []))
        rows = [row for row in rows if row is not best]
        rows.append((best[0] - length, now, [*best[2], piece]))
    return sorted(sorted(row[2]) for row in rows)


def plain_chunk(lengths: Sequence[int], max_length: int) -> Rows:
    rows: Rows = []
    space = 0
    for document, length in enumerate(lengths):
        start = 0
        while length - start >= 2:
            if space < 2:
                rows.append([])
                space = max_length
            stop = min(start + space, length)
            rows[-1].append((document, start, stop))
            space -= stop - start
            start = stop - 1
    return rows


def plain_single(lengths: Sequence[int], max_length: int) -> Rows:
    return [[piece] for piece in plain_cut(lengths, max_length)]


PLAIN: dict[str, Callable[[Sequence[int], int], Rows]] = {
    "pack": plain_pack,
    "chunk": plain_chunk,
    "single": plain_single,
}


def test_pack_uses_the_tightest_row_that_fits() -> None:
    # longest first: 7 opens row A (3 left), 6 opens B (4 left), 4 fits B exactly, 3 fits A exactly
    rows = formed("pack", [3, 7, 4, 6], max_length=10)

    assert rows == [[(0, 0, 3), (1, 0, 7)], [(2, 0, 4), (3, 0, 6)]]


def test_pack_leaves_a_document_that_fits_whole() -> None:
    assert formed("pack", [5, 5, 5], max_length=9) == [[(i, 0, 5)] for i in range(3)]


def test_a_document_longer_than_a_row_is_cut_with_one_token_of_context() -> None:
    # 9 tokens in rows of 4: tokens 3 and 6 are read twice, predicted once
    pieces = [(0, 0, 4), (0, 3, 7), (0, 6, 9)]

    assert formed("single", [9], max_length=4) == [[piece] for piece in pieces]
    assert formed("pack", [9], max_length=4) == [[piece] for piece in pieces]


def test_a_document_of_just_a_row_is_not_cut() -> None:
    assert formed("single", [4], max_length=4) == [[(0, 0, 4)]]
    assert formed("single", [5], max_length=4) == [[(0, 0, 4)], [(0, 3, 5)]]


def test_chunk_fills_rows_across_documents() -> None:
    assert formed("chunk", [3, 4], max_length=5) == [[(0, 0, 3), (1, 0, 2)], [(1, 1, 4)]]


def test_chunk_leaves_a_last_place_where_nothing_could_be_supervised() -> None:
    assert formed("chunk", [4, 3], max_length=5) == [[(0, 0, 4)], [(1, 0, 3)]]


@pytest.mark.parametrize("name", FORMERS)
def test_documents_without_a_token_to_predict_get_no_row(name: str) -> None:
    assert formed(name, [1, 0, 3, 1], max_length=4) == [[(2, 0, 3)]]
    assert formed(name, [1, 0], max_length=4) == []
    assert formed(name, [], max_length=4) == []


@pytest.mark.parametrize("name", FORMERS)
def test_rows_are_those_of_the_plain_rule(name: str) -> None:
    draw = np.random.default_rng(0)
    for _ in range(200):
        max_length = int(draw.integers(2, 40))
        longest = int(draw.choice([3, max_length, 3 * max_length]))
        lengths = draw.integers(0, longest + 1, int(draw.integers(0, 80))).tolist()
        expected = PLAIN[name](lengths, max_length)
        assert formed(name, lengths, max_length) == expected, (lengths, max_length)


@pytest.mark.parametrize("name", FORMERS)
def test_every_token_but_the_first_is_predicted_once(name: str) -> None:
    lengths = np.random.default_rng(1).integers(2, 70, 300)

    plan = FORMERS[name](lengths, 32)

    predicted = sorted(
        (document, token)
        for row in unpacked(plan)
        for document, start, stop in row
        for token in range(start + 1, stop)
    )
    assert predicted == [(i, t) for i, length in enumerate(lengths) for t in range(1, length)]
    assert plan.num_tokens.max() <= 32


def test_packing_wastes_little() -> None:
    lengths = np.random.default_rng(2).integers(20, 200, 2000)

    plan = FORMERS["pack"](lengths, 512)

    assert lengths.sum() / (512 * plan.num_rows) > 0.995


def test_a_part_of_a_plan_counts_its_pieces_from_the_start() -> None:
    plan = FORMERS["chunk"](np.array([3, 4, 9]), 5)

    part = plan.part(1, 3)

    assert unpacked(part) == unpacked(plan)[1:3] == [[(1, 1, 4), (2, 0, 2)], [(2, 1, 6)]]
    assert part.offsets.tolist() == [0, 2, 3]
    assert part.num_tokens.tolist() == [5, 5]


@pytest.mark.parametrize("lengths", [[3, 4, 9], []])
def test_a_plan_comes_back_from_disk(tmp_path: Path, lengths: list[int]) -> None:
    plan = FORMERS["pack"](np.array(lengths, np.int64), 5)

    plan.save(tmp_path / "plan")
    again = RowPlan.load(tmp_path / "plan")

    assert unpacked(again) == unpacked(plan)
    assert unpacked(again.part(0, plan.num_rows)) == unpacked(plan)
    assert len(list((tmp_path / "plan").iterdir())) == 4
