"""A pair of answers to one prompt, as a line of JSON.

The format is TRL's conversational preference format with an explicit prompt
(https://huggingface.co/docs/trl/dataset_formats): `prompt`, `chosen` and `rejected` are lists of
`{role, content}`. Every line has the same further fields, all texts, so that the file is a table.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from musicllm.data.records import Message

FIELDS = ("prompt", "chosen", "rejected")
"""What makes a line a pair."""


@dataclass(frozen=True)
class Pair:
    """See the module.

    Attributes:
        prompt: a conversation that ends with the user.
        chosen: the better answer.
        rejected: the other.
        chosen_by: what wrote the better one, such as `quickstart/merge, with the grammar`.
        rejected_by: likewise.
        origin: `vote` of a blind comparison, or `verdict` on single answers.
        author: who judged, or the comparison; only a part of `id`.
        time: in UTC, as ISO 8601.
    """

    prompt: Sequence[Message]
    chosen: str
    rejected: str
    chosen_by: str
    rejected_by: str
    origin: str
    author: str
    time: str

    @property
    def id(self) -> str:
        """Identity of one judgement on one pair of answers, whenever it was given."""
        prompt = [[own["role"], own["content"]] for own in self.prompt]
        text = json.dumps([prompt, self.chosen, self.rejected, self.origin, self.author])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def line(self) -> bytes:
        """Return the line, with its end."""
        values: dict[str, Any] = {
            "id": self.id,
            "prompt": [{"role": own["role"], "content": own["content"]} for own in self.prompt],
            "chosen": [{"role": "assistant", "content": self.chosen}],
            "rejected": [{"role": "assistant", "content": self.rejected}],
            "chosen_by": self.chosen_by,
            "rejected_by": self.rejected_by,
            "origin": self.origin,
            "time": self.time,
        }
        return (json.dumps(values, ensure_ascii=False) + "\n").encode(errors="backslashreplace")
