"""The kinds of benchmark that musicllm has, one module each; see `musicllm.evals.kind`."""
