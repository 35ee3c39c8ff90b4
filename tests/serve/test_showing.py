"""Rows as a person reads them: borders, counts, marks, and nothing that could steer a terminal."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from transformers import PreTrainedTokenizerBase

from musicllm.data.rows import Row
from musicllm.data.vocabulary import train_tokenizer
from musicllm.model.base import load_tokenizer
from musicllm.serve.showing import show_row, token_texts, visible
from tests.helpers import TEMPLATE, make_corpus, make_tune


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return train_tokenizer(map(make_tune, range(9)), 300, TEMPLATE)


def row_of(tokenizer: PreTrainedTokenizerBase, *documents: tuple[str, str]) -> Row:
    """Return a row of documents, each with a part to read and a supervised part."""
    ids: list[int] = []
    supervised: list[bool] = []
    lengths = []
    for given, learned in documents:
        for text, is_learned in ((given, False), (learned, True)):
            new = tokenizer(text, add_special_tokens=False)["input_ids"]
            ids += new
            supervised += [is_learned] * len(new)
        lengths.append(len(ids) - sum(lengths))
    return Row(
        np.array(ids, np.int32),
        np.array(supervised),
        np.array(lengths, np.int32),
        np.arange(len(lengths), dtype=np.int16),
    )


def test_supervised_tokens_stand_between_marks_and_documents_have_borders(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    row = row_of(tokenizer, ("<s>Human: ", "AB</s>"), ("<s>", "C</s>"))
    shown = show_row(row, tokenizer, ["books", "chats"], num_bars=2, marks=True)
    lengths, counts = row.document_lengths, (row.supervised[: row.document_lengths[0]].sum(), 2)
    assert shown.plain == (
        f"── document 1 of 2 · books · {lengths[0]} tokens, {counts[0]} supervised ──\n"
        "<s>Human: [[AB</s>]]\n"
        "── document 2 of 2 · chats · 3 tokens, 2 supervised ──\n"
        "<s>[[C</s>]]\n"
    )


def test_in_colour_supervised_tokens_are_green_and_special_ones_reversed(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    shown = show_row(
        row_of(tokenizer, ("<s>A", "B</s>")), tokenizer, ["books"], num_bars=2, marks=False
    )
    styles = {shown.plain[span.start : span.end]: str(span.style) for span in shown.spans}
    assert "green" in styles["B"]
    assert "green" not in styles["A"]
    assert styles["</s>"].startswith("reverse ")
    assert "green" in styles["</s>"]
    assert "[[" not in shown.plain


def test_tunes_are_described_and_drawn_below_their_document(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus", content="messages")
    row = corpus.rows("train").row(0)
    shown = show_row(
        row, load_tokenizer(corpus.tokenizer_path), corpus.facts["sources"], num_bars=2, marks=True
    )
    lines = shown.plain.splitlines()
    described = [line for line in lines if line.startswith("♪")]
    assert len(described) == len(row.document_lengths)
    assert all("reel, D major, 4/4, 8 bars, all fit" in line for line in described)
    staff = lines[lines.index(described[0]) + 1]
    assert len(staff) == 5 + 2 * 9


@pytest.mark.parametrize("text", ["a  b\n\tc", "音楽 🎵 é", "X:1\nK:D\n|: A2 :|\n"])
def test_pieces_together_are_the_text(tokenizer: PreTrainedTokenizerBase, text: str) -> None:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    found = token_texts(tokenizer, ids, [True] * len(ids))
    assert len(found) == len(ids)
    assert "".join(piece.text for piece in found) == text


def test_a_cut_character_is_shown_as_such(tokenizer: PreTrainedTokenizerBase) -> None:
    ids = tokenizer("a楽", add_special_tokens=False)["input_ids"][:-1]
    assert (
        "".join(piece.text for piece in token_texts(tokenizer, ids, [True] * len(ids))) == "a\ufffd"
    )


def test_control_characters_are_written_out_and_markup_is_text(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    attack = "\x1b]0;owned\x07[red]A[/red]\u202e\r"
    assert visible(attack) == "<U+001B>]0;owned<U+0007>[red]A[/red]<U+202E><U+000D>"
    shown = show_row(
        row_of(tokenizer, ("<s>", attack)), tokenizer, [attack], num_bars=2, marks=False
    )
    screen = io.StringIO()
    Console(file=screen, force_terminal=False, width=200).print(shown)
    text = screen.getvalue()
    assert not {"\x1b", "\x07", "\u202e", "\r"} & set(text)
    assert text.count("[red]A[/red]") == 2
