"""What goes wrong between this process and a server, each in one clear block."""

from __future__ import annotations

from musicllm.errors import ConfigError, InputError, NotAvailableError, Problem

MOST_SHOWN = 300
"""Characters of a server's own words in a message."""


class RefusedError(InputError):
    """A server refuses a request; the same request would be refused again.

    Attributes:
        status: of HTTP, such as 404.
        words: the server's own.
    """

    def __init__(self, label: str, status: int, words: str) -> None:
        self.status, self.words = status, words
        super().__init__(f"{label} refuses a request with {status}: {words or 'no reason stated'}")


class BusyError(NotAvailableError):
    """A server cannot serve a request now, and may later.

    Attributes:
        wait_s: how long it wants to be left alone (seconds); None if it does not say.
    """

    def __init__(self, text: str, wait_s: float | None = None) -> None:
        self.wait_s = wait_s
        super().__init__(text)


class UnansweredError(NotAvailableError):
    """A server keeps silent, or answers with something else than the protocol's."""


def no_answer(label: str, key: str, timeout_s: float) -> UnansweredError:
    """Return the error of a server that keeps silent."""
    return UnansweredError(
        f"{label} did not answer within {key}={timeout_s:g} s; it is overloaded, or hangs: look at "
        f"it, or write a longer {key} or a smaller inference.num_parallel"
    )


def not_reached(label: str, reason: object) -> BusyError:
    """Return the error of a server to which there is no connection."""
    return BusyError(f"{label} cannot be reached ({reason}); start it, or correct the address")


def cut_off(label: str) -> BusyError:
    """Return the error of a server that closes the connection too early."""
    return BusyError(f"{label} closed the connection before its answer was whole")


def rubbish(label: str, content: str) -> UnansweredError:
    """Return the error of an answer that does not follow the protocol."""
    return UnansweredError(
        f"{label} does not answer as an OpenAI-compatible server does, but with "
        f"{shown(content)!r}; does the address end as its documentation says, mostly in /v1?"
    )


def not_allowed(setting: str, value: str, status: int, variable: str, has_key: bool) -> ConfigError:
    """Return the error of a server that wants another key.

    Args:
        setting: that names the server.
        value: of it.
        status: 401 or 403.
        variable: of the environment, which holds the key.
        has_key: a key was sent.
    """
    rule = f"answers {status}: it refuses the key in the environment variable {variable}"
    fix = f"correct it with: export {variable}=<key>"
    if not has_key:
        rule = f"answers {status}: it needs a key, and {variable} is not set in the environment"
        fix = f"set it with: export {variable}=<key> (or name another by inference.api_key_env)"
    return ConfigError([Problem(setting, value, rule, fix)])


def unpaid(setting: str, value: str, words: str) -> ConfigError:
    """Return the error of a server whose account is empty; arguments as of `not_allowed`."""
    rule = f"answers 402, so the account is empty: {words or 'no reason stated'}"
    fix = "pay, or raise its limit; the same command continues then"
    return ConfigError([Problem(setting, value, rule, fix)])


def shown(content: str) -> str:
    """Return the beginning of a server's words, on one line."""
    line = " ".join(content.split())
    return line if len(line) <= MOST_SHOWN else f"{line[:MOST_SHOWN]}..."
