"""The corpus table: what was read, dropped for which reason, and kept, per source and split.

Knows the facts that `prepare` records with a corpus; counts nothing itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from musicllm.evals.report.runs import Run
from musicllm.evals.report.tables import Cell, Row, Table, shown, words


def num_kept(run: Run) -> int:
    """Return how many documents the corpus holds over all splits."""
    return sum(split["documents"] for split in run.artifact.facts["splits"].values())


def corpus_table(run: Run) -> Table:
    """Return the counts of a corpus, a column per source and, of several, one for all together."""
    facts = run.artifact.facts
    sources = facts["sources"]
    dropped = {source: facts["dropped"].get(source, {}) for source in sources}
    reasons = dict.fromkeys(reason for counts in dropped.values() for reason in counts)
    rows = [
        _row("read", [facts["read"].get(source, 0) for source in sources]),
        *(
            _row(f"dropped: {words(reason)}", [dropped[name].get(reason, 0) for name in sources])
            for reason in reasons
        ),
        *(
            _row(f"kept: {name}", [split["by_source"].get(source, 0) for source in sources])
            for name, split in facts["splits"].items()
        ),
    ]
    columns = ["", *sources, *(["together"] if len(sources) > 1 else [])]
    return Table(run.recipe, columns, rows, _size(facts["splits"]))


def _row(head: str, counts: Sequence[int]) -> Row:
    total = [sum(counts)] if len(counts) > 1 else []
    return Row(head, [Cell(shown(count)) for count in (*counts, *total)])


def _size(splits: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the training split's size in tokens, and how full its rows are."""
    train = splits["train"]
    return (
        f"{shown(train['tokens'])} training tokens, {shown(train['supervised_tokens'])} of them "
        f"supervised, in {shown(train['rows'])} rows that are {train['packing_efficiency']:.1%} "
        "full."
    )
