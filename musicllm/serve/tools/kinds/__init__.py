"""Tools, one module each; see `musicllm.serve.tools`."""
