"""Writes the test set, or conversations of the training split, as JSON lines.

Usage: `python -m musicllm.theory test FILE`, or
`python -m musicllm.theory train FILE [--num N] [--seed SEED]`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from musicllm import artifacts, theory
from musicllm.errors import MusicLLMError


def main(arguments: list[str] | None = None) -> int:
    """Write the rows; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m musicllm.theory", description=__doc__)
    parser.add_argument("split", choices=("test", "train"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--num", type=int, help="conversations; without it, all")
    parser.add_argument("--seed", type=int, default=0, help="of their choice and options")
    asked = parser.parse_args(arguments)
    try:
        rows: list[Mapping[str, object]] = (
            [question.as_row() for question in theory.test_questions()]
            if asked.split == "test"
            else [*theory.training_records(asked.num, asked.seed)]
        )
        artifacts.write_text(asked.file, lines(rows))
    except (MusicLLMError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{asked.file}: {len(rows):,} rows")
    return 0


def lines(rows: Iterable[Mapping[str, object]]) -> str:
    """Return one row of JSON a line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


if __name__ == "__main__":
    sys.exit(main())
