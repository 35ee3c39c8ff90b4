"""Addresses and keys with which nothing is served: one block each, before a model is loaded."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")
pytest.importorskip("uvicorn", reason="the extra serve is not installed")

from musicllm.cli import main


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MUSICLLM_API_KEY", raising=False)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "llama"}')
    return ["recipe=quickstart/serve", "inputs.model=model", "paths.cache=cache"]


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return what a command says that is refused."""
    assert main(words) == 2
    return capsys.readouterr().err


def test_a_port_in_use(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        text = shown(capsys, *words, f"serve.port={port}")
    assert f"serve.port={port} is in use; write another, or serve.port=0 for any that" in text


@pytest.mark.parametrize("host", ["192.0.2.1", "1::2::3", "a..b"])
def test_an_address_that_is_none_of_this_machine(
    words: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    host: str,
) -> None:
    monkeypatch.setenv("MUSICLLM_API_KEY", "sk-1")
    text = shown(capsys, *words, f"serve.host='{host}'")
    assert f"serve.host={host} is no address of this machine; write 127.0.0.1" in text


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_other_machines_need_a_key(
    words: list[str], capsys: pytest.CaptureFixture[str], host: str
) -> None:
    text = shown(capsys, *words, f"serve.host='{host}'")
    assert f"serve.host={host} lets other machines in, and no key protects the model" in text
    assert "set the variable MUSICLLM_API_KEY" in text


@pytest.mark.parametrize("key", ["two words", "schlüssel"])
def test_a_key_that_no_request_can_carry(
    words: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    key: str,
) -> None:
    monkeypatch.setenv("MUSICLLM_API_KEY", key)
    text = shown(capsys, *words)
    assert "serve.api_key_env=MUSICLLM_API_KEY names a variable whose key no request can" in text
    assert key not in text
