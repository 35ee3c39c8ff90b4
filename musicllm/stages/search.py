"""Search: the tunes of an index that are like a tune, or that words name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import orjson

from musicllm import artifacts, console
from musicllm.errors import InputError
from musicllm.job import Job
from musicllm.music.abc import find_tunes, parse
from musicllm.retrieval import Index, Neighbour, Version, tune_in, version
from musicllm.serve.showing import visible

Row = tuple[object, ...]


def run(job: Job) -> list[tuple[str, object]]:
    """Print the neighbours of `search.query` in `inputs.index`, and write `neighbours.jsonl`.

    Raises:
        InputError: the query cannot be looked up.
    """
    settings, index = job.config.search, Index.open(job.input("index").path)
    query = _query(settings.query, settings.file)
    by = settings.by or ("melody" if find_tunes(query) else "text")
    neighbours = index.similar(query, settings.num_neighbours, by)
    score = tune_in(query) if by == "melody" else None
    versions = [] if score is None else [version(score, tune) for tune in neighbours]
    with job.writing() as (folder, facts):
        values = map(_as_json, versions) if versions else map(asdict, neighbours)
        lines = "".join(f"{orjson.dumps(value).decode()}\n" for value in values)
        artifacts.write_text(folder / "neighbours.jsonl", lines)
        facts.update(by=by, num_neighbours=len(neighbours))
    _show(neighbours, versions)
    return [
        ("tunes of the index", f"{len(index):,}"),
        ("neighbours", f"{len(neighbours)} by {by}"),
        ("as JSON", job.artifact_path / "neighbours.jsonl"),
    ]


def _query(query: str | None, file: str | None) -> str:
    """Return the content of the file if one is named, else the query."""
    if file is None:
        assert query is not None, "checks refuse a search without a query"
        name, text = "search.query", query
    else:
        name = f"search.file={file}"
        try:
            text = Path(file).expanduser().read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{name} is not UTF-8 ({error}); save it as UTF-8") from None
        except OSError as error:
            raise InputError(f"{name} cannot be read: {error}") from None
    if not text.strip():
        raise InputError(f"{name} is empty; write a tune in ABC, or words")
    return text


def _as_json(own: Version) -> dict[str, object]:
    return asdict(own.neighbour) | {"similarity": own.similarity}


def _show(neighbours: Sequence[Neighbour], versions: Sequence[Version]) -> None:
    """Print a table of the neighbours, and each of them."""
    columns = ["", "score", "title", "key", "metre", "record"]
    rows = [_row(number, tune) for number, tune in enumerate(neighbours, 1)]
    if versions:
        columns += ["similarity", ""]
        rows = [(*row, *_melodic(own)) for row, own in zip(rows, versions, strict=True)]
    console.table("neighbours", columns, rows)
    for number, tune in enumerate(neighbours, 1):
        console.say(f"\n{number}. {visible(tune.id)}\n{visible(tune.abc)}")


def _row(number: int, tune: Neighbour) -> Row:
    score = parse(tune.abc)
    title, record = visible(tune.title), visible(tune.id)
    return number, f"{tune.score:.2f}", title, score.key.name, score.metre_text, record


def _melodic(own: Version) -> Row:
    share = f"{own.similarity:.2f}" if own.similarity else "-"
    return share, "same melody" if own.is_copy else ""
