"""What a teacher model is asked to write, how often, and what that may cost."""

from __future__ import annotations

from typing import Any, Literal

from musicllm.schema.keys import group, key


@group
class SynthesisConfig:
    """Records written by a teacher, with task=synthesize."""

    kind: str = key("what is written", kinds="musicllm.synthesis.kind:SYNTHESES")
    prompt: str | None = key("Jinja file of the prompt", null="the kind's own")
    json_schema: str | None = key(
        "JSON Schema file that answers must fit, with kind=prompt", null="answers are text"
    )
    max_items: int | None = key("ask about the first items only", 1, null="all")
    max_tries: int = key("answers per item until one fits; then the item is rejected", 1, 100)
    max_reject_fraction: float = key(
        "largest share of rejected items; more stop the run, as soon as 50 are finished", 0, 1
    )
    requests_per_minute: float | None = key("requests sent per minute", 1e-3, null="no limit")
    tokens_per_minute: float | None = key(
        "tokens per minute, of prompts and answers together", 1, null="no limit"
    )
    input_price: float = key("price of a million tokens of prompts, in any currency", 0)
    output_price: float = key("price of a million tokens of answers, in the same currency", 0)
    max_cost: float | None = key(
        "hard budget of the run, in the currency of the prices", 0, null="none"
    )
    max_tokens: int | None = key(
        "hard budget of the run, prompts and answers together", 1, unit="tokens", null="none"
    )
    source_language: Literal["en", "zh"] | None = key(
        "language that is translated, with kind=translation", null="of another kind"
    )
    target_language: Literal["en", "zh"] | None = key(
        "language of the translations", null="of another kind"
    )
    part: Literal["instruction", "text"] | None = key(
        "instruction: what users ask, each wording once; text: records of text",
        null="of another kind than translation",
    )
    glossary: str | None = key(
        "TOML file of terms and names, before the built-in ones", null="those alone"
    )
    max_length_ratio: float | None = key(
        "largest ratio of the lengths of a text and what becomes of it (a Chinese character counts "
        "as three letters)",
        1,
        null="of another kind than translation and polish",
    )
    max_chars: int | None = key(
        "longest text that the teacher gets at once, in characters; what is longer is cut between "
        "paragraphs",
        100,
        null="of another kind than translation and polish",
    )
    assistant: str | None = key(
        "TOML file that describes the assistant, with kind=self_cognition", null="Melodist"
    )
    conversations: str | None = key(
        "TOML file of conversations of the assistant, written by hand", null="those of musicllm"
    )
    languages: list[str] = key("languages of an assistant's conversations, in turn")
    num_samples: int | None = key(
        "questions to the assistant that are asked for", 1, null="of another kind"
    )
    options: dict[str, Any] = key("settings of a kind of your own (extensions)")
