"""The type, range, unit and meaning of every setting: one dataclass per group of `conf/`.

There are no values here; `conf/` is the only home of defaults. `musicllm.config` checks a
composed configuration against these classes and turns it into instances of them, which are
read-only. `X | None` marks a setting that may be `null`; `keys` reads the annotations.
"""

from __future__ import annotations

from musicllm.schema.audio import AudioConfig
from musicllm.schema.dashboard import DashboardConfig, PanelConfig, SectionConfig
from musicllm.schema.data import (
    DataConfig,
    DuplicatesConfig,
    EngineConfig,
    InspectConfig,
    InstructionsConfig,
    MixConfig,
    MusicConfig,
    SourceConfig,
    TemplateConfig,
    TranslationConfig,
)
from musicllm.schema.export import ExportConfig
from musicllm.schema.jobs import LauncherConfig, PathsConfig, SweepConfig
from musicllm.schema.keys import group, key
from musicllm.schema.objective import ObjectiveConfig
from musicllm.schema.rendering import RenderingConfig
from musicllm.schema.retrieval import IndexConfig, SearchConfig
from musicllm.schema.serving import ServeConfig
from musicllm.schema.synthesis import SynthesisConfig
from musicllm.schema.tools import ToolsConfig
from musicllm.schema.training import (
    AdapterConfig,
    HardwareConfig,
    MergeConfig,
    ModelConfig,
    OptimizerConfig,
    ScheduleConfig,
    StrategyConfig,
    TrainingConfig,
)
from musicllm.schema.watching import (
    BenchConfig,
    BenchmarkConfig,
    CallbacksConfig,
    LoggerConfig,
)
from musicllm.schema.writing import GenerationConfig, InferenceConfig, TuneConfig

__all__ = [
    "AdapterConfig",
    "AudioConfig",
    "BenchConfig",
    "BenchmarkConfig",
    "CallbacksConfig",
    "Config",
    "DashboardConfig",
    "DataConfig",
    "DuplicatesConfig",
    "EngineConfig",
    "ExportConfig",
    "GenerationConfig",
    "HardwareConfig",
    "IndexConfig",
    "InferenceConfig",
    "InspectConfig",
    "InstructionsConfig",
    "LauncherConfig",
    "LoggerConfig",
    "MergeConfig",
    "MixConfig",
    "ModelConfig",
    "MusicConfig",
    "ObjectiveConfig",
    "OptimizerConfig",
    "PanelConfig",
    "PathsConfig",
    "RenderingConfig",
    "ScheduleConfig",
    "SearchConfig",
    "SectionConfig",
    "ServeConfig",
    "SourceConfig",
    "StrategyConfig",
    "SweepConfig",
    "SynthesisConfig",
    "TemplateConfig",
    "ToolsConfig",
    "TrainingConfig",
    "TranslationConfig",
    "TuneConfig",
]


@group
class Config:
    """A composed configuration."""

    task: str = key("stage that the recipe is for", kinds="musicllm.runs.stages:STAGES")
    stage: str = key("what to run now: the task, or plan")
    description: str = key("one line, shown in the list of recipes")
    source: str = key("paper or code that the settings come from")
    name: str | None = key("name of the run folder", null="the fingerprint")
    seed: int = key("seed of all random numbers", 0, 2**32 - 1)
    inputs: dict[str, str] = key("artifacts by role: a recipe's name (its latest run) or a folder")
    certify_in_plan: bool = key("stage=plan proves that the model is trained as it is, in seconds")
    allow_other_base: bool = key(
        "accept an inputs.model other than the base that inputs.adapter was trained on"
    )
    steps: list[str] = key("recipes, with task=pipeline")
    runs: list[str] = key(
        "recipes (their latest run) or folders: evaluations, with task=compare; trainings or "
        "sweeps of them, with task=dashboard or watch"
    )
    watch: bool = key("renew the page until the runs are finished, with task=watch; --watch")
    watch_every_s: int = key("between two looks at the runs, with watch", 1, 86_400, "seconds")
    extensions: list[str] = key("Python files, or folders of them, that register kinds of your own")
    trusted_packages: list[str] = key(
        "packages besides Lightning and musicllm that a _target_ may name"
    )
    paths: PathsConfig
    data: DataConfig
    engine: EngineConfig
    model: ModelConfig
    audio: AudioConfig
    adapter: AdapterConfig
    template: TemplateConfig
    objective: ObjectiveConfig
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    training: TrainingConfig
    hardware: HardwareConfig
    strategy: StrategyConfig
    logger: dict[str, LoggerConfig]
    callbacks: CallbacksConfig
    benchmark: dict[str, BenchmarkConfig]
    generation: GenerationConfig
    inference: InferenceConfig
    tools: ToolsConfig
    inspect: InspectConfig
    rendering: RenderingConfig
    index: IndexConfig
    search: SearchConfig
    bench: BenchConfig
    merge: MergeConfig
    export: ExportConfig
    serve: ServeConfig
    synthesis: SynthesisConfig
    dashboard: DashboardConfig
    sweep: SweepConfig
    launcher: LauncherConfig
