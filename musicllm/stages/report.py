"""Report: one page that shows what a chain of runs did, and how to go on."""

from __future__ import annotations

from collections.abc import Mapping

from musicllm import artifacts, quoting
from musicllm.artifacts import Artifact
from musicllm.job import Job
from musicllm.report.assemble import assemble
from musicllm.report.page import NextCommand, render


def run(job: Job) -> list[tuple[str, object]]:
    """Write the page of all inputs, whatever their roles, as the artifact and as report.html.

    Raises:
        ArtifactError: a file beside an input is damaged.
    """
    title = job.recipe.removesuffix("/report")
    page = render(assemble(job.inputs, title, _commands(job.inputs)))
    copy = job.folder / "report.html"
    with job.writing() as (folder, _):
        artifacts.write_text(folder / "report.html", page)
        artifacts.write_text(copy, page)
    return [("page", copy), ("size", f"{len(page.encode()) / 1e6:.1f} MB"), *_missing(job.inputs)]


def _missing(inputs: Mapping[str, Artifact]) -> list[tuple[str, object]]:
    kinds = {artifact.kind for artifact in inputs.values()}
    lacking = [kind for kind in ("corpus", "evaluation", "tunes") if kind not in kinds]
    return [("said to be missing", ", ".join(lacking))] if lacking else []


def _commands(inputs: Mapping[str, Artifact]) -> list[NextCommand]:
    """Return what can be run from here; each command repeats the inputs of the run it follows."""
    commands = []
    has_tunes = False
    for artifact in inputs.values():
        if artifact.kind == "tunes" and not has_tunes:
            has_tunes = True
            provenance = artifact.provenance
            seed = provenance["config"]["seed"] + 1
            words = ["generation.num_prompts=12", f"seed={seed}", *_inputs(artifact)]
            line = _line(provenance["recipe"], words)
            commands.append(NextCommand("Write twelve more tunes", line))
        if artifact.provenance["config"]["task"] == "train":
            commands.append(_longer(artifact))
    models = [artifact for artifact in inputs.values() if artifact.kind == "model"]
    if models:
        words = [
            "generation=sampling",
            quoting.argument("inputs.model", models[-1].path.parent),
            f"hardware={models[-1].provenance['config']['hardware']['name']}",
            'generation.prompts=["Write a jig in G major."]',
        ]
        commands.append(NextCommand("Ask for a tune of your own", _line("generate", words)))
    return commands


def _longer(artifact: Artifact) -> NextCommand:
    """Return the command that trains twice as long, with the limits that the run had."""
    provenance = artifact.provenance
    limits = {name: provenance["config"]["training"][name] for name in ("num_epochs", "max_steps")}
    if "chosen" in artifact.facts:  # by the speed of the machine
        limits["max_steps"] = artifact.facts["chosen"]["num_steps"]
    doubled = [f"training.{name}={2 * limit}" for name, limit in limits.items() if limit]
    line = _line(provenance["recipe"], [*doubled, *_inputs(artifact)])
    return NextCommand(f"Train {provenance['recipe']} twice as long", line)


def _inputs(artifact: Artifact) -> list[str]:
    inputs = artifact.provenance["inputs"]
    return [
        quoting.argument(f"inputs.{role}", artifacts.locate_input(artifact, place))
        for role, place in inputs.items()
    ]


def _line(recipe: str, words: list[str]) -> str:
    return quoting.command(quoting.argument("recipe", recipe), *words)
