"""A call that is the whole answer, as JSON with `name` and `parameters`: Llama 3.1 to 3.3.

Results are messages of the role `ipython`
(https://www.llama.com/docs/model-cards-and-prompt-formats/llama3_1, JSON based tool calling).
"""

from __future__ import annotations

import json

from musicllm.serve.tools.protocols import (
    PROTOCOLS,
    Protocol,
    Written,
    by_template,
    call_of,
    shown_as,
    takes_tools,
)

MARK = "<|python_tag|>"
EXAMPLE = '{"name": "check_tune", "parameters": {}}'


def read(answer: str) -> Written:
    """See `Protocol`: an answer that begins with `{` is one call, whatever follows its end."""
    text = answer.strip().removeprefix(MARK).lstrip()
    if not text.startswith("{"):
        return Written(answer, (), answer)
    try:
        _, end = json.JSONDecoder(strict=False).raw_decode(text)
    except (ValueError, RecursionError):
        end = len(text)
    return Written("", (call_of(text[:end], "parameters", EXAMPLE),), text[:end])


PROTOCOLS.register(
    Protocol(
        "llama3",
        speaks=lambda template, _tokens: takes_tools(template) and "ipython" in template,
        told=by_template,
        read=read,
        results=shown_as("ipython"),
        by_template=True,
    )
)
