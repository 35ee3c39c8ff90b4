"""Checkpoints: what is needed to continue a run exactly, and nothing else.

`folders.py` knows the layout, finds the newest complete checkpoint and moves damaged ones away;
`writing.py` saves in the background and deletes old checkpoints; `tree.py` splits a nested state
into tensors and JSON. Collecting the state is the business of `musicllm.train.state`.
docs/CHECKPOINTS.md is the page for users.
"""

from musicllm.train.checkpoints.folders import Checkpoint, bytes_of, folder_of, newest
from musicllm.train.checkpoints.writing import Writer

__all__ = ["Checkpoint", "Writer", "bytes_of", "folder_of", "newest"]
