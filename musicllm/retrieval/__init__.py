"""Finds tunes like a given one, or by words, in a prepared corpus: no network, no server, no model.

`build` writes an index of the tunes of a corpus (stage `index`), `Index` searches in it, and
`nearest` says whether a tune is a version of one that it holds.
"""

from musicllm.retrieval.copies import Version, nearest, version
from musicllm.retrieval.index import Index, Neighbour, tune_in

__all__ = ["Index", "Neighbour", "Version", "nearest", "tune_in", "version"]
