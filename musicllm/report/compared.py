"""The models of a comparison, read from evaluation artifacts.

Nothing is computed here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from musicllm.artifacts import Artifact
from musicllm.errors import ArtifactError, InputError
from musicllm.evals.kind import subset_words
from musicllm.evals.results import Metrics
from musicllm.report.runs import read_json, read_lines

ROLES = ("baseline", "model")
"""Roles of compared models, in the order of training."""

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class ComparedModel:
    """The results of one model.

    Attributes:
        label: its unique name on the page.
        role: in its evaluation.
        artifact: the evaluation.
        metrics: by benchmark.
        facts: by benchmark, how and how completely it was evaluated; evaluations of older versions
            have none.
        predictions: rows of questions or documents by benchmark.
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
        """Describe which part of a benchmark was evaluated; empty for all of it."""
        return subset_words(self.facts[benchmark]) if benchmark in self.facts else ""

    @property
    def tested(self) -> str:
        """Path or hub id of the model."""
        provenance = self.artifact.provenance
        if self.role in provenance["inputs"]:
            return str(provenance["inputs"][self.role]["path"])
        model = provenance["config"]["model"]
        return str(model["location"] or model["name"])


def read_models(evaluations: Sequence[Artifact]) -> list[ComparedModel]:
    """Read the model of each evaluation; of a single evaluation, its baseline and its model.

    Args:
        evaluations: in the order in which their models were trained.

    Raises:
        ArtifactError: an input is not an evaluation, or has a damaged file.
        InputError: fewer than two models, or an evaluation more than once.
    """
    for artifact in evaluations:
        if artifact.kind != "evaluation":
            raise ArtifactError(f"{artifact.path} holds a {artifact.kind}, not an evaluation")
    _refuse_twice(evaluations)
    results = [read_json(artifact.path / "results.json") for artifact in evaluations]
    roles = [ROLES if len(evaluations) == 1 else ("model",)] * len(evaluations)
    present = [
        (artifact, role, content)
        for artifact, content, roles_of_one in zip(evaluations, results, roles, strict=True)
        for role in roles_of_one
        if role in content["models"]
    ]
    if len(present) < 2:
        raise InputError(
            f"runs has {len(present)} models to compare; name two evaluations or more, or one that "
            "was given inputs.baseline"
        )
    labels = _labels(evaluations)
    return [
        _read(role if len(evaluations) == 1 else labels[id(artifact)], role, artifact, content)
        for artifact, role, content in present
    ]


def _refuse_twice(evaluations: Sequence[Artifact]) -> None:
    counts = Counter(artifact.path.resolve() for artifact in evaluations)
    twice = [str(path) for path, count in counts.items() if count > 1]
    if twice:
        raise InputError(f"runs names {', '.join(twice)} more than once; name each evaluation once")


def _labels(evaluations: Sequence[Artifact]) -> dict[int, str]:
    """Label evaluations by recipe; if that is not unique, with the run folder, or by path."""
    recipes = [str(artifact.provenance["recipe"]) for artifact in evaluations]
    folders = [artifact.path.parent.name for artifact in evaluations]
    both = [f"{recipe}/{folder}" for recipe, folder in zip(recipes, folders, strict=True)]
    paths = [str(artifact.path) for artifact in evaluations]
    labels: dict[int, str] = {}
    for artifact, names in zip(evaluations, zip(recipes, both, paths, strict=True), strict=True):
        unique = [
            name
            for name, others in zip(names, (recipes, both, paths), strict=True)
            if others.count(name) == 1
        ]
        labels[id(artifact)] = unique[0]
    return labels


def _read(label: str, role: str, artifact: Artifact, results: Mapping[str, Any]) -> ComparedModel:
    return ComparedModel(
        label=label,
        role=role,
        artifact=artifact,
        metrics=results["models"][role],
        facts=results.get("benchmarks", {}),
        predictions=_rows(artifact, "predictions.jsonl", role),
        generations=_rows(artifact, "generations.jsonl", role),
    )


def _rows(artifact: Artifact, name: str, role: str) -> dict[str, list[Mapping[str, Any]]]:
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for row in read_lines(artifact.path / name):
        if row["role"] == role:
            rows.setdefault(row["benchmark"], []).append(row)
    return rows
