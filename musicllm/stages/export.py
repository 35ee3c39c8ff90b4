"""Export: a model for other programs."""

from __future__ import annotations

from pathlib import Path

from musicllm import artifacts, console, quoting
from musicllm.errors import ArtifactError, InputError, NotAvailableError
from musicllm.job import Job
from musicllm.model import base, published
from musicllm.model.checkpoint import local_folder
from musicllm.model.export import EXPORTERS, Export, Exported
from musicllm.runs.bases import Place
from musicllm.runs.models import place_of


def run(job: Job) -> list[tuple[str, object]]:
    """Write `inputs.model`, or the model of the configuration, in `export.format`.

    Raises:
        ArtifactError: the input is an adapter, or there is no model.
        MusicLLMError: as `Exporter.export` does.
    """
    place = _whole_model(job)
    if (existing := job.existing()) is not None:
        console.say(f"up to date: {job.folder}")
        return [(label, value) for label, value in existing.facts["rows"]]
    exported = _write(job, place)
    return list(exported.rows)


def _write(job: Job, place: Place) -> Exported:
    settings = job.config.export
    exporter = EXPORTERS[settings.format]
    source = _folder_of(place)
    with job.writing() as (folder, facts):
        exported = exporter.export(
            Export(source, folder, _name(job), settings, ignored_tensors=place.ignored_tensors)
        )
        rows = [[label, str(value)] for label, value in exported.rows]
        facts.update(exported.facts, format=exporter.name, rows=rows)
        quantization = exporter.quantization(settings)
        if quantization is not None:
            facts["quantization"] = quantization
    return exported


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
