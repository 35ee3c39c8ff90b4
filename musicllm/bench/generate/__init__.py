"""Speed of writing: our loop without and with the grammar, beside `generate` of transformers."""
