"""The check of a GPU ends in time, and one part does not keep the others from running."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path

import pytest
import torch

from tests.gpu.check import __main__ as command
from tests.gpu.check import finding, report, schedule
from tests.gpu.check.finding import Finding, at_most
from tests.gpu.check.schedule import Outcome, Planned

HEAD = "from tests.gpu.check.finding import Finding, at_most\n\ndef run(setting):\n"
MODULES = {
    "sleeps": "    import time\n    yield Finding('before')\n    time.sleep(600)\n",
    "dies": "    import os, sys\n    yield Finding('before')\n    print('the driver is gone')\n"
    "    sys.stdout.flush()\n    os._exit(9)\n",
    "raises": "    yield at_most('a', 1.0, 2.0)\n    raise ValueError('no such\\nkernel')\n",
    "lacks": "    import no_such_package\n    yield Finding('never')\n",
    "own": "    import musicllm.no_such_module\n    yield Finding('never')\n",
    "speaks": "    yield at_most('error', 3.0, 2.0, 'x')\n    yield Finding('speed', 10.0, 'ms')\n",
}


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Planned]:
    """Parts that do what their names say."""
    package = tmp_path / "parts_of_test"
    package.mkdir()
    for name, body in MODULES.items():
        (package / f"{name}.py").write_text(HEAD + body)
    root = str(Path(__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, str(tmp_path)]))
    return {name: Planned(name, 60, package="parts_of_test") for name in MODULES}


def test_a_part_that_hangs_or_dies_keeps_what_it_has_and_the_others_run(
    tmp_path: Path, parts: dict[str, Planned]
) -> None:
    parts["sleeps"] = Planned("sleeps", 6, alone=True, package="parts_of_test")
    outcomes = {o.name: o for o in schedule.run(list(parts.values()), tmp_path, dry=False)}
    assert outcomes.keys() == MODULES.keys()
    assert outcomes["sleeps"].state == "out of time after 6 s"
    assert outcomes["dies"].state == "ended with code 9: the driver is gone"
    for name in ("sleeps", "dies"):
        assert outcomes[name].findings == (Finding("before"),)
    assert [o.state for o in outcomes.values()].count("done") == 4
    last = {name: outcomes[name].findings[-1] for name in ("raises", "lacks", "own", "speaks")}
    assert last["raises"] == Finding("raises", verdict="failed", note="ValueError: no such kernel")
    assert last["lacks"].verdict == "not here"
    assert last["own"].verdict == "failed", "a module of ours that is gone is a fault of ours"
    assert last["speaks"] == Finding("speed", 10.0, "ms")
    assert report.num_bad(list(outcomes.values())) == 5


def test_no_part_starts_when_the_time_is_over(tmp_path: Path, parts: dict[str, Planned]) -> None:
    (outcome,) = schedule.run([parts["speaks"]], tmp_path, dry=False, limit_s=0.5)
    assert outcome.state == "not started: the time of the check was over"
    assert report.num_bad([outcome]) == 1


def test_a_figure_that_is_not_a_number_is_wrong() -> None:
    assert at_most("a", 1.0, 1.0).verdict == "right"
    assert at_most("a", 1.1, 1.0).verdict == "wrong"
    assert at_most("a", math.nan, 1.0).verdict == "wrong"


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "part.jsonl"
    finding.write(file, iter([Finding("whole", 1.0)]))
    with file.open("a") as lines:
        lines.write('{"name": "cut')
    assert finding.read(file) == [Finding("whole", 1.0)]


def test_the_table_marks_what_is_bad(tmp_path: Path) -> None:
    findings = (at_most("error", 3.0, 2.0, "x"), Finding("speed", 12345.6, "tokens/s"))
    outcomes = [Outcome("first", "done", 3.2, findings), Outcome("second", "out of time", 60.0)]
    lines = report.table(outcomes).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["first", "!", "speed", "!"]
    assert lines[2].split() == ["!", "error", "3", "x", "at", "most", "2", "wrong"]
    file = tmp_path / "gpu.json"
    report.write(file, outcomes, dry=True)
    content = json.loads(file.read_text())
    assert content["bad"] == 2
    assert content["parts"][0]["findings"][1]["figure"] == 12345.6


def test_every_part_has_a_module() -> None:
    folder = Path(command.__file__).parent / "parts"
    modules = {file.stem for file in folder.glob("*.py")} - {"__init__"}
    assert {part.name for part in schedule.PARTS} == modules


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_nothing_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["check", "--out", str(tmp_path / "gpu.json")])
    assert command.main() == 2
    assert "sees no GPU; --dry rehearses the check on a CPU" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["device", "loss"])
def test_a_part_runs_dry(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "gpu.json"
    monkeypatch.setattr(sys, "argv", ["check", "--dry", "--only", name, "--out", str(out)])
    assert command.main() == 0, capsys.readouterr().out
    (part,) = json.loads(out.read_text())["parts"]
    assert part["state"] == "done"
    assert len(part["findings"]) >= 5
    assert f"{name}: done" in capsys.readouterr().out


@pytest.mark.slow
def test_everything_runs_dry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "gpu.json"
    monkeypatch.setattr(sys, "argv", ["check", "--dry", "--out", str(out)])
    assert command.main() == 0, capsys.readouterr().out
    assert {p["name"] for p in json.loads(out.read_text())["parts"]} == {
        part.name for part in schedule.PARTS
    }
