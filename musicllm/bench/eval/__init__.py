"""The bench of evaluation: our scorer beside lm-evaluation-harness's own `hf` backend.

`questions` holds what is asked, `task` what every contestant answers, `contestants` ours and the
harness's, and `run` interleaves and compares them. Only log-likelihoods of options are requested:
in that lies nearly all of the time that a multiple-choice benchmark takes.
"""
