"""The fixed form, for templates without tools: calls as in `hermes`, told in a system prompt.

Where the template shows no system prompt, the first message of the user begins with it. Results are
a message of the user, so that roles take turns as every template wants them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from musicllm.data.records import Message
from musicllm.serve.tools import Call, Tool
from musicllm.serve.tools.protocols import PROTOCOLS, Protocol, compact
from musicllm.serve.tools.protocols.hermes import EXAMPLE, read

TELLS = """You can use tools. A tool is called by writing one line such as
{example}
and nothing behind it. Its result comes in the next message; then call another one, or answer.
Arguments in brackets may be left out. There are these tools:
{tools}"""

RESULT = "<tool_response>\n{result}\n</tool_response>"


def line_of(tool: Tool) -> str:
    """Return the line that tells of a tool."""
    names = [name if name in tool.required else f"[{name}]" for name in tool.parameters]
    meanings = "; ".join(f"{name}: {own['description']}" for name, own in tool.parameters.items())
    return f"- {tool.name}({', '.join(names)}): {tool.description} {meanings}."


def told(messages: Sequence[Message], tools: Sequence[Tool], has_system: bool) -> Sequence[Message]:
    """See `Protocol`."""
    lines = "\n".join(map(line_of, tools))
    words = TELLS.format(example=EXAMPLE, tools=lines)
    first, *others = messages
    if first["role"] == "system" or not has_system:
        return [{**first, "content": f"{first['content']}\n\n{words}"}, *others]
    return [{"role": "system", "content": words}, *messages]


def _results(_calls: Sequence[Call], results: Sequence[Mapping[str, Any]]) -> Sequence[Message]:
    shown = "\n".join(RESULT.format(result=compact(result)) for result in results)
    return [{"role": "user", "content": shown}]


PROTOCOLS.register(
    Protocol(
        "plain",
        speaks=lambda _template, _tokens: False,
        told=told,
        read=read,
        results=_results,
        by_template=False,
    )
)
