"""lm-evaluation-harness and our models: its tasks and results, our scorer.

`tasks` makes its tasks of our questions and prompts, `measuring` puts them to a model, `model` is
our model as the harness calls one, and `plugin` holds the same tasks for its own command line.
"""
