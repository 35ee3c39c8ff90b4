"""The live page of trainings in a browser: it renews itself and stays where the reader is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from musicllm.stages import watch
from tests.report.watched_folders import begin, finish, sample, step
from tests.stages.test_watch import Training, report


@pytest.mark.slow
def test_the_live_page_renews_itself(
    chromium: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(tmp_path / "sft" / "mine", {})
    step(run, 2, train_loss=5.0)
    sample(run, 2)
    page = chromium.new_page(viewport={"width": 390, "height": 844})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)

    def opens() -> None:
        (live,) = tmp_path.glob("report/*/live.html")
        page.goto(live.as_uri())
        page.wait_for_selector("#progress >> text=2 of 8")
        page.mouse.wheel(0, 700)
        step(run, 4, train_loss=3.0)

    def is_renewed() -> None:
        page.wait_for_selector("#progress >> text=4 of 8", timeout=60_000, state="attached")
        page.wait_for_function("scrollY > 600 && document.documentElement.scrollWidth == 390")
        finish(run)

    monkeypatch.setattr(watch, "time", Training(tmp_path, opens, is_renewed))
    folder = report(tmp_path, "sft", "watch=true", "watch_every_s=3")
    page.goto((folder / "report.html").as_uri())
    assert page.evaluate("document.querySelector('.score img').naturalWidth") > 100
    assert page.evaluate("document.querySelector('audio').src.slice(0, 15)") == "data:audio/wav;"
    page.wait_for_function("document.querySelector('audio').duration > 0.05")
    assert errors == []
