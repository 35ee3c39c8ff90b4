"""InternLM2's plugins: `<|action_start|><|plugin|>{...}<|action_end|>`.

Its template takes no tools, but writes roles as they are: tools are a message of the role `system
name=<|plugin|>`, results one of `environment name=<|plugin|>`
(github.com/InternLM/InternLM, agent/README and chat/chat_format). The marks are special tokens,
which no engine gives back in a text, so that a call also counts without them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from musicllm.data.records import Message
from musicllm.serve.tools import Call, Tool
from musicllm.serve.tools.protocols import (
    PROTOCOLS,
    Protocol,
    Written,
    call_of,
    compact,
    shown_as,
)

START, PLUGIN, END = "<|action_start|>", "<|plugin|>", "<|action_end|>"
EXAMPLE = '{"name": "check_tune", "parameters": {}}'

_BEGINNING = re.compile(r'\{\s*"name"\s*:')


def told(
    messages: Sequence[Message], tools: Sequence[Tool], _has_system: bool
) -> Sequence[Message]:
    """See `Protocol`: the tools are a second system message."""
    listed = compact([tool.schema["function"] for tool in tools])
    place = 1 if messages[0]["role"] == "system" else 0
    own: Message = {"role": f"system name={PLUGIN}", "content": listed}
    return [*messages[:place], own, *messages[place:]]


def read(answer: str) -> Written:
    """See `Protocol`: the first object of JSON with a name is a call, with its marks or without."""
    marked = answer.find(START)
    begin = _BEGINNING.search(answer, max(marked, 0))
    if begin is None:
        if marked < 0:
            return Written(answer, (), answer)
        problem = f"the call is no object of JSON; write such as {EXAMPLE}"
        return Written(answer[:marked].strip(), (Call("", problem=problem),), answer)
    start = begin.start()
    try:
        _, length = json.JSONDecoder(strict=False).raw_decode(answer[start:])
    except (ValueError, RecursionError):
        stop = answer.find(END, start)
        length = (len(answer) if stop < 0 else stop) - start
    source = answer[start : start + length]
    text = answer[: start if marked < 0 else marked].strip()
    content = f"{text}{START}{PLUGIN}\n{source}{END}"
    return Written(text, (call_of(source, "parameters", EXAMPLE),), content)


PROTOCOLS.register(
    Protocol(
        "internlm2",
        speaks=lambda _template, tokens: PLUGIN in tokens,
        told=told,
        read=read,
        results=shown_as(f"environment name={PLUGIN}"),
        by_template=False,
    )
)
