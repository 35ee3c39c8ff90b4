"""The bench of training: our engine beside a bare loop, a padded loop and `transformers.Trainer`.

`task` is what all of them train on, `stopwatch` what is measured; `ours`, `loops` (the bare and the
padded one) and `trainer` hold the contestants, and `run` interleaves them. The texts are numbers
drawn at random with the lengths of MusicPile's documents: speed does not depend on what they say.
"""
