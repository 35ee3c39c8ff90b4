"""Where downloaded files of benchmarks lie."""

from __future__ import annotations

from pathlib import Path

from musicllm.data.sources import hub
from musicllm.files.hub import folder_of


def benchmark_folder(cache: Path, content: str, location: str, revision: str | None) -> Path:
    """Return the folder where the files of a benchmark lie that is a data set of the hub.

    Sources, questions and texts take different files of a data set, so each have a folder of their
    own. Where sources' files lie, benchmarks had theirs in earlier versions; such a folder is used.

    Args:
        cache: folder of downloads.
        content: `questions` or `texts`.
        location: of the benchmark.
        revision: of the data set.
    """
    folder, old = cache / content / location, cache / "datasets" / location
    is_old = not folder_of(folder, revision).exists() and not hub.is_of_source(
        folder_of(old, revision)
    )
    return old if is_old else folder
