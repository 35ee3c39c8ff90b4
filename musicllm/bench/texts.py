"""Texts for benches: real prose and tunes from installed packages, reproducible.

A prose document consists of random paragraphs of English documentation (docstrings), so
that there is any number of different documents; lengths are distributed like those of
MusicPile (about 800 tokens on average, with many short ones and a long tail). Every fifth
document is a tune of the free books while there are any: in MusicPile, too, scores
are a few percent of the text.
"""

from __future__ import annotations

import ast
import json
import random
import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from musicllm.data.settings import Question
from musicllm.data.sources import FREE_BOOKS
from musicllm.music.abc import Tune, read_book

PROSE = (
    "numpy", "matplotlib", "music21", "datasets", "lightning", "torch", "transformers", "sympy",
    "networkx", "pandas", "torchmetrics", "deepspeed", "peft", "huggingface_hub",
)  # fmt: skip
"""Packages whose docstrings are used: dependencies of musicllm with long docstrings."""

MEDIAN_CHARS, SIGMA = 1_400, 1.0
"""Parameters of the log-normal lengths; the mean is exp(SIGMA^2 / 2) = 1.65 times the median."""

SHORTEST_PARAGRAPH_CHARS = 80

SPECIAL = re.compile("</?s>|<unk>")

NUM_QUESTIONS = 14_414
"""MMLU's 14,042 and MusicTheoryBench's 372."""


def documents(num_documents: int, seed: int) -> Iterator[str]:
    """Yield texts; fewer documents are a prefix of more."""
    draw = random.Random(seed)
    prose = paragraphs()
    tunes = [tune.text for tune in printed_tunes()]
    draw.shuffle(tunes)
    for number in range(num_documents):
        is_tune = number % 5 == 4 and number // 5 < len(tunes)
        yield tunes[number // 5] if is_tune else _compose(prose, draw)


def write_jsonl(path: Path, num_documents: int, seed: int) -> None:
    """Write the texts as lines `{"text": ...}`."""
    with path.open("w", encoding="utf-8") as file:
        for text in documents(num_documents, seed):
            file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")


def read_jsonl(path: Path) -> list[str]:
    """Return the texts of a file of `write_jsonl`."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line)["text"] for line in file]


def write_questions(path: Path, seed: int) -> None:
    """Write questions of typical length, from words of the texts in random order.

    So they share words with the texts, as real questions do, but no n-grams.
    """
    draw = random.Random(seed)
    words = " ".join(paragraphs()).split()
    with path.open("w", encoding="utf-8") as file:
        for _ in range(NUM_QUESTIONS):
            stem, *options = (" ".join(draw.choices(words, k=k)) for k in (30, 6, 6, 6, 6))
            file.write(json.dumps({"stem": stem, "options": options}) + "\n")


def read_questions(path: Path) -> tuple[Question, ...]:
    """Read the questions of `write_questions`."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return tuple(
        Question("made", str(number), row["stem"], tuple(row["options"]))
        for number, row in enumerate(rows)
    )


def printed_tunes() -> Iterator[Tune]:
    """Yield the tunes of the free books of music21."""
    for book in FREE_BOOKS:
        for file in sorted((_folder("music21") / "corpus" / book).rglob("*.abc")):
            yield from (tune for tune in read_book(file) if isinstance(tune, Tune))


@cache
def paragraphs() -> tuple[str, ...]:
    """Return the longer paragraphs of all docstrings without duplicates, in a fixed order.

    Those with special tokens are left out, which slow tokenizers treat differently.
    """
    files = (file for package in PROSE for file in sorted(_folder(package).rglob("*.py")))
    texts = (text for file in files if "tests" not in file.parts for text in _paragraphs(file))
    long = (text for text in texts if len(text) >= SHORTEST_PARAGRAPH_CHARS)
    return tuple(dict.fromkeys(text for text in long if not SPECIAL.search(text)))


def _paragraphs(file: Path) -> Iterator[str]:
    try:
        nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    except (SyntaxError, UnicodeDecodeError):  # a template, or for another Python version
        return
    for node in nodes:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from (ast.get_docstring(node) or "").split("\n\n")


def _compose(prose: Sequence[str], draw: random.Random) -> str:
    """Return paragraphs up to a log-normal random length."""
    length = MEDIAN_CHARS * draw.lognormvariate(0.0, SIGMA)
    parts = [draw.choice(prose)]
    while sum(map(len, parts)) < length:
        parts.append(draw.choice(prose))
    return "\n\n".join(parts).strip()


def _folder(package: str) -> Path:
    spec = find_spec(package)
    assert spec is not None, f"{package} is a dependency of musicllm"
    assert spec.submodule_search_locations, f"{package} is a package"
    return Path(spec.submodule_search_locations[0])
