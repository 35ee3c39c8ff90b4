"""Artifacts are complete or absent, and damage is named."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from musicllm import artifacts
from musicllm.errors import ArtifactError


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def fail_half_way(path: Path) -> None:
    with artifacts.writing(path, "corpus", "f01", {}) as (folder, _):
        (folder / "half").write_text("x")
        raise RuntimeError("half way")


def make(path: Path, text: str = "abc") -> artifacts.Artifact:
    with artifacts.writing(path, "corpus", "f00", {"commit": "c0"}) as (folder, facts):
        (folder / "sub").mkdir()
        (folder / "sub" / "a.txt").write_text(text)
        facts["num_rows"] = 3
    return artifacts.read(path)


def test_an_artifact_holds_what_was_written(tmp_path: Path) -> None:
    artifact = make(tmp_path / "out")
    assert (artifact.kind, artifact.fingerprint) == ("corpus", "f00")
    assert artifact.facts == {"num_rows": 3}
    assert artifact.provenance == {"commit": "c0"}
    # sha256 of "abc", FIPS 180-2 example B.1
    assert artifact.files["sub/a.txt"] == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    artifact.verify()
    assert names(tmp_path) == ["out"]


def test_an_exception_leaves_nothing_and_keeps_what_was_there(tmp_path: Path) -> None:
    make(tmp_path / "out")
    with pytest.raises(RuntimeError, match="half way"):
        fail_half_way(tmp_path / "out")
    assert artifacts.read(tmp_path / "out").fingerprint == "f00"
    assert names(tmp_path) == ["out"]


def test_a_killed_process_leaves_no_artifact_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    program = f"""
        import os, signal
        from pathlib import Path
        from musicllm import artifacts
        with artifacts.writing(Path({str(tmp_path / "out")!r}), "corpus", "f", {{}}) as (folder, _):
            (folder / "half").write_text("x")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False)
    assert done.returncode == -signal.SIGKILL
    with pytest.raises(ArtifactError, match=r"out is not an artifact: it has no manifest\.json"):
        artifacts.read(tmp_path / "out")
    assert len(names(tmp_path)) == 1
    make(tmp_path / "out")
    assert names(tmp_path) == ["out"]


def test_damage_and_loss_are_named(tmp_path: Path) -> None:
    artifact = make(tmp_path / "out")
    (tmp_path / "out" / "sub" / "a.txt").write_text("abd")
    with pytest.raises(ArtifactError, match=r"a\.txt is damaged .* run its stage again"):
        artifact.verify()
    (tmp_path / "out" / "sub" / "a.txt").unlink()
    with pytest.raises(ArtifactError, match=r"a\.txt is missing"):
        artifact.verify()


def test_a_broken_manifest_and_another_kind_are_named(tmp_path: Path) -> None:
    make(tmp_path / "out")
    with pytest.raises(ArtifactError, match=r"holds a corpus, but a model is needed here"):
        artifacts.read(tmp_path / "out", "model")
    (tmp_path / "out" / "manifest.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"manifest\.json is not a valid manifest: KeyError"):
        artifacts.read(tmp_path / "out")


def test_fingerprints_ignore_order_and_see_values() -> None:
    assert artifacts.fingerprint({"a": 1, "b": [2]}) == artifacts.fingerprint({"b": [2], "a": 1})
    assert artifacts.fingerprint({"a": 1}) != artifacts.fingerprint({"a": 1.5})
    assert len(artifacts.fingerprint(None)) == 12


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        artifacts.write_json(tmp_path / "x.json", {"loss": float("nan")})
