"""How the metrics of generated tunes behave on answers whose quality is known.

docs/GENERATION_METRICS.md has the whole table; with `-s` it is printed.
"""

from __future__ import annotations

import random
from itertools import islice
from pathlib import Path

import pytest

from musicllm.cli import main
from musicllm.data.corpus import Corpus
from musicllm.evals import generation
from musicllm.evals.copies import CopyIndex
from musicllm.music.abc.limits import AbcError
from musicllm.music.transform import transpose


def shuffled(tune: str) -> str:
    """Return a tune with its bars in random order, without repeats."""
    header, key, body = tune.partition("K:")
    key_line, _, music = body.partition("\n")
    for line in (":|", "|:", "|]", "||", "\n"):
        music = music.replace(line, "|")
    bars = [bar.strip() for bar in music.split("|") if bar.strip()]
    random.Random(0).shuffle(bars)
    return f"{header}{key}{key_line}\n{' | '.join(bars)} |]"


def higher(tune: str) -> str | None:
    """Return a tune a tone higher; None if some of its chord symbols cannot be transposed."""
    try:
        return transpose(tune, 2)
    except AbcError:
        return None


@pytest.mark.slow
def test_the_metrics_tell_good_answers_from_bad_ones(tmp_path: Path) -> None:
    assert main(["recipe=quickstart/prepare", f"paths.runs={tmp_path}", "name=books"]) == 0
    corpus = Corpus.open(next(tmp_path.rglob("artifact")))
    train, test = ([r["text"] for r in corpus.records(split)] for split in ("train", "test"))
    requests = generation.make_requests(test, [], None, seed=0)
    references = [request.reference for request in requests]
    draws = random.Random(0).sample(train, len(train))
    pairs = list(islice(((t, up) for t in draws if (up := higher(t))), len(requests)))
    by_family: dict[str, list[int]] = {}
    for number, request in enumerate(requests):
        by_family.setdefault(request.family, []).append(number)
    following = {
        a: b
        for group in by_family.values()
        for a, b in zip(group, group[1:] + group[:1], strict=True)
    }
    sets = {
        "reference": references,
        "another's": [references[following[number]] for number in range(len(references))],
        "shuffled": [shuffled(tune) for tune in references],
        "training": [tune for tune, _ in pairs],
        "transposed": [up for _, up in pairs],
        "one tune": references[:1] * len(references),
    }
    index = CopyIndex(train)
    finished = [True] * len(requests)
    metrics = {
        name: generation.measure(requests, answers, finished, index, seed=0).metrics
        for name, answers in sets.items()
    }
    for metric in metrics["reference"]:
        cells = [metrics[name].get(metric) for name in sets]
        print(metric, *("-" if cell is None else f"{cell:.3f}" for cell in cells))

    for metric in ("metre_as_asked", "key_as_asked", "chord_adherence", "motif_as_asked",
                   "form_adherence", "first_bars_kept"):  # fmt: skip
        values = {name: metrics[name][metric] for name in sets}
        assert values["reference"] == 1, metric
        assert max(v for name, v in values.items() if name != "reference") < 0.95, metric
    order = metrics["shuffled"]
    assert order["phrase_repetition"] < 0.05 < metrics["reference"]["phrase_repetition"]
    assert order["key_fit"] == pytest.approx(metrics["reference"]["key_fit"], abs=0.01)
    copies = {name: metrics[name]["near_copies"] for name in sets}
    assert copies == dict.fromkeys(sets, 0.0) | {"training": 1.0}  # by letters, in one key
    melodies = {name: metrics[name]["melodic_copies"] for name in sets}
    assert melodies == dict.fromkeys(sets, 0.0) | {"training": 1.0, "transposed": 1.0}
    assert metrics["one tune"]["pairwise_similarity"] == 1
