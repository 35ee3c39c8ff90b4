"""musicllm: declarative, configuration-driven training of language models on music.

This package root imports next to nothing, so that `import musicllm` costs nothing. Start from
`musicllm.cli` (the command) or from one of the rooms: `music`, `data`, `model`, `train`,
`evals`, `serve`.
"""

from musicllm import minimal

__version__ = "0.1.0"

minimal.hide()
