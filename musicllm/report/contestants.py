"""Evaluations that are compared: what each of them measured, under a name of its own.

Reads the artifacts; computes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from musicllm.artifacts import Artifact
from musicllm.errors import ArtifactError, InputError
from musicllm.evals.results import Metrics, subset_words
from musicllm.report.runs import read_json, read_lines

ROLES = ("baseline", "model")
"""Roles whose models are compared, in the order of training."""

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Contestant:
    """One model as an evaluation found it.

    Attributes:
        label: its name on the page, unlike that of any other.
        role: in its evaluation.
        artifact: the evaluation.
        metrics: by benchmark.
        facts: by benchmark, whether all of it was asked and how; evaluations of older versions have
            none.
        predictions: rows of answered questions or measured documents by benchmark.
        generations: rows of tunes by benchmark.
    """

    label: str
    role: str
    artifact: Artifact
    metrics: Mapping[str, Metrics]
    facts: Mapping[str, Mapping[str, Any]]
    predictions: Mapping[str, Rows]
    generations: Mapping[str, Rows]

    def subset(self, benchmark: str) -> str:
        """Return in words that a benchmark was not asked completely, or nothing."""
        return subset_words(self.facts[benchmark]) if benchmark in self.facts else ""

    @property
    def tested(self) -> str:
        """Where the model came from, as its evaluation was told."""
        made = self.artifact.provenance
        if self.role in made["inputs"]:
            return str(made["inputs"][self.role]["path"])
        model = made["config"]["model"]
        return str(model["location"] or model["name"])


def read_contestants(evaluations: Sequence[Artifact]) -> list[Contestant]:
    """Read what is compared: the model of each evaluation, or of a single one its baseline as well.

    Args:
        evaluations: in the order in which their models were made.

    Raises:
        ArtifactError: one is no evaluation, or a file of it is damaged.
        InputError: fewer than two models, or the same evaluation twice.
    """
    for artifact in evaluations:
        if artifact.kind != "evaluation":
            raise ArtifactError(f"{artifact.path} holds a {artifact.kind}, not an evaluation")
    _refuse_twice(evaluations)
    results = [read_json(artifact.path / "results.json") for artifact in evaluations]
    roles = [ROLES if len(evaluations) == 1 else ("model",)] * len(evaluations)
    chosen = [
        (artifact, role, found)
        for artifact, found, some in zip(evaluations, results, roles, strict=True)
        for role in some
        if role in found["models"]
    ]
    if len(chosen) < 2:
        raise InputError(
            f"runs has {len(chosen)} models to compare; name two evaluations or more, or one that "
            "was given inputs.baseline"
        )
    labels = _labels(evaluations)
    return [
        _read(role if len(evaluations) == 1 else labels[id(artifact)], role, artifact, found)
        for artifact, role, found in chosen
    ]


def _refuse_twice(evaluations: Sequence[Artifact]) -> None:
    counts = Counter(artifact.path.resolve() for artifact in evaluations)
    twice = [str(path) for path, count in counts.items() if count > 1]
    if twice:
        raise InputError(f"runs names {', '.join(twice)} more than once; name each evaluation once")


def _labels(evaluations: Sequence[Artifact]) -> dict[int, str]:
    """Name evaluations by recipe; several of one recipe by run folder too, or by their path."""
    recipes = [str(artifact.provenance["recipe"]) for artifact in evaluations]
    folders = [artifact.path.parent.name for artifact in evaluations]
    both = [f"{recipe}/{folder}" for recipe, folder in zip(recipes, folders, strict=True)]
    paths = [str(artifact.path) for artifact in evaluations]
    labels: dict[int, str] = {}
    for artifact, names in zip(evaluations, zip(recipes, both, paths, strict=True), strict=True):
        unlike = [
            name
            for name, others in zip(names, (recipes, both, paths), strict=True)
            if others.count(name) == 1
        ]
        labels[id(artifact)] = unlike[0]
    return labels


def _read(label: str, role: str, artifact: Artifact, results: Mapping[str, Any]) -> Contestant:
    return Contestant(
        label=label,
        role=role,
        artifact=artifact,
        metrics=results["models"][role],
        facts=results.get("benchmarks", {}),
        predictions=_rows(artifact, "predictions.jsonl", role),
        generations=_rows(artifact, "generations.jsonl", role),
    )


def _rows(artifact: Artifact, name: str, role: str) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in read_lines(artifact.path / name):
        if row["role"] == role:
            found.setdefault(row["benchmark"], []).append(row)
    return found
