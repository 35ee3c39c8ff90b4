"""The sound font of the page: which one, and what of it browsers keep."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from fastapi import FastAPI
from fastapi.testclient import TestClient

from musicllm.errors import RenderError
from musicllm.serve.page import sounds


@pytest.fixture(autouse=True)
def _no_other_font(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUSICLLM_SOUNDFONT", raising=False)


def test_it_is_sent_once() -> None:
    app = FastAPI()
    app.include_router(sounds.router())
    client = TestClient(app)
    first = client.get("/sounds/font.sf2")
    assert first.status_code == 200
    assert first.content[:4] == b"RIFF"
    assert len(first.content) > 5_000_000
    again = client.get("/sounds/font.sf2", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    assert not again.content
    other = client.get("/sounds/font.sf2", headers={"If-None-Match": '"another"'})
    assert other.status_code == 200


def font(version: int) -> bytes:
    return b"RIFF\0\0\0\0sfbkLIST\0\0\0\0INFOifil\4\0\0\0" + bytes([version, 0, 4, 0])


def test_a_font_of_the_user_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.sf2").write_bytes(font(2))
    monkeypatch.setenv("MUSICLLM_SOUNDFONT", str(tmp_path / "mine.sf2"))
    assert sounds.playable_font() == (tmp_path / "mine.sf2").resolve()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (font(3), r"is compressed \(\.sf3\), which the page cannot play; .* name an \.sf2"),
        (b"RIFF\0\0\0\0WAVEfmt ", "is not a SoundFont 2 file"),
        (b"", "is not a SoundFont 2 file"),
    ],
)
def test_what_the_page_cannot_play_is_refused(
    content: bytes, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.sf3").write_bytes(content)
    monkeypatch.setenv("MUSICLLM_SOUNDFONT", str(tmp_path / "mine.sf3"))
    with pytest.raises(RenderError, match=reason):
        sounds.playable_font()
