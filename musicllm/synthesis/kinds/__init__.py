"""Kinds of synthesis, one module each; see `synthesis.kind`."""
