"""ABC notation: finding and parsing tunes, checking bars, and the canonical form for training."""

from musicllm.music.abc.book import read_book
from musicllm.music.abc.canonical import canonical, canonical_bar
from musicllm.music.abc.checks import BarReport, Fault, check
from musicllm.music.abc.finder import TuneSpan, find_tunes
from musicllm.music.abc.keys import Key, parse_key, standard_key
from musicllm.music.abc.limits import DEFAULT_LIMITS, AbcError, Limits
from musicllm.music.abc.model import Bar, Note, Rejection, Score, Tune
from musicllm.music.abc.omissions import omissions
from musicllm.music.abc.parser import parse
from musicllm.music.abc.repair import repair
from musicllm.music.abc.source import unfold

__all__ = [
    "DEFAULT_LIMITS",
    "AbcError",
    "Bar",
    "BarReport",
    "Fault",
    "Key",
    "Limits",
    "Note",
    "Rejection",
    "Score",
    "Tune",
    "TuneSpan",
    "canonical",
    "canonical_bar",
    "check",
    "find_tunes",
    "omissions",
    "parse",
    "parse_key",
    "read_book",
    "repair",
    "standard_key",
    "unfold",
]
