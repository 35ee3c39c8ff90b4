"""What is measured and shown: of a training, of a model, of the code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class LoggerConfig:
    """One place where metrics go; metrics.jsonl is always written."""

    kind: str  # csv, tensorboard or wandb
    project: str | None  # wandb
    entity: str | None  # wandb: team or user; null is the key's default
    mode: str | None  # wandb: online, offline, disabled or auto (online with a key)
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
    evaluate_every_steps: int | None  # optimizer steps between askings of benchmark; null: none
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
    as_chat: bool  # answers that are written: the prompt is a user's message of the chat template
    max_length: int | None  # tokens of a prompt with its answer; null: the model's context
    long_prompts: str  # drop_last_shots, drop_first_shots, truncate, skip (counted), or stop
    max_new_tokens: int | None  # of an answer that is written, when mode=generation
    options: dict[str, Any]  # settings of a kind of your own (extensions)


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
