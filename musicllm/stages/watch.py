"""Watch: trainings, finished or not, on one page of their metrics; live while they train.

Live means that the page is written again after new lines, and that `live.html`, which a browser
loads again by itself, shows it. It ends when every run is finished, or with Ctrl-C. Runs may not
have begun, be killed, and continue with fewer lines than before; what cannot be read of one is said
at that run. However the watch ends, its last page is not loaded again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence

from musicllm import artifacts, console, quoting
from musicllm.job import Job
from musicllm.report.dashboard.filling import fill
from musicllm.report.dashboard.page import Drawing, WatchPage, left_out_table, live, render_watch
from musicllm.report.dashboard.progress import RunState, progress_table, state
from musicllm.report.dashboard.watched import WatchedRun
from musicllm.report.page import NextCommand
from musicllm.runs.watching import WAITING, runs_so_far, watched_runs

PAGE, LIVE = "report.html", "live.html"
SHARE = 0.1
"""Of the time that looking may take, so that it leaves the processor to the training."""
LONGEST_PAUSE_S = 60.0
"""Between two looks, however long one takes; `watch_every_s` may be longer."""
TERMINATED = 128 + signal.SIGTERM
"""Exit code after SIGTERM, as of a shell."""
CLOCK = "%Y-%m-%d %H:%M:%S"


def run(job: Job) -> list[tuple[str, object]]:
    """Write the page of `runs`, and with `watch` again and again until they are finished.

    Raises:
        ArtifactError: an item names no run, or a file of one cannot be read.
    """
    page = _watched(job) if job.config.watch else _once(job)
    html = render_watch(page)
    with job.writing() as (folder, _):
        artifacts.write_text(folder / PAGE, html)
        artifacts.write_text(job.folder / PAGE, html)
    if page.left_out is not None:
        console.note(f"panels of which no run has a value: {len(page.left_out.rows)}")
    return [("page", job.folder / PAGE), ("size", f"{len(html.encode()) / 1e6:.1f} MB")]


def _once(job: Job) -> WatchPage:
    now = time.time()
    runs = watched_runs(job.config)
    for run in runs:
        if run.fault:
            console.note(f"{run.label}: {run.fault}")
    return _page(job, runs, {}, Drawing(), now)


def _watched(job: Job) -> WatchPage:
    """Renew the page until every run is finished or somebody interrupts; return the last one."""
    console.say(f"live page: {(job.folder / LIVE).absolute()}")
    console.say("Ctrl-C ends it; the runs go on")
    watch = _Watch(job)
    try:
        try:
            with _exit_on_sigterm():
                watch.renew()
        except KeyboardInterrupt:
            console.say("stopped watching")
        return watch.last()
    except BaseException as error:
        watch.close(error)
        raise


class _Watch:
    """The looks at the runs, and the pages that they wrote."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._drawing = Drawing()
        self._runs: Sequence[WatchedRun] = ()
        self._waiting: Mapping[str, str] = {}
        self._page: WatchPage | None = None
        self._said: set[tuple[str, str]] = set()

    def renew(self) -> None:
        """Write the pages again and again until every run is finished."""
        every = self._job.config.watch_every_s
        shown: object = None
        while True:
            began = time.monotonic()
            page = self._look()
            pause = pause_s(every, time.monotonic() - began)
            renewed = dataclasses.replace(live(page, every, PAGE), renewal=_renewal(page, pause))
            self._write(renewed)
            if shown != page.sections:  # with sounds it is large
                artifacts.write_text(self._job.folder / PAGE, render_watch(page))
                shown = page.sections
            if not self._waiting and all(at.kind == "finished" for at in _states(self._runs)):
                console.say("every run is finished")
                return
            time.sleep(pause)

    def last(self) -> WatchPage:
        """Look once more, write the live page as it stays, and return the page."""
        page = self._look()
        self._write(live(page, None, PAGE))
        return page

    def close(self, error: BaseException) -> None:
        """Write the live page without renewal where that is possible, since the watch ended."""
        if self._page is None:
            return
        why = "SIGTERM" if isinstance(error, SystemExit) else f"{type(error).__name__}: {error}"
        ended = (
            f"The watch was ended at {time.strftime(CLOCK)} by {why}. The page is not renewed any "
            f"more; the runs may go on. As of {self._page.as_of}: {self._page.summary}"
        )
        with contextlib.suppress(OSError):
            self._write(dataclasses.replace(live(self._page, None, PAGE), summary=ended))

    def _look(self) -> WatchPage:
        now = time.time()
        self._runs, self._waiting = runs_so_far(
            self._job.config, {run.folder: run for run in self._runs}
        )
        self._say()
        self._page = _page(self._job, self._runs, self._waiting, self._drawing, now)
        return self._page

    def _say(self) -> None:
        """Say what cannot be read, once; more damaged lines are on the page only."""
        faults = {run.label: run.fault for run in self._runs if run.fault}
        faults |= {name: why for name, why in self._waiting.items() if why != WAITING}
        for name, fault in faults.items():
            cause = (name, fault.partition("the first is")[2] or fault)
            if cause not in self._said:
                self._said.add(cause)
                console.note(f"{name}: {fault}")

    def _write(self, page: WatchPage) -> None:
        artifacts.write_text(self._job.folder / LIVE, render_watch(page))


def pause_s(every_s: float, taken_s: float) -> float:
    """Return seconds until the next look, after one that took a while."""
    longest = max(every_s, LONGEST_PAUSE_S)
    return min(max(every_s - taken_s, taken_s / SHARE), longest)


def _renewal(page: WatchPage, pause: float) -> str:
    """Return when the page was right and when it is renewed."""
    coming = time.strftime("%H:%M:%S", time.localtime(time.time() + pause))
    return (
        f"As of {page.as_of}; renewed next at about {coming}. If that was minutes ago, the watch "
        f"was killed."
    )


@contextlib.contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    """Exit by an exception, which lets the last page be written; only possible in a main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _states(runs: Sequence[WatchedRun]) -> list[RunState]:
    now = time.time()
    return [state(run, now) for run in runs]


def _page(
    job: Job,
    runs: Sequence[WatchedRun],
    waiting: Mapping[str, str],
    drawing: Drawing,
    read_at: float,
) -> WatchPage:
    """Return the page that stays, with the states of the runs when it is written."""
    filled = fill(job.config.dashboard, runs)
    sections = drawing.sections(filled, runs)  # may take long
    states = _states(runs)
    as_of = time.strftime(CLOCK, time.localtime(read_at))
    return WatchPage(
        title=filled.title,
        summary=_summary(states, waiting),
        progress=progress_table(runs, states, waiting),
        faults=[f"{run.label}: {run.fault}" for run in runs if run.fault],
        sections=sections,
        left_out=left_out_table(filled.left_out),
        commands=_commands(job),
        as_of=as_of,
        colophon=f"The runs were read at {as_of}, written {time.strftime(CLOCK)}. ",
    )


def _summary(states: Sequence[RunState], waiting: Mapping[str, str]) -> str:
    """Return how many runs are in which state."""
    words = {"training": "training", "silent": "without news", "failed": "stopped by an error",
             "finished": "finished"}  # fmt: skip
    kinds = [at.kind for at in states]
    parts = [f"{kinds.count(kind)} {text}" for kind, text in words.items() if kind in kinds]
    unreadable = sum(why != WAITING for why in waiting.values())
    parts += (
        [f"{len(waiting) - unreadable} without metrics yet"] if len(waiting) > unreadable else []
    )
    parts += [f"{unreadable} that cannot be read"] if unreadable else []
    total = len(states) + len(waiting)
    return f"{total} {'run' if total == 1 else 'runs'}: {', '.join(parts)}."


def _commands(job: Job) -> list[NextCommand]:
    """Return commands with the runs, their folder, and what was set for this page."""
    config = job.config
    words = [quoting.list_argument("runs", config.runs)]
    words += [quoting.argument("paths.runs", config.paths.runs)]
    words += [word for word in job.command.overrides if word.lstrip("~+").startswith("dashboard")]
    words += [text for folder in job.command.folders for text in ("--config-dir", str(folder))]
    own = [quoting.argument("recipe", job.recipe), *words]
    own += [quoting.argument("name", config.name)] if config.name is not None else []
    own += [f"watch_every_s={config.watch_every_s}", "--watch"]
    return [
        NextCommand("Renew this page while they train", quoting.command(*own)),
        NextCommand(
            "The same in wandb, of runs with logger=[wandb]",
            quoting.command("recipe=dashboard", *words),
        ),
    ]
