"""The stage watch: a page of trainings, once and live."""

from __future__ import annotations

import html
import os
import re
import shlex
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from musicllm import artifacts, cli
from musicllm import command as commands
from musicllm import config as configuration
from musicllm.checks import check
from musicllm.errors import ArtifactError, ConfigError
from musicllm.launch import runner
from musicllm.report.dashboard.panels import PagePanel
from musicllm.report.dashboard.panels.lines import LinesKind
from musicllm.runs.watching import runs_so_far
from musicllm.schema import PanelConfig
from musicllm.stages import watch
from musicllm.train import metrics
from tests.report.watched_folders import begin, finish, sample, step

FEW = tuple(
    f"~dashboard.sections.{name}" for name in ("optimization", "speed", "plan", "benchmarks")
)
"""Words of a page with few sections, since each figure takes a while."""


def load(runs: Path, names: str, *words: str) -> tuple[configuration.Config, str]:
    return configuration.load(["recipe=report", f"paths.runs={runs}", f"runs=[{names}]", *words])


def report(runs: Path, names: str, *words: str) -> Path:
    few = () if "sections=all" in words else FEW
    config, recipe = load(runs, names, *few, *(word for word in words if word != "sections=all"))
    check(config)
    return runner.run(config, recipe).folder


def two_runs(runs: Path) -> None:
    for name, rate in (("sft", 1e-3), ("pretrain", 1e-2)):
        run = begin(runs / name / f"of-{name}", {"optimizer.lr": rate, "seed": 1})
        for number in (2, 4):
            step(run, number, train_loss=9.0 - number, val_loss=2.0 + rate)
        metrics.append(run / metrics.NAME, 4, {"val/loss/oneills": 2.5, "eval/theory/accuracy": 1})
    sample(runs / "sft" / "of-sft", 4, "<script>alert(1)</script>")
    finish(runs / "sft" / "of-sft")


def test_the_page_has_the_sections_of_the_definition(tmp_path: Path) -> None:
    two_runs(tmp_path)
    folder = report(tmp_path, "sft,pretrain", "sections=all")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page == (folder / "artifact" / "report.html").read_text(encoding="utf-8")
    artifacts.read(folder / "artifact", "report").verify()
    sections = re.findall(r"<h2>(.*?)</h2>", page)
    assert sections == [
        "Progress", "Loss by source", "Speed and memory", "Plan against measured",
        "Benchmarks during training", "Samples", "Sweep", "Left out", "What next",
    ]  # fmt: skip
    assert page.count("<svg ") == len(
        re.findall(
            r"<h3>(Loss \(|Validation loss by|Time of a step and|Accuracy|Settings and)", page
        )
    )
    assert "sft: train/loss" in page
    assert "4 of 8" in page
    assert re.search(r"<td[^>]*>2</td><td[^>]*>4</td><td[^>]*>2.00</td>", page), "plan, measured"
    assert "optimizer.lr" in page
    assert "music.validity</th>" in page
    assert "no run has music/parse_share" in page
    assert "2 runs: 1 training, 1 finished." in page
    assert not (folder / "live.html").exists()
    assert 'http-equiv="refresh"' not in page


def test_texts_of_a_model_are_shown_as_texts(tmp_path: Path) -> None:
    two_runs(tmp_path)
    page = (report(tmp_path, "sft") / "report.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page
    assert 'src="data:image/png;base64,' in page
    assert 'src="data:audio/wav;base64,' in page


def test_commands_on_the_page_compose(tmp_path: Path) -> None:
    two_runs(tmp_path)
    words = ["runs=[sft,pretrain]", f"paths.runs={tmp_path}", "name=mine", "watch_every_s=7", *FEW]
    assert cli.main(["recipe=report", *words]) == 0
    page = (tmp_path / "report" / "mine" / "report.html").read_text(encoding="utf-8")
    lines = [
        shlex.split(html.unescape(line))
        for line in re.findall(r'<dd><pre class="wrap">(.*?)</pre>', page, re.DOTALL)
    ]
    renew, wandb = (configuration.load(commands.parse(line[3:]).overrides)[0] for line in lines)
    assert (renew.task, renew.watch, renew.runs) == ("watch", True, ["sft", "pretrain"])
    assert (wandb.task, wandb.runs) == ("dashboard", ["sft", "pretrain"])
    assert (renew.paths.runs, renew.name, renew.watch_every_s) == (str(tmp_path), "mine", 7)
    assert (wandb.paths.runs, wandb.name) == (str(tmp_path), None)
    assert renew.dashboard == wandb.dashboard
    assert "speed" not in renew.dashboard.sections


def test_labels_stay_when_another_run_begins(tmp_path: Path) -> None:
    first, second = (tmp_path / "quickstart" / "pretrain" / name for name in ("w1", "w2"))
    config, _ = load(tmp_path, f"{first},{second}", "watch=true")
    begin(second, {})
    step(begin(first, {}), 2, train_loss=1.0)
    labels = ["quickstart/pretrain/w1", "quickstart/pretrain/w2"]
    runs, waiting = runs_so_far(config)
    assert [*(run.label for run in runs), *waiting] == labels
    step(second, 2, train_loss=1.0)
    runs, waiting = runs_so_far(config)
    assert ([run.label for run in runs], waiting) == (labels, {})


def test_runs_elsewhere_are_told_apart(tmp_path: Path) -> None:
    for name in ("zero", "nul"):
        folder = tmp_path / "bad" / name
        step(begin(folder, {}), 2, train_loss=1.0)
        runs, _ = runs_so_far(load(tmp_path / "runs", str(folder))[0])
        assert [run.label for run in runs] == [f"bad/{name}"]


def test_what_a_reader_looks_for_stands_first(tmp_path: Path) -> None:
    two_runs(tmp_path)
    page = (report(tmp_path, "pretrain") / "report.html").read_text(encoding="utf-8")
    table = page.partition('<div class="progress">')[2].partition("</table>")[0]
    columns = re.findall(r'<th scope="col"[^>]*>(.*?)</th>', table)
    assert columns[:4] == ["run", "state", "step", "time left"]
    assert re.findall(r'data-column="(.*?)"', table) == columns[1:], "labels on a narrow screen"


class Training:
    """Takes the place of `time` in the stage: what happens between two looks."""

    monotonic, strftime, time, localtime = (
        time.monotonic, time.strftime, time.time, time.localtime,
    )  # fmt: skip

    def __init__(self, folder: Path, *events: Callable[[], object]) -> None:
        self._runs = folder
        self._events = list(events)
        self.pages: list[str] = []

    def sleep(self, _seconds: float) -> None:
        (live,) = self._runs.glob("report/*/live.html")
        self.pages.append(live.read_text(encoding="utf-8"))
        if not self._events:
            raise KeyboardInterrupt
        self._events.pop(0)()


def progress(page: str) -> list[list[str]]:
    """Return the cells of the table of runs."""
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', page)
    return [[head, *re.findall(r"<td[^>]*>(.*?)</td>", cells)][:5] for head, cells in rows][:2]


def test_a_run_is_followed_from_before_its_beginning_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "quickstart" / "sft" / "mine"

    def goes_on() -> None:
        for number in (2, 4, 6):
            step(run, number, train_loss=10.0 - number)

    def continues() -> None:  # killed after step 6, and started again from step 2
        metrics.truncate(run / metrics.NAME, 2)
        sample(run, 2)

    def is_being_replaced() -> None:
        (run / metrics.NAME).write_text("")

    def ends() -> None:
        begin(run, {})
        step(run, 8, train_loss=1.25)
        finish(run)

    training = Training(
        tmp_path, lambda: begin(run, {}), goes_on, continues, is_being_replaced, ends
    )
    monkeypatch.setattr(watch, "time", training)
    folder = report(tmp_path, str(run), "watch=true", "watch_every_s=7")
    told = [progress(page)[0][1:4] for page in training.pages]
    assert told == [
        ["has no metrics yet", "–", "–"],
        ["has no metrics yet", "–", "–"],
        ["training", "6 of 8", "8 s"],
        ["training", "2 of 8", "24 s"],
        ["training", "2 of 8", "24 s"],
    ]
    for page in training.pages:
        assert '<meta http-equiv="refresh" content="7">' in page
    assert "<audio" not in training.pages[3]
    assert '<a href="report.html#samples">report.html</a>' in training.pages[3]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert progress(page)[0] == ["quickstart/sft/mine", "finished", "8 of 8", "–", "1.25"]
    live = (folder / "live.html").read_text(encoding="utf-8")
    assert progress(live) == progress(page)
    assert "refresh" not in live
    assert f"live page: {folder / 'live.html'}\n" in capsys.readouterr().out


def test_several_runs_are_watched_until_somebody_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    two_runs(tmp_path)
    newer = tmp_path / "pretrain" / "newer"

    def another_begins() -> None:
        begin(newer, {})
        step(newer, 1, train_loss=7.5)

    training = Training(tmp_path, another_begins)
    monkeypatch.setattr(watch, "time", training)
    folder = report(tmp_path, "sft,pretrain", "watch=true")
    assert [progress(page)[1][4] for page in training.pages] == ["5", "7.5"], "the latest run"
    assert "stopped watching" in capsys.readouterr().out
    artifacts.read(folder / "artifact", "report").verify()
    assert "refresh" not in (folder / "live.html").read_text(encoding="utf-8")


def test_panels_without_new_lines_are_not_drawn_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_runs(tmp_path)
    drawn = []

    def on_page(self: LinesKind, panel: PanelConfig, *rest: Any) -> PagePanel:
        drawn.append(panel.title)
        return original(self, panel, *rest)

    original = LinesKind.on_page
    monkeypatch.setattr(LinesKind, "on_page", on_page)
    pretrain = tmp_path / "pretrain" / "of-pretrain"
    training = Training(tmp_path, lambda: None, lambda: step(pretrain, 6, train_loss=1.0))
    monkeypatch.setattr(watch, "time", training)
    report(tmp_path, "pretrain", "watch=true")
    assert len(training.pages) == 3
    assert drawn.count("Loss (nats a token)") == 2


def damage(run: Path, *lines: bytes) -> None:
    with (run / metrics.NAME).open("ab") as file:
        file.write(b"".join(line + b"\n" for line in lines))


def test_damaged_lines_are_left_out_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two_runs(tmp_path)
    run = tmp_path / "pretrain" / "of-pretrain"
    damage(run, b"null", b"\0\0", b'{"step": "7"}', b'{"step": 6, "train/loss": 1.25}')
    page = (report(tmp_path, "sft,pretrain") / "report.html").read_text(encoding="utf-8")
    said = (
        f"pretrain: {run / metrics.NAME}: 3 lines are damaged and left out, the first is line 4: "
        f"it is not a JSON object"
    )
    assert f'<p class="fault">{said}</p>' in page
    assert said in capsys.readouterr().err
    assert "6 of 8" in progress(page)[1]
    assert page.count('class="fault"') == 1


BROKEN: dict[str, Callable[[Path], object]] = {
    "identity.json cannot be read": lambda run: (run / "identity.json").write_text("{"),
    "decides is not a JSON object": lambda run: (run / "identity.json").write_text(
        '{"decides": [1]}'
    ),
    "num_steps is not a number": lambda run: (run / "plan.json").write_text(
        '{"num_steps": "many"}'
    ),
    "tunes.json cannot be read": lambda run: next(run.glob("samples/*/tunes.json")).write_text(
        "[1]"
    ),
    "no line is left": lambda run: (run / metrics.NAME).write_bytes(b"null\n\xff\n"),
}


@pytest.mark.parametrize("words", BROKEN)
@pytest.mark.parametrize("is_watched_before", [False, True])
def test_a_damaged_run_does_not_end_the_watch_of_others(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: str,
    is_watched_before: bool,
) -> None:
    two_runs(tmp_path)
    run, other = tmp_path / "sft" / "of-sft", tmp_path / "pretrain" / "of-pretrain"

    def breaks() -> None:
        BROKEN[words](run)
        step(other, 6, train_loss=1.5)

    if not is_watched_before:
        breaks()
    training = Training(tmp_path, *([breaks] if is_watched_before else []))
    monkeypatch.setattr(watch, "time", training)
    little = tuple(f"~dashboard.sections.{name}" for name in ("losses", "samples", "sweep"))
    report(tmp_path, "sft,pretrain", "watch=true", *little)
    page = html.unescape(training.pages[-1])
    rows = {row[0]: row for row in progress(page)}
    assert "6 of 8" in rows["pretrain"]
    if is_watched_before:
        assert "4 of 8" in rows["sft"]
        assert re.search(f'<p class="fault">sft: shown as it was before: .*{words}', page)
    else:
        assert re.match(f"cannot be read: .*{words}", rows["sft"][1])
        assert "2 runs: 1 training, 1 that cannot be read." in page
    assert capsys.readouterr().err.count(words) == 1, "said once"


@pytest.mark.parametrize("reason", ["RuntimeError: no more", "SIGTERM"])
def test_a_watch_that_ends_leaves_a_page_that_does_not_renew_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    two_runs(tmp_path)

    def ends() -> None:
        if reason == "SIGTERM":
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            raise RuntimeError("no more")

    training = Training(tmp_path, ends)
    monkeypatch.setattr(watch, "time", training)
    with pytest.raises((RuntimeError, SystemExit)) as error:
        report(tmp_path, "pretrain", "watch=true")
    assert reason != "SIGTERM" or error.value.code == 143  # type: ignore[attr-defined]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    (live,) = tmp_path.glob("report/*/live.html")
    page = live.read_text(encoding="utf-8")
    assert 'http-equiv="refresh"' in training.pages[0]
    assert 'http-equiv="refresh"' not in page
    assert "renewed next" not in page
    assert re.search(
        f"The watch was ended at [-0-9: ]+ by {reason}. The page is not renewed any more; the runs "
        r"may go on. As of [-0-9: ]+: 1 run: 1 training\.",
        page,
    )


def test_a_slow_look_does_not_delay_the_next_for_long() -> None:
    assert watch.pause_s(10, 0.5) == 9.5
    assert watch.pause_s(10, 3) == 30, "ten times what it took"
    assert watch.pause_s(10, 36) == 60
    assert watch.pause_s(300, 36) == 300, "as set"


def test_the_page_says_of_when_it_is_and_when_it_is_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_runs(tmp_path)
    training = Training(tmp_path)
    monkeypatch.setattr(watch, "time", training)
    folder = report(tmp_path, "pretrain", "watch=true")
    (page,) = training.pages
    told = re.search(
        r"As of (\S+ \S+); renewed next at about ([0-9:]+). If that was minutes ago, the watch was "
        r"killed\.",
        page,
    )
    assert told is not None
    assert f"The runs were read at {told[1]}, written " in page
    assert told[1][-8:] != told[2]
    last = (folder / "live.html").read_text(encoding="utf-8")
    assert "renewed next" not in last


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("failed", "stopped by an error: the loss is nan"),
        ("silent", "no line for 1 h 0 min"),
    ],
)
def test_a_run_that_does_not_go_on_is_told(tmp_path: Path, kind: str, words: str) -> None:
    two_runs(tmp_path)
    run = tmp_path / "pretrain" / "of-pretrain"
    if kind == "failed":
        (run / "failed").write_text("the loss is nan\nmore")
    else:
        before = time.time() - 3600.0
        os.utime(run / metrics.NAME, (before, before))
    page = (report(tmp_path, "pretrain") / "report.html").read_text(encoding="utf-8")
    assert progress(page)[0][1] == words


@pytest.mark.parametrize(
    ("names", "words", "said"),
    [
        (
            "quickstart/stf",
            ("watch=true",),
            "runs=quickstart/stf: neither a recipe with a training",
        ),
        ("quickstart/sft", (), "no run of this recipe in"),
        ("quickstart/sft", (), "recipe=report with --watch waits for a run that has not begun"),
        ("no/folder", ("watch=true",), "runs=no/folder: neither a recipe with a training"),
    ],
)
def test_names_that_cannot_be_runs_are_refused(
    tmp_path: Path, names: str, words: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ArtifactError) as error:
        report(tmp_path, names, *words)
    assert said in str(error.value)


def test_the_flag_is_for_this_recipe(tmp_path: Path) -> None:
    assert commands.parse(["recipe=report", "--watch"]).overrides == ("recipe=report", "watch=true")
    with pytest.raises(ConfigError) as error:
        check(configuration.load(["recipe=quickstart/sft", "watch=true"])[0])
    assert "watch=True has no effect on this recipe; use it with recipe=report" in str(error.value)
    with pytest.raises(ConfigError) as error:
        check(load(tmp_path, "")[0])
    assert "runs=[] names no training; write runs=[<run>]" in str(error.value)


def test_the_command_makes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two_runs(tmp_path)
    finish(tmp_path / "pretrain" / "of-pretrain")
    words = ["recipe=report", "--watch", "runs=[sft,pretrain]", f"paths.runs={tmp_path}"]
    assert cli.main(words) == 0
    assert "every run is finished" in capsys.readouterr().out
