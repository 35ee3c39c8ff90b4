"""The loop: the model writes, its calls are run, it reads the results and writes on.

It ends with an answer without calls, when calls run out, or when the context has no room for more;
whatever a model writes, it ends after `max_calls` calls and one more answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from musicllm.data.records import Message
from musicllm.errors import InputError
from musicllm.inference.engines import Engine, Rendering
from musicllm.inference.requests import Completion
from musicllm.serve.tools import Call, Tool, Workplace, run_call
from musicllm.serve.tools.protocols import PROTOCOLS, Protocol, protocol_of

NO_MORE = "no more calls are allowed in this answer; answer now, without a call"

Write = Callable[[Sequence[Message]], Completion]
OnCall = Callable[[Call, Mapping[str, Any]], None]
"""(call, its result)."""


@dataclass(frozen=True)
class Kit:
    """What a model may call, and how.

    Attributes:
        tools: by name; none for a model that calls nothing.
        protocol: how calls are written.
        max_calls: in one answer.
        has_system: the chat template shows a system prompt.
        place: what tools work with.
        on_call: is told of every call.
    """

    tools: Mapping[str, Tool]
    protocol: Protocol
    max_calls: int
    has_system: bool
    place: Workplace
    on_call: OnCall = field(default=lambda _call, _result: None)

    def told(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Return a conversation that tells of the tools; at least one message."""
        if not self.tools or not messages:
            return messages
        return self.protocol.told(messages, list(self.tools.values()), self.has_system)


@dataclass(frozen=True)
class Work:
    """What a model did to answer.

    Attributes:
        text: the answer, without calls.
        completion: of the last text that was written.
        steps: messages between the user's and the answer: calls and results.
        num_new_tokens: of all texts.
    """

    text: str
    completion: Completion
    steps: tuple[Message, ...]
    num_new_tokens: int


def choose_protocol(engine: Engine, name: str | None) -> Protocol:
    """Return a protocol by its name, or the one of the engine's chat template.

    Raises:
        InputError: the template has to tell of the tools, and this engine does not render one that
            does.
    """
    form = engine.chat_form if isinstance(engine, Rendering) else None
    if name is None:
        return protocol_of(form)
    protocol = PROTOCOLS[name]
    if protocol.by_template and (form is None or not protocol.speaks(*form)):
        raise InputError(
            f"tools.protocol={name} is told by a chat template, and that of this model, or of its "
            "server, is not known to do so; write tools.protocol=plain"
        )
    return protocol


def work(write: Write, messages: Sequence[Message], kit: Kit, *, has_room: HasRoom) -> Work:
    """Let a model answer, with its calls.

    Args:
        write: writes an answer to a conversation.
        messages: that `kit.told` returned, up to the user's.
        kit: tools and limits.
        has_room: whether the context has room for these messages and an answer.
    """
    steps: list[Message] = []
    num_calls = num_tokens = 0
    while True:
        completion = write([*messages, *steps])
        num_tokens += completion.num_new_tokens
        written = kit.protocol.read(completion.text)
        kit.place.see(written.text)
        if not kit.tools or not written.calls:
            return Work(completion.text, completion, tuple(steps), num_tokens)
        results = []
        for call in written.calls:
            allowed = num_calls < kit.max_calls
            num_calls += 1
            result = run_call(call, kit.tools, kit.place) if allowed else {"error": NO_MORE}
            kit.on_call(call, result)
            results.append(result)
        answer: Message = {"role": "assistant", "content": written.content}
        following = [*steps, answer, *kit.protocol.results(written.calls, results)]
        if num_calls > kit.max_calls + 1 or not has_room([*messages, *following]):
            return Work(written.text, completion, tuple(steps), num_tokens)
        steps = following


HasRoom = Callable[[Sequence[Message]], bool]
