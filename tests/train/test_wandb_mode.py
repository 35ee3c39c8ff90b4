from __future__ import annotations

import dataclasses
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from musicllm.errors import NotAvailableError
from musicllm.train import loggers, wandb_mode
from musicllm.train.loggers import LoggedRun
from musicllm.train.wandb_mode import Choice, choose, has_key, unreachable
from tests.train.conftest import CSV

SERVER = "https://wandb.example"


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("WANDB_API_KEY", "WANDB_DISABLED", "NETRC", *wandb_mode.PROXIES):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def test_a_key_is_found_in_the_environment_or_netrc(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert not has_key(SERVER)
    monkeypatch.setenv("WANDB_API_KEY", "made-up")
    assert has_key(SERVER)
    monkeypatch.delenv("WANDB_API_KEY")
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine wandb.example login user password made-up\n")
    netrc.chmod(0o600)
    assert has_key(SERVER)
    assert not has_key("https://another.example")


def test_a_server_that_takes_no_connection_is_named_with_the_reason(
    listening: int, closed: int
) -> None:
    assert unreachable(f"http://127.0.0.1:{listening}") == ""
    refused = f"127.0.0.1:{closed} cannot be reached (Connection refused)"
    assert unreachable(f"http://127.0.0.1:{closed}") == refused


def test_behind_a_proxy_the_proxy_is_asked(
    monkeypatch: pytest.MonkeyPatch, listening: int, closed: int
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{listening}")
    assert unreachable(SERVER) == ""
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{closed}")
    assert f"127.0.0.1:{closed} cannot be reached" in unreachable(SERVER)


def test_a_name_that_is_looked_up_for_ever_does_not_hold_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wandb_mode, "TIMEOUT_S", 0.01)

    def hang(*_: Any, **__: Any) -> None:
        time.sleep(0.3)
        raise OSError("too late")

    monkeypatch.setattr(socket, "create_connection", hang)
    assert "wandb.example:443 cannot be reached (no answer within" in unreachable(SERVER)


def test_the_mode_follows_settings_key_and_network(
    monkeypatch: pytest.MonkeyPatch, listening: int, closed: int
) -> None:
    here, gone = f"http://127.0.0.1:{listening}", f"http://127.0.0.1:{closed}"
    assert choose("auto", here).reason == "there is no key; wandb login stores one"
    monkeypatch.setenv("WANDB_API_KEY", "made-up")
    assert choose("auto", here) == choose("online", here) == Choice("online")
    for mode in ("auto", "online"):
        assert choose(mode, gone).mode == "offline"
        assert "cannot be reached" in choose(mode, gone).reason
    assert choose("offline", gone) == Choice("offline", "as configured")
    assert choose("disabled", gone) == Choice("disabled")
    monkeypatch.setenv("WANDB_DISABLED", "true")
    assert choose("online", here) == Choice("disabled")


def test_a_disabled_logger_is_none_at_all(tmp_path: Path) -> None:
    wandb = dataclasses.replace(CSV, kind="wandb", mode="disabled", log_artifact=True)
    folder = tmp_path / "run"
    folder.mkdir()
    run = LoggedRun(folder, 0, "0123", {})
    assert loggers.build([wandb], run) == []
    loggers.log_artifact([wandb], run, tmp_path, "adapter")
    assert list(folder.iterdir()) == []


def test_a_server_that_refuses_the_run_is_one_block(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import wandb

    def init(**_: Any) -> Any:
        raise wandb.errors.CommError("user is not logged in")

    monkeypatch.setattr("wandb.init", init)
    monkeypatch.setattr(wandb_mode, "unreachable", lambda _: "")
    online = dataclasses.replace(CSV, kind="wandb", mode="online")
    message = r"^logger wandb: user is not logged in; check the key .* logger\.wandb\.mode=offline$"
    with pytest.raises(NotAvailableError, match=message):
        loggers.build([online], LoggedRun(tmp_path, 0, "0123", {}))
