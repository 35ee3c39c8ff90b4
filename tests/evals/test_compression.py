from __future__ import annotations

import dataclasses
import lzma
import math
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from musicllm.errors import RenderError
from musicllm.evals import compression
from musicllm.evals.compression import renderings
from musicllm.inference.likelihood import DocumentScore
from musicllm.music.render import Midi, abc_to_midi, midi_to_sound

TEXTS = ["X:1\nM:4/4\nL:1/8\nK:C\nCDEF GABc|" + "c2B2 A2G2|" * number for number in range(1, 6)]
NUM_NOTES = [8 + 4 * number for number in range(1, 6)]


def scores(bits: float, texts: Sequence[str] = TEXTS) -> list[DocumentScore]:
    return [DocumentScore(bits * len(text) * math.log(2), 9, len(text), 1) for text in texts]


MARKS = compression.Yardsticks(
    sizes={"xz": 100, "gzip": 120, "bz2": 140, "zstd": 80, "xz_primed": 60},
    notes=NUM_NOTES,
    sizes_noted={"xz": 100, "gzip": 120, "bz2": 140, "zstd": 80},
    rendered=[compression.Rendered(1, bytes(200), 9.0), compression.Rendered(4, bytes(500), 19.0)],
    num_not_rendered=3,
    midi_xz_bytes=90,
    num_training_characters=70,
)
NUM_CHARACTERS = sum(map(len, TEXTS))


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tunes that were rendered; each becomes 100 bytes and 9 s, one for the pipes nothing."""
    tunes: list[str] = []

    def abc_to_midi(tune: str) -> Midi:
        if "K:HP" in tune:
            raise RenderError("abc2midi made no MIDI")
        tunes.append(tune)
        return Midi(bytes(100), 12, 9.0)

    monkeypatch.setattr(renderings, "abc_to_midi", abc_to_midi)
    return tunes


def test_joined_closes_each_document_with_a_newline() -> None:
    assert compression.joined(["é", "b"]) == b"\xc3\xa9\nb\n"


def test_model_bits_by_hand() -> None:
    first = DocumentScore(3 * math.log(2), 2, 5, 1)
    other = DocumentScore(5 * math.log(2), 2, 7, 1)
    assert compression.model_bits([first, other]) == pytest.approx(8.0)


@pytest.mark.skipif(shutil.which("xz") is None, reason="compares with the xz program")
def test_xz_is_the_program_s_size() -> None:
    data = compression.joined(TEXTS)
    done = subprocess.run(["xz", "-9e", "--stdout"], input=data, capture_output=True, check=True)
    assert abs(compression.compressed_bytes(data)["xz"] - len(done.stdout)) <= 4


def test_zstd_is_a_whole_frame() -> None:
    data = compression.joined(TEXTS)
    packed = pa.Codec("zstd", 22).compress(data, asbytes=True)
    assert packed[:4] == b"\x28\xb5\x2f\xfd"  # RFC 8878
    assert pa.decompress(packed, len(data), "zstd").to_pybytes() == data
    assert compression.compressed_bytes(data)["zstd"] == len(packed)


def test_notes_by_hand() -> None:
    assert list(map(compression.num_notes, TEXTS)) == NUM_NOTES
    chords_ties_rests_graces = "X:1\nM:none\nK:C\n[CEG]2 C-C z2|{g}(3CDE|:F:|"
    assert compression.num_notes(chords_ties_rests_graces) == 3 + 2 + 3 + 1
    two_voices = "X:1\nM:4/4\nL:1/4\nK:C\nV:1\nCDEF|\nV:2\nC2D2|\n"
    assert compression.num_notes(two_voices) == 6
    assert compression.num_notes(f"Play this:\n{TEXTS[0]}\n\nand this:\n{TEXTS[1]}\n") == 28
    assert compression.num_notes("Play the blues.") is None
    assert compression.num_notes("X:1\nM:none\nK:C\nC,,,,,,,,,,,,,,|") is None


def test_characters_of_the_documents_divide() -> None:
    metrics = compression.compare(scores(2.0), TEXTS, MARKS, seed=0)
    assert metrics["bits_per_character"] == pytest.approx(2.0)
    assert metrics["bits_per_character_low"] == pytest.approx(2.0)
    assert metrics["num_characters"] == NUM_CHARACTERS
    assert metrics["num_documents"] == 5
    assert metrics["num_training_characters"] == 70
    for name, size in MARKS.sizes.items():
        rate = 8 * size / NUM_CHARACTERS
        assert metrics[f"{name}_bits_per_character"] == pytest.approx(rate)
        assert metrics[f"ratio_{name}"] == pytest.approx(rate / 2)


def test_notes_divide() -> None:
    marks = dataclasses.replace(MARKS, notes=[None, *NUM_NOTES[1:]])
    metrics = compression.compare(scores(2.0), TEXTS, marks, seed=0)
    assert metrics["num_notes"] == 16 + 20 + 24 + 28
    assert metrics["num_documents_with_notes"] == 4
    assert metrics["bits_per_note"] == pytest.approx(2 * sum(map(len, TEXTS[1:])) / 88)
    for name, size in marks.sizes_noted.items():
        assert metrics[f"{name}_bits_per_note"] == pytest.approx(8 * size / 88)


def test_formats_by_hand() -> None:
    metrics = compression.compare(scores(2.0), TEXTS, MARKS, seed=0)
    abc = len(TEXTS[1]) + len(TEXTS[4])
    wav = 2 * 44 + 2 * 22_050 * (10 + 20)  # each rings for a second
    assert metrics["num_tunes_rendered"] == 2
    assert metrics["num_tunes_not_rendered"] == 3
    assert metrics["abc_bytes_per_tune"] == pytest.approx(abc / 2)
    assert metrics["midi_bytes_per_tune"] == 350
    assert metrics["wav_bytes_per_tune"] == pytest.approx(wav / 2)
    assert metrics["midi_per_abc"] == pytest.approx(700 / abc)
    assert metrics["wav_per_abc"] == pytest.approx(wav / abc)
    assert metrics["ratio_midi"] == pytest.approx(700 / (abc / 4))  # the model needs 2 of 8 bits
    assert metrics["ratio_midi_xz"] == pytest.approx(90 / (abc / 4))
    assert metrics["ratio_wav"] == pytest.approx(wav / (abc / 4))
    assert metrics["seconds_per_tune"] == 14.0
    assert metrics["tokens_per_tune"] == 9.0


def test_yardsticks_count_compress_and_render(rendered: list[str]) -> None:
    texts = [*TEXTS, "Play the blues."]
    marks = compression.make_yardsticks(texts, ["other"], seed=0)
    alone = compression.make_yardsticks(TEXTS, TEXTS, seed=0)
    data = "".join(text + "\n" for text in texts).encode()
    assert marks.sizes["xz"] == len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))
    assert marks.notes == [*NUM_NOTES, None]
    assert marks.sizes_noted == {name: alone.sizes[name] for name in marks.sizes_noted}
    assert (
        marks.sizes_noted.keys() == alone.sizes_noted.keys() == alone.sizes.keys() - {"xz_primed"}
    )
    assert 0 <= alone.sizes["xz_primed"] < alone.sizes["xz"] / 5
    assert (marks.num_training_characters, len(marks.rendered)) == (5, 5)
    assert rendered == [*TEXTS, *TEXTS]
    packed = lzma.compress(bytes(500), preset=9 | lzma.PRESET_EXTREME)
    assert marks.midi_xz_bytes == len(packed)


def test_texts_without_tunes_have_no_notes_and_no_formats(rendered: list[str]) -> None:
    texts = ["Play the blues.", "Sing."]
    marks = compression.make_yardsticks(texts, ["other"], seed=0)
    metrics = compression.compare(scores(2.0, texts), texts, marks, seed=0)
    assert metrics["bits_per_character"] == pytest.approx(2.0)
    nothing = {name for name, value in metrics.items() if value is None}
    assert nothing == {
        "bits_per_note", "xz_bits_per_note", "gzip_bits_per_note", "bz2_bits_per_note",
        "zstd_bits_per_note", "abc_bytes_per_tune", "midi_bytes_per_tune", "wav_bytes_per_tune",
        "seconds_per_tune", "tokens_per_tune", "ratio_midi", "ratio_midi_xz", "ratio_wav",
        "midi_per_abc", "wav_per_abc",
    }  # fmt: skip
    bounds = {"bits_per_note_low", "bits_per_note_high"}
    whole = compression.compare(scores(2.0), TEXTS, MARKS, seed=0)
    assert metrics.keys() == whole.keys() - bounds
    assert (metrics["num_notes"], metrics["num_tunes_rendered"]) == (0, 0)


def test_a_sample_is_rendered_and_failures_are_counted(
    rendered: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(renderings, "NUM_RENDERED", 3)
    sample, num_failed = compression.render(TEXTS, seed=0)
    assert (len(sample), num_failed) == (3, 0)
    assert [TEXTS[tune.index] for tune in sample] == rendered
    assert compression.render(TEXTS, seed=0) == (sample, 0)
    assert any(compression.render(TEXTS, seed)[0] != sample for seed in range(1, 9))

    pipes = TEXTS[0].replace("K:C", "K:HP")
    sample, num_failed = compression.render([pipes, TEXTS[1]], seed=0)
    assert ([tune.index for tune in sample], num_failed) == ([1], 1)
    note = "document 0 is left out of the comparison with MIDI: abc2midi made no MIDI"
    assert note in capsys.readouterr().err


def test_a_tune_on_one_line_is_taken_apart_before_it_is_rendered(rendered: list[str]) -> None:
    sample, num_failed = compression.render([TEXTS[0].replace("\n", " ")], seed=0)
    assert (len(sample), num_failed) == (1, 0)
    assert rendered == [TEXTS[0]]


def test_wav_is_as_large_as_the_file(tmp_path: Path) -> None:
    midi = abc_to_midi(TEXTS[0])
    sound = midi_to_sound(midi, tmp_path, "tune")
    assert sound.wav.stat().st_size == compression.wav_bytes(midi.duration_s)
