"""Every answer of a teacher, stored by the content of its question, so that none is paid twice.

The store is one SQLite file: an answer is there when `add` returns, whatever happens to the process
afterwards, and several runs can use one store. A key covers the teacher, the conversation, the
sampling and the seed; what an answer is used for does not matter.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from musicllm.errors import ArtifactError
from musicllm.inference.requests import WritingRequest

BUSY_S = 60.0
"""So long a run waits for another one that writes into the same store."""

_TABLES = (
    "CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, text TEXT, finished INTEGER, "
    "input_tokens INTEGER, output_tokens INTEGER, time TEXT, run TEXT) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS spent (run TEXT, input_tokens INTEGER, output_tokens INTEGER)",
    "CREATE INDEX IF NOT EXISTS spent_by ON spent (run)",
)


@dataclass(frozen=True)
class Answer:
    """What a teacher wrote.

    Attributes:
        text: of the answer.
        finished: it ended by itself, not at `max_new_tokens`.
        input_tokens: of the prompt, as the engine counts, or an upper bound where it does not.
        output_tokens: of the answer, likewise.
        time: when it came, such as `2026-11-30T20:15:00Z`.
    """

    text: str
    finished: bool
    input_tokens: int
    output_tokens: int
    time: str


def key_of(teacher: str, request: WritingRequest) -> bytes:
    """Return the key of a question.

    Args:
        teacher: identity of whatever answers.
        request: of messages.
    """
    content = [teacher, request.messages, asdict(request.settings), request.seed]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()


def now() -> str:
    """Return the time as records state it, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class AnswerStore:
    """A store of answers.

    Args:
        path: of its file, which is created if it is missing.
        run: fingerprint of the run that asks, to which new answers are charged.

    Raises:
        ArtifactError: the file is no store, or another run holds it for long.
    """

    def __init__(self, path: Path, run: str) -> None:
        self.path = path
        self._run = run
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
        for table in _TABLES:
            self._execute(table)

    def __enter__(self) -> Self:
        """Return the store itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._database.close()

    def get(self, key: bytes) -> Answer | None:
        """Return an answer; None where the question was not answered yet."""
        columns = "text, finished, input_tokens, output_tokens, time"
        row = self._execute(f"SELECT {columns} FROM answers WHERE key = ?", key).fetchone()
        return None if row is None else Answer(row[0], bool(row[1]), *row[2:])

    def add(self, key: bytes, answer: Answer) -> None:
        """Store an answer and charge its tokens; of two to one question the first stays."""
        values = (key, answer.text, answer.finished, answer.input_tokens, answer.output_tokens,
                  answer.time, self._run)  # fmt: skip
        self._execute("BEGIN IMMEDIATE")
        self._execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)", *values)
        self.charge(answer.input_tokens, answer.output_tokens)
        self._execute("COMMIT")

    def charge(self, input_tokens: int, output_tokens: int) -> None:
        """Charge tokens to the run, as of an answer that may have been written and did not come."""
        self._execute("INSERT INTO spent VALUES (?, ?, ?)", self._run, input_tokens, output_tokens)

    def spent(self) -> tuple[int, int]:
        """Return the tokens of prompts and of answers that the run was charged so far."""
        row = self._execute(
            "SELECT COALESCE(SUM(input_tokens), 0), COALESCE(SUM(output_tokens), 0) "
            "FROM spent WHERE run = ?",
            self._run,
        ).fetchone()
        return int(row[0]), int(row[1])

    def _execute(self, command: str, *values: Any) -> sqlite3.Cursor:
        try:
            return self._database.execute(command, values)
        except sqlite3.DatabaseError as error:
            raise ArtifactError(
                f"{self.path} cannot be used ({error}); if another run uses it, wait for that one; "
                "if it is damaged, delete it, and its questions are asked again"
            ) from None
