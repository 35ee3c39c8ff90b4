"""The prompts of a generation: written in the configuration, or lines of files, or drawn.

Files are read once, whole, before a model is loaded, so that whatever is wrong with them is said at
once; then a prompt is read again when it is needed, and only its place stays in memory (about 60
bytes of each). The random numbers of an answer follow from the seed, the prompt and the candidate
alone, not from other prompts or how many there are.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicllm.data.records import question_of
from musicllm.errors import InputError
from musicllm.music.grammar import Grammar, TuneRules
from musicllm.music.grammar.demands import problems
from musicllm.serve import prompt_lines
from musicllm.serve.prompt_lines import Content

if TYPE_CHECKING:
    from musicllm.data.records import Message

SUFFIXES = (".txt", ".jsonl")
"""An entry of `generation.prompts` that ends so is a file."""

MAX_COMPLAINTS = 20
"""So many bad lines of a file are shown; the others are counted."""

STEP = 0x9E3779B1
"""Odd, so that the candidates of a prompt have different seeds; 2^32 over the golden ratio."""


@dataclass(frozen=True)
class Prompt:
    """What a model is to answer or continue.

    Attributes:
        number: from 0 on.
        name: stem of the files of its tunes, such as `0017`.
        id: the user's own, or the name.
        place: where it stands, such as `prompts.jsonl:17`.
        key: decides its random numbers, with the seed; see `seed_of`.
        messages: a conversation that ends with the user; None for a beginning.
        text: a beginning that is continued; None for messages.
        settings: of the sampling, where they are its own.
        tune: of `generation.tune`, where they are its own.
        task: family of instructions that it belongs to; empty when unknown.
        conditions: that its answer must meet, as in `evals.requests.Request`.
    """

    number: int
    name: str
    id: str
    place: str
    key: int
    messages: tuple[Message, ...] | None
    text: str | None
    settings: Mapping[str, Any] = field(default_factory=dict)
    tune: Mapping[str, Any] = field(default_factory=dict)
    task: str = ""
    conditions: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> tuple[Message, ...] | str:
        """The messages, or the beginning."""
        if self.messages is not None:
            return self.messages
        assert self.text is not None, "a prompt has messages or a text"
        return self.text

    @property
    def shown(self) -> str:
        """The user's last message, or the beginning."""
        content = self.content
        return content if isinstance(content, str) else str(content[-1]["content"])


class Prompts(Sequence[Prompt]):
    """Prompts in their order, read when they are needed.

    Attributes:
        num_blank_lines: of files, which are no prompts.
        first_with_tune: place of the first prompt with rules of its own; None without one.

    Args:
        rules: of the grammar, which the lines of files must be able to keep; None without one.
        system: prompt of conversations that have none of their own; None without one. The random
            numbers of an answer do not follow from it.
    """

    def __init__(self, rules: TuneRules | None = None, system: str | None = None) -> None:
        self._rules = rules
        self._system = system
        self.num_blank_lines = 0
        self.first_with_tune: str | None = None
        self._inline: list[tuple[str, Content]] = []
        self._files: list[Path] = []
        self._file = array("i")  # of every prompt; -1: written in the configuration
        self._start = array("q")  # of its line in bytes; or its index in `_inline`
        self._line = array("q")
        self._keys = array("Q")
        self._own: dict[str, int] = {}
        self._twins: Counter[bytes] = Counter()

    @classmethod
    def read(
        cls, entries: Sequence[str], rules: TuneRules | None = None, system: str | None = None
    ) -> Prompts:
        """Read the entries of `generation.prompts`: user messages and files, in their order.

        Cost: one read of the files.

        Args:
            entries: messages, and names of files.
            rules: of the grammar; None without one.
            system: prompt of conversations without one.

        Raises:
            InputError: a file is missing or empty, lines of it are no prompts or cannot be
                continued by the grammar, two prompts have one id, or a message is empty.
        """
        prompts = cls(rules, system)
        for number, entry in enumerate(entries):
            if entry.endswith(SUFFIXES):
                prompts._add_file(Path(entry).expanduser())
                continue
            try:
                text = prompt_lines.filled("prompt", entry)
            except InputError as error:
                raise InputError(f"generation.prompts[{number}] {error}") from None
            prompts._add_inline(f"generation.prompts[{number}]", _of_message(text))
        prompts._refuse_names_as_ids()
        return prompts

    @classmethod
    def drawn(cls, records: Iterable[Mapping[str, Any]], system: str | None = None) -> Prompts:
        """Return the questions of instruction records; `system` as in `read`."""
        prompts = cls(system=system)
        for record in records:
            question = tuple(question_of(record))
            task, conditions = str(record.get("task") or ""), record.get("conditions") or {}
            content = Content(record["id"], question, None, {}, {}, task, conditions)
            prompts._add_inline(record["id"], content)
        return prompts

    def __len__(self) -> int:
        """Return the number of prompts."""
        return len(self._keys)

    def __getitem__(self, number: Any) -> Any:
        """Return one prompt; from a file it is read and parsed."""
        if isinstance(number, slice):
            return [self[place] for place in range(*number.indices(len(self)))]
        number = range(len(self))[number]
        place, content = self._content(number)
        name, messages = self._name(number), content.messages
        if self._system and messages and messages[0]["role"] != "system":
            messages = ({"role": "system", "content": self._system}, *messages)
        return Prompt(
            number, name, content.id or name, place, self._keys[number], messages, *content[2:]
        )

    def _name(self, number: int) -> str:
        return f"{number + 1:0{max(3, len(str(len(self))))}d}"

    def _refuse_names_as_ids(self) -> None:
        """Refuse an id that is what a prompt without one is called."""
        own = set(self._own.values())
        for text, number in self._own.items():
            other = int(text) - 1 if text.isdecimal() and len(text) < 19 else -1
            if 0 <= other < len(self) and other not in own and self._name(other) == text:
                raise InputError(
                    f"{self._place(number)} has the id {text}, which prompt {text} without an id "
                    "gets; give every prompt an id, or none"
                )

    def _content(self, number: int) -> tuple[str, Content]:
        if self._file[number] < 0:
            return self._inline[self._start[number]]
        path = self._files[self._file[number]]
        with path.open("rb") as file:
            file.seek(self._start[number])
            line = file.readline()
        try:
            return f"{path}:{self._line[number]}", _of_line(path, line)
        except InputError as error:
            place = f"{path}:{self._line[number]}"
            raise InputError(_shown(f"{place} {error}, and did not before")) from None

    def _add_inline(self, place: str, content: Content) -> None:
        self._add(place, content, -1, len(self._inline), 0)
        self._inline.append((place, content))

    def _add_file(self, path: Path) -> None:
        if not path.is_file():
            raise InputError(
                f"generation.prompts names {path}, which is no file; an entry that ends in .txt or "
                ".jsonl is a file of prompts, a line each"
            )
        complaints, before = [], len(self)
        self._files.append(path)
        for number, start, line in _lines(path):
            if not line.strip():
                self.num_blank_lines += 1
                continue
            place = f"{path}:{number}"
            try:
                content = _of_line(path, line)
                if self._rules is not None:
                    _refuse_unwritable(content, self._rules)
                self._add(place, content, len(self._files) - 1, start, number)
            except InputError as error:
                complaints.append(f"{place} {error}")
        if complaints:
            raise InputError(_complaint(path, complaints))
        if len(self) == before:
            raise InputError(f"{path} holds no prompt: write one on each line")

    def _add(self, place: str, content: Content, file: int, start: int, line: int) -> None:
        if content.id is not None:
            other = self._own.setdefault(content.id, len(self))
            if other != len(self):
                raise InputError(_shown(f"has the id {content.id} of {self._place(other)}, too"))
        if content.tune and self.first_with_tune is None:
            self.first_with_tune = place
        self._keys.append(self._key(content))
        self._file.append(file)
        self._start.append(start)
        self._line.append(line)

    def _place(self, number: int) -> str:
        if self._file[number] < 0:
            return self._inline[self._start[number]][0]
        return f"{self._files[self._file[number]]}:{self._line[number]}"

    def _key(self, content: Content) -> int:
        """Return 64 bits of the id, or else of the content and how often it came before."""
        if content.id is not None:
            return _hashed(f"id {content.id}".encode())
        text = json.dumps([content.messages, content.text], sort_keys=True).encode()
        digest = hashlib.sha256(text).digest()
        self._twins[digest[:16]] += 1
        return _hashed(digest + str(self._twins[digest[:16]]).encode())


def seed_of(seed: int, prompt: Prompt, candidate: int) -> int:
    """Return the seed of an answer, 32 bits.

    A pure function of the seed, the prompt's id (or, without one, its content and how many equal
    ones stand before it) and the candidate. The candidates of one prompt have different seeds.
    """
    return (_hashed(f"{seed} {prompt.key}".encode()) + candidate * STEP) % 2**32


def rules_with(rules: TuneRules, tune: Mapping[str, Any]) -> TuneRules:
    """Return the rules of a prompt: those of the configuration, and its own before them."""
    return TuneRules.of({**vars(rules), **tune})


def _refuse_unwritable(content: Content, rules: TuneRules) -> None:
    """Refuse what no grammar of these rules can write or continue.

    Raises:
        InputError: rules of the line cannot be kept, or its text begins no legal tune.
    """
    rules = rules_with(rules, content.tune)
    if content.tune and (broken := list(problems(rules, ""))):
        whole = "; and ".join(
            f"{'tune' if fault.key[1:] in content.tune else 'generation.tune'}{fault}"
            for fault in broken
        )
        raise InputError(f"has a tune that cannot be written: {whole}")
    if content.text is None:
        return
    try:
        grammar_of(rules).start(content.text)
    except InputError as error:
        raise InputError(
            f"has a text that no legal tune begins with: {error}; mend it, or write "
            "generation.grammar=null"
        ) from None


@lru_cache(maxsize=16)
def grammar_of(rules: TuneRules) -> Grammar:
    """Return the grammar of rules; made once for prompts that share them."""
    return Grammar(rules)


def _shown(text: str) -> str:
    """Return a text with something of the user's file in it, for one line of a terminal."""
    from musicllm.serve.showing import visible_line

    return visible_line(text)


def _hashed(content: bytes) -> int:
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big")


def _of_message(text: str) -> Content:
    return Content(None, ({"role": "user", "content": text},), None, {}, {}, "", {})


def _of_line(path: Path, line: bytes) -> Content:
    """Return the prompt on a line.

    Raises:
        InputError: it is none.
    """
    import orjson

    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 (byte {error.start + 1} of the line)") from None
    if path.suffix == ".txt":
        return _of_message(text.strip())
    try:
        raw = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        column = min(error.pos, len(text.rstrip())) + 1
        raise InputError(
            f"is not valid JSON (column {column}: {error.msg.partition(': ')[0]})"
        ) from None
    return prompt_lines.read(raw)


def _lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Yield number, start in bytes and content of every line."""
    with path.open("rb") as file:
        start = len(BOM_UTF8) if file.read(len(BOM_UTF8)) == BOM_UTF8 else 0
        file.seek(start)
        for number, line in enumerate(file, start=1):
            yield number, start, line
            start += len(line)


def _complaint(path: Path, complaints: Sequence[str]) -> str:
    count = "1 line" if len(complaints) == 1 else f"{len(complaints):,} lines"
    shown = "".join(f"\n  {_shown(text)}" for text in complaints[:MAX_COMPLAINTS])
    more = len(complaints) - MAX_COMPLAINTS
    rest = f"\n  and {more:,} more" if more > 0 else ""
    return f"{count} of {path} cannot be used:{shown}{rest}"
