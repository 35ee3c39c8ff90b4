"""Finds records that occur twice: letter by letter, nearly so, or as versions of one melody.

`outline` says what has to be alike, `signatures`, `titles` and `fullness` what one record shows of
itself, in any process. `near` and `melodic` find pairs that are similar, and `decide` says which
records stay; these see all records, as numbers only.
"""

from musicllm.data.duplicates.decide import REASONS, Decision, Signatures, decide
from musicllm.data.duplicates.fullness import fullness
from musicllm.data.duplicates.melodic import Melodies
from musicllm.data.duplicates.near import Texts
from musicllm.data.duplicates.outline import Outline, outline
from musicllm.data.duplicates.signatures import NUM_HASHES, exact_hash, minhash, signature_rows
from musicllm.data.duplicates.titles import title_hash

__all__ = [
    "NUM_HASHES",
    "REASONS",
    "Decision",
    "Melodies",
    "Outline",
    "Signatures",
    "Texts",
    "decide",
    "exact_hash",
    "fullness",
    "minhash",
    "outline",
    "signature_rows",
    "title_hash",
]
