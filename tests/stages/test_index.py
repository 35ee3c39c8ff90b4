"""The stages index and search: from a corpus to the tunes that are like one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from musicllm import artifacts, cli, config
from musicllm.artifacts import Artifact
from musicllm.errors import ArtifactError, InputError, StageError
from musicllm.launch import runner
from musicllm.music.transform import transpose
from musicllm.retrieval import Index
from tests.helpers import make_corpus, make_tune


def run(tmp_path: Path, *words: str) -> Artifact:
    """Run a recipe; return its artifact."""
    settings, recipe = config.load([*words, f"paths.runs={tmp_path / 'runs'}"])
    return artifacts.read(runner.run(settings, recipe).folder / "artifact")


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Artifact]:
    """A folder with a corpus of 24, 3 and 3 tunes, and the index of the first."""
    folder = tmp_path_factory.mktemp("indexed")
    make_corpus(folder / "corpus")
    return folder, run(folder, "recipe=index", f"inputs.corpus={folder / 'corpus'}")


def tunes_of(folder: Path, split: str) -> list[str]:
    files = (folder / "corpus" / "records" / split).glob("*.jsonl")
    lines = [line for file in files for line in file.read_text().splitlines()]
    return [json.loads(line)["text"].strip() for line in lines]


def test_the_index_holds_the_training_tunes_alone(indexed: tuple[Path, Artifact]) -> None:
    folder, artifact = indexed
    artifact.verify()
    index = Index.open(artifact.path)
    assert len(index) == 24
    assert sum(artifact.facts["by_source"].values()) == 24
    for tune in tunes_of(folder, "train"):
        assert index.similar(transpose(tune, 3), 1)[0].abc == tune
    for tune in tunes_of(folder, "test"):
        assert all(other.abc != tune for other in index.similar(tune, 24))
    assert not list(artifact.path.parent.glob("work*"))


def test_an_index_is_that_of_its_corpus(indexed: tuple[Path, Artifact], tmp_path: Path) -> None:
    """A copy of the corpus elsewhere is the same; another corpus, split or limit is not."""
    _, artifact = indexed
    make_corpus(tmp_path / "copy")
    make_corpus(tmp_path / "other", num_tunes=20)
    of = f"recipe=index inputs.corpus={tmp_path}"
    assert run(tmp_path, *f"{of}/copy".split()).fingerprint == artifact.fingerprint
    others = [f"{of}/other", f"{of}/copy index.splits=[test]", f"{of}/copy index.min_notes=60"]
    fingerprints = {run(tmp_path, *words.split()).fingerprint for words in others}
    assert len(fingerprints | {artifact.fingerprint}) == 4


def test_sources_are_indexed_without_a_corpus(tmp_path: Path) -> None:
    book = tmp_path / "mine" / "book.abc"
    book.parent.mkdir()
    book.write_text("\n".join(make_tune(n).replace("R:reel", f"T:Tune {n}") for n in range(4)))
    location = f"data.sources.abc_folder.location={book.parent}"
    artifact = run(tmp_path, "recipe=index/sources", "data=abc_folder", location)
    assert Index.open(artifact.path).similar("tune 2", 1, "text")[0].title == "Tune 2"


def test_a_search_shows_and_writes_its_neighbours(
    indexed: tuple[Path, Artifact], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, artifact = indexed
    tune = tunes_of(folder, "train")[5]
    (tmp_path / "mine.abc").write_text(transpose(tune, 2))
    search = ["recipe=index/search", f"inputs.index={artifact.path.parent}"]
    search_of_tune = run(
        tmp_path, *search, f"search.file={tmp_path / 'mine.abc'}", "search.num_neighbours=2"
    )
    lines = (search_of_tune.path / "neighbours.jsonl").read_text().splitlines()
    first, *others = map(json.loads, lines)
    assert (first["abc"], first["score"], first["similarity"]) == (tune, pytest.approx(1), 1.0)
    assert all(other["similarity"] < 0.6 for other in others)
    said = capsys.readouterr().out
    assert "same melody" in said
    assert f"{len(lines)} by melody" in said

    (tmp_path / "mine.abc").write_text("reel")
    again = run(
        tmp_path, *search, f"search.file={tmp_path / 'mine.abc'}", "search.num_neighbours=9"
    )
    assert (again.facts["by"], again.facts["num_neighbours"]) == ("text", 9)
    assert again.fingerprint != search_of_tune.fingerprint


def test_what_cannot_be_indexed_or_searched_is_refused(
    indexed: tuple[Path, Artifact], tmp_path: Path
) -> None:
    folder, artifact = indexed
    none = (
        "there is no tune in the records of index.splits=.train. .left out: 24 tunes that are too"
    )
    with pytest.raises(StageError, match=none):
        run(tmp_path, "recipe=index", f"inputs.corpus={folder / 'corpus'}", "index.min_notes=1000")
    search = ["recipe=index/search", f"inputs.index={artifact.path}"]
    with pytest.raises(InputError, match=r"search.file=nowhere.abc cannot be read: .*No such file"):
        run(tmp_path, *search, "search.file=nowhere.abc")
    (tmp_path / "empty.abc").write_text(" \n")
    with pytest.raises(InputError, match=r"empty.abc is empty; write a tune in ABC, or words"):
        run(tmp_path, *search, f"search.file={tmp_path / 'empty.abc'}")
    (tmp_path / "latin.abc").write_bytes("T:Fr\xe8re\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin.abc is not UTF-8 .*; save it as UTF-8"):
        run(tmp_path, *search, f"search.file={tmp_path / 'latin.abc'}")
    with pytest.raises(ArtifactError, match="is of kind corpus, and an index is needed here"):
        run(tmp_path, "recipe=index/search", f"inputs.index={folder / 'corpus'}")


def test_a_search_without_a_query_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["recipe=index/search", "search.query=null"]) != 0
    said = capsys.readouterr()
    assert (
        "search.query=null names nothing to look for; write search.query=<words or ABC>, or "
        "search.file=<file>"
    ) in " ".join((said.out + said.err).split())


def test_plans_say_what_is_read(
    indexed: tuple[Path, Artifact], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = indexed
    assert cli.main(["recipe=index", f"inputs.corpus={folder / 'corpus'}", "stage=plan"]) == 0
    said = capsys.readouterr().out
    assert re.search(
        r"data +prepared; of records with a split: train\n", re.sub(" +\n", "\n", said)
    )
    assert re.search(r"records +24 ", said)
    assert "at most 0.1 MB" in said


def test_a_corpus_that_nothing_reads_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["recipe=index", "data=music21_books"]) != 0
    said = capsys.readouterr()
    assert (
        "inputs.corpus=prepare_pretrain is read by no source of data=music21_books; write "
        "data=prepared, or recipe=index/sources"
    ) in " ".join((said.out + said.err).split())
