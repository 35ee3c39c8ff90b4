"""Optional dependencies of a stage, checked before it starts: extras and a compiler.

A need is declared once, with the setting that causes it. Rooms that are used as a library check for
themselves, too; here everything missing is reported together, with one command to install it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec

from musicllm.errors import NotAvailableError
from musicllm.model.export import EXPORTERS
from musicllm.model.gguf_file import SUFFIX
from musicllm.model.packages import PACKAGES, PREFIX, Package
from musicllm.runs.stages import WRITING
from musicllm.schema import Config

LOADING = ("train", "evaluate", *WRITING)
"""Tasks that compute with a model."""

LOGGING = ("train", "evaluate", "compare")
"""Tasks that log."""

COMPILERS = ("g++", "clang++", "c++")


@dataclass(frozen=True)
class Need:
    """A dependency of a setting.

    Attributes:
        cause: returns the setting that needs it as `key=value`, or None.
        modules: of Python, any of which suffices.
        extra: of musicllm that installs it; None if `command` does.
        command: that installs it.
    """

    cause: Callable[[Config], str | None]
    modules: tuple[str, ...]
    extra: str | None = None
    command: str | None = None


def _bench(config: Config) -> str | None:
    """Return the benches that train a SentencePiece tokenizer."""
    name = config.bench.name if config.task == "bench" else None
    if name == "prepare" or (name == "eval" and config.model.location is None):
        return f"bench.name={name}"
    return None


def _ray(config: Config) -> str | None:
    works = config.task in ("prepare", "bench") and config.engine.name == "ray"
    return "engine.name=ray" if works else None


def _nf4(config: Config) -> str | None:
    loads = config.task in LOADING
    needed = loads and config.adapter.quantization == "nf4"
    return "adapter.quantization=nf4" if needed else None


def _nf4_teacher(config: Config) -> str | None:
    loads = config.task in ("train", "teacher_logits")
    needed = loads and config.objective.teacher_quantization == "nf4"
    return "objective.teacher_quantization=nf4" if needed else None


def _dequantize(config: Config) -> str | None:
    needed = config.task == "merge" and config.merge.quantized_base == "dequantize"
    return "merge.quantized_base=dequantize" if needed else None


def _logger(kind: str, *tasks: str) -> Callable[[Config], str | None]:
    """Return a cause: tasks that log to a kind of logger."""

    def cause(config: Config) -> str | None:
        kinds = {logger.kind for logger in config.logger.values()}
        return f"logger={kind}" if config.task in tasks and kind in kinds else None

    return cause


def _mlflow_database(config: Config) -> str | None:
    """Return the setting by which MLflow writes to a database itself."""
    local = (
        logger.kind == "mlflow" and str(logger.options.get("tracking_uri")).startswith("sqlite:")
        for logger in config.logger.values()
    )
    return "logger=mlflow" if config.task in LOGGING and any(local) else None


def _dashboard(config: Config) -> str | None:
    return "task=dashboard" if config.task == "dashboard" else None


def _gguf(config: Config) -> str | None:
    if config.task not in WRITING:
        return None
    if config.inference.engine is not None:
        return "inference.engine=gguf" if config.inference.engine == "gguf" else None
    places = {f"inputs.{role}": config.inputs.get(role) for role in ("model", "second_model")}
    places["model.location"] = config.model.location
    named = [f"{key}={place}" for key, place in places.items() if (place or "").endswith(SUFFIX)]
    return named[0] if named else None


def _vllm(config: Config) -> str | None:
    chosen = config.task in WRITING and config.inference.engine == "vllm"
    return "inference.engine=vllm" if chosen and "python" not in config.inference.options else None


def _json_schema(config: Config) -> str | None:
    checks = config.task == "synthesize" and config.synthesis.json_schema is not None
    return f"synthesis.json_schema={config.synthesis.json_schema}" if checks else None


def _exporter(name: str) -> Iterator[Need]:
    """Yield the needs of an export format."""

    def cause(config: Config) -> str | None:
        chosen = config.task == "export" and config.export.format == name
        return f"export.format={name}" if chosen else None

    exporter = EXPORTERS[name]
    for module in exporter.modules:
        yield Need(cause, (module,), exporter.extra)


def _packaged(package: Package) -> Iterator[Need]:
    """Yield the needs of a model that is part of a package, unless another one is loaded."""
    location = PREFIX + package.name

    def cause(config: Config) -> str | None:
        loads = config.task in (*LOADING, "export") and "model" not in config.inputs
        loads &= config.model.endpoint is None
        loads |= config.task == "prepare" and config.data.tokenizer in ("model", "extend")
        loads |= config.task == "bench" and config.bench.name == "eval"
        return f"model.location={location}" if loads and config.model.location == location else None

    for module in package.modules:
        command = package.command if module == package.name else None
        yield Need(cause, (module,), None if command else package.extra, command)


NEEDS = (
    Need(_bench, ("sentencepiece",), "bench"),
    Need(_ray, ("ray",), "ray"),
    Need(_nf4, ("bitsandbytes",), "qlora"),
    Need(_nf4_teacher, ("bitsandbytes",), "qlora"),
    Need(_dequantize, ("bitsandbytes",), "qlora"),
    Need(_logger("tensorboard", *LOGGING), ("tensorboard", "tensorboardX"), "tensorboard"),
    Need(_logger("wandb", *LOGGING, "dashboard"), ("wandb",), None, "pip install wandb"),
    Need(_logger("mlflow", *LOGGING), ("mlflow",), "mlflow"),
    Need(_mlflow_database, ("sqlalchemy",), "mlflow"),
    Need(_mlflow_database, ("alembic",), "mlflow"),
    Need(_logger("trackio", *LOGGING), ("trackio",), "trackio"),
    Need(_dashboard, ("wandb_workspaces",), "dashboard"),
    Need(_gguf, ("xllamacpp",), "gguf"),
    Need(_vllm, ("vllm",), "vllm"),
    Need(_json_schema, ("jsonschema",), "synthesis"),
    *(need for package in PACKAGES.values() for need in _packaged(package)),
)


def require(*configs: Config) -> None:
    """Make sure that the dependencies of a stage, or of all stages of a pipeline, are installed.

    Raises:
        NotAvailableError: names everything that is missing, and how to install it.
    """
    lacking = [pair for config in configs for pair in _lacking(config)]
    compilers = [key for config in configs if (key := _compiler(config))]
    if not lacking and not compilers:
        return
    lines = [f"{key} needs {need.modules[0]}, which is not installed" for key, need in lacking]
    lines += [f"{key} needs a C++ compiler, and there is none" for key in compilers]
    extras = dict.fromkeys(need.extra for _, need in lacking if need.extra)
    commands = [f"pip install 'musicllm[{','.join(extras)}]'"] if extras else []
    commands += [need.command for _, need in lacking if need.command]
    commands += ["apt install g++, or training.compile=false"] if compilers else []
    lines = [*dict.fromkeys(lines), *(f"install it: {text}" for text in dict.fromkeys(commands))]
    raise NotAvailableError("something is missing:\n" + "\n".join(f"  {line}" for line in lines))


def _lacking(config: Config) -> Iterator[tuple[str, Need]]:
    for need in (*NEEDS, *(need for name in EXPORTERS for need in _exporter(name))):
        key = need.cause(config)
        if key is not None and not any(find_spec(name) for name in need.modules):
            yield key, need


def _compiler(config: Config) -> str | None:
    """Return the setting for which torch compiles C++ on a CPU, if there is no compiler."""
    compiles = config.task in ("train", "bench") and config.training.compile
    if not compiles or config.hardware.accelerator != "cpu":
        return None
    named = os.environ.get("CXX")
    if any(shutil.which(name) for name in ([named] if named else COMPILERS)):
        return None
    return "training.compile=true"
