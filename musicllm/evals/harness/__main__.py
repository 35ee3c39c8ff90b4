"""`python -m musicllm.evals.harness`: the folder of our tasks, for `lm_eval --include_path`.

With arguments it is the harness's command line itself, with these tasks and `--model musicllm`,
which scores options several times faster than `--model hf`.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Print the folder, or hand the arguments to lm_eval."""
    plugin = Path(__file__).parent / "plugin"
    if len(sys.argv) == 1:
        print(plugin)
        return
    from lm_eval.__main__ import cli_evaluate
    from lm_eval.api.registry import model_registry

    if "musicllm" not in model_registry:
        model_registry.register("musicllm", target="musicllm.evals.harness.named_model:NamedModel")
    if not any(word.split("=")[0] == "--include_path" for word in sys.argv):
        sys.argv += ["--include_path", str(plugin)]
    cli_evaluate()


if __name__ == "__main__":
    main()
