"""Deduplication of records: exact duplicates, near duplicates, and versions of one melody.

`outline` splits a record into what must match, `signatures`, `titles` and `fullness` compute
features of one record, in any process. `near` and `melodic` find similar pairs, and `decide`
selects the records to keep; these see all records, but only their features.
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
