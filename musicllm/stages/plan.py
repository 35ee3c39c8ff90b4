"""Says what a recipe would do, with numbers, before anything is downloaded or trained.

No network, no GPU, no weights: parameters are counted from the model option's architecture
numbers on the meta device. A prepared corpus, where there is one, gives its own row count.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from musicllm import console, quoting
from musicllm.artifacts import Artifact
from musicllm.checks import check
from musicllm.data.sources.readers import READERS
from musicllm.errors import ArtifactError
from musicllm.evals.kind import BENCHMARK_KINDS
from musicllm.job import Job
from musicllm.retrieval.size import cost
from musicllm.runs import composing
from musicllm.runs.inputs import find_input
from musicllm.runs.stages import STAGES
from musicllm.schema import BenchmarkConfig, Config, DataConfig, SourceConfig
from musicllm.stages.pipeline import fitting, refuse_unused
from musicllm.train.objectives import OBJECTIVES
from musicllm.train.optimizers import OPTIMIZERS
from musicllm.train.plan import total

if TYPE_CHECKING:
    from musicllm.model.size import Size
    from musicllm.train.run_plan import RunPlan

Rows = list[tuple[str, object]]

STEPS_IF_UNKNOWN = 1_000
"""Steps that are planned where the size of the corpus is not known."""


def run(job: Job) -> Rows:
    """Print the plan of a recipe; of a pipeline, that of every step.

    Raises:
        ConfigError: a training does not fit into the memory of its devices; raised at the end.
    """
    config, command = job.config, job.command
    plans = []
    if config.task == "pipeline":
        console.heading(f"{job.recipe}: {config.description}")
        refuse_unused(config.steps, command)
        for step in config.steps:
            words = [quoting.argument("recipe", step), *fitting(step, command)]
            settings, _ = composing.load(words, command.folders)
            check(settings)
            console.say()
            plans.append(_show(settings, step))
    else:
        plans.append(_show(config, job.recipe))
    for plan in plans:
        if plan is not None:
            plan.refuse_memory()
    return []


def _show(config: Config, recipe: str) -> RunPlan | None:
    plan = _plan(config) if config.task == "train" else None
    console.heading(f"plan of {recipe}: {config.description}")
    rows: Rows = [("task", f"{config.task}: {STAGES[config.task].summary}")]
    rows += [
        (f"reads {role}", _whereabouts(config, f"inputs.{role}", name))
        for role, name in config.inputs.items()
    ]
    rows += DETAILS[config.task](config) if config.task in DETAILS else []
    rows += _training(config, plan) if plan else []
    rows += _certificate(config) if plan else []
    rows.append(("settings from", config.source))
    console.table("", ("", ""), rows)
    if plan:
        console.table("\nmemory of one device at the peak of a step", ("", ""), plan.memory_rows())
        console.table("\nwork and time", ("", ""), plan.time_rows())
        console.table(f"\ndisk of {plan.runs}", ("", ""), plan.disk_rows())
    return plan


def _preparation(config: Config) -> Rows:
    data = config.data
    sources = data.sources.values()
    return [
        ("corpus", data.name),
        *(
            (f"reads {name}", f"{source.reader}: {_place(source)}; licence: {source.licence}")
            for name, source in data.sources.items()
        ),
        ("documents", _count(total(source.num_documents for source in sources))),
        ("tokens", _count(total(source.num_tokens for source in sources))),
        ("instructions", ", ".join(data.instructions.tasks) or "none"),
        *_languages(data),
        ("benchmarks kept out", ", ".join(config.benchmark) or "none configured"),
        ("rows", f"{data.row_former}, {data.max_length:,} tokens"),
        ("tokenizer", data.tokenizer),
        ("template", config.template.name),
        ("engine", config.engine.name),
    ]  # fmt: skip


def _place(source: SourceConfig) -> str:
    """Return where a source's records are, and which of them are read."""
    role = source.role or READERS[source.reader].input_role
    place = source.location or (f"inputs.{role}" if role else "what comes with it")
    place += "".join(f", with {text!r} in {field}" for field, text in source.where.items())
    chars = source.min_chars
    return place if chars is None else f"{place}, of {chars:,} characters or more"


def _languages(data: DataConfig) -> Rows:
    """Return what is done about languages, and which other formats are written."""
    shares = data.translation.shares
    table = data.translation.table or "inputs.translations"
    wanted = ", ".join(f"{share:.0%} into {name}" for name, share in shares.items())
    instructions = ", ".join(f"{n}: {s:g}" for n, s in data.instructions.language_shares.items())
    rows = [
        ("languages of instructions", instructions),
        ("requests translated", f"{wanted}, by {table}" if wanted else ""),
        ("system prompts for", ", ".join(data.system_prompts)),
        ("mix", ", ".join(f"{n}: {w:g}" for n, w in data.mix.weights.items())),
        ("also written for", ", ".join(data.also_write)),
    ]
    return [(name, text) for name, text in rows if text]


def _index(config: Config) -> Rows:
    name = config.inputs.get("corpus")
    corpus = None if name is None else _input(config, "inputs.corpus", name)
    records = [source.num_documents for source in config.data.sources.values()]
    if corpus is not None and corpus.kind == "corpus":
        records = [corpus.facts["splits"][name]["documents"] for name in config.index.splits]
    num_records = total(records)
    return [
        ("data", f"{config.data.name}; of records with a split: {', '.join(config.index.splits)}"),
        ("records", _count(num_records)),
        ("index", "unknown until then" if num_records is None else cost(num_records)),
    ]


def _evaluation(config: Config) -> Rows:
    hardware, quantization = config.hardware, config.adapter.quantization
    devices = hardware.num_nodes * hardware.devices_per_node
    weights = f"{hardware.precision}{f', {quantization}' if quantization else ''}"
    own = (
        []
        if "model" in config.inputs
        else [("model", f"{config.model.name}, from {config.model.location or 'nowhere'}")]
    )
    return [
        *own,
        ("hardware", f"{hardware.name}: {devices} x {hardware.device}, weights in {weights}"),
        *((f"benchmark {name}", _benchmark(spec)) for name, spec in config.benchmark.items()),
    ]  # fmt: skip


def _benchmark(spec: BenchmarkConfig) -> str:
    """Return what would be measured, and how."""
    kind = BENCHMARK_KINDS[spec.kind]
    number = "all" if spec.num_questions is None else f"{spec.num_questions:,}"
    parts = [spec.kind, f"{number} {kind.items_in_plan}"]
    parts += [f"split {spec.split}"] if spec.split else []
    parts += [f"only {', '.join(words)}" for words in (spec.subjects, spec.levels) if words]
    parts += kind.plan_words(spec)
    parts.append(kind.origin_in_plan if spec.location is None else f"from {spec.location}")
    return ", ".join([*parts, f"licence: {spec.licence}"])


def _comparison(config: Config) -> Rows:
    return [(f"run {number}", _whereabouts(config, "runs", name))
            for number, name in enumerate(config.runs, 1)]  # fmt: skip


def _synthesis(config: Config) -> Rows:
    from musicllm.runs.synthesis import synthesis_rows

    return synthesis_rows(config)


def _teacher_logits(config: Config) -> Rows:
    from musicllm.runs.stored_teacher import plan_rows

    corpus = _input(config, "inputs.corpus", config.inputs["corpus"])
    return plan_rows(config, corpus.facts if corpus else None)


def _hearing(config: Config) -> Rows:
    """Return what a model hears with; nothing for a model of text."""
    from musicllm.runs.hearing import plan_rows

    if config.audio.bridge is None:
        return []
    corpus = _input(config, "inputs.corpus", config.inputs["corpus"])
    return plan_rows(config, corpus.facts if corpus else None)


DETAILS = {
    "train": _hearing,
    "features": _hearing,
    "prepare": _preparation,
    "index": _index,
    "evaluate": _evaluation,
    "compare": _comparison,
    "synthesize": _synthesis,
    "teacher_logits": _teacher_logits,
}
"""Task -> what its plan says beside its inputs."""


def _plan(config: Config) -> RunPlan:
    from musicllm.runs.planning import run_plan

    corpus = _input(config, "inputs.corpus", config.inputs["corpus"])
    facts = corpus.facts if corpus else None
    if _is_endless(config, facts):
        training = dataclasses.replace(config.training, max_steps=STEPS_IF_UNKNOWN)
        config = dataclasses.replace(config, training=training)
    return run_plan(config, facts)


def _is_endless(config: Config, corpus: Mapping[str, Any] | None) -> bool:
    """Return whether only the corpus, which is not there yet, will say how many steps there are."""
    from musicllm.runs.settings import limit_of_steps, step_choices

    decided = config.training.max_hours is not None or step_choices(config)
    return not decided and limit_of_steps(config, corpus) is None


def _training(config: Config, plan: RunPlan) -> Rows:
    steps, size, hardware = plan.steps, plan.size, config.hardware
    kind = "estimated from the corpus's published size" if steps.num_rows_estimated else "prepared"
    num_rows = f"{_count(steps.num_rows)} ({kind})" if steps.num_rows else _count(None)
    num_steps = f"{steps.num_steps:,}" if plan.length is None else plan.length.as_text()
    if steps.num_rows is None and config.training.max_steps is None and plan.length is None:
        num_steps = f"{_count(None)}; this plan is of {num_steps}"
    return [
        ("model", f"{_name(config)}, {size.num_parameters:,} parameters{_active(size)}"),
        ("adapter", f"{config.adapter.name}"),
        *_objective(config, plan),
        ("dropout", _dropout(config)),
        ("trainable parameters", f"{size.num_trainable:,}"),
        ("frozen parameters", f"{size.num_frozen:,}"),
        ("hardware", f"{hardware.name}: {hardware.num_nodes} x {hardware.devices_per_node} "
                     f"{hardware.device}, {hardware.precision}, strategy {config.strategy.name}"),
        ("rows of the corpus", num_rows),
        ("global batch", f"{steps.rows_per_step} rows = {steps.num_devices} devices x "
                         f"{steps.rows_per_device} rows x {steps.accumulation} accumulated"),
        ("tokens per step", f"at most {steps.tokens_per_step:,}"),
        ("steps", num_steps),
        ("warm-up steps", f"{steps.warmup_steps:,}"),
        ("learning rate", f"{config.optimizer.lr:g} ({config.optimizer.name}, "
                          f"{config.schedule.name})"),
        *_optimizer(config),
    ]  # fmt: skip


def _objective(config: Config, plan: RunPlan) -> Rows:
    """Return what is minimised, and the teacher, unless it is the plain loss."""
    settings = config.objective
    if settings.name == "sft":
        return []
    rows: Rows = [("objective", OBJECTIVES[settings.name].words(settings))]
    if plan.teacher is not None:
        name, parameters = plan.teacher
        quantized = f", {settings.teacher_quantization}" * bool(settings.teacher_quantization)
        rows.append(("teacher", f"{name}, {parameters:,} parameters{quantized}"))
    elif "teacher" in config.inputs:
        unknown = "unknown and left out: it is not there, and objective.teacher_model is null"
        rows.append(("teacher", unknown))
    return rows


def _name(config: Config) -> str:
    """Return the name of the model's option, with its location if any model can be there."""
    name, location = config.model.name, config.model.location
    return f"{name} ({location})" if name == "hf" and location else name


def _active(size: Size) -> str:
    """Return how many parameters a token passes, if it does not pass all."""
    if size.num_active == size.num_parameters:
        return ""
    return f", {size.num_active:,} of them active"


def _dropout(config: Config) -> str:
    """Return the probabilities of the model's configuration and of LoRA."""
    from musicllm.model.architecture import config_of, dropouts
    from musicllm.runs.settings import model_spec

    values = dropouts(config_of(model_spec(config))) | {"LoRA": config.adapter.dropout or 0.0}
    return ", ".join(f"{name} {p:g}" for name, p in values.items() if p) or "none"


def _certificate(config: Config) -> Rows:
    """Return how documents go through the model, if it is to be proven now."""
    if not config.certify_in_plan:
        return []
    from musicllm.runs.certifying import certified_on_cpu

    corpus = _input(config, "inputs.corpus", config.inputs["corpus"])
    length = corpus.facts["max_length"] if corpus else config.data.max_length
    return [("documents", certified_on_cpu(config, length).as_text())]


def _optimizer(config: Config) -> Rows:
    """Return what the kind of optimizer adds."""
    from musicllm.train import strategies

    return list(
        OPTIMIZERS[config.optimizer.name].plan_rows(
            config.optimizer,
            device=config.hardware.device,
            has_bf16=strategies.expects_bf16(config.hardware),
        )
    )


def _input(config: Config, key: str, name: str) -> Artifact | None:
    try:
        return find_input(key, name, config)
    except ArtifactError:
        return None


def _whereabouts(config: Config, key: str, name: str) -> str:
    artifact = _input(config, key, name)
    return f"{name}: {artifact.path if artifact else 'not made yet'}"


def _count(number: int | None) -> str:
    return "unknown until it is prepared" if number is None else f"{number:,}"
