"""Which fields of OpenAI's protocol are followed, and why others are not.

https://platform.openai.com/docs/api-reference/chat/create and .../completions/create. No field is
ignored: one that is not followed is refused unless its value demands nothing. Fields that only name
the user (`user`, `safety_identifier`) or a cache (`prompt_cache_key`) change no answer by their
definition, and are accepted.
"""

from __future__ import annotations

from musicllm.serve.api.bodies import Unserved

LABELS = ("user", "safety_identifier", "prompt_cache_key")

SAMPLING = (
    "temperature",
    "top_p",
    "top_k",
    "repetition_penalty",
    "seed",
    "max_tokens",
    "n",
    "stop",
)

OWN = ("grammar", "tune")
"""Fields of ours, beside `top_k`, `repetition_penalty` and `long_conversation`."""

STREAMING = ("stream", "stream_options")

CHAT = (
    "model", "messages", "max_completion_tokens", "long_conversation",
    *SAMPLING, *OWN, *STREAMING, *LABELS,
)  # fmt: skip

TEXT = ("model", "prompt", "echo", *SAMPLING, *OWN, *STREAMING, *LABELS)

_NO_TOOLS = "the models of this server call no tools"
_NO_BIAS = "the sampling has no bias for single tokens"
_NO_PENALTY = "the sampling has one penalty, repetition_penalty; write that"
_NO_LOGPROBS = "probabilities are not returned"
_TEXT_ONLY = "the models of this server write text"
_NOT_STORED = "this server stores nothing"

_BOTH = {
    "frequency_penalty": Unserved(_NO_PENALTY, (0,)),
    "presence_penalty": Unserved(_NO_PENALTY, (0,)),
    "logit_bias": Unserved(_NO_BIAS, ({},)),
}

UNSERVED_CHAT = {
    **_BOTH,
    "logprobs": Unserved(_NO_LOGPROBS, (False,)),
    "top_logprobs": Unserved(_NO_LOGPROBS, (0,)),
    "tools": Unserved(_NO_TOOLS, ([],)),
    "tool_choice": Unserved(_NO_TOOLS, ("none", "auto")),
    "parallel_tool_calls": Unserved(_NO_TOOLS, (False,)),
    "functions": Unserved(_NO_TOOLS, ([],)),
    "function_call": Unserved(_NO_TOOLS, ("none", "auto")),
    "response_format": Unserved(
        'answers follow no JSON schema; for legal tunes write grammar="abc"', ({"type": "text"},)
    ),
    "modalities": Unserved(_TEXT_ONLY, (["text"],)),
    "audio": Unserved(f"{_TEXT_ONLY}; /v1/tunes/render returns the sound of a tune"),
    "prediction": Unserved("no answer is begun from a guess"),
    "reasoning_effort": Unserved("the models of this server do not reason first", ("none",)),
    "verbosity": Unserved("say in the message how long the answer should be"),
    "web_search_options": Unserved("this server asks nothing of the network"),
    "moderation": Unserved("nothing is moderated"),
    "store": Unserved(_NOT_STORED, (False,)),
    "metadata": Unserved(_NOT_STORED, ({},)),
    "service_tier": Unserved("there is one tier", ("auto", "default")),
    "prompt_cache_options": Unserved("prompts are not cached", ({},)),
    "prompt_cache_retention": Unserved("prompts are not cached"),
}

UNSERVED_TEXT = {
    **_BOTH,
    "logprobs": Unserved(_NO_LOGPROBS),
    "suffix": Unserved("texts are continued at their end only"),
    "best_of": Unserved("write n, and choose among its texts", (1,)),
}
