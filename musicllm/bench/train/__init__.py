"""The bench of training: our engine beside a bare loop, a padded loop and `transformers.Trainer`.

`task` is what all of them train on, `stopwatch` what is measured, `ours`, `bare`, `padded` and
`trainer` are the contestants, and `run` interleaves them. The texts are numbers drawn at random
with the lengths of MusicPile's documents: speed does not depend on what they say.
"""
