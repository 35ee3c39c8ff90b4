from __future__ import annotations

import pytest

from musicllm.errors import RenderError
from musicllm.music.render.kinds.png import svg_to_png


def test_a_picture_that_is_not_svg_is_refused() -> None:
    with pytest.raises(RenderError, match=r"^the score cannot be drawn: "):
        svg_to_png("<p>")
