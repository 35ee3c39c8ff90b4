"""How a model was made: trainings, data, licences and versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from musicllm.report.card.markdown import cell, code, public_place, table
from musicllm.report.licences import NO_SHARING, NO_TRAINING, is_vague
from musicllm.report.lineage import Lineage, Step
from musicllm.report.runs import read_run
from musicllm.report.tables import as_text, duration

PLAN = (
    ("num_steps", "optimizer steps"),
    ("rows_per_step", "rows per step"),
    ("tokens_per_step", "tokens per step"),
    ("trainable_parameters", "trained parameters"),
    ("frozen_parameters", "frozen parameters"),
)
"""Keys of plan.json, and their names in the card."""


def training_section(lineage: Lineage) -> str:
    """Return a table of settings and results, a column for each training; empty without one."""
    trainings = lineage.trainings
    if not trainings:
        return ""
    columns = [dict(_settings(step)) for step in trainings]
    names = dict.fromkeys(name for column in columns for name in column)
    rows = [[name, *(as_text(column.get(name)) for column in columns)] for name in names]
    heads = ["", *(cell(step.recipe) for step in trainings)]
    return f"## Training\n\n{_start(lineage)}\n\n{table(heads, rows)}"


def _start(lineage: Lineage) -> str:
    base = lineage.base
    if base is None:
        return "The base of the first training is not recorded."
    if base["location"] is None:
        return "The first training began with random weights."
    revision = f" at revision {cell(base['revision'])}" if base["revision"] else ""
    return f"The first training began with {cell(public_place(base['location']))}{revision}."


def _settings(step: Step) -> Iterator[tuple[str, object]]:
    """Yield names and values of a training: what was set, what was planned, what came out."""
    config, run = step.config, read_run(step.role, step.artifact)
    adapter = config["adapter"]
    yield "weights", "all" if adapter["kind"] == "full" else adapter["name"]
    if adapter["r"] is not None:
        yield "rank and scale of LoRA", f"{adapter['r']}, {adapter['alpha']:g}"
        yield "layers with LoRA", ", ".join(adapter["targets"])
    if adapter["quantization"] is not None:
        yield "quantization of the base", adapter["quantization"]
    optimizer, schedule = config["optimizer"], config["schedule"]
    yield "optimizer", optimizer["name"]
    yield "peak learning rate", optimizer["lr"]
    yield "weight decay", optimizer["weight_decay"]
    yield "schedule", f"{schedule['name']}, {schedule['warmup_fraction']:.0%} warm-up"
    yield "gradient clip", config["training"]["gradient_clip"]
    yield "longest row", config["data"]["max_length"]
    yield "seed", str(config["seed"])
    for key, name in PLAN:
        if run.plan is not None and key in run.plan:
            yield name, run.plan[key]
    metrics = step.artifact.facts.get("metrics", {})
    for key, name in (("train_loss", "training loss"), ("validation_loss", "validation loss")):
        if metrics.get(key) is not None:
            yield f"{name} (nats a token)", metrics[key]
    hardware = config["hardware"]
    num_devices = hardware["num_nodes"] * hardware["devices_per_node"]
    yield "devices", f"{num_devices} x {hardware['device']}, {hardware['precision']}"
    if run.duration_s is not None:
        yield "time", duration(run.duration_s)


def data_section(lineage: Lineage) -> str:
    """Return the sources and the mix of each corpus; empty without one."""
    parts = []
    for step in lineage.corpora:
        facts, sources = step.artifact.facts, step.config["data"]["sources"]
        licences = facts.get("licences", {})
        rows = [
            [
                name,
                public_place(source["location"] or source["reader"]),
                licences.get(name, source["licence"]),
                source["citation"],
            ]
            for name, source in sources.items()
        ]
        text = f"### {cell(step.recipe)}\n\n"
        text += _left_aligned(("source", "from", "licence", "described in"), rows)
        mix = [
            [part["part"], as_text(part["documents"]), as_text(part["tokens"]),
             f"{part['share_tokens']:.1%}"]
            for part in facts.get("mix", [])
        ]  # fmt: skip
        if mix:
            text += "\nThe training split:\n\n"
            text += table(("part", "documents", "tokens", "share of tokens"), mix)
        text += "".join(f"\n{line}\n" for line in _removed(facts))
        parts.append(text)
    return "## Data\n\n" + "\n".join(parts) if parts else ""


def _removed(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield sentences on what was left out of a corpus."""
    dropped = facts.get("dropped", {})
    total = sum(count for reasons in dropped.values() for count in reasons.values())
    num_read = sum(facts.get("read", {}).values())
    if num_read:
        yield f"{as_text(total)} of {as_text(num_read)} records were left out by checks."
    contamination = facts.get("contamination", {})
    if contamination.get("questions"):
        yield (
            f"It was compared with {as_text(contamination['questions'])} benchmark questions; "
            f"{as_text(contamination['removed'])} records that hold one were removed."
        )


def licence_section(lineage: Lineage, licence: str | None, overridden: Sequence[str]) -> str:
    """Return the licences of the base and the data, with what they forbid; empty without any."""
    licences = list(lineage.licences())
    rows = [
        [entry.what, entry.text, _terms(entry.text, entry.name in overridden)] for entry in licences
    ]
    if not lineage.steps and licence is not None:
        rows.append(["the model", licence, _terms(licence, "model" in overridden)])
    if not rows:
        return ""
    note = "As the configuration of the runs names them; the licence texts decide."
    return f"## Licences\n\n{_left_aligned(('of', 'licence', ''), rows)}\n{note}\n"


def _terms(text: str, is_overridden: bool) -> str:
    forbids = [
        *(["training"] if NO_TRAINING.search(text) else []),
        *(["sharing"] if NO_SHARING.search(text) else []),
    ]
    words = f"**forbids {' and '.join(forbids)}**" if forbids else ""
    if forbids and is_overridden:
        return f"{words}; whoever made this says they have permission"
    return words or ("not clear: look at the source" if is_vague(text) else "")


def provenance_section(lineage: Lineage, facts: Mapping[str, Any]) -> str:
    """Return the steps with their identities, and the versions."""
    rows = [[step.recipe, step.artifact.kind, step.artifact.fingerprint] for step in lineage.steps]
    text = "## Provenance\n\n"
    if rows:
        text += _left_aligned(("recipe", "made", "identity"), rows) + "\n"
    versions = [f"musicllm {facts['musicllm']}"] if facts.get("musicllm") else []
    versions += [f"{name} {version}" for name, version in facts.get("packages", {}).items()]
    if facts.get("commit"):
        versions.append(f"commit {facts['commit']}")
    return text + code("\n".join(versions)) if versions else text


def _left_aligned(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    head, bars, *lines = table(columns, rows).splitlines(keepends=True)
    return "".join([head, bars.replace("---:", "---"), *lines]).replace(r"\*", "*")
