"""Whether a run in Weights & Biases is online, offline or disabled, and why.

Without a network wandb would wait for two minutes and then fail the run, so the connection to the
server is tested first.
"""

from __future__ import annotations

import netrc
import os
import socket
import threading
from dataclasses import dataclass
from urllib.parse import urlsplit

TIMEOUT_S = 5.0
"""For resolving the server's name and for the connection, each."""

PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")


@dataclass(frozen=True)
class Choice:
    """The chosen mode.

    Attributes:
        mode: online, offline or disabled.
        reason: why it is offline; otherwise empty.
    """

    mode: str
    reason: str = ""


def choose(mode: str | None, server: str) -> Choice:
    """Choose the mode of a run; tries to connect to the server, for five seconds at most.

    Args:
        mode: online, offline, disabled, or auto (online where there is a key), as configured.
        server: address of wandb's server.
    """
    if os.environ.get("WANDB_DISABLED", "").lower() in ("1", "true", "yes"):
        return Choice("disabled")
    if mode == "disabled":
        return Choice("disabled")
    if mode == "offline":
        return Choice("offline", "as configured")
    if mode != "online" and not has_key(server):
        return Choice("offline", "there is no key; wandb login stores one")
    if why := unreachable(server):
        return Choice("offline", why)
    return Choice("online")


def has_key(server: str) -> bool:
    """Return whether the user has a key for a server."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(server).hostname or server
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def unreachable(server: str) -> str:
    """Return why a server, or its proxy, cannot be reached; empty if it can.

    Resolving a name has no timeout of its own, so it runs in a thread.
    """
    proxy = next((os.environ[name] for name in PROXIES if os.environ.get(name)), None)
    address = urlsplit(proxy or server)
    host = address.hostname or server
    port = address.port or (80 if address.scheme == "http" else 443)
    answers: list[str] = []

    def connect() -> None:
        try:
            with socket.create_connection((host, port), timeout=TIMEOUT_S):
                answers.append("")
        except OSError as error:
            answers.append(error.strerror or str(error))

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(2 * TIMEOUT_S)
    answer = answers[0] if answers else f"no answer within {2 * TIMEOUT_S:.0f} s"
    return answer and f"{host}:{port} cannot be reached ({answer})"
