from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest

from musicllm.data.settings import SourceSpec
from musicllm.data.sources import find_parts, read_part
from musicllm.data.sources.hub import choose
from musicllm.errors import InputError, NotAvailableError
from tests.helpers import source_spec

TUNE = '[{"abc notation": "X:1\\nK:D\\nabc|", "control code": "S:1"}]'


def spec(folder: Path, **settings: Any) -> SourceSpec:
    return source_spec(
        **{
            "name": "irishman",
            "reader": "hub",
            "location": "sander-wood/irishman",
            "local_folder": folder,
            **settings,
        }
    )


def ids(source: SourceSpec) -> list[str]:
    found = [item for part in find_parts(source) for item in read_part(part)]
    return [item["id"] for item in found if isinstance(item, dict)]


@dataclass
class FakeHub:
    """A hub that holds these files; `fails_after` of them the connection breaks."""

    names: Sequence[str]
    fails_after: int = 99
    revisions: tuple[str | None, ...] = ()

    def dataset_info(self, repo_id: str, *, revision: str | None, timeout: float) -> Any:
        self.revisions += (revision,)
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=name) for name in self.names])

    def snapshot_download(
        self, repo_id: str, *, repo_type: str, revision: str, local_dir: Path, allow_patterns: Any
    ) -> None:
        assert (repo_id, repo_type) == ("sander-wood/irishman", "dataset")
        for number, name in enumerate(self.names):
            if number == self.fails_after:
                raise OSError("connection lost\nmore")
            if any(fnmatch(name, pattern) for pattern in allow_patterns):
                (local_dir / name).parent.mkdir(parents=True, exist_ok=True)
                (local_dir / name).write_text(TUNE)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    fake = FakeHub(["README.md", "train.json", "validation.json", "ids.json", "midi.zip"])
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: fake)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fake.snapshot_download)
    return fake


def test_a_data_set_is_downloaded_once(tmp_path: Path, hub: FakeHub) -> None:
    source = spec(tmp_path / "here", revision="v2")

    assert ids(source) == ["irishman/train.json:1", "irishman/validation.json:1"]
    assert ids(source) == ["irishman/train.json:1", "irishman/validation.json:1"]
    assert hub.revisions == ("v2",)
    assert not (tmp_path / "here" / "ids.json").exists()


def test_an_interrupted_download_is_continued(tmp_path: Path, hub: FakeHub) -> None:
    hub.fails_after = 2
    with pytest.raises(NotAvailableError, match=r"downloaded: connection lost \(an earlier downl"):
        ids(spec(tmp_path))
    assert (tmp_path / "train.json").exists()

    hub.fails_after = 99
    assert len(ids(spec(tmp_path))) == 2


def test_another_revision_in_the_folder_is_refused(tmp_path: Path, hub: FakeHub) -> None:
    ids(spec(tmp_path))

    with pytest.raises(InputError, match=r"irishman@main, but data\.sources\.irishman asks for "):
        ids(spec(tmp_path, revision="v3"))


def test_files_placed_by_hand_are_read_without_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(huggingface_hub, "HfApi", None)  # calling it would fail
    for name in ("train.json", "variation_ids.json"):
        (tmp_path / name).write_text(TUNE)

    assert ids(spec(tmp_path)) == ["irishman/train.json:1"]
    assert "not read: 1 .json" in capsys.readouterr().err
    assert ids(spec(tmp_path / "absent", location=str(tmp_path))) == ["irishman/train.json:1"]


def test_a_benchmarks_download_of_an_earlier_version_is_completed(
    tmp_path: Path, hub: FakeHub
) -> None:
    for name in ("validation.json", ".cache/huggingface/download/validation.json.metadata"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(TUNE)

    assert ids(spec(tmp_path)) == ["irishman/train.json:1", "irishman/validation.json:1"]
    assert hub.revisions == (None,)


def test_without_network_the_error_names_the_files_and_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("name or service not known")

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", refuse)

    with pytest.raises(NotAvailableError) as caught:
        ids(spec(tmp_path / "there"))

    message = str(caught.value)
    assert message.startswith("data.sources.irishman.location=sander-wood/irishman is no path")
    assert "could not be downloaded: name or service not known;" in message
    assert f"place its files in {tmp_path / 'there'} (understood are .jsonl," in message
    assert message.endswith("set data.sources.irishman.location=<folder> to where they are")


def test_a_data_set_without_readable_files_is_an_error(tmp_path: Path, hub: FakeHub) -> None:
    hub.names = ["README.md", "audio.wav"]

    with pytest.raises(InputError, match="irishman@main holds no file that is understood; unders"):
        ids(spec(tmp_path))


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (
            ["data/train-00000-of-00002.parquet", "data/test-00000.parquet", "old.jsonl"],
            ["data/train-00000-of-00002.parquet", "data/test-00000.parquet"],
        ),
        (["train0.csv", "train1.csv", "valid.csv"], ["train0.csv", "train1.csv", "valid.csv"]),
        (["train/a.jsonl.gz", "dev/b.jsonl.gz"], ["train/a.jsonl.gz", "dev/b.jsonl.gz"]),
        (["alpaca_data.json", "README.md"], ["alpaca_data.json"]),
        (["constrained.jsonl", "tunes.zip"], ["constrained.jsonl", "tunes.zip"]),
        (["my_train.jsonl", "contest.jsonl"], ["my_train.jsonl"]),
        (["data.json", "eval_results.json"], ["data.json", "eval_results.json"]),
    ],
)
def test_records_are_the_files_named_after_splits(names: list[str], chosen: list[str]) -> None:
    assert choose(names) == chosen
