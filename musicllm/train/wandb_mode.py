"""Whether a run in Weights & Biases is online, offline or not there at all, and why.

A machine without a network must not cost a run two minutes and then the run: whether the server
can be reached is asked before wandb waits for it.
"""

from __future__ import annotations

import netrc
import os
import socket
import threading
from dataclasses import dataclass
from urllib.parse import urlsplit

TIMEOUT_S = 5.0
"""For finding the server's address and for its first answer, each."""

PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes:
        mode: online, offline or disabled.
        reason: why it is offline; empty otherwise.
    """

    mode: str
    reason: str = ""


def choose(mode: str | None, server: str) -> Choice:
    """Choose the mode of a run; asks the server for a connection, five seconds long at most.

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
    """Tell whether this user has a key for a server, without reading the key."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(server).hostname or server
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def unreachable(server: str) -> str:
    """Return why a server, or the proxy before it, takes no connection; empty where it does.

    Looking up a name has no time limit of its own, so it happens in a thread.
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
