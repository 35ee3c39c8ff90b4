"""The language of a record: by its words, without its music."""

from __future__ import annotations

from typing import Any

import pytest

from musicllm.data.languages import LANGUAGES, language_in, language_of
from tests.helpers import make_tune

TUNE = make_tune(1)
TITLED = TUNE.replace("R:reel", "T:The Rights of Man\nC:Traditional\nR:reel\nN:from an old book")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Write a jig in G major.", "en"),
        ("Jig in G", "en"),
        ("The Rights of Man", "en"),
        (f"Give this tune chords.\n{TUNE}", "en"),
        (f"{TUNE}\n\nIt is in D, and its form is AB.", "en"),
        ("The answer is D.C. al fine, or 返始, as Chinese has it, and that is all there is.", "en"),
        ("['low quality', 'soft female vocal', 'piano']", "en"),
        ("'Binary', 'Sectional: Verse/Chorus'", "en"),
        ("分析", "zh"),
        ("为这些和弦写一首曲子：C、G、Am、F。", "zh"),
        (f"请用 Binary 和 Sectional: Verse/Chorus 的形式创作一首 reel，主题为\n{TUNE}", "zh"),
        ("Schreibe bitte eine Polka mit dem Thema, die nicht zu lang ist.", "other"),
        ("Écris une valse pour le violon et la guitare.", "other"),
        ("日本の音楽について書いてください。", "other"),
        ("Напиши мне польку", "other"),
        ("미뉴에트를 써 주세요", "other"),
        (TUNE, "music"),
        (TITLED, "music"),
        ("'A', 'D', 'E7', 'A', 'E/G#', 'Bm', 'Gmaj7', 'Bdim'", "music"),
        ("Dm C Dm Dm C", "music"),
        ("G3 G2 g dBG GAB cGE EFG", "music"),
        ("|: DEFG | A2 B2 :|", "music"),
        ("A;X:1\nL:1/4\nM:2/2\nK:F\n['c A']", "music"),
        ("K:D", "music"),
        ("", "music"),
    ],
)
def test_words_tell_the_language_and_music_has_none(text: str, language: str) -> None:
    assert language_in(text) == language
    assert language in LANGUAGES


def chat(*contents: str, **more: Any) -> dict[str, Any]:
    roles = ("system", "user", "assistant") if len(contents) == 3 else ("user", "assistant")
    messages = [{"role": r, "content": c} for r, c in zip(roles, contents, strict=True)]
    return {"id": "1", "source": "s", "messages": messages, **more}


def test_a_conversation_is_in_the_language_of_its_request() -> None:
    assert language_of(chat("写一首曲子。", TUNE)) == "zh"
    assert language_of(chat("你是作曲家。", "Write a tune.", TUNE)) == "en"
    assert language_of(chat(TUNE, "这是一首里尔舞曲。")) == "zh"
    assert language_of(chat(TUNE, TUNE)) == "music"
    assert language_of({"id": "1", "source": "s", "text": TUNE}) == "music"


def test_records_that_name_their_language_are_believed() -> None:
    assert language_of(chat("Write a tune.", TUNE, language="zh")) == "zh"
    assert language_of(chat("Write a tune.", TUNE, language="de")) == "other"


def test_the_beginning_of_a_long_text_decides() -> None:
    assert language_in("Write a tune. " * 1000 + "写一首曲子。" * 9000) == "en"
