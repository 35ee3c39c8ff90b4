"""Key signatures as `key` elements of MusicXML."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement

from musicllm.music.abc import Key
from musicllm.music.abc.keys import MODES, SHARP_ORDER


def key_element(key: Key) -> Element:
    """Return fifths and mode, or the alterations one by one where no number of fifths has them."""
    element = Element("key")
    fifths = sum(key.signature)
    usual = SHARP_ORDER[:fifths] if fifths >= 0 else SHARP_ORDER[fifths:]
    sign = 1 if fifths > 0 else -1
    if all(alter == (sign if step in usual else 0) for step, alter in enumerate(key.signature)):
        SubElement(element, "fifths").text = str(fifths)
        if key.mode in MODES:
            SubElement(element, "mode").text = key.mode
        return element
    for letter, alter in key.accidentals.items():
        SubElement(element, "key-step").text = letter
        SubElement(element, "key-alter").text = str(alter)
    return element
