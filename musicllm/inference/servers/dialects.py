"""What OpenAI-compatible servers understand beyond the protocol, which is not much of a sampler.

The protocol has `temperature`, `top_p`, `seed` and a longest answer. Other fields are named here as
the servers' documentation names them, and a server is recognised by the `owned_by` of its list of
models. Fields that ours leaves open are turned off, so that a server's defaults do not sample
otherwise than the settings say.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from musicllm.inference.requests import SamplingSettings, WritingRequest
from musicllm.inference.servers.http import Session
from musicllm.music.grammar.static import abc_gbnf, abc_lark

Prompt = list[dict[str, Any]] | str
Count = Callable[[Session, str, Prompt], Awaitable[int]]
"""(session at the server's root, model, messages or a text) -> tokens of the prompt."""


async def _count_by_llama_cpp(session: Session, _model: str, prompt: Prompt) -> int:
    if not isinstance(prompt, str):
        prompt = (await session.post("/apply-template", {"messages": prompt}))["prompt"]
    body = {"content": prompt, "add_special": True, "parse_special": True}
    return len((await session.post("/tokenize", body))["tokens"])


async def _count_by_vllm(session: Session, model: str, prompt: Prompt) -> int:
    body: dict[str, Any] = {"model": model, "prompt": prompt}
    if not isinstance(prompt, str):
        body = {"model": model, "messages": prompt, "add_generation_prompt": True}
    return int((await session.post("/tokenize", body))["count"])


@dataclass(frozen=True)
class Dialect:
    """The fields of one kind of server.

    Attributes:
        name: for messages.
        owners: values of `owned_by` by which it is recognised.
        longest: field of the longest answer.
        top_k: field of `top_k`.
        repetition_penalty: field of `repetition_penalty`.
        is_sure: whether the server is known to follow these two; if not, a note says so.
        fixed: fields that are always sent.
        grammar: returns the fields of the static grammar; None where the server takes none.
        context: keys of a model in the list under which its context stands.
        count: counts the tokens of a conversation; None where the server does not.
    """

    name: str
    owners: tuple[str, ...] = ()
    longest: str = "max_tokens"
    top_k: str = "top_k"
    repetition_penalty: str = "repetition_penalty"
    is_sure: bool = True
    fixed: Mapping[str, Any] = field(default_factory=dict)
    grammar: Callable[[], dict[str, Any]] | None = None
    context: tuple[str, ...] = ()
    count: Count | None = None

    def fields(self, request: WritingRequest) -> dict[str, Any]:
        """Return the fields of a request that say how it is sampled.

        The static grammar is of a text that is one tune and nothing else; so it is sent for answers
        that must be one (`required`).
        """
        settings, seed, rules = request.settings, request.seed, request.rules
        is_tune = rules is not None and rules.required and request.text is None
        fields: dict[str, Any] = {
            **self.fixed,
            **(self.grammar() if self.grammar is not None and is_tune else {}),
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "seed": seed % (1 << 31),  # what every server can hold
            self.longest: settings.max_new_tokens,
        }
        if settings.top_k:
            fields[self.top_k] = settings.top_k
        if settings.repetition_penalty != 1:
            fields[self.repetition_penalty] = settings.repetition_penalty
        return fields

    def beyond(self, settings: SamplingSettings) -> list[str]:
        """Return the settings in use that this server may not follow."""
        used = {
            "generation.top_k": settings.top_k != 0,
            "generation.repetition_penalty": settings.repetition_penalty != 1,
        }
        return [] if self.is_sure else [name for name, is_on in used.items() if is_on]


LLAMA_CPP = Dialect(
    "llama.cpp",
    ("llamacpp",),
    repetition_penalty="repeat_penalty",
    # the order in which transformers applies them, over the whole text as there, and nothing else
    fixed={
        "samplers": ["penalties", "temperature", "top_k", "top_p"],
        "repeat_last_n": 1 << 16,  # it keeps a buffer of that many tokens
        "top_k": 0,
        "repeat_penalty": 1.0,
        "min_p": 0.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
    },
    grammar=lambda: {"grammar": abc_gbnf()},
    context=("meta", "n_ctx"),
    count=_count_by_llama_cpp,
)
"""https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md"""

VLLM = Dialect(
    "vLLM",
    ("vllm",),
    fixed={"top_k": 0, "repetition_penalty": 1.0, "min_p": 0.0},
    grammar=lambda: {"structured_outputs": {"grammar": abc_lark()}},
    context=("max_model_len",),
    count=_count_by_vllm,
)
"""https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html"""

OPENAI = Dialect(
    "OpenAI",
    ("openai", "openai-internal", "system"),
    longest="max_completion_tokens",
    is_sure=False,
)
"""https://platform.openai.com/docs/api-reference/chat; it refuses fields that it does not have."""

MUSICLLM = Dialect(
    "musicllm",
    ("musicllm",),
    # what a request leaves open would be as that server is configured
    fixed={"top_k": 0, "repetition_penalty": 1.0, "grammar": None},
    context=("musicllm", "context"),
)
"""`serve/api`, for a model that another machine serves."""

OTHER = Dialect("a server that is not known", is_sure=False)

DIALECTS = (LLAMA_CPP, VLLM, OPENAI, MUSICLLM)


def dialect_of(model: Mapping[str, Any]) -> Dialect:
    """Return the dialect of the server that lists a model."""
    owner = str(model.get("owned_by", "")).casefold()
    return next((dialect for dialect in DIALECTS if owner in dialect.owners), OTHER)


def context_of(model: Mapping[str, Any], dialect: Dialect) -> int | None:
    """Return the context of a model in a server's list; None where it does not say."""
    value: Any = model
    for key in dialect.context:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, int) and value > 0 else None
