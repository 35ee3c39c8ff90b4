"""The bench of training: our engine, a bare loop, a padded loop and `transformers.Trainer`.

`task` is the workload, `stopwatch` takes the time; `ours`, `loops` (the bare and the padded one)
and `trainer` are the contestants, and `run` interleaves them. The texts are random token ids with
the lengths of MusicPile's documents, since speed does not depend on their content.
"""
