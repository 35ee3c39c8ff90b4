"""Base models, tokenizers, attention for packed rows, adapters, merging and model sizes."""
