"""Opens what the stages `serve` and `demo` serve, and serves it."""

from __future__ import annotations

import errno
import os
import re
import socket
import webbrowser
from importlib.util import find_spec
from pathlib import Path
from threading import Thread

from musicllm import console
from musicllm.errors import ConfigError, NotAvailableError, Problem
from musicllm.job import Job
from musicllm.runs.served_models import served_models
from musicllm.runs.settings import rules_of_tunes, sampling_settings
from musicllm.schema import ServeConfig
from musicllm.serve.api import LOCAL

NEEDED = ("fastapi", "uvicorn")


def serve(job: Job, *, page: bool) -> None:
    """Serve the model of a job until the process is told to end.

    Raises:
        NotAvailableError: the extra `serve` is not installed.
        ConfigError: the port is in use, or a key is missing.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise NotAvailableError(
            f"serving needs {' and '.join(missing)}: pip install 'musicllm[serve]'"
        )
    from musicllm.serve.api.server import run
    from musicllm.serve.api.service import Service
    from musicllm.serve.desk import DeskLimits

    config, settings = job.config, job.config.serve
    key = _key(settings)
    limits = DeskLimits(settings.num_waiting, settings.time_limit_s)
    models = served_models(job, limits)
    service = Service(
        models=models,
        settings=settings,
        sampling=sampling_settings(config),
        system=config.generation.system,
        rules=rules_of_tunes(config),
        uses_grammar=config.generation.grammar is not None,
        seed=config.seed,
        page=page,
        key=key,
        preferences=Path(settings.preferences) if settings.preferences else None,
    )
    listener = _listen(settings.host, settings.port)
    address = _address(settings.host, listener.getsockname()[1])
    what = f"{address}/" if page else f"{address}/v1"

    def announce() -> None:
        console.say(f"serving {' and '.join(models)} on {what} (Ctrl-C ends it)")
        if page and settings.open_browser:
            Thread(target=webbrowser.open, args=(f"{address}/",), daemon=True).start()

    run(service, listener, announce)


def _key(settings: ServeConfig) -> str | None:
    """Return the key that requests must carry; None for none.

    Raises:
        ConfigError: other machines are let in without one, or no request could carry it.
    """
    variable = settings.api_key_env
    key = os.environ.get(variable) or None
    if settings.host not in LOCAL and key is None:
        rule = "lets other machines in, and no key protects the model"
        fix = f"set the variable {variable}, whose key requests must then carry"
        raise ConfigError([Problem("serve.host", settings.host, rule, fix)])
    if key is not None and not re.fullmatch("[!-~]+", key):
        rule = "names a variable whose key no request can carry"
        fix = "a key has letters, digits and signs of ASCII, and no blanks"
        raise ConfigError([Problem("serve.api_key_env", variable, rule, fix)])
    return key


def _address(host: str, port: int) -> str:
    """Return the address by which this machine reaches the server."""
    named = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{named}]:{port}" if ":" in named else f"http://{named}:{port}"


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        ConfigError: the address is none of this machine, or the port is in use.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, UnicodeError) as error:
        code = getattr(error, "errno", None)
        problem = Problem("serve.host", host, "is no address of this machine", "write 127.0.0.1")
        if code in (errno.EADDRINUSE, errno.EACCES):
            rule = "is in use" if code == errno.EADDRINUSE else "is not for users of this machine"
            fix = "write another, or serve.port=0 for any that is free"
            problem = Problem("serve.port", port, rule, fix)
        raise ConfigError([problem]) from None
