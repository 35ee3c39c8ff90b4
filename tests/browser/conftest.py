"""Debian's Chromium, headless, driven by Playwright; tests skip where one of them is missing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.browser.site import ScriptedEngine, served, service_of

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser for the tests of a file; Playwright's event loop blocks others in this thread."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if program is None:
        pytest.skip("no Chromium: install it (Debian: apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def address(engine: ScriptedEngine) -> Iterator[str]:
    """A server of the page with one model; its engine is the fixture `engine`."""
    with served(service_of({"scripted": engine})) as place:
        yield place


class Visits:
    """Opens pages, and holds what went wrong in them and where their requests went."""

    def __init__(self, browser: Any, address: str) -> None:
        self._browser = browser
        self.address = address
        self.hosts: set[str] = set()
        self.errors: list[str] = []
        self._contexts: list[Any] = []

    def open(self, path: str = "/", **options: Any) -> Any:
        """Return a page of a new browser context, as of another user.

        Args:
            path: on the server.
            options: of Playwright's `new_context`, such as `viewport` and `color_scheme`.
        """
        context = self._browser.new_context(**options)
        self._contexts.append(context)
        return self.tab(context, path)

    def tab(self, context: Any, path: str = "/") -> Any:
        """Return a new tab of a context."""
        page = context.new_page()
        page.on("request", lambda request: self._note(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on(
            "console",
            lambda line: self.errors.append(line.text) if line.type == "error" else None,
        )
        page.goto(self.address + path)
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()

    def _note(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob"):
            self.hosts.add(parts.netloc)


@pytest.fixture
def visits(chromium: Any, address: str) -> Iterator[Visits]:
    """Open pages of the server; at the end none has sent a request elsewhere or made an error.

    A test that provokes errors of the console empties `errors`.
    """
    visits = Visits(chromium, address)
    try:
        yield visits
    finally:
        visits.close()
    assert visits.hosts <= {urlsplit(address).netloc}
    assert not visits.errors
