"""Translations by hand of wordings of requests: the checks reject none of them."""

from __future__ import annotations

import pytest

from musicllm.music.masks import Masked
from musicllm.synthesis.checks.faithful import translation_faults
from musicllm.synthesis.checks.glossary import glossary

PAIRS = [
    (
        "Give me ABC notation for a new jig in D major, 6/8.",
        "给我一首新吉格舞曲的ABC记谱，D大调，6/8拍。",
    ),
    (
        "Try your hand at a jig. Keep to D major and to 6/8 time.",
        "试着写一首吉格。保持D大调和6/8拍。",
    ),
    (
        "Go on from this opening and finish the tune:\n[[1]]",
        "从这个开头接着写，把曲子写完：\n[[1]]",
    ),
    (
        "Extend these bars to a whole piece:\n[[1]]",
        "把这几小节扩展成一首完整的曲子：\n[[1]]",
    ),
    (
        "Make a melody whose chords are, in order, [[1]]",
        "写一段旋律，其和弦依次为[[1]]",
    ),
    (
        "Compose in ABC.\nHarmony: [[1]]\nHeader:\n[[2]]",
        "用ABC作曲。\n和声：[[1]]\n谱头：\n[[2]]",
    ),
    (
        "Expand the pattern below into a complete melody.\n[[1]]\n\nIts header is\n[[2]]",
        "把下面的音型扩展成完整的旋律。\n[[1]]\n\n它的谱头是\n[[2]]",
    ),
    (
        "What tune could be made of [[1]]?",
        "用[[1]]可以写出什么曲子？",
    ),
    (
        "Write sections [[1]] and so on so that together they read AABB.\n[[2]]",
        "写出段落[[1]]等等，合起来读作AABB。\n[[2]]",
    ),
    (
        "Fill this scheme with music: AABB\nThe first lines are fixed:\n[[1]]",
        "用音乐填满这个结构：AABB\n开头几行是固定的：\n[[1]]",
    ),
    (
        "What does a tune in the form 'Binary' look like? Show me one.",
        "'Binary'曲式的曲子是什么样的？给我看一首。",
    ),
    (
        "Use the musical form 'Binary' as the plan of a tune with this header:\n[[1]]",
        "以曲式'Binary'为蓝图，用下面的谱头写一首曲子：\n[[1]]",
    ),
    (
        "Blend a given form, 'Binary', with a given motif.\n[[1]]",
        "把给定的曲式'Binary'和给定的动机结合起来。\n[[1]]",
    ),
    (
        "Write a tune of the form AABB from the motif [[1]]",
        "用动机[[1]]写一首AABB曲式的曲子",
    ),
    (
        "This melody has no chords yet.\n[[1]]\n\nWrite them in without changing a note.",
        "这段旋律还没有和弦。\n[[1]]\n\n把和弦写进去，不要改动任何音符。",
    ),
    (
        "Choose chords from the key for every bar of this tune.\n[[1]]",
        "从调内为这首曲子的每一小节选择和弦。\n[[1]]",
    ),
    (
        "Give the recurring motif of this melody in ABC notation.\n[[1]]",
        "用ABC记谱法写出这段旋律反复出现的动机。\n[[1]]",
    ),
    (
        "What is the motif of this tune?\n[[1]]",
        "这首曲子的动机是什么？\n[[1]]",
    ),
    (
        "[[1]]\n\nWhat would you call the form of this?",
        "[[1]]\n\n这是什么曲式？",
    ),
    (
        "Read the score below and determine its form.\n[[1]]",
        "读下面的谱子，判断它的曲式。\n[[1]]",
    ),
    (
        "Classify this tune:\n[[1]]",
        "给这首曲子分类：\n[[1]]",
    ),
    (
        "Style of this tune?\n[[1]]",
        "这首曲子是什么风格？\n[[1]]",
    ),
    (
        "How long is this tune in bars, without playing the repeats?\n[[1]]",
        "不算反复，这首曲子有多少小节？\n[[1]]",
    ),
    (
        "Please count the bars:\n[[1]]",
        "请数一数小节：\n[[1]]",
    ),
    (
        "How many voices does this tune have?\n[[1]]",
        "这首曲子有几个声部？\n[[1]]",
    ),
    (
        "Here is a score:\n[[1]]\n\nWhat is its number of voices?",
        "这里有一份乐谱：\n[[1]]\n\n它有几个声部？",
    ),
    (
        "What key is this tune in?\n[[1]]",
        "这首曲子是什么调？\n[[1]]",
    ),
    (
        "State tonic and mode:\n[[1]]",
        "说出主音和调式：\n[[1]]",
    ),
    (
        "What is the metre of this tune?\n[[1]]",
        "这首曲子的拍号是什么？\n[[1]]",
    ),
    (
        "What fraction stands at the start of the staff here?\n[[1]]",
        "这里的谱表开头写着什么分数？\n[[1]]",
    ),
    (
        "Some questions about this tune. First: What is its key?\n[[1]]",
        "关于这首曲子有几个问题。第一个：它是什么调？\n[[1]]",
    ),
    (
        "Let us analyse a tune together.\n[[1]]\n\nWhat is its key?",
        "让我们一起分析一首曲子。\n[[1]]\n\n它是什么调？",
    ),
]


def fault(source: str, result: str, language: str, into: str) -> str | None:
    parts = tuple(f"part {n}" for n in range(1, source.count("[[") + 1))
    rejected = translation_faults(
        Masked(source, parts),
        result,
        language=language,
        into=into,
        terms=glossary(),
        max_ratio=2.5,
    )
    return None if rejected is None else str(rejected)


@pytest.mark.parametrize(("english", "chinese"), PAIRS)
def test_a_good_translation_passes(english: str, chinese: str) -> None:
    assert fault(english, chinese, "en", "zh") is None


@pytest.mark.parametrize(("english", "chinese"), PAIRS)
def test_a_good_translation_into_english_passes(english: str, chinese: str) -> None:
    assert fault(chinese, english, "zh", "en") is None
