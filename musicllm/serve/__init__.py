"""Using a trained model: tunes on request, and rows of tokens as text."""
