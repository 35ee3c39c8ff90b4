"""Speed of the server: through HTTP, beside the engine alone, and beside `transformers serve`."""
