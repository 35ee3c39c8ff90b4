"""The command itself as a process: a tiny model, or an engine that a test has written."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import wait_for

ROOT = Path(__file__).parents[3]

TEMPLATE = (
    "{% for message in messages %}{% if message.role == 'assistant' %}"
    "{% generation %}{{ message.content + eos_token }}{% endgeneration %}"
    "{% else %}{{ bos_token + message.content }}{% endif %}{% endfor %}"
)


def write_tiny_model(folder: Path) -> None:
    """Write a Llama of 30,000 random weights whose tokens are the characters of ASCII."""
    import torch
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    vocabulary = {"<s>": 0, "</s>": 1, "<unk>": 2}
    vocabulary |= {chr(code): len(vocabulary) + code - 32 for code in range(32, 127)}
    vocabulary["\n"] = len(vocabulary)
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    inner.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        chat_template=TEMPLATE,
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=512,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


class ServerProcess:
    """A server that a command has started.

    Attributes:
        process: of the command.
        address: where it listens; empty until it says so.
    """

    def __init__(self, folder: Path, *words: str, **variables: str) -> None:
        self._log = folder / "server.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "musicllm", *words, "serve.port=0", "paths.cache=cache"],
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={
                    **os.environ,
                    "PYTHONPATH": f"{folder}:{ROOT}",
                    "OMP_NUM_THREADS": "1",
                    **variables,
                },
            )
        self.address = ""

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self._log.read_text("utf-8")

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Return the match of a pattern in the output, once it is there."""
        search = re.compile(pattern).search
        match: re.Match[str] = wait_for(lambda: search(self.output), self.process)
        return match

    def listening(self) -> str:
        """Return the address, once it listens."""
        self.address = self.wait_for(r"serving .* on (http://[^/\s]+)")[1]
        return self.address

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the status with which the process ends."""
        self.process.send_signal(number)
        return self.process.wait(120)


@contextmanager
def started(folder: Path, *words: str, **variables: str) -> Iterator[ServerProcess]:
    """Start a command in a folder; at the end its process is killed if it still runs."""
    server = ServerProcess(folder, *words, **variables)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()
