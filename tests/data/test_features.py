"""The store of features: found by content, whole after a kill, mapped."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from musicllm.data import features
from musicllm.data.clips import Clip, resolved
from musicllm.data.features import FeatureStore, FeatureWriter
from musicllm.errors import ArtifactError
from musicllm.files.misfit import Misfit
from tests.audio_files import write_questions

SHAPE = (2, 3)


def of(number: int) -> np.ndarray:
    return np.full(SHAPE, number, np.float32)


def test_shards_of_a_killed_run_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "SHARD_BYTES", 2 * 24)
    first = FeatureWriter(tmp_path / "partial", SHAPE, "a")
    for number in range(5):
        first.add(f"clip {number}", of(number))
    again = FeatureWriter(tmp_path / "partial", SHAPE, "a")  # the fifth was not written yet
    assert again.keys == {f"clip {number}" for number in range(4)}
    again.add("clip 4", of(4))
    size = again.finish(tmp_path / "artifact" / "shards")
    assert size == sum(p.stat().st_size for p in (tmp_path / "artifact" / "shards").iterdir())
    store = FeatureStore(tmp_path / "artifact", {})
    assert len(store) == 5
    for number in range(5):
        np.testing.assert_array_equal(store.get(f"clip {number}"), of(number))
    assert store.lacking(["clip 1", "other"]) == ["other"]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(store)).get("clip 3"), of(3))


def test_damaged_shards_and_those_of_other_settings_are_made_again(tmp_path: Path) -> None:
    writer = FeatureWriter(tmp_path, SHAPE, "a")
    writer.add("x", of(1))
    writer.flush()
    assert FeatureWriter(tmp_path, SHAPE, "a").keys == {"x"}
    shard = tmp_path / "shard-00000.npy"
    shard.write_bytes(shard.read_bytes()[:-4] + b"oops")
    assert FeatureWriter(tmp_path, SHAPE, "a").keys == set()
    writer = FeatureWriter(tmp_path, SHAPE, "a")
    writer.add("x", of(1))
    writer.flush()
    assert FeatureWriter(tmp_path, SHAPE, "b").keys == set()


def test_a_store_with_missing_rows_is_refused(tmp_path: Path) -> None:
    writer = FeatureWriter(tmp_path / "shards", SHAPE, "a")
    writer.add("x", of(1))
    writer.flush()
    np.save(tmp_path / "shards" / "shard-00000.npy", np.zeros((2, *SHAPE), np.float32))
    with pytest.raises(ArtifactError, match="has 1 keys of 2 clips"):
        FeatureStore(tmp_path, {})


def test_a_clip_is_its_content_and_stretch(tmp_path: Path) -> None:
    folder = write_questions(tmp_path / "a", 4, num_held_out=1)
    entry = {"kind": "audio", "file": "audio/000.wav", "start_s": 0.5}
    (one,) = resolved([entry], folder)
    (folder / "audio" / "000.wav").rename(folder / "audio" / "moved.wav")
    (two,) = resolved([entry | {"file": str(folder / "audio" / "moved.wav")}], folder)
    clips = [Clip(e["file"], e["start_s"], e["duration_s"], e["sha256"]) for e in (one, two)]
    assert clips[0].key == clips[1].key
    (other,) = resolved([{"kind": "audio", "file": "audio/moved.wav"}], folder)
    assert other["sha256"] == one["sha256"]
    assert Clip(other["file"], 0.0, None, other["sha256"]).key != clips[0].key


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([], "another form"),
        ([{"kind": "audio", "file": "audio/000.wav"}] * 2, "another form"),
        ([{"kind": "image", "file": "audio/000.wav"}], "another form"),
        ([{"kind": "audio", "file": "audio/000.wav", "begin": 1}], "another form"),
        ([{"kind": "audio", "file": "audio/000.wav", "start_s": "1"}], "another form"),
        ([{"kind": "audio", "file": "audio/000.wav", "start_s": 1.5}], "outside of its audio"),
        ([{"kind": "audio", "file": "audio/000.wav", "duration_s": 0}], "outside of its audio"),
        ([{"kind": "audio", "file": "audio/nine.wav"}], "is missing"),
        ([{"kind": "audio", "file": "audio/000.wav", "sha256": "0"}], "audio that changed"),
    ],
)
def test_what_no_clip_is_says_why(tmp_path: Path, entries: list, reason: str) -> None:
    folder = write_questions(tmp_path / "a", 1, num_held_out=0)
    with pytest.raises(Misfit) as misfit:
        resolved(entries, folder)
    assert reason in misfit.value.reason
