"""The server's application: OpenAI's protocol, tunes, and the page, over one desk per model."""

LOCAL = ("127.0.0.1", "localhost", "::1")
"""Names of this machine, by which other machines do not reach it."""
