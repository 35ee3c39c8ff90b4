"""The bench of evaluation: our scorer and the `hf` backend of lm-evaluation-harness.

`questions` has the questions, `task` the requests of all contestants, `contestants` ours and the
harness's, and `run` interleaves them. Only log-likelihoods of options are requested, which
take nearly all of the time of a multiple-choice benchmark.
"""
