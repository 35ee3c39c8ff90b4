"""Serves a GGUF file on 127.0.0.1 until the standard input ends; a program of its own.

llama.cpp ends its process where it meets something that it did not expect, so it runs apart. Prints
the address as a line of JSON. Used by `runtime`; imports nothing of musicllm.
"""

import json
import sys


def main() -> None:
    """Serve `sys.argv[1]`: a JSON object with `path`, `context` and `num_threads`."""
    import xllamacpp

    given = json.loads(sys.argv[1])
    settings = xllamacpp.CommonParams()
    settings.model.path = given["path"]
    settings.n_ctx, settings.n_parallel = given["context"], 1
    settings.cpuparams.n_threads = given["num_threads"]
    settings.cpuparams_batch.n_threads = given["num_threads"]
    settings.verbosity, settings.warmup, settings.fit_params = 0, False, False
    settings.cpuparams.poll = settings.cpuparams_batch.poll = 0  # wait and do not spin
    settings.n_gpu_layers = 0
    settings.cache_type_k = settings.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    off = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    settings.flash_attn_type = off
    settings.port = 0  # a free one
    server = xllamacpp.Server(settings)
    sys.stdout.write(json.dumps(server.listening_address) + "\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
