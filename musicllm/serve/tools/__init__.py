"""Tools that a model may call while it answers: what they are, and how their arguments are checked.

A tool is a module of `kinds`, or one of the user's own (`extensions`), that registers a `Tool`. How
a model writes a call is a `protocol`; `loop` lets it write, runs its calls and shows it the
results. Whatever a model writes is answered: a call that cannot be run gets an error to read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicllm.errors import InputError, MusicLLMError
from musicllm.registry import Registry
from musicllm.serve.tools.arguments import read_arguments

if TYPE_CHECKING:
    from musicllm.retrieval import Index


@dataclass
class Workplace:
    """What tools work with, besides their arguments.

    Attributes:
        folder: returns where files go; called when the first one is written.
        index: of the tunes of a corpus; None without one.
        tune: the last tune of the conversation, which a call without a tune means; empty without.
        num_files: stems that were used.
    """

    folder: Callable[[], Path]
    index: Index | None = None
    tune: str = ""
    num_files: int = 0

    def see(self, text: str) -> None:
        """Take the last tune of a text, if it has one, for calls that name none."""
        from musicllm.serve.answers import check_tunes

        if tunes := check_tunes(text):
            self.tune = tunes[-1].abc


@dataclass(frozen=True)
class Tool:
    """A tool.

    Attributes:
        name: as `tools.names` and calls name it.
        description: for the model, one or two sentences.
        parameters: name -> JSON schema of a value (`type`, `description`, and `minimum`, `maximum`
            of a whole number).
        run: gets the arguments and the workplace; returns what becomes JSON.
        required: parameters that a call must have.
        needs_index: it works with `inputs.index`.
    """

    name: str
    description: str
    parameters: Mapping[str, Mapping[str, Any]]
    run: Callable[[Mapping[str, Any], Workplace], Mapping[str, Any]]
    required: tuple[str, ...] = ()
    needs_index: bool = False

    @property
    def schema(self) -> dict[str, Any]:
        """The tool as chat templates and OpenAI's protocol describe one."""
        parameters = {
            "type": "object",
            "properties": {name: dict(value) for name, value in self.parameters.items()},
            "required": list(self.required),
        }
        function = {
            "name": self.name,
            "description": self.description,
            "parameters": parameters,
        }
        return {"type": "function", "function": function}


@dataclass(frozen=True)
class Call:
    """A call that a model wrote.

    Attributes:
        name: of the tool; empty where it cannot be read.
        arguments: as written.
        problem: why it cannot be read; empty where it can.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""


TOOLS: Registry[Tool] = Registry("tool", "musicllm.serve.tools.kinds")

TUNE: Mapping[str, Any] = {
    "type": "string",
    "description": "the tune in ABC notation; without it the last tune of the conversation",
}
"""Schema of the parameter `tune`."""


def tune_of(arguments: Mapping[str, Any], place: Workplace) -> str:
    """Return the tune that a call means.

    Raises:
        InputError: there is none yet.
    """
    tune = str(arguments.get("tune") or place.tune).strip()
    if not tune:
        raise InputError("there is no tune yet; give one as tune")
    return tune


def run_call(call: Call, tools: Mapping[str, Tool], place: Workplace) -> dict[str, Any]:
    """Return the result of a call, or `error`: what is wrong with it and what to write.

    Args:
        call: as the model wrote it.
        tools: by name, that may be called.
        place: of the conversation.
    """
    if call.problem:
        return {"error": call.problem}
    if call.name not in tools:
        return {"error": f"there is no tool {call.name!r}; there are {', '.join(tools)}"}
    tool = tools[call.name]
    try:
        return dict(tool.run(read_arguments(tool.parameters, tool.required, call.arguments), place))
    except MusicLLMError as error:
        return {"error": str(error)}
