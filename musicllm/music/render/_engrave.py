"""Worker: `_engrave.py READER` reads ABC from standard input and prints the score as SVG.

Run by `kinds.svg` as a separate process, because verovio crashes the whole process on some tunes.
With READER `verovio` it imports nothing else and starts in 0.1 s; likewise with `musicxml`, when
standard input has MusicXML instead of ABC. With `music21`, that library converts the ABC before,
which takes 0.4 s or more.
"""

from __future__ import annotations

import sys
import zlib

import verovio

PAGE_WIDTH = 2000
SCALE_PERCENT = 50
"""Half of the page width: a view box of 1,000 units, four or five bars per line."""


def as_musicxml(abc: str) -> str:
    """Convert a tune to MusicXML with one staff per voice."""
    from music21 import converter
    from music21.musicxml.m21ToXml import GeneralObjectExporter

    score = converter.parseData(abc, format="abc")
    return bytes(GeneralObjectExporter(score).parse()).decode()


def main(reader: str) -> None:
    """Engrave the tune on a single page, as tall as needed."""
    abc = sys.stdin.buffer.read().decode()
    verovio.enableLog(verovio.LOG_OFF)
    toolkit = verovio.toolkit()
    toolkit.setOptions(
        {
            "inputFrom": "abc" if reader == "verovio" else "musicxml",
            "pageWidth": PAGE_WIDTH,
            "pageHeight": 60_000,  # the most it accepts: some 250 lines of music
            "adjustPageHeight": True,
            "scale": SCALE_PERCENT,
            "header": "none",
            "footer": "none",
            "smuflTextFont": "none",  # instead of a font inside the SVG
            "svgViewBox": True,
            "svgRemoveXlink": True,
            "xmlIdSeed": zlib.crc32(abc.encode()) & 0x7FFFFFFF,  # same tune, same identifiers
        }
    )
    if not toolkit.loadData(as_musicxml(abc) if reader == "music21" else abc):
        sys.exit("the ABC cannot be read")
    if toolkit.getPageCount() != 1:
        sys.exit("the score does not fit on one page")
    sys.stdout.buffer.write(toolkit.renderToSVG(1).encode())


if __name__ == "__main__":
    main(sys.argv[1])
