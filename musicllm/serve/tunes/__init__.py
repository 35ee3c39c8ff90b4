"""What the server does for tunes without a model: checks with places, and files.

`findings` says everything that `music/` finds out about the tunes of a text; `tune_file` makes one
file of a tune, as it is to sound. Both bound what they take, so that text from anywhere is safe.
`TuneWorkshops` does both beside the event loop.
"""

from musicllm.serve.tunes.files import (
    FieldError,
    FileRequest,
    TuneFile,
    file_name,
    formats,
    tune_file,
)
from musicllm.serve.tunes.findings import MAX_CHARS, findings
from musicllm.serve.tunes.workshop import Workshop
from musicllm.serve.tunes.workshops import TuneWorkshops

__all__ = [
    "MAX_CHARS",
    "FieldError",
    "FileRequest",
    "TuneFile",
    "TuneWorkshops",
    "Workshop",
    "file_name",
    "findings",
    "formats",
    "tune_file",
]
