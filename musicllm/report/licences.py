"""Reads what a licence forbids from its words in the configuration.

These are the words of whoever wrote the option, not a licence text, and no advice of a lawyer: what
is recognised is refused, and what is vague is named.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from musicllm.errors import Problem
from musicllm.report.lineage import Licence

NO_TRAINING = re.compile(
    r"\b(?:exclud|forbid|forbad|prohibit|disallow)\w*\b[^.;]*"
    r"\b(?:train|machine learning|AI\b|models?)"
    r"|\bnot?\b[^.;]{0,40}\b(?:train(?:ing|ed)?|machine learning|language models?)\b"
    r"|\bfor evaluation only\b",
    re.IGNORECASE,
)
"""Words that forbid training."""

NO_SHARING = re.compile(
    r"\bno(?:t|n)?\b[- ]?(?:[^.;]{0,30}\b)?(?:redistribut|shar|publish|deriv)"
    r"|\b(?:exclud|forbid|prohibit)\w*\b[^.;]*\b(?:redistribut|sharing|publish)"
    r"|\bNC-ND\b|\bBY-ND\b|\ball rights reserved\b|\bproprietary\b|\bconfidential\b",
    re.IGNORECASE,
)
"""Words that forbid to pass on, or to pass on what is derived."""

VAGUE = re.compile(
    r"\bsee\b|\bas far as\b|\bthat of\b|\bunknown\b|\bseveral\b|\bmay\b|^\s*$|\byours\b",
    re.IGNORECASE,
)
"""Words that leave open what is allowed."""


def broken(
    licences: Iterable[Licence], *, overridden: Collection[str], shared: bool
) -> Iterator[Problem]:
    """Yield licences that forbid what an export does.

    Args:
        licences: of the base and the data.
        overridden: names of licences whose terms the user has permission for.
        shared: whether the result is to be uploaded, so that terms of sharing count.
    """
    for licence in licences:
        if licence.name in overridden:
            continue
        forbidden = [
            *(["training"] if NO_TRAINING.search(licence.text) else []),
            *(["sharing"] if shared and NO_SHARING.search(licence.text) else []),
        ]
        if forbidden:
            yield Problem(
                "export.override_licences",
                f"[{','.join(overridden)}]",
                f"does not name {licence.name}, but the licence of {licence.what} forbids "
                f"{' and '.join(forbidden)}: {licence.text}",
                f"leave it out of the model, or, if you have permission, write "
                f"export.override_licences=[{','.join([*overridden, licence.name])}]",
            )


def unknown(licences: Iterable[Licence], overridden: Iterable[str]) -> list[str]:
    """Return names that are overridden, but of no licence."""
    names = {licence.name for licence in licences}
    return [name for name in overridden if name not in names]


def is_vague(text: str) -> bool:
    """Return whether a licence leaves open what is allowed."""
    return VAGUE.search(text) is not None
