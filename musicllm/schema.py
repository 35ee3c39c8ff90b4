"""The type, unit and meaning of every setting: one dataclass per group of `conf/`.

There are no values here; `conf/` is the only home of defaults. `musicllm.config` checks a
composed configuration against these classes and turns it into instances of them, which are
read-only. `X | None` marks a setting that may be `null`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PathsConfig:
    """Where things are written."""

    runs: str  # folder that holds runs/<recipe>/<fingerprint-or-name>/
    cache: str  # folder for what can be made again: converted models, downloads


@dataclass(frozen=True)
class SourceConfig:
    """Where records come from."""

    reader: str  # files, books (the free ones of music21), hub, or corpus (inputs.corpus)
    location: str | None  # file, folder, zip or hub id; null: what the reader itself knows
    revision: str | None  # of a hub data set
    format: str  # of its records; auto: found out from the first one
    max_records: int | None  # only the first ones; null: all
    licence: str  # of the documents
    citation: str  # where they are described
    num_documents: int | None  # published or measured size, for planning before preparation
    num_tokens: int | None  # likewise, in tokens


@dataclass(frozen=True)
class MusicConfig:
    """What is done about tunes in ABC that stand in records."""

    check: bool  # find every tune and check it; false: records pass as they are
    repair: bool  # mend what has one possible meaning
    normalize: bool  # write a record that is one bare tune in the normal form
    on_fault: str  # drop the record whose tune stays faulty, or keep and count it
    min_share_fitting: float  # of bars that are as long as the metre says
    min_bars: int  # of a record that is one bare tune
    min_notes: int  # likewise


@dataclass(frozen=True)
class DuplicatesConfig:
    """Which records count as the same; the first one stays."""

    exact: bool  # the same text but for white space
    near_similarity: float | None  # Jaccard of word 5-grams, estimated by MinHash; null: off
    melodic_similarity: float | None  # of tunes, in any key and unit length; null: off
    related_similarity: float  # more similar tunes never meet in two splits


@dataclass(frozen=True)
class InstructionsConfig:
    """Which conversations are made from tunes."""

    tasks: list[str]  # families of requests; []: tunes stay tunes
    samples_per_tune: int  # conversations drawn from one tune
    languages: list[str]  # of the wordings; drawn evenly
    phrasings: str | None  # folder with further wordings, <language>.toml
    max_turns: int  # most questions in one conversation


@dataclass(frozen=True)
class MixConfig:
    """How much of which part becomes training rows."""

    by: str  # what the names are: source, or kind (scores and knowledge)
    weights: dict[str, float]  # relative shares; {}: everything as it is
    unit: str  # of the shares: documents or tokens
    epochs: dict[str, float]  # passes over a part; 1 where not named
    max_documents: dict[str, int]  # caps


@dataclass(frozen=True)
class DataConfig:
    """A corpus: what is read, what stays, and how it becomes rows."""

    name: str  # shown in plans and reports
    sources: dict[str, SourceConfig]  # by name, in the order of their records
    music: MusicConfig
    duplicates: DuplicatesConfig
    decontaminate: bool  # leave out what the configured benchmarks ask
    instructions: InstructionsConfig
    transpose_semitones: list[int]  # copies of every training tune; [0] is the tune itself
    validation_fraction: float  # share of the records, by group of related ones
    test_fraction: float  # the same for the test split
    max_reject_fraction: float  # more faults than this stop the preparation
    mix: MixConfig
    tokenizer: str  # train (on the training split), inherit (from inputs.corpus) or model
    vocab_size: int | None  # tokens, when tokenizer=train
    max_length: int  # tokens in a row
    row_former: str  # pack, chunk or single
    long_conversations: str  # longer than a row: drop (counted) or stop
    compat: str | None  # reference: the tokens of ChatMusician's published code


@dataclass(frozen=True)
class EngineConfig:
    """Where the work of a preparation is done; the result is the same bytes everywhere."""

    name: str  # local (processes of this machine) or ray (Ray Data, extra `ray`)
    num_workers: int | None  # processes; null: all cores of the machine or of the cluster
    address: str | None  # of a Ray cluster, such as auto; null starts one on this machine


@dataclass(frozen=True)
class InspectConfig:
    """How much a look at data shows."""

    num_samples: int  # rows shown
    num_records: int  # read from each source, at most; a prepared corpus is not read again
    num_drops: int  # examples of records left out, per source and reason
    num_bars: int  # bars drawn of each tune
    split: str  # train, validation or test


@dataclass(frozen=True)
class BenchConfig:
    """What is measured side by side, and on how much."""

    name: str  # a key of bench.BENCHES, such as prepare
    num_rounds: int  # times that every contestant runs, one after the other
    num_documents: int  # texts that are prepared, conversations that are trained on, or questions
    num_slow_documents: int | None  # of them for a contestant that is far slower; null: all
    vocab_size: int | None  # tokens of the tokenizer that is trained for it
    num_steps: int | None  # optimizer steps that are measured in a round, in benches of training
    max_length: int | None  # tokens of a row, likewise
    questions: str | None  # folder of MMLU's questions, of bench eval; null: made ones


@dataclass(frozen=True)
class MergeConfig:
    """How an adapter goes into its base."""

    dtype: str  # of the merged weights: float32, float16, bfloat16, or auto (the base's own)
    max_shard_gb: float  # size of a weight file in 10^9 bytes; one such file is held in memory
    quantized_base: str  # under an adapter trained over nf4: full_precision or dequantize


@dataclass(frozen=True)
class ModelConfig:
    """A base model with its architecture numbers, so that planning needs no download."""

    name: str  # shown in plans and reports
    location: str | None  # hub id, folder, or package:<name>; null: random weights
    revision: str | None  # of a hub repository
    licence: str  # of the weights
    architecture: str  # model_type of transformers
    vocab_size: int  # tokens
    hidden_size: int  # width of the residual stream
    intermediate_size: int  # width of the feed-forward block
    num_hidden_layers: int  # blocks
    num_attention_heads: int  # query heads
    num_key_value_heads: int  # fewer than query heads in grouped-query attention
    max_position_embeddings: int  # tokens
    rope_theta: float  # base of the rotary position angles
    rms_norm_eps: float  # added to the mean square
    tie_word_embeddings: bool  # input and output embeddings are one matrix
    attention_dropout: float  # probability, during training
    initializer_range: float  # standard deviation of random weights
    dtype: str  # of the stored weights: float32, float16, bfloat16
    attention_modules: list[str]  # names of the linear layers in attention
    mlp_modules: list[str]  # names of the linear layers in the feed-forward block
    trust_remote_code: bool  # run code that comes with the model


@dataclass(frozen=True)
class AdapterConfig:
    """Which weights are trained, and how."""

    name: str  # shown in plans and reports
    kind: str  # lora, full or none
    r: int | None  # rank of LoRA
    alpha: float | None  # scale of LoRA is alpha / r
    dropout: float | None  # probability on the input of LoRA
    targets: list[str]  # attention, mlp
    train_embeddings: bool  # the input embeddings, in full
    train_output_head: bool  # the output embeddings, in full
    use_dora: bool  # weight-decomposed LoRA
    quantization: str | None  # of the frozen base: nf4 or null


@dataclass(frozen=True)
class TemplateConfig:
    """How a conversation becomes text."""

    name: str  # shown in plans and reports
    jinja: str | None  # Jinja source with {% generation %} blocks; null: the tokenizer's own


@dataclass(frozen=True)
class OptimizerConfig:
    """The optimizer; `lr` is the peak that the schedule scales."""

    name: str  # adamw or muon
    lr: float  # peak; the schedule scales it
    betas: list[float]  # decay of the two moments
    eps: float  # added to the root of the second moment
    weight_decay: float  # decoupled, on matrices only
    fused: bool  # one kernel for all tensors where torch has it
    muon_lr: float | None  # of hidden matrices, when name=muon
    muon_momentum: float | None  # Nesterov, when name=muon


@dataclass(frozen=True)
class ScheduleConfig:
    """How the learning rate moves over the optimizer steps."""

    name: str  # cosine, linear or constant
    warmup_fraction: float  # share of all steps that rise linearly from 0
    min_lr_ratio: float  # learning rate at the end, as a share of the peak


@dataclass(frozen=True)
class TrainingConfig:
    """How long, in which batches, how often measured and saved."""

    rows_per_step: int  # global batch: rows per optimizer step over all devices
    num_epochs: float | None  # passes over the corpus; null: max_steps decides
    max_steps: int | None  # optimizer steps; the smaller of the two limits holds
    gradient_clip: float  # L2 norm; 0 is off
    activation_checkpointing: bool  # recompute activations in the backward pass
    compile: bool  # let torch.compile make kernels for the decoder's layers
    log_every_steps: int  # optimizer steps between two lines of metrics
    validate_every_steps: int  # optimizer steps between two validations
    num_validation_rows: int | None  # rows of the validation split used; null: all
    checkpoint_every_steps: int  # optimizer steps between two checkpoints
    keep_last_checkpoints: int  # older ones are deleted
    keep_best_checkpoints: int  # those of the lowest validation losses stay, too


@dataclass(frozen=True)
class HardwareConfig:
    """A machine profile: what is there, and what it can do."""

    name: str  # shown in plans and reports
    accelerator: str  # cpu or gpu
    device: str  # name for people
    num_nodes: int  # machines
    devices_per_node: int  # GPUs of one machine; 1 on a CPU
    memory_gb: float | None  # of one device; null: read from the device
    host_memory_gb: float | None  # of one machine, for offload; null: read from the machine
    peak_tflops: float | None  # dense, in `precision`; null: measured (CPU) or unknown
    expected_mfu: float | None  # share of peak_tflops that training reaches; null: unknown
    precision: str  # fp32, bf16, fp16 or auto (probed)
    supports_bf16: bool | None  # null: probed
    supports_flash_attention_2: bool | None  # null: probed
    attention: str  # of training; auto, varlen_sdpa, flex, flash_attention_2 or varlen
    max_rows_per_device: int  # micro-batch limit; the largest that divides the batch is used
    num_threads: int | None  # of torch on the CPU; null: all cores
    num_data_workers: int  # processes that read rows; 0 reads in the trainer


@dataclass(frozen=True)
class StrategyConfig:
    """How weights, gradients and optimizer state are spread over devices."""

    name: str  # shown in plans and reports
    kind: str  # single, ddp or deepspeed
    zero_stage: int | None  # 1, 2 or 3, when kind=deepspeed
    offload_optimizer: bool  # optimizer state to CPU memory
    offload_parameters: bool  # weights to CPU memory, when zero_stage=3


@dataclass(frozen=True)
class LoggerConfig:
    """One place where metrics go; metrics.jsonl is always written."""

    kind: str  # csv, tensorboard or wandb
    project: str | None  # wandb
    entity: str | None  # wandb: team or user; null is the key's default
    mode: str | None  # wandb: online, offline or auto (offline without a key)
    tags: list[str]  # shown beside the run
    log_artifact: bool  # wandb: also give it what was trained, as an artifact


@dataclass(frozen=True)
class CallbacksConfig:
    """What watches a training run."""

    progress_bar: bool  # one bar with rate, loss and time left
    throughput: bool  # log speed, utilisation, waiting and memory (perf/*)
    on_bad_loss: str  # stop, skip (that update), or roll_back (to the last checkpoint, without it)
    loss_spike_factor: float | None  # a loss above so many times the usual is bad; null: only NaN
    loss_spike_window: int  # logged losses whose median is the usual one
    max_incidents: int  # bad losses in a run; more stop it whatever on_bad_loss says
    max_skipped_steps: int  # steps in a row that fp16's loss scale may leave empty; more stop
    samples_every_steps: int | None  # optimizer steps between tunes written as a test; null: none
    num_samples: int  # tunes written then
    sample_prompts: list[str]  # user messages or beginnings of texts, as the corpus is; []: made
    evaluate_every_steps: int | None  # optimizer steps between runs of benchmark=[...]; null: none
    num_eval_questions: int  # asked of each benchmark then, drawn evenly over its subjects
    extra: dict[str, dict[str, Any]]  # further Lightning callbacks by name, each with a _target_


@dataclass(frozen=True)
class BenchmarkConfig:
    """One measurement of a model."""

    name: str  # shown in plans and reports
    kind: str  # multiple_choice, theory, generation, perplexity or compression
    location: str | None  # file, folder or hub id of questions or texts; null: inputs or made here
    revision: str | None  # of a hub data set
    licence: str  # of the questions
    citation: str  # where it is described
    split: str | None  # of the corpus or of the questions: what is asked, not what is shown
    subjects: list[str]  # of the questions, families of theory or of requests; []: all
    levels: list[str]  # of difficulty, of theory; []: all
    num_fewshot: int  # solved examples before the question
    num_questions: int | None  # in all, drawn evenly over the subjects; null: all
    prompt_format: str | None  # of questions; a key of evals.prompts.FORMATS
    mode: str | None  # likelihood (of the letter), perplexity (of the whole prompt) or generation
    add_bos: bool  # the mark of the beginning stands before a prompt, if the tokenizer has one
    max_length: int | None  # tokens of a prompt with its answer; null: the model's context
    long_prompts: str  # drop_shots (the first ones, counted), or stop
    max_new_tokens: int | None  # of an answer that is written, when mode=generation


@dataclass(frozen=True)
class GenerationConfig:
    """How text is sampled."""

    temperature: float  # 0 is greedy
    top_k: int  # 0 is off
    top_p: float  # 1 is off
    repetition_penalty: float  # 1 is off
    max_new_tokens: int  # per answer
    num_tunes: int  # how many to write
    prompts: list[str]  # user messages; empty: drawn from inputs.instructions
    render: bool  # also SVG, MIDI and sound


@dataclass(frozen=True)
class SweepConfig:
    """Which jobs `-m` makes of the swept settings, and how they are compared."""

    name: str  # grid (every combination) or optuna (a search; extra `optuna`)
    metric: str  # of metrics.jsonl or of the artifact, such as val/loss
    direction: str  # minimize or maximize the metric
    num_trials: int | None  # jobs of a search in all


@dataclass(frozen=True)
class LauncherConfig:
    """Where a run, or the jobs of a sweep, are started."""

    name: str  # local (processes of this machine) or slurm (extra `slurm`)
    num_parallel: int | None  # jobs of a sweep at a time; null: all
    cluster: str | None  # slurm, or local to try the same way on this machine
    partition: str | None  # of Slurm; null: its default
    account: str | None  # of Slurm; null: the user's default
    time_minutes: int | None  # limit of one run of a job
    num_cpus_per_device: int | None  # processor cores
    memory_gb: int | None  # of one machine; null: Slurm's default
    signal_delay_s: int | None  # seconds before the limit that a training is told to save
    num_requeues: int | None  # how often a job that reached its limit is queued again
    srun_arguments: list[str]  # further ones
    options: dict[str, str]  # further ones of sbatch, such as qos and constraint


@dataclass(frozen=True)
class Config:
    """Everything that a stage may ask."""

    task: str  # what the recipe is for: a stage
    stage: str  # what to do now: task, or plan
    description: str  # one line, shown in the list of recipes
    source: str  # paper or code that the settings come from
    name: str | None  # of the run folder; null: the fingerprint
    seed: int  # of everything random
    inputs: dict[str, str]  # artifacts by role: a recipe's name or a folder
    steps: list[str]  # recipes, when task=pipeline
    runs: list[str]  # evaluations, when task=compare: recipes' names or folders
    trusted_packages: list[str]  # whose classes a _target_ may name, beside Lightning and ours
    paths: PathsConfig
    data: DataConfig
    engine: EngineConfig
    model: ModelConfig
    adapter: AdapterConfig
    template: TemplateConfig
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    training: TrainingConfig
    hardware: HardwareConfig
    strategy: StrategyConfig
    logger: dict[str, LoggerConfig]
    callbacks: CallbacksConfig
    benchmark: dict[str, BenchmarkConfig]
    generation: GenerationConfig
    inspect: InspectConfig
    bench: BenchConfig
    merge: MergeConfig
    sweep: SweepConfig
    launcher: LauncherConfig
