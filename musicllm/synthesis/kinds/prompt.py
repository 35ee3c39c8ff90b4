"""The kind `prompt`: a Jinja file of the user's own asks about every record.

The prompt sees the record: `id`, `source`, `text` (of a conversation the messages, a blank line
between them), `messages` (empty for a text) and what else it has. An answer is a text or, with
`synthesis.json_schema`, JSON that fits. The block `record` of the file makes the JSON of a record
from both; without it, an answer of text becomes a record of `text`, and an answer in JSON must be a
record itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from musicllm.data.records import Record, texts_of
from musicllm.errors import InputError
from musicllm.schema import SynthesisConfig
from musicllm.synthesis.kind import (
    SYNTHESES,
    Item,
    Rejected,
    Synthesis,
    SynthesisKind,
)
from musicllm.synthesis.reading import Check, json_in, schema_check


class PromptSynthesis(Synthesis[Any]):
    """Asks about every record with one prompt.

    Args:
        prompt: its file.
        check: of the JSON of an answer; None where answers are text.
    """

    def __init__(self, prompt: Path, check: Check | None) -> None:
        from musicllm.synthesis.prompt_file import PromptFile

        self.prompt = prompt
        self._file = PromptFile(prompt)
        self._check = check

    def requests(self, records: Iterable[Record]) -> Iterator[Item]:
        """See `Synthesis`: one item of every record."""
        for record in records:
            text = "\n\n".join(texts_of(record))
            variables = {"messages": [], **record, "text": text}
            yield Item(str(record["id"]), variables)

    def parse(self, answer: str, item: Item) -> Any:
        """See `Synthesis`."""
        del item
        if self._check is None:
            return answer if answer else Rejected("is empty")
        value = json_in(answer)
        if isinstance(value, Rejected):
            return value
        return self._check(value) or value

    def record(self, item: Item, value: Any) -> dict[str, Any]:
        """See `Synthesis`.

        Raises:
            InputError: what the block `record` writes, or the answer, is no record.
        """
        made = {"text": value} if isinstance(value, str) else value
        place = "an answer that fits synthesis.json_schema"
        if self._file.has("record"):
            place = f"{self.prompt}, block record,"
            written = self._file.text("record", {**item.variables, "answer": value})
            try:
                made = json.loads(written)
            except ValueError as error:
                raise InputError(f"{place} writes no JSON: {error}") from None
        if not isinstance(made, dict) or not made.keys() & {"text", "messages"}:
            raise InputError(
                f"{place} is no record: it needs text or messages; write a block record in "
                f"{self.prompt} that makes one of it"
            )
        return made


class PromptKind(SynthesisKind):
    """Any prompt of the user's own."""

    name = "prompt"
    keys = ("json_schema",)

    def open(self, settings: SynthesisConfig, seed: int) -> PromptSynthesis:
        """See `SynthesisKind`; errors as `PromptFile` and `schema_check`."""
        del seed
        schema = settings.json_schema
        check = None if schema is None else schema_check(Path(schema).expanduser())
        return PromptSynthesis(self.prompt(settings), check)


SYNTHESES.register(PromptKind())
