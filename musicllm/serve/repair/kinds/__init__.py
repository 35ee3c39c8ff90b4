"""Kinds of repair, one module each; see `musicllm.serve.repair`."""
