"""Converting parsed tunes to other formats: MusicXML."""

from musicllm.music.convert.musicxml import to_musicxml

__all__ = ["to_musicxml"]
