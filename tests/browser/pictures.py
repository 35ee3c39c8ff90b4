"""Takes the pictures of the page in docs/pictures: `python -m tests.browser.pictures`.

They show a conversation whose answers are written here, so that they are the same everywhere; score
and checks are the page's own. Needs Chromium and playwright.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from musicllm.inference.requests import WritingRequest
from tests.browser.conftest import ARGUMENTS
from tests.browser.site import ScriptedEngine, served, service_of

FOLDER = Path(__file__).parent.parent.parent / "docs" / "pictures"

WINDOWS: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 800}},
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "device_scale_factor": 2,
        "has_touch": True,
        "is_mobile": True,
    },
}

REQUEST = "Write a jig in G major, with the form AABB."
ANSWER = """X:1
T:Jig in G
R:jig
M:6/8
L:1/8
K:G
|: "G"G2B d2B | "C"c2e "D7"d2c | "G"BdB "D7"AGF | "G"G3 G3 :|
|: "G"g2d B2d | "C"e2c "G"d2B | "C"cec "D7"AGF | "G"G3 G3 :|
"""


def answer(request: WritingRequest) -> str:
    """Return the tune."""
    return ANSWER


def take(folder: Path) -> list[Path]:
    """Take the pictures and return their paths.

    Raises:
        SystemExit: there is no Chromium.
    """
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if program is None:
        sys.exit("no Chromium: install it (Debian: apt-get install chromium)")
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    service = service_of({"quickstart/merge": ScriptedEngine(answer)})
    with served(service) as address, sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        for window, options in WINDOWS.items():
            for colours in ("light", "dark"):
                page = browser.new_page(color_scheme=colours, **options)
                page.goto(address)
                show(page)
                paths.append(folder / f"{window}_{colours}.png")
                page.screenshot(path=paths[-1])
                page.close()
        browser.close()
    return paths


def show(page: Any) -> None:
    """Let a page show an answer from its beginning."""
    field = page.get_by_role("textbox", name="Message")
    field.fill(REQUEST)
    field.press("Enter")
    page.locator(".answer > .actions .facts").wait_for()
    page.locator(".tune .score svg").wait_for()
    page.wait_for_timeout(1500)  # checks mark the score
    field.blur()
    page.locator(".log").evaluate("element => { element.scrollTop = 0; }")
    page.wait_for_timeout(300)


if __name__ == "__main__":
    for path in take(FOLDER):
        print(path)
