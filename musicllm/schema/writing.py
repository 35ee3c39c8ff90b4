"""What is written with a model: how it is sampled, by which engine, and what a tune has to be."""

from __future__ import annotations

from typing import Any, Literal

from musicllm.schema.keys import group, key


@group
class TuneConfig:
    """What a tune has to be, with `generation.grammar=abc`."""

    max_foreign_share: float = key("largest share of notes that are foreign to the key", 0, 1)
    metre: str | None = key("value of M:, such as 6/8", null="any")
    num_bars: int | None = key(
        "bars, an anacrusis aside, repeats written once", 1, 200, null="any number"
    )
    form: str | None = key("sections in order, such as AABB", null="any")
    chords: list[str] = key("chord symbols in the order in which they appear; []: any")
    lowest: str | None = key("lowest note in ABC, such as G,", null="any")
    highest: str | None = key("highest note in ABC, such as d'", null="any")
    may_change: bool = key("key, metre and unit length may change inside a tune")
    plain_bar_lines: bool = key(
        "only single, double and final bar lines, simple repeats, and endings behind them"
    )
    required: bool = key("a text may not end before it holds a whole tune")
    key: str | None = key("value of K:, such as Em", null="any")  # last: it shadows the function


@group
class GenerationConfig:
    """What is written, and how text is sampled."""

    temperature: float = key("divides the logits; 0: greedy", 0, 100)
    top_k: int = key("sample from the k most likely tokens; 0: off", 0, 1 << 20)
    top_p: float = key("sample from the most likely tokens up to this probability; 1: off", 1e-6, 1)
    repetition_penalty: float = key(
        "divides scores of tokens that occurred before; 1: off", 0.01, 100
    )
    max_new_tokens: int = key("longest answer", 1, 1 << 20, "tokens")
    grammar: Literal["abc"] | None = key(
        "abc: only tokens of legal tunes, in which every bar fits", null="free text"
    )
    tune: TuneConfig
    system: str | None = key("system prompt of conversations that have none", null="none")
    prompts: list[str] = key(
        "user messages, or files of them (.txt, .jsonl); []: drawn from inputs.instructions",
        single=True,
    )
    num_prompts: int = key("prompts drawn from inputs.instructions", 1, 10_000_000)
    num_candidates: int = key("answers written for each prompt", 1, 100_000)
    tries: int = key(
        "tries of each answer: one with a fault is checked, repaired and written again", 1, 1000
    )
    repair: str = key(
        "what the model sees in a further try: tell (its answer and its faults), keep (the tune up "
        "to its first fault, to be completed), or again (the same prompt)",
        kinds="musicllm.serve.repair:REPAIRS",
    )
    select: str = key(
        "measure by which the best candidate is selected",
        kinds="musicllm.serve.measures:MEASURES",
    )
    keep: bool = key("write good selected answers as records to train on (data=generations)")
    min_score: float = key("smallest value of the measure of an answer that is kept", 0, 1)
    long_prompts: Literal["stop", "skip"] = key(
        "prompts without room for an answer: stop, or skip (counted)"
    )
    render: list[str] = key(
        "renderings of every tune, such as score, MIDI, sound, MusicXML; []: none",
        kinds="musicllm.music.render.renderer:RENDERERS",
    )


@group
class InferenceConfig:
    """The engine that writes."""

    engine: str | None = key(
        "what writes: transformers, gguf, vllm or endpoint",
        kinds="musicllm.inference.engines:ENGINES",
        null="endpoint with model.endpoint, gguf for a .gguf file, else transformers",
    )
    model_name: str | None = key("name of the model on the endpoint", null="the first it lists")
    api_key_env: str = key("environment variable that holds the key of the endpoint")
    timeout_s: float = key("longest wait for the endpoint", 0.1, 86_400, "seconds")
    max_tries: int = key("tries of a request that the endpoint could not serve", 1, 100)
    num_parallel: int = key("requests to the endpoint or to vLLM at a time", 1, 10_000)
    context: int | None = key(
        "longest prompt with its text, of gguf and vllm; memory grows with it",
        16,
        1 << 24,
        "tokens",
        null="that of the model, as far as memory allows",
    )
    options: dict[str, Any] = key(
        "settings of a kind of your own (extensions); of vllm: python (another one that has vLLM) "
        "and arguments (of its server)"
    )
