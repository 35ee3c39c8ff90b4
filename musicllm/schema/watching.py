"""What is measured and shown: of a training, of a model, of the code."""

from __future__ import annotations

from typing import Any, Literal

from musicllm.schema.keys import NAME, group, key


@group
class LoggerConfig:
    """Where metrics are logged besides metrics.jsonl, which is always written."""

    kind: str = key("kind of logger", kinds="musicllm.train.loggers:LOGGERS")
    project: str | None = key(
        "project of wandb or Trackio, or experiment of MLflow", null="has none", env="WANDB_PROJECT"
    )
    entity: str | None = key("wandb team or user", null="that of the key", env="WANDB_ENTITY")
    mode: Literal["online", "offline", "disabled", "auto"] | None = key(
        "wandb mode: online, offline, disabled or auto (online with an API key)",
        null="not wandb",
        env="WANDB_MODE",
    )
    tags: list[str] = key("shown with the run")
    log_artifact: bool = key("store what was trained as an artifact of wandb or MLflow")
    options: dict[str, Any] = key(
        "tracking_uri of MLflow, folder of Trackio, or settings of a kind of your own (extensions)"
    )


@group
class CallbacksConfig:
    """What is monitored during training, and what is done about bad losses."""

    progress_bar: bool = key("one bar with rate, loss and time left")
    throughput: bool = key("log speed, utilisation, waiting and memory (perf/*)")
    on_bad_loss: Literal["stop", "skip", "roll_back"] = key(
        "stop, skip (the update), or roll_back (to the last checkpoint, without that step)"
    )
    loss_spike_factor: float | None = key(
        "loss, in medians of recent ones, that is bad", 1, 1e6, null="only NaN and infinity are"
    )
    loss_spike_window: int = key("logged losses in that median", 1, 100_000)
    max_incidents: int = key("most bad losses in a run; the next one stops it", 0, 1_000_000)
    max_skipped_steps: int = key("steps in a row that fp16 loss scaling may skip", 0, 1_000_000)
    samples_every_steps: int | None = key(
        "steps between generated samples; also after the last step", 1, null="none"
    )
    num_samples: int = key("tunes generated each time", 1, 1000)
    sample_prompts: list[str] = key("user messages or beginnings of texts; []: from the corpus")
    evaluate_every_steps: int | None = key(
        "steps between evaluations; also before the first and after the last", 1, null="none"
    )
    num_eval_questions: int = key("questions per benchmark, spread over its subjects; or texts", 1)
    extra: dict[str, dict[str, Any]] = key(
        "further callbacks by name: Lightning's by _target_, or your own by kind (extensions)"
    )


@group
class BenchmarkConfig:
    """One measurement of a model."""

    name: str = key(NAME)
    kind: str = key("kind of benchmark", kinds="musicllm.evals.kind:BENCHMARK_KINDS")
    location: str | None = key("file, folder or hub id", null="inputs, or generated questions")
    revision: str | None = key("revision of a hub data set", null="newest")
    licence: str = key("licence of the questions or texts")
    citation: str = key("where the benchmark is described")
    split: str | None = key("split of the questions, texts or corpus", null="none")
    subjects: list[str] = key("subjects, or families of questions or requests; []: all")
    levels: list[str] = key("levels of difficulty, of kind theory; []: all")
    num_fewshot: int = key("solved examples before each question", 0, 1000)
    num_questions: int | None = key("questions, spread over the subjects, or texts", 1, null="all")
    prompt_format: Literal["harness", "opencompass", "role_play", "chain_of_thought"] | None = key(
        "wording of a question: harness, opencompass, role_play or chain_of_thought",
        null="asks no questions",
    )
    mode: Literal["likelihood", "perplexity", "generation"] | None = key(
        "likelihood (of the letter), perplexity (of the whole prompt) or generation",
        null="asks no questions",
    )
    add_bos: bool = key("begin a prompt with the BOS token, if the tokenizer has one")
    as_chat: bool = key("with mode=generation: the prompt is a user message of the template")
    max_length: int | None = key(
        "longest prompt with answer", 1, 1 << 30, "tokens", null="model's context"
    )
    long_prompts: Literal["drop_last_shots", "drop_first_shots", "truncate", "skip", "stop"] = key(
        "longer prompts: drop_last_shots, drop_first_shots, truncate, skip (counted) or stop"
    )
    max_new_tokens: int | None = key("longest answer", 1, 1 << 20, "tokens", null="no generation")
    options: dict[str, Any] = key("settings of a kind of your own (extensions)")


@group
class BenchConfig:
    """What is measured side by side, and on how much."""

    name: str = key("which bench, such as prepare")
    num_rounds: int = key("runs of every contestant, interleaved", 1, 1000)
    num_documents: int = key("texts, conversations or questions", 1)
    num_slow_documents: int | None = key("for a contestant that is much slower", 1, null="all")
    vocab_size: int | None = key("size of a trained tokenizer", 260, 1 << 20, "tokens", null="none")
    num_steps: int | None = key("optimizer steps of a round", 1, 1 << 20, null="no training")
    max_length: int | None = key("length of a row", 16, 1 << 20, "tokens", null="no training")
    num_new_tokens: int | None = key(
        "longest text after each beginning", 1, 1 << 20, "tokens", null="no writing"
    )
    questions: str | None = key("folder of MMLU's questions, of bench eval", null="synthetic")
