"""`<tool_call>` with JSON: Qwen 2.5 and 3, Hermes, and others whose templates have this mark.

Results are messages of the role `tool` (https://qwen.readthedocs.io, function calling;
github.com/NousResearch/Hermes-Function-Calling).
"""

from __future__ import annotations

import re

from musicllm.serve.tools import Call
from musicllm.serve.tools.protocols import (
    PROTOCOLS,
    Protocol,
    Written,
    by_template,
    call_of,
    shown_as,
    takes_tools,
)

OPEN, CLOSE = "<tool_call>", "</tool_call>"
EXAMPLE = f'{OPEN}{{"name": "check_tune", "arguments": {{}}}}{CLOSE}'

_CALL = re.compile(rf"{OPEN}(.*?)(?:{CLOSE}|(?={OPEN})|\Z)", re.DOTALL)


def read(answer: str) -> Written:
    """See `Protocol`: calls that follow each other; one without its end is read to the end."""
    calls: list[Call] = []
    start, stop = len(answer), 0
    for match in _CALL.finditer(answer):
        if calls and answer[stop : match.start()].strip():
            break
        start, stop = min(start, match.start()), match.end()
        calls.append(call_of(match[1].strip(), "arguments", EXAMPLE))
    if not calls:
        return Written(answer, (), answer)
    return Written(answer[:start].strip(), tuple(calls), answer[:stop])


PROTOCOLS.register(
    Protocol(
        "hermes",
        speaks=lambda template, _tokens: takes_tools(template) and OPEN in template,
        told=by_template,
        read=read,
        results=shown_as("tool"),
        by_template=True,
    )
)
