"""XTuner's conversations: a JSON list of `{"conversation": [{"system", "input", "output"}, ...]}`.

Sources: XTuner's pages on its formats of data sets (the system prompt stands in the first
exchange), its `openai_map_fn` (`output_with_loss`), and IMelodist's converter, which writes a bare
tune as one exchange without system prompt and input. `data.sources.formats` reads all of it back.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, BinaryIO

import orjson

from musicllm.data.records import Record, is_masked
from musicllm.data.writers import WRITERS, Writer


def conversation(record: Record) -> dict[str, Any]:
    """Return a record as XTuner's object.

    A text is the output of one exchange without an input. An answer that is not to be learned has
    `output_with_loss: false`.
    """
    if "text" in record:
        return {"conversation": [{"system": "", "input": "", "output": record["text"]}]}
    messages = list(record["messages"])
    system = messages.pop(0)["content"] if messages[0]["role"] == "system" else ""
    exchanges: list[dict[str, Any]] = []
    for question, answer in zip(messages[::2], messages[1::2], strict=True):
        exchange: dict[str, Any] = {} if exchanges else {"system": system}
        exchange |= {"input": question["content"], "output": answer["content"]}
        if is_masked(answer):
            exchange["output_with_loss"] = False
        exchanges.append(exchange)
    return {"conversation": exchanges}


def write(records: Iterable[Record], file: BinaryIO) -> int:
    """Write records as one JSON list in UTF-8, an object a line; returns their number."""
    count = 0
    for count, record in enumerate(records, start=1):
        file.write(b",\n" if count > 1 else b"[\n")
        file.write(orjson.dumps(conversation(record)))
    file.write(b"\n]\n" if count else b"[]\n")
    return count


WRITER = WRITERS.register(Writer("xtuner", ".json", write))
