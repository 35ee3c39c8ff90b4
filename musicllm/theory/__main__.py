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
    """Write the file; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m musicllm.theory", description=__doc__)
    parser.add_argument("split", choices=("test", "train"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--num", type=int, help="conversations; without it, all")
    parser.add_argument("--seed", type=int, default=0, help="of their choice and options")
    args = parser.parse_args(arguments)
    try:
        rows: list[Mapping[str, object]] = (
            [question.as_row() for question in theory.test_questions()]
            if args.split == "test"
            else [*theory.training_records(args.num, args.seed)]
        )
        artifacts.write_text(args.file, lines(rows))
    except (MusicLLMError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{args.file}: {len(rows):,} rows")
    return 0


def lines(rows: Iterable[Mapping[str, object]]) -> str:
    """Return rows as JSON lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


if __name__ == "__main__":
    sys.exit(main())
