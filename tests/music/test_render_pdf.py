"""Scores as PDF: read back with PDFium, which browsers use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from musicllm.errors import RenderError
from musicllm.music.render import abc_to_svg, render_tune
from musicllm.music.render.kinds import pdf

pdfium = pytest.importorskip("pypdfium2", reason="pypdfium2, which reads PDF, is not installed")

KETTLE = (
    "X:1\nT:The Kettle\nT:Bölling\nC:Trad.\nR:jig\nM:6/8\nL:1/8\nQ:3/8=112\nK:Gm\n"
    '|: "Gm"GAB "D7"c2d | e2d B2G | A2B c2A | BAG G3 :|\nw: Sing a song\n'
)
LONG = "X:1\nT:Long\nM:4/4\nL:1/8\nK:D\n" + "DEFG ABcd | fedc BAGF |\n" * 70
TWO = 'X:1\nM:2/4\nL:1/4\nV:1\nV:2\nK:Eb\nV:1\n"Ebmaj7"EG | "Bb7"F2 |]\nV:2\nE,B, | B,,2 |]\n'


def printed(abc: str) -> Any:
    return pdfium.PdfDocument(pdf.svg_to_pdf(abc_to_svg(abc), abc)[0])


def words(page: Any) -> list[str]:
    return str(page.get_textpage().get_text_range()).split()


def darkness(page: Any) -> list[int]:
    """Return the number of dark points of each row of a page, four rows a point of print."""
    picture = page.render(scale=4, grayscale=True).to_numpy()
    return [int((row < 200).sum()) for row in picture]


@pytest.fixture(scope="module")
def kettle() -> Any:
    return printed(KETTLE)


def test_a_score_is_one_page_of_a4_with_its_texts(kettle: Any) -> None:
    document = kettle
    assert len(document) == 1
    assert [round(size) for size in document[0].get_size()] == [595, 842]
    assert document.get_metadata_value("Title") == "The Kettle"
    for word in ("Kettle", "Bölling", "Trad.", "jig,", "3/8=112", "Gm", "D7", "Sing", "song"):
        assert word in words(document[0])


def test_the_staves_are_drawn_as_shapes(kettle: Any) -> None:
    page = kettle[0]
    kinds = [shape.type for shape in page.get_objects()]
    assert pdfium.raw.FPDF_PAGEOBJ_IMAGE not in kinds
    assert kinds.count(pdfium.raw.FPDF_PAGEOBJ_PATH) > 40
    rows = darkness(page)
    longest = max(rows)
    assert longest > 4 * 200
    assert sum(row > 0.9 * longest for row in rows) >= 5  # the lines of a staff


@pytest.mark.slow
def test_a_long_tune_goes_on_on_further_pages_with_whole_lines_of_music() -> None:
    document = printed(LONG)
    assert len(document) >= 2
    assert words(document[0]) == ["Long", "1", "/", str(len(document))]
    for page in document:
        rows = darkness(page)
        assert not any(rows[:120])
        assert not any(rows[-120:])


def test_accidentals_of_chord_symbols_are_characters() -> None:
    svg = abc_to_svg(TWO)
    assert "Leipzig" not in svg
    assert "♭" in svg
    assert "B♭7" in words(printed(TWO)[0])


def test_what_no_font_has_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(pdf.FONT_VARIABLE, raising=False)
    chinese = KETTLE.replace("The Kettle", "Tea 茶")
    rendering = render_tune(chinese, tmp_path, "tea", only=["PDF"])
    assert rendering.problems == [
        "the PDF has ? instead of 茶: no font here has them; name one in MUSICLLM_FONT"
    ]
    assert words(pdfium.PdfDocument(rendering.files[".pdf"])[0])[:2] == ["Tea", "?"]
    monkeypatch.setenv(pdf.FONT_VARIABLE, str(tmp_path / "none.ttf"))
    with pytest.raises(RenderError, match=r"none\.ttf is not a file; name a \.ttf or \.otf"):
        pdf.svg_to_pdf(abc_to_svg(KETTLE), KETTLE)
