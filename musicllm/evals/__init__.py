"""What a model is worth: likelihood, compression, theory questions, generated tunes.

Every measurement takes models, tokenizers and texts as plain arguments and returns numbers and
rows; none reads a configuration or writes an artifact.
"""
