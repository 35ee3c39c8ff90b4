from __future__ import annotations

import lzma
import math
import shutil
import subprocess

import pytest

from musicllm.evals import compression
from musicllm.evals.likelihood import DocumentScore

TEXTS = ["X:1\nK:C\nCDEF GABc|" + "c2B2 A2G2|" * number for number in range(1, 6)]


def scores(bits: float) -> list[DocumentScore]:
    return [DocumentScore(bits * len(text) * math.log(2), 9, len(text), 1) for text in TEXTS]


def test_joined_closes_each_document_with_a_newline() -> None:
    assert compression.joined(["é", "b"]) == b"\xc3\xa9\nb\n"


def test_model_bits_by_hand() -> None:
    one = DocumentScore(3 * math.log(2), 2, 5, 1)
    other = DocumentScore(5 * math.log(2), 2, 7, 1)
    assert compression.model_bits([one, other]) == pytest.approx(8.0)


@pytest.mark.skipif(shutil.which("xz") is None, reason="compares with the xz program")
def test_xz_is_the_program_s_size() -> None:
    data = compression.joined(TEXTS)
    done = subprocess.run(["xz", "-9e", "--stdout"], input=data, capture_output=True, check=True)
    assert abs(compression.compressed_bytes(data)["xz"] - len(done.stdout)) <= 4


def test_measure_divides_by_the_characters_of_the_documents() -> None:
    metrics = compression.measure(scores(2.0), TEXTS, ["other"], seed=0)
    data = "".join(text + "\n" for text in TEXTS).encode()
    num_characters = sum(len(text) for text in TEXTS)
    xz = 8 * len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)) / num_characters
    assert metrics["bits_per_character"] == pytest.approx(2.0)
    assert metrics["bits_per_character_low"] == pytest.approx(2.0)
    assert metrics["xz_bits_per_character"] == pytest.approx(xz)
    assert metrics["ratio_xz"] == pytest.approx(xz / 2)
    assert metrics["num_characters"] == num_characters
    assert metrics["num_documents"] == 5


def test_priming_with_the_same_text_leaves_almost_nothing() -> None:
    metrics = compression.measure(scores(2.0), TEXTS, TEXTS, seed=0)
    assert 0 <= metrics["xz_primed_bits_per_character"] < metrics["xz_bits_per_character"] / 5
    assert metrics["ratio_xz_primed"] == pytest.approx(metrics["xz_primed_bits_per_character"] / 2)
