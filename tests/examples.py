"""The modules that CONTRIBUTING.md gives as examples of kinds from a folder of the user's own."""

from __future__ import annotations

import re
from pathlib import Path

CONTRIBUTING = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"```python\n# my_kinds/(\w+\.py)\n(.*?)```", CONTRIBUTING, re.DOTALL))
"""File name -> text."""
