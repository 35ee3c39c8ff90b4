"""Tools that a model may call while it answers."""

from __future__ import annotations

from musicllm.schema.keys import group, key


@group
class ToolsConfig:
    """Tools of a conversation, with task=chat."""

    names: list[str] = key(
        "tools that the model may call: check_tune, transpose, render, find_similar (which needs "
        "inputs.index); []: none",
        kinds="musicllm.serve.tools:TOOLS",
    )
    protocol: str | None = key(
        "how calls are written: plain, hermes, llama3 or internlm2",
        kinds="musicllm.serve.tools.protocols:PROTOCOLS",
        null="that of the chat template, else plain",
    )
    max_calls: int = key("calls in one answer; then the model has to answer", 1, 100)
