"""Checkpoints: what is needed to continue a run exactly, and nothing else.

`folders.py` knows the layout, finds the newest whole checkpoint and sets damaged ones aside;
`writing.py` saves in the background and deletes what is no longer wanted; `tree.py` takes a nested
state apart into tensors and JSON. Which object of the training holds which state is the business
of `musicllm.train.state`. docs/CHECKPOINTS.md tells users about it.
"""

from musicllm.train.checkpoints.folders import Checkpoint, bytes_of, folder_of, newest
from musicllm.train.checkpoints.writing import Writer

__all__ = ["Checkpoint", "Writer", "bytes_of", "folder_of", "newest"]
