from __future__ import annotations

import pytest

REEL = """X:1
T:Render test
M:4/4
L:1/8
Q:1/4=120
K:D
|:"D"A2FA dAFA|BcBA FAdA:|
"""


@pytest.fixture
def reel() -> str:
    """Four bars of 4/4 as played, two seconds each: 8 s and 30 notes of melody in all."""
    return REEL
