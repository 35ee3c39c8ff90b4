"""From sources to batches: records, cleaning, splits, tokens, rows, and the order they are read in.

This room knows no model and no configuration: it takes plain arguments and writes plain files.
"""
