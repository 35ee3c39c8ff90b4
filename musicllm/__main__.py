"""`python -m musicllm`: see `musicllm.cli`."""

import sys

from musicllm.cli import main

if __name__ == "__main__":
    sys.exit(main())
