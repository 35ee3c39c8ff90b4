"""Whether a text is in English or in Chinese, by its letters."""

from __future__ import annotations

import re

from musicllm.music.masks import masked

_HAN = re.compile(r"[㐀-䶿一-鿿]")
_WORD = re.compile(r"[A-Za-zÀ-ÿ]{2,}")
_CHARS_PER_WORD = 1.5
"""Chinese characters that stand for one English word, about."""


def is_in(text: str, language: str) -> bool:
    """Return whether the words of a text are in a language; music in it does not count.

    Chinese may have foreign names in it, but fewer words of them than its own; English may have no
    more than a tenth of Chinese.

    Args:
        text: any.
        language: `en` or `zh`.
    """
    words = masked(text).words
    num_han = len(_HAN.findall(words)) / _CHARS_PER_WORD
    num_latin = len(_WORD.findall(words))
    if language == "zh":
        return num_han > num_latin
    return num_latin > 9 * num_han
