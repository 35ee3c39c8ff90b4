"""How a model is served to others: addresses, limits, and what is stored."""

from __future__ import annotations

from musicllm.schema.keys import group, key


@group
class ServeConfig:
    """The server of `recipe=serve` and `recipe=demo`."""

    host: str = key("address to listen on; other machines reach only another than 127.0.0.1")
    port: int = key("port to listen on; 0: any that is free", 0, 65_535)
    api_key_env: str = key(
        "environment variable that holds the key that requests must carry; demanded with another "
        "host than this machine"
    )
    num_waiting: int = key("requests that may wait for the model; one more is refused", 0, 100_000)
    time_limit_s: float = key("longest time that one answer is written", 1, 86_400, "seconds")
    max_new_tokens: int = key("largest max_tokens of a request", 1, 1 << 20, "tokens")
    max_body_mb: float = key("largest body of a request", 0.001, 1000, "MB")
    closing_s: float = key(
        "time that running requests get to finish when the server is stopped", 0, 3600, "seconds"
    )
    preferences: str | None = key(
        "file of preference pairs that the page appends to (.jsonl)", null="none are written"
    )
    open_browser: bool = key("recipe=demo opens the page in the browser of this machine")
