"""Export: a model for other programs, with its card, and its upload."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from musicllm import artifacts, console, quoting
from musicllm.artifacts import Artifact
from musicllm.errors import ArtifactError, ConfigError, InputError, NotAvailableError, Problem
from musicllm.job import Job
from musicllm.model import base, published
from musicllm.model.audio import bundle
from musicllm.model.checkpoint import local_folder
from musicllm.model.export import EXPORTERS, Export, Exported, hub
from musicllm.report import licences
from musicllm.report.card import CardInputs, model_card
from musicllm.report.card.writing import take_example
from musicllm.report.lineage import Licence, Lineage
from musicllm.runs.bases import Place
from musicllm.runs.lineage import lineage_of
from musicllm.runs.models import place_of
from musicllm.runs.settings import sampling_settings
from musicllm.runs.texts import texts_of

CARD = "README.md"


def run(job: Job) -> list[tuple[str, object]]:
    """Write `inputs.model`, or the model of the configuration, in `export.format`, and upload it.

    Raises:
        ArtifactError: the input is an adapter, there is no model, or `inputs.evaluation` or
            `inputs.tunes` is of another model.
        ConfigError: a licence forbids it.
        MusicLLMError: as `Exporter.export` and `hub.upload` do.
    """
    place = _whole_model(job)
    _refuse_hearing(place)
    lineage = lineage_of(job.inputs["model"]) if "model" in job.inputs else Lineage((), ())
    _refuse_licences(job, lineage)
    for role in ("evaluation", "tunes"):
        _refuse_other_model(job, role)
    existing = job.existing()
    if existing is None:
        rows = list(_write(job, place, lineage).rows)
    else:
        console.say(f"up to date: {job.folder}")
        rows = [(label, value) for label, value in existing.facts["rows"]]
    return [*rows, ("model card", job.artifact_path / CARD), *_uploaded(job)]


def _write(job: Job, place: Place, lineage: Lineage) -> Exported:
    settings = job.config.export
    exporter = EXPORTERS[settings.format]
    source, texts = _folder_of(place), None
    if "texts" in job.inputs:
        corpus, seed = job.input("texts"), job.config.seed
        texts = texts_of(corpus, source, num_texts=settings.num_texts, seed=seed)
    with job.writing() as (folder, facts):
        exported = exporter.export(
            Export(
                source,
                folder,
                _name(job),
                settings,
                ignored_tensors=place.ignored_tensors,
                texts=texts,
                accelerator=job.config.hardware.accelerator,
                seed=job.config.seed,
                sampling=dataclasses.asdict(sampling_settings(job.config)),
            )
        )
        example = take_example(job.inputs.get("tunes"), folder)
        inputs = _card_inputs(job, exported, source, lineage)
        artifacts.write_text(folder / CARD, model_card(inputs, example))
        rows = [[label, str(value)] for label, value in exported.rows]
        facts.update(exported.facts, format=exporter.name, rows=rows)
        quantization = exporter.quantization(settings)
        if quantization is not None:
            facts["quantization"] = quantization
    return exported


def _card_inputs(job: Job, exported: Exported, source: Path, lineage: Lineage) -> CardInputs:
    exporter, is_run = EXPORTERS[job.config.export.format], "model" in job.inputs
    return CardInputs(
        name=_name(job),
        label=exporter.label,
        library=exporter.library,
        rows=exported.rows,
        usage=exported.usage,
        architecture=published.read(source),
        has_template=bool(base.load_tokenizer(source).chat_template),
        lineage=lineage,
        location=None if is_run else job.config.model.location,
        licence=None if is_run else job.config.model.licence,
        overridden=job.config.export.override_licences,
        evaluation=job.inputs.get("evaluation"),
        tunes=job.inputs.get("tunes"),
        facts_of_run=job.run_facts or {},
    )


def _uploaded(job: Job) -> list[tuple[str, object]]:
    """Upload the artifact, or list what would be; return rows of the summary.

    Raises:
        MusicLLMError: as `hub.upload` does.
    """
    settings = job.config.export
    if settings.push_to_hub is None:
        return []
    files = hub.files_of(job.artifact_path)
    total = sum(file.num_bytes for file in files)
    rows = [[file.name, f"{file.num_bytes:,}"] for file in files]
    console.table(
        f"files for {settings.push_to_hub}", ("file", "bytes"), [*rows, ["together", f"{total:,}"]]
    )
    if settings.dry_run:
        return [("upload", "none: export.dry_run=true; export.dry_run=false uploads these files")]
    message = f"{_name(job)} by musicllm, recipe {job.recipe}"
    address = hub.upload(
        job.artifact_path, settings.push_to_hub, private=settings.private, message=message
    )
    return [("uploaded", address)]


def _refuse_licences(job: Job, lineage: Lineage) -> None:
    """Refuse what a licence of the base or the data forbids; say which ones are vague.

    Raises:
        ConfigError: with a problem for each such licence, or a name that is overridden in vain.
    """
    settings, config = job.config.export, job.config
    known = list(lineage.licences())
    if "model" not in job.inputs:
        known.append(Licence("model", f"the model {config.model.name}", config.model.licence))
    problems = list(
        licences.broken(
            known,
            overridden=settings.override_licences,
            shared=settings.push_to_hub is not None,
        )
    )
    for name in licences.unknown(known, settings.override_licences):
        names = ", ".join(sorted({licence.name for licence in known})) or "none"
        rule = f"names {name}, which is no part of this model; its parts with a licence: {names}"
        problems.append(Problem("export.override_licences", f"[{name}]", rule))
    if problems:
        raise ConfigError(problems)
    for licence in known:
        if licences.is_vague(licence.text):
            console.note(
                f"the licence of {licence.what} does not say what is allowed: {licence.text}"
            )


def _refuse_other_model(job: Job, role: str) -> None:
    """Refuse an evaluation or tunes of another model.

    Raises:
        ArtifactError: it is of another model, or of another kind.
    """
    if role not in job.inputs:
        return
    artifact = job.inputs[role]
    named = f"inputs.{role}={artifact.path}"
    if artifact.kind != role:
        raise ArtifactError(f"{named} is of kind {artifact.kind}, and {role} is needed here")
    theirs, ours = _model_of(artifact), _own_model(job)
    if theirs != ours:
        raise ArtifactError(
            f"{named} is of the model {theirs}, but what is exported is {ours}; name one of this "
            f"very model, so that the card tells the truth"
        )


def _model_of(artifact: Artifact) -> object:
    """Return the identity of the model that an artifact was made with."""
    provenance = artifact.provenance
    inputs = provenance.get("inputs", {})
    if "adapter" in inputs:
        return f"{inputs['adapter']['fingerprint']} (an adapter)"
    if "model" in inputs:
        return inputs["model"]["fingerprint"]
    model = provenance.get("config", {}).get("model", {})
    return f"{model.get('location')} {model.get('revision') or ''}".strip()


def _own_model(job: Job) -> object:
    if "model" in job.inputs:
        return job.inputs["model"].fingerprint
    model = job.config.model
    return f"{model.location} {model.revision or ''}".strip()


def _whole_model(job: Job) -> Place:
    """Return the place of the model.

    Raises:
        ArtifactError: it is an adapter, or there is none.
    """
    if "adapter" in job.inputs:
        path = job.inputs["adapter"].path
        merge = quoting.command("recipe=merge", quoting.argument("inputs.adapter", path))
        raise ArtifactError(
            f"inputs.adapter={path}: an export is of a whole model; merge the adapter into its "
            f"base first: {merge} and then write inputs.model=<the folder of that run>"
        )
    return place_of(job)


def _refuse_hearing(place: Place) -> None:
    """Refuse a model with a bridge for audio, which no format of an export has."""
    if bundle.is_in(place.path):
        raise NotAvailableError(
            f"{place.path} is a model that hears, and an export would leave its audio bridge out; "
            f"copy its folder instead, and load it with musicllm.model.audio.bundle (docs/AUDIO.md)"
        )


def _folder_of(place: Place) -> Path:
    """Return the folder of a model, which is downloaded if need be.

    Raises:
        InputError: there is no model, or its weights are quantized already.
        NotAvailableError: the hub cannot be reached.
    """
    raw = published.read(place.path, place.revision)
    decoder = raw.get("text_config") or {}
    if raw.get("quantization_config") or decoder.get("quantization_config"):
        raise InputError(
            f"the weights of {place.path} are quantized already, as its config.json says; export "
            f"the model before it was quantized"
        )
    if "auto_map" not in raw:
        base.load_config(place.path, revision=place.revision)
    try:
        return local_folder(place.path, place.revision)
    except OSError as error:
        raise NotAvailableError(f"{place.path} cannot be downloaded: {error}") from error


def _name(job: Job) -> str:
    """Return the name of the model: the configured one, that of its run, or of its place."""
    config = job.config
    if config.export.model_name is not None:
        return config.export.model_name
    if "model" not in job.inputs:
        return config.model.name
    model = job.inputs["model"]
    recipe = str(model.provenance.get("recipe", ""))
    words = [recipe.replace("/", "-"), model.fingerprint] if recipe else [_base_name(model.path)]
    return "-".join(words)


def _base_name(path: Path) -> str:
    folder = path.parent if path.name == artifacts.MANIFEST else path
    return folder.resolve().name
