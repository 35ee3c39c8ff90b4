"""Loss curves: what is drawn, and what an inline picture must not bring into a page."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest

from musicllm.report.figures import loss_curves

TRAIN = [(10, 3.0), (20, 2.0), (30, 1.5)]
VALIDATION = [(30, 1.6)]


def curve_points(svg: str, colour: str) -> int:
    """Return how many points the line of a colour has; a path moves once, then draws."""
    path = re.search(rf'<path d="([^"]*)"[^>]*style="fill: none; stroke: {re.escape(colour)}', svg)
    return 0 if path is None else len(re.findall(r"[ML] ", path[1]))


def test_picture_is_well_formed_and_takes_its_colours_from_the_page() -> None:
    svg = loss_curves(TRAIN, VALIDATION, "sft")
    ElementTree.fromstring(svg)
    assert "#1234" not in svg
    assert "currentColor" in svg
    assert "var(--validation)" in svg
    assert curve_points(svg, "var(--train)") == 3


def test_picture_brings_no_style_sheet_size_or_address() -> None:
    svg = loss_curves(TRAIN, VALIDATION, "sft")
    assert "<style" not in svg
    assert "://" not in svg
    opening = svg[: svg.index(">")]
    assert "viewBox" in opening
    assert " width=" not in opening
    assert all(target.startswith("#") for target in re.findall(r'href="([^"]*)"', svg))


def test_two_pictures_share_no_ids() -> None:
    first, second = (loss_curves(TRAIN, VALIDATION, name) for name in ("pretrain", "sft"))
    ids = [set(re.findall(r' id="([^"]*)"', svg)) for svg in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]
    assert loss_curves(TRAIN, VALIDATION, "sft") == second


def test_round_perplexities_stand_on_the_right() -> None:
    """Loss 1.5 to 3.0 is perplexity 4.5 to 20.1, and the axis reaches a little further."""
    texts = re.findall(r">([^<>\n]+)</text>", loss_curves(TRAIN, VALIDATION, "sft"))
    after = texts[texts.index("loss (nats per token)") + 1 :]
    assert [text for text in after if text.isdigit()] == ["5", "7", "10", "15", "20"]
    assert "perplexity" in after


def test_points_that_are_not_finite_are_left_out() -> None:
    svg = loss_curves([*TRAIN, (40, math.nan), (50, math.inf)], VALIDATION, "sft")
    assert curve_points(svg, "var(--train)") == 3


@pytest.mark.parametrize(("train", "validation"), [(TRAIN, []), ([], VALIDATION), ([(1, 0.0)], [])])
def test_one_curve_alone_is_drawn(
    train: list[tuple[int, float]], validation: list[tuple[int, float]]
) -> None:
    svg = loss_curves(train, validation, "sft")
    assert (">training<" in svg) == bool(train)
    assert (">validation<" in svg) == bool(validation)


def test_name_is_escaped() -> None:
    svg = loss_curves(TRAIN, [], '"><script>\\1')
    assert "<script>" not in svg
    ElementTree.fromstring(svg)
