"""The programs in docs/SERVE.md run, as a reader would run them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.serve.api.engines import Steered

PAGE = (Path(__file__).parents[3] / "docs" / "SERVE.md").read_text("utf-8")
ADDRESS = "http://127.0.0.1:8000"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_program_for_openais_client(
    address: str, engine: Steered, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("openai", reason="OpenAI's client is not installed")
    (program,) = blocks("python")
    assert ADDRESS in program
    exec(compile(program.replace(ADDRESS, address), "SERVE.md", "exec"), {})
    text = "You said: Write a reel in D."
    assert capsys.readouterr().out.endswith(f"{text} 10\n{text}")
    whole, streamed = engine.requests
    assert (whole.seed, whole.rules) == (7, None)
    assert streamed.rules is not None
    assert (streamed.rules.key, streamed.rules.num_bars) == ("D", 8)
    assert streamed.settings.top_k == 40


def test_the_command_of_curl(address: str, engine: Steered) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    (command,) = [line for block in blocks("bash") for line in block.splitlines() if "curl" in line]
    assert ADDRESS in command
    done = subprocess.run(
        command.replace(ADDRESS, address), shell=True, capture_output=True, check=True
    )
    answer = json.loads(done.stdout)
    assert answer["choices"][0]["text"].startswith(" and so on after X:1")
    assert engine.requests[0].settings.max_new_tokens == 60


def test_the_page_names_every_field_and_path(address: str) -> None:
    import httpx

    from musicllm.serve.api.fields import CHAT, TEXT

    assert not [name for name in {*CHAT, *TEXT} if f"`{name}`" not in PAGE]
    paths = httpx.get(f"{address}/openapi.json").json()["paths"]
    assert not [path for path in paths if f"{path.split('{')[0]}" not in PAGE]
