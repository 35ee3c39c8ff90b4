"""Distillation: a student learns the next-token distributions of a teacher.

    divergences   how far two distributions are apart, and the gradient of it
    targets       what the teacher says: the whole vocabulary, or its k most probable tokens
    teachers      where that comes from: a model on the fly, or what was stored beside the rows
    losses        both in pieces of logits, with the gradient taken in the forward pass

`musicllm.train.objectives.distillation` is the objective of a training that uses them.
"""
