"""The page opens, offline, on a desktop and on a phone."""

from __future__ import annotations

from tests.browser.conftest import Visits

PHONE = {"viewport": {"width": 390, "height": 844}}


def test_the_page_opens(visits: Visits) -> None:
    page = visits.open()
    assert page.get_by_role("tab", name="Chat").get_attribute("aria-selected") == "true"
    assert page.title() == "musicllm"


def test_it_fits_a_phone(visits: Visits) -> None:
    page = visits.open(**PHONE)
    page.get_by_role("tab", name="Chat").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
