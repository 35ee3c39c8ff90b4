from __future__ import annotations

import random

import pytest

from musicllm.data.packing import FORMERS, Piece, chunk, pack, single


def test_pack_uses_the_tightest_row_that_fits() -> None:
    # longest first: 7 opens row A (3 left), 6 opens B (4 left), 4 fits B exactly, 3 fits A exactly
    rows = pack([3, 7, 4, 6], max_length=10)

    assert rows == [[Piece(0, 0, 3), Piece(1, 0, 7)], [Piece(2, 0, 4), Piece(3, 0, 6)]]


def test_pack_leaves_a_document_that_fits_whole() -> None:
    assert pack([5, 5, 5], max_length=9) == [[Piece(i, 0, 5)] for i in range(3)]


def test_a_document_longer_than_a_row_is_cut_with_one_token_of_context() -> None:
    # 9 tokens in rows of 4: tokens 3 and 6 are read twice, predicted once
    pieces = [Piece(0, 0, 4), Piece(0, 3, 7), Piece(0, 6, 9)]

    assert single([9], max_length=4) == [[piece] for piece in pieces]
    assert pack([9], max_length=4) == [[piece] for piece in pieces]


def test_a_document_of_just_a_row_is_not_cut() -> None:
    assert single([4], max_length=4) == [[Piece(0, 0, 4)]]
    assert single([5], max_length=4) == [[Piece(0, 0, 4)], [Piece(0, 3, 5)]]


def test_chunk_fills_rows_across_documents() -> None:
    assert chunk([3, 4], max_length=5) == [[Piece(0, 0, 3), Piece(1, 0, 2)], [Piece(1, 1, 4)]]


def test_chunk_leaves_a_last_place_where_nothing_could_be_supervised() -> None:
    assert chunk([4, 3], max_length=5) == [[Piece(0, 0, 4)], [Piece(1, 0, 3)]]


@pytest.mark.parametrize("name", FORMERS)
def test_every_token_but_the_first_is_predicted_once(name: str) -> None:
    draw = random.Random(0)
    lengths = [draw.randint(2, 70) for _ in range(300)]

    rows = FORMERS[name](lengths, 32)

    predicted = sorted(
        (piece.document, token)
        for row in rows
        for piece in row
        for token in range(piece.start + 1, piece.stop)
    )
    assert predicted == [(i, t) for i, length in enumerate(lengths) for t in range(1, length)]
    assert max(sum(piece.stop - piece.start for piece in row) for row in rows) <= 32


def test_packing_wastes_little() -> None:
    draw = random.Random(1)
    lengths = [draw.randint(20, 200) for _ in range(2000)]

    rows = pack(lengths, 512)

    assert sum(lengths) / (512 * len(rows)) > 0.99
