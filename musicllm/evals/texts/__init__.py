"""General texts, on which a model shows what language it kept.

`read_texts` reads those of a file, a folder or a data set of the hub.
"""

from musicllm.evals.texts.read import COLUMNS, read_texts

__all__ = ["COLUMNS", "read_texts"]
