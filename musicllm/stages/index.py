"""Index: the tunes of a corpus, or of other sources, to be found by melody and by text."""

from __future__ import annotations

import shutil

from musicllm import quoting
from musicllm.data.engines import make_engine
from musicllm.data.sources import find_parts
from musicllm.errors import StageError
from musicllm.job import Job
from musicllm.retrieval.build import build
from musicllm.retrieval.reading import IndexSettings
from musicllm.runs.preparation import source_specs

WORK = "work"


def run(job: Job) -> list[tuple[str, object]]:
    """Build the index of the tunes in `data.sources`.

    What is finished of it stays in `work/` of the run folder until all is.

    Raises:
        StageError: no tune is left.
    """
    config = job.config
    settings = IndexSettings(tuple(config.index.splits), config.index.min_notes)
    parts = [part for source in source_specs(job) for part in find_parts(source)]
    work = job.folder / WORK
    with job.writing() as (folder, facts):
        facts.update(build(parts, settings, make_engine(**vars(config.engine)), work, folder))
        job.refuse_changed_files()
        if not facts["num_tunes"]:
            raise StageError(
                "there is no tune in the records of index.splits="
                f"[{','.join(settings.splits)}]{_why(facts['left_out'])}"
            )
    shutil.rmtree(work)
    size = sum(path.stat().st_size for path in job.artifact_path.rglob("*") if path.is_file())
    search = quoting.command(
        quoting.argument("recipe", "index/search"), quoting.argument("inputs.index", job.folder)
    )
    return [
        ("tunes", ", ".join(f"{n:,} of {name}" for name, n in facts["by_source"].items())),
        ("of a melody that came before", f"{facts['num_repeated']:,}"),
        *((f"left out: {reason}", f"{n:,}") for reason, n in facts["left_out"].items()),
        ("figures of melodies", f"{facts['num_figures']:,}"),
        ("words", f"{facts['num_words']:,}"),
        ("size", f"{size / 1e6:,.1f} MB"),
        ("search in it", f"{search} search.file=<tune.abc>"),
    ]


def _why(left_out: dict[str, int]) -> str:
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items())
    return f" (left out: {reasons})" if reasons else "; read others with index.splits"
