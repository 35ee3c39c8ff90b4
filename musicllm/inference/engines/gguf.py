"""The engine `gguf`: a GGUF file in this process, through llama.cpp (extra `gguf`: xllamacpp).

llama.cpp's own server runs in this process and listens on this machine alone, with a key that
nobody else has. Conversations are rendered by our template code with the file's template, and
tokenized part by part, as training data is (`data.encoder`); so the model gets the prompts that it
was trained on. One text is written at a time, also for several clients: with several, llama.cpp
rounds otherwise, and a text would depend on its neighbours.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from musicllm import console
from musicllm.data.records import Message
from musicllm.data.templates import ChatTemplate, Part, UnfitError, continued
from musicllm.errors import InputError, NotAvailableError
from musicllm.inference.engines import ENGINES, ChatForm, EngineKind, EngineSource, OnPiece
from musicllm.inference.feed import Feed
from musicllm.inference.requests import Completion, WritingRequest
from musicllm.inference.servers import feeding
from musicllm.inference.servers.answers import Written
from musicllm.inference.servers.dialects import LLAMA_CPP
from musicllm.inference.servers.http import NO_LIMIT_S, Server, Session
from musicllm.inference.servers.parallel import Emit, in_parallel, once
from musicllm.inference.servers.room import refuse_misfits
from musicllm.model import gguf_file
from musicllm.model.gguf_file import GgufFile

HOW_TO = "pip install 'musicllm[gguf]'"

_PROBE = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello"}]

TOKENIZING = 4
"""Prompts that are tokenized at a time."""

SHARE_OF_MEMORY = 0.5
"""Of the free memory, for keys and values."""

FIRST = {"prompt": [0], "n_predict": 1, "cache_prompt": False}

UNKNOWN_CONTEXT = 2048
"""Of a file that does not say for how many tokens it was trained."""


class GgufEngine:
    """A GGUF file that llama.cpp has loaded; see `Engine` and `Joinable`."""

    num_together = 1

    def __init__(self, file: GgufFile, context: int, num_threads: int | None) -> None:
        """Load the file.

        Args:
            file: its beginning.
            context: tokens of prompt and text together.
            num_threads: of the CPU; None for as many as it has cores.

        Raises:
            InputError: llama.cpp cannot load it.
        """
        self.context: int | None = context
        self._file = file
        self._template = _template(file)
        special = tuple(file.special_tokens)
        self.chat_form = ChatForm(file.template, special) if file.template else None
        self._ends = _ends(file, self._template)
        self._bos = file.id_of("bos")
        key = secrets.token_hex(16)
        self._native: Any = _load(file, context, key, num_threads)
        self._server = Server(
            self._native.listening_address, "llama.cpp", key, "", NO_LIMIT_S, max_tries=1
        )
        # xllamacpp waits for ever for the end of a server that has not begun to work
        once(self._server, lambda session: session.post("/completion", FIRST))

    def count_tokens(self, prompt: Sequence[Message] | str) -> int | None:
        """See `Engine`."""
        return len(once(self._server, lambda session: self._prompt(session, prompt)))

    def write(
        self, requests: Sequence[WritingRequest], on_piece: OnPiece | None = None
    ) -> Iterator[tuple[int, Completion]]:
        """See `Engine`."""
        prompts = self._prompts(requests)
        refuse_misfits([len(prompt) for prompt in prompts], requests, self.context)

        async def work(session: Session, index: int, emit: Emit) -> Completion:
            return await self._write(session, prompts[index], requests[index], Written(emit))

        return in_parallel(
            self._server, work, len(requests), num_parallel=self.num_together, on_piece=on_piece
        )

    def serve(self, feed: Feed) -> None:
        """See `Joinable`: who comes while a text is written waits for its end."""

        async def write_one(
            session: Session, request: WritingRequest, written: Written
        ) -> Completion:
            prompt = await self._prompt(session, request.messages or request.text or "")
            refuse_misfits([len(prompt)], [request], self.context)
            return await self._write(session, prompt, request, written)

        feeding.serve(self._server, feed, write_one, num_parallel=self.num_together)

    def close(self) -> None:
        """See `Engine`: frees the model."""
        self._native = None

    async def _write(
        self, session: Session, prompt: list[int], request: WritingRequest, written: Written
    ) -> Completion:
        """Return the text after a prompt."""
        is_ended = False
        async for event in session.stream("/completion", self._body(prompt, request)):
            is_ended = event.get("stop_type") in ("eos", "word")
            written.num_new_tokens = event["tokens_predicted"] - is_ended  # it counts the end token
            written.num_prompt_tokens = event["tokens_evaluated"]
            if event["content"]:
                written.add(event["content"])
        return written.completion(finished=is_ended)

    def _prompts(self, requests: Sequence[WritingRequest]) -> list[list[int]]:
        async def encode(session: Session, index: int, _emit: Emit) -> list[int]:
            request = requests[index]
            return await self._prompt(session, request.messages or request.text or "")

        prompts = in_parallel(self._server, encode, len(requests), num_parallel=TOKENIZING)
        return [prompt for _, prompt in sorted(prompts)]

    async def _prompt(self, session: Session, prompt: Sequence[Message] | str) -> list[int]:
        if not isinstance(prompt, str):
            return await self._encode(session, self._rendered(prompt))
        begin = [] if self._bos is None else [self._bos]
        return [*begin, *await self._encode(session, [prompt])]

    def _rendered(self, messages: Sequence[Message]) -> list[str]:
        """Return the parts of a conversation up to where the assistant begins."""
        if self._template is None:
            raise InputError(
                f"{self._file.path} has no chat template, so it continues texts but does not chat; "
                f"export the model again with a template, or write prompts of texts"
            )
        parts: Sequence[Part] = self._template.parts(messages, ends_in_prompt=True)
        if self._file.adds_blank:
            parts = list(continued(parts, self._file.special_tokens))
        return [text for text, _ in parts]

    async def _encode(self, session: Session, texts: Sequence[str]) -> list[int]:
        """Return the tokens of texts, each of which is tokenized by itself."""
        ids: list[int] = []
        for text in texts:
            body = {"content": text, "add_special": False, "parse_special": True}
            ids += (await session.post("/tokenize", body))["tokens"]
        return ids

    def _body(self, prompt: list[int], request: WritingRequest) -> dict[str, Any]:
        return {
            **LLAMA_CPP.fields(request),
            "prompt": prompt,
            "cache_prompt": False,  # what was written before would change the rounding
            "stop": self._ends,
            "preserved_tokens": self._ends,  # so that they are text, in which `stop` is looked for
            "stream": True,  # a whole answer ends otherwise where it is cut off within a character
        }


def open_gguf(source: EngineSource) -> GgufEngine:
    """Return the engine of a GGUF file.

    Raises:
        NotAvailableError: xllamacpp is not installed.
        InputError: the file is none, or llama.cpp cannot load it.
    """
    if find_spec("xllamacpp") is None:
        raise NotAvailableError(f"inference.engine=gguf needs xllamacpp: {HOW_TO}")
    file = gguf_file.read(gguf_file.find(Path(source.model)))
    return GgufEngine(file, _context(file, source.settings.context), source.num_threads)


def _context(file: GgufFile, longest: int | None) -> int:
    """Return the context: the configured one, or that of the model as far as memory allows."""
    trained = file.context
    if longest is not None:
        if trained is not None and longest > trained:
            raise InputError(
                f"inference.context={longest} is more than the {trained} tokens for which "
                f"{file.path} was trained; write at most {trained}"
            )
        return longest
    trained = trained or UNKNOWN_CONTEXT
    free = psutil.virtual_memory().available * SHARE_OF_MEMORY
    fitting = int(free / max(1, file.bytes_per_token))
    if fitting < trained:
        console.note(
            f"{file.path} was trained for {trained:,} tokens, and there is memory for {fitting:,} "
            f"of them (inference.context)"
        )
    return min(trained, fitting)


def _template(file: GgufFile) -> ChatTemplate | None:
    if file.template is None:
        return None
    roles = {f"{role}_token": file.token_of(role) for role in ("bos", "eos", "unknown", "padding")}
    named = {name: token for name, token in roles.items() if token is not None}
    return ChatTemplate(file.template, named, file.special_tokens)


def _ends(file: GgufFile, template: ChatTemplate | None) -> list[str]:
    """Return the token that ends an answer, where it is not the one that ends a text."""
    if template is None:
        return []
    try:
        [*_, answer] = [text for text, is_answer in template.parts(_PROBE) if is_answer]
    except (UnfitError, ValueError):
        return []  # the template needs other messages; the end of a text is still one
    ends = [token for token in file.special_tokens if token in answer]
    last = max(ends, key=answer.rindex, default=None)
    return [] if last in (None, file.token_of("eos")) else [last]


def _load(file: GgufFile, context: int, key: str, num_threads: int | None) -> Any:
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(file.path)
    parameters.n_ctx = context
    parameters.n_parallel = 1
    parameters.api_keys = [key]
    parameters.verbosity = 0
    parameters.warmup = False
    parameters.ui = False
    parameters.endpoint_slots = False
    if num_threads is not None:
        parameters.cpuparams.n_threads = num_threads
        parameters.cpuparams_batch.n_threads = num_threads
    try:
        return xllamacpp.Server(parameters)
    except RuntimeError as error:
        raise InputError(
            f"{file.path} cannot be loaded by llama.cpp (xllamacpp {xllamacpp.__version__}, "
            f"architecture {file.architecture}, context {context:,}): {error} Is the file whole? "
            f"Is there memory for it?"
        ) from None


KIND = ENGINES.register(EngineKind("gguf", open_gguf, follows_grammar=False))
